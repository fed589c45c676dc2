"""`molexp ls`: what an address holds."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from molexp.cli import main
from molexp.workspace.experiment import Experiment
from molexp.workspace.run import Run
from molexp.workspace.workspace import Workspace

EXPERIMENT = "springs/learning-rates"
RUNS = "projects/springs/experiments/learning-rates/runs"

Capture = pytest.CaptureFixture[str]


def _ls(capsys: Capture, workspace: Path, *words: str) -> tuple[list[str], str]:
    """The lines on standard output, and what is said on standard error."""
    assert main(["ls", "-w", str(workspace), *words]) == 0
    said = capsys.readouterr()
    return said.out.splitlines(), said.err


def _json(capsys: Capture, workspace: Path, *words: str) -> Any:
    lines, _ = _ls(capsys, workspace, "--json", *words)
    return json.loads("\n".join(lines))


def _column(lines: list[str], header: str) -> list[str]:
    """The cells below a header; a column ends where the next begins."""
    at = next(number for number, line in enumerate(lines) if f" {header}" in f" {line}")
    start = lines[at].index(header)
    return [line[start:].split("  ")[0].strip() for line in lines[at + 1 :] if line]


def test_a_workspace_lists_its_projects(springs: Path, capsys: Capture) -> None:
    lines, errors = _ls(capsys, springs)
    assert errors == ""
    assert lines[0] == "workspace (lab)"
    assert lines[2].split()[:4] == ["project", "experiments", "runs", "made"]
    assert lines[3].split()[:3] == ["springs", "1", "5"]
    assert lines[3].endswith("Springs  how far loads extend a spring")


def test_a_project_lists_its_experiments_and_data(springs: Path, capsys: Capture) -> None:
    lines, _ = _ls(capsys, springs, "springs")
    assert [line.split()[:2] for line in lines[4:5]] == [["learning-rates", "5"]]
    assert lines[4].endswith("steps=120")
    assert lines[7].split()[:4] == ["measurements", "v1", "146", "B"]


def test_an_experiment_lists_what_tells_runs_apart_and_what_came_of_them(
    springs: Path, capsys: Capture
) -> None:
    lines, _ = _ls(capsys, springs, EXPERIMENT)
    assert "  all with steps=120" in lines
    assert _column(lines, "lr ") == ["0.003", "0.01", "0.03", "0.1", "0.3"]
    assert _column(lines, "status") == [*["succeeded"] * 4, "failed"]
    assert _column(lines, "loss")[3] == "0.0046481"
    assert _column(lines, "alias") == ["", "", "", "best", ""]
    assert _column(lines, "error")[-1].startswith("FloatingPointError: step 17: the loss grew")


def test_the_newest_runs_come_last_whatever_they_are_called(copy: Path, capsys: Capture) -> None:
    with Workspace.load(copy) as workspace:
        experiment = workspace.find(EXPERIMENT)
        assert isinstance(experiment, Experiment)
        with experiment.get_run("lr-0.01").start(again=True):  # type: ignore[union-attr]
            pass
    runs = [each["id"] for each in _json(capsys, copy, EXPERIMENT)["runs"]]
    assert runs == ["lr-0.003", "lr-0.03", "lr-0.1", "lr-0.3", "lr-0.01"]
    lines, _ = _ls(capsys, copy, EXPERIMENT, "-n", "2")
    assert [line.split()[0] for line in lines[-2:]] == ["lr-0.3", "lr-0.01"]
    assert "  (3 older runs not shown)" in lines


def test_runs_are_filtered_by_status(springs: Path, capsys: Capture) -> None:
    failed = _json(capsys, springs, EXPERIMENT, "--status", "failed")["runs"]
    assert [each["id"] for each in failed] == ["lr-0.3"]
    both = ["--status", "failed", "--status", "succeeded"]
    assert len(_json(capsys, springs, EXPERIMENT, *both)["runs"]) == 5
    lines, _ = _ls(capsys, springs, EXPERIMENT, "--status", "running")
    assert "  no runs" in lines
    with pytest.raises(SystemExit) as ended:
        main(["ls", "--status", "great"])
    assert ended.value.code == 2


def test_a_limit_below_one_is_refused(springs: Path, capsys: Capture) -> None:
    assert main(["ls", "-w", str(springs), "-n", "0"]) == 1
    assert "0 runs cannot be listed" in capsys.readouterr().err


def test_a_run_lists_its_executions_and_assets(springs: Path, capsys: Capture) -> None:
    lines, _ = _ls(capsys, springs, f"{EXPERIMENT}/best")
    assert lines[0] == f"{EXPERIMENT}/lr-0.1"
    assert [line.split()[:4] for line in lines[-5:]] == [
        ["0001", "log", "training", "112"],
        ["0001", "checkpoint", "step-40", "71"],
        ["0001", "checkpoint", "step-80", "72"],
        ["0001", "checkpoint", "step-120", "72"],
        ["0001", "artifact", "fit.json", "97"],
    ]


def test_what_is_empty_says_so(tmp_path: Path, capsys: Capture) -> None:
    lab = tmp_path / "lab"
    with Workspace(lab).materialize() as workspace:
        assert "  no projects yet" in _ls(capsys, lab)[0]
        project = workspace.project("p")
        assert "  no experiments yet" in _ls(capsys, lab, "p")[0]
        project.experiment("e").run("r")
        assert "  never started" in _ls(capsys, lab, "p/e/r")[0]
        assert _json(capsys, lab, "p/e")["runs"][0]["status"] == "pending"


def test_json_has_the_documented_keys(springs: Path, capsys: Capture) -> None:
    workspace = _json(capsys, springs)
    common = ["workspace", "address", "kind", "name"]
    assert list(workspace) == [*common, "projects", "data", "problems"]
    assert list(_json(capsys, springs, "springs")) == [*common, "experiments", "data", "problems"]
    said = _json(capsys, springs, EXPERIMENT)
    assert list(said) == [*common, "runs", "data", "problems"]
    failed = said["runs"][-1]
    assert failed["error"]["type"] == "FloatingPointError"
    assert failed["tags"] == {"diverged": True}
    assert said["runs"][3]["aliases"] == ["best"]
    assert said["runs"][3]["results"]["loss"] == pytest.approx(0.00464815, rel=1e-5)
    run = _json(capsys, springs, f"{EXPERIMENT}/lr-0.3")
    assert list(run) == [*common, "executions", "assets", "data", "problems"]
    assert [each["kind"] for each in run["assets"]] == ["error_trace"]


def test_a_damaged_record_hides_no_other_and_is_counted(copy: Path, capsys: Capture) -> None:
    (copy / RUNS / "lr-0.03/meta.json").write_text("{")
    os.mkdir(copy / RUNS / "empty")
    lines, errors = _ls(capsys, copy, EXPERIMENT)
    assert _column(lines, "lr ") == ["0.003", "0.01", "0.1", "0.3"]
    assert errors == "molexp: 2 things here are damaged: `molexp problems` says which\n"
    assert _json(capsys, copy, EXPERIMENT)["problems"] == 2


@pytest.mark.parametrize("place", ["projects/springs", "projects/springs/experiments/x"])
def test_a_damaged_scope_hides_no_other(copy: Path, capsys: Capture, place: str) -> None:
    with Workspace.load(copy) as workspace:
        workspace.project("Other")
        workspace.project("Springs").experiment("x")
    (copy / place / "meta.json").write_text("{")
    parent = "" if place == "projects/springs" else "springs"
    lines, errors = _ls(capsys, copy, *[parent] if parent else [])
    assert any(line.split()[:1] in (["other"], ["learning-rates"]) for line in lines)
    assert errors == "molexp: 1 thing here is damaged: `molexp problems` says which\n"


def _record(run: Run, evil: str) -> None:
    with run.start(capture=False) as ctx:
        ctx.set_result("slope", evil)
        ctx.log("training").append(evil)
        ctx.artifact.save("a.txt", evil, tags={evil: evil})
        raise OSError(evil)


def test_what_hostile_records_say_steers_no_terminal(tmp_path: Path, capsys: Capture) -> None:
    lab, evil = tmp_path / "lab", "\x1b]0;owned\x07\u202eevil\r\x9b2J"
    with Workspace(lab, evil) as workspace:
        experiment = workspace.project(f"p {evil}", description=evil).experiment(
            f"e {evil}", params={evil: evil}, description=evil, tags={evil: evil}
        )
        run = experiment.run("first")
        for value in (evil, f"{evil}2"):
            run = experiment.run(parameters={evil: value}, tags={evil: evil})
            experiment.alias(evil, run)
            with pytest.raises(OSError, match="owned"):
                _record(run, evil)
        addresses = ["", experiment.project.address, experiment.address, run.address]
    for address in addresses:
        for command in ("ls", "show"):
            assert main([command, "-w", str(lab), *filter(None, [address])]) == 0
            said = capsys.readouterr().out
            assert "owned" in said
            assert all(letter.isprintable() or letter == "\n" for letter in said), said
    for word in ("--trace", "--log=training"):
        assert main(["show", "-w", str(lab), addresses[-1], word]) == 0
        said = capsys.readouterr().out
        assert "owned" in said
        assert all(letter.isprintable() or letter == "\n" for letter in said), said


def test_a_narrow_terminal_is_respected(
    springs: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for columns in (40, 80, 120):
        monkeypatch.setenv("COLUMNS", str(columns))
        for address in ("springs", EXPERIMENT, f"{EXPERIMENT}/best"):
            lines, _ = _ls(capsys, springs, address)
            assert max(map(len, lines)) <= columns
