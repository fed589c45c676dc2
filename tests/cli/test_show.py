"""`molexp show`: everything about one scope."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from molexp.cli import main
from molexp.workspace.run import Run
from molexp.workspace.workspace import Workspace

EXPERIMENT = "springs/learning-rates"
BEST, FAILED = f"{EXPERIMENT}/best", f"{EXPERIMENT}/lr-0.3"
RUNS = "projects/springs/experiments/learning-rates/runs"

Capture = pytest.CaptureFixture[str]


def _show(capsys: Capture, workspace: Path, *words: str) -> str:
    assert main(["show", "-w", str(workspace), *words]) == 0
    return capsys.readouterr().out


def _refused(capsys: Capture, workspace: Path, *words: str) -> str:
    assert main(["show", "-w", str(workspace), *words]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    return said.err


def _sections(text: str) -> dict[str, list[str]]:
    """The lines of each part, by its first one."""
    return {
        part.split("\n")[0].split("  ")[0]: part.split("\n")[1:]
        for part in text.rstrip("\n").split("\n\n")
    }


def test_a_run_that_succeeded_tells_everything(springs: Path, capsys: Capture) -> None:
    said = _show(capsys, springs, BEST)
    assert said.startswith(f"run {EXPERIMENT}/lr-0.1\n\nstatus   succeeded\nalias    best\n")
    parts = _sections(said)
    assert parts["parameters"] == ["  lr     0.1", "  steps  120"]
    assert [line.split()[0] for line in parts["results"]] == ["loss", "slope"]
    assert parts["inputs"] == ["  measurements v1  data of springs"]
    assert [line.split()[0] for line in parts["code"]][-3:] == ["python", "command", "in"]
    assert any(line.split()[0] == "file" and "study.py" in line for line in parts["code"])
    assert "metric  values" in said
    assert "checkpoint  step-120" in said
    assert "\nerror\n" not in said


def test_a_run_that_failed_tells_why(springs: Path, capsys: Capture) -> None:
    said = _show(capsys, springs, FAILED)
    parts = _sections(said)
    assert parts["error"][0].startswith("  FloatingPointError: step 17: the loss grew")
    assert parts["trace"][0] == "  Traceback (most recent call last):"
    assert parts["trace"][-1].startswith("  FloatingPointError")
    assert parts["warnings"][0].endswith("the first step went uphill")
    assert "\ntags     diverged\n" in said
    assert "\nnotes    Too large a step" in said


def _fall() -> None:
    try:
        raise KeyError("deep")
    except KeyError as error:
        raise ValueError("bottom") from error


def test_a_long_trace_is_cut_at_its_beginning(copy: Path, capsys: Capture) -> None:
    with Workspace.load(copy) as workspace:
        run = workspace.find(FAILED)
        assert isinstance(run, Run)
        with pytest.raises(ValueError, match="bottom"), run.start(capture=False):
            _fall()
    whole = _show(capsys, copy, FAILED, "--trace").splitlines()
    assert whole[-1] == "ValueError: bottom"
    assert len(whole) > 12
    first = f"  … {len(whole) - 12} lines before these; `--trace` prints all"
    assert "\n".join([first, *(f"  {line}" for line in whole[-12:])]) in _show(capsys, copy, FAILED)
    older = _show(capsys, copy, FAILED, "--trace", "--execution", "1")
    assert "FloatingPointError" in older


def test_a_log_and_a_trace_are_printed_alone(springs: Path, capsys: Capture) -> None:
    log = _show(capsys, springs, BEST, "--log", "training").splitlines()
    assert [line.split(":")[0] for line in log] == ["step 40", "step 80", "step 120"]
    assert "started by process" in _show(capsys, springs, BEST, "--log")
    trace = _show(capsys, springs, FAILED, "--trace")
    assert trace.startswith("Traceback (most recent call last):\n")
    assert trace.endswith("choose a smaller learning rate\n")
    said = json.loads(_show(capsys, springs, BEST, "--log", "training", "--json"))
    assert list(said) == ["address", "execution", "name", "log"]
    assert said["log"].splitlines() == log
    said = json.loads(_show(capsys, springs, FAILED, "--trace", "--json"))
    assert said["trace"].rstrip("\n") == trace.rstrip("\n")


@pytest.mark.parametrize(
    ("words", "message", "cure"),
    [
        ([BEST, "--log", "trainin"], "has no log 'trainin'", "did you mean 'training'?"),
        ([BEST, "--log", "zzz"], "has no log 'zzz'", "there is run, training"),
        ([BEST, "--trace"], "succeeded, and left no trace", "--log"),
        ([BEST, "-e", "7"], "has no execution 7", "there is 1"),
        ([EXPERIMENT, "--trace"], "--trace asks for something that only a run has", "`molexp ls`"),
        (["--log"], "the workspace is none", "`molexp ls`"),
    ],
)
def test_what_is_not_there_is_said_with_a_cure(
    springs: Path, capsys: Capture, words: list[str], message: str, cure: str
) -> None:
    said = _refused(capsys, springs, *words)
    assert message in said
    assert cure in said


def test_a_run_that_never_started_is_shown(copy: Path, capsys: Capture) -> None:
    with Workspace.load(copy) as workspace:
        workspace.find(EXPERIMENT).run("new", replica=2)  # type: ignore[union-attr]
    said = _show(capsys, copy, f"{EXPERIMENT}/new")
    assert "status   pending" in said
    assert "replica  2" in said
    assert "  never started" in said
    assert "never started" in _refused(capsys, copy, f"{EXPERIMENT}/new", "--log")
    assert json.loads(_show(capsys, copy, f"{EXPERIMENT}/new", "--json"))["execution"] is None


def test_configuration_inputs_and_edits_are_shown(copy: Path, capsys: Capture) -> None:
    with Workspace.load(copy) as workspace:
        run = workspace.find(EXPERIMENT).run("more")  # type: ignore[union-attr]
        inputs: dict[str, Any] = {"seed": 7, "table": copy / "meta.json"}
        with run.start({"depth": 3}, inputs=inputs):
            pass
        run.edit(labels={"figure": "left"}, description="for the paper", notes="one\ntwo")
    said = _show(capsys, copy, f"{EXPERIMENT}/more")
    parts = _sections(said)
    assert parts["config"] == ["  depth  3"]
    assert parts["inputs"] == ["  seed   7", f"  table  {copy / 'meta.json'}"]
    for line in ("about    for the paper", "labels   figure=left", "notes    one · two"):
        assert f"\n{line}\n" in said


def test_what_holds_runs_is_shown(springs: Path, capsys: Capture) -> None:
    said = _show(capsys, springs, EXPERIMENT)
    parts = _sections(said)
    assert parts["params"] == ["  steps  120"]
    assert parts["aliases"] == ["  best  lr-0.1"]
    assert "study.py" in said
    said = _show(capsys, springs, "springs")
    assert "about    how far loads extend a spring" in said
    assert "measurements" in said
    assert _show(capsys, springs).startswith("workspace\n\nname     lab\n")


def test_json_has_the_documented_keys(springs: Path, capsys: Capture) -> None:
    said = json.loads(_show(capsys, springs, FAILED, "--json"))
    assert {"kind", "directory", "executions", "data", "execution", "workflow"} <= set(said)
    assert said["execution"]["trace"].startswith("Traceback")
    assert said["execution"]["metrics"]["loss"]["count"] == 17
    assert said["execution"]["inputs"][0]["name"] == "measurements v1"
    assert said["execution"]["snapshot"]["environment"]["python"]
    assert said["execution"]["config"] == {}
    experiment = json.loads(_show(capsys, springs, EXPERIMENT, "--json"))
    assert experiment["aliases"] == {"best": "lr-0.1"}
    assert (experiment["params"], experiment["n_replicas"]) == ({"steps": 120}, 1)
    for address in ("", "springs"):
        said = json.loads(_show(capsys, springs, *filter(None, [address]), "--json"))
        assert (said["address"], said["problems"]) == (address, 0)


def test_a_damaged_run_is_an_error_and_a_lost_trace_is_none(copy: Path, capsys: Capture) -> None:
    place = copy / RUNS / "lr-0.3/0001"
    place.chmod(0o755)
    (place / "error.txt").unlink()
    assert main(["show", "-w", str(copy), FAILED]) == 0
    said = capsys.readouterr()
    assert "FloatingPointError: step 17" in said.out
    assert "1 thing here is damaged" in said.err
    (copy / RUNS / "lr-0.1/meta.json").write_text("{")
    assert "lr-0.1/meta.json" in _refused(capsys, copy, f"{EXPERIMENT}/lr-0.1")
