"""`molexp query`: rows of the catalog, asked for in words that a shell lets through."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from molexp.cli import main
from molexp.rows.tables import tables
from molexp.workspace.workspace import Workspace

EXPERIMENT = "springs/learning-rates"
Capture = pytest.CaptureFixture[str]


def _query(capsys: Capture, workspace: Path, *words: str) -> list[str]:
    assert main(["query", "-w", str(workspace), *words]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    return said.out.splitlines()


def _json(capsys: Capture, workspace: Path, *words: str) -> Any:
    return json.loads("\n".join(_query(capsys, workspace, "--json", *words)))


def _ids(capsys: Capture, workspace: Path, *words: str) -> list[str]:
    return [row["id"] for row in _json(capsys, workspace, *words)["rows"]]


def test_without_words_it_shows_the_runs_the_newest_first(springs: Path, capsys: Capture) -> None:
    lines = _query(capsys, springs)
    assert lines[0].split() == ["address", "status", "params.lr", "started_at", "error_type"]
    assert [line.split()[0] for line in lines[1:]] == [
        f"{EXPERIMENT}/lr-{rate}" for rate in (0.3, 0.1, 0.03, 0.01, 0.003)
    ]
    assert lines[1].endswith("FloatingPointError")


@pytest.mark.parametrize(
    ("words", "ids"),
    [
        (["status=failed"], ["lr-0.3"]),
        (["status!=failed", "params.lr>=0.03"], ["lr-0.03", "lr-0.1"]),
        (["params.lr__lt=0.01"], ["lr-0.003"]),
        (["params.lr=0.1"], ["lr-0.1"]),
        (["params.lr==0.1", "params.steps=120"], ["lr-0.1"]),
        (["params.lr__in=0.1,0.3,7"], ["lr-0.1", "lr-0.3"]),
        (["id__in=lr-0.1,lr-0.3"], ["lr-0.1", "lr-0.3"]),
        (["params.lr>0.003", "params.lr<=0.01"], ["lr-0.01"]),
        (["tag=diverged"], ["lr-0.3"]),
        (["experiment=learning-rates", "error_type=null", "id=lr-0.1"], ["lr-0.1"]),
        (["experiment.name=Learning rates", "id=lr-0.1"], ["lr-0.1"]),
        (["started_at<2020-01-01"], []),
        (["id=3"], []),
    ],
)
def test_conditions_are_those_of_python(
    springs: Path, capsys: Capture, words: list[str], ids: list[str]
) -> None:
    assert _ids(capsys, springs, *words, "--order", "params.lr") == ids
    assert _json(capsys, springs, *words, "--count")["count"] == len(ids)


def test_a_table_is_named_first_and_relations_lead_on(springs: Path, capsys: Capture) -> None:
    lines = _query(capsys, springs, "assets", "kind=error_trace", "run.status=failed")
    assert lines[1].split()[:4] == [f"{EXPERIMENT}/lr-0.3", "1", "error_trace", "error"]
    (found,) = _json(capsys, springs, "messages", "level=WARNING")["rows"]
    assert found["text"] == "the first step went uphill"
    assert found["scope"] == f"{EXPERIMENT}/lr-0.3"


@pytest.mark.parametrize("name", tables())
def test_every_table_can_be_shown(springs: Path, capsys: Capture, name: str) -> None:
    lines = _query(capsys, springs, name, "--limit", "all")
    said = _json(capsys, springs, name, "-n", "all")
    assert len(lines) == 1 + said["count"] == 1 + len(said["rows"]) > 1


def test_it_says_how_many_more_there_are(springs: Path, capsys: Capture) -> None:
    lines = _query(capsys, springs, "-n", "2")
    assert len(lines) == 4
    assert lines[-1] == "  (3 more; `--limit 5` shows all)"
    assert _json(capsys, springs, "-n", "2")["count"] == 5
    assert _query(capsys, springs, "-n", "0") == ["  5 runs"]
    assert _query(capsys, springs, "id=nowhere") == ["  no runs"]


def test_only_a_number_is_printed_on_demand(springs: Path, capsys: Capture) -> None:
    assert _query(capsys, springs, "status=succeeded", "--count") == ["4"]


def test_order_may_begin_with_a_dash_and_words_may_stand_anywhere(
    springs: Path, capsys: Capture
) -> None:
    call = ["--order", "-params.lr", "status=succeeded", "-n", "2", "params.lr__lt=0.1"]
    assert _ids(capsys, springs, *call) == ["lr-0.03", "lr-0.01"]
    call = ["runs", "--order=status,-address", "--fields", "address"]
    assert _query(capsys, springs, *call)[1].split() == [f"{EXPERIMENT}/lr-0.3"]


def test_fields_are_columns_and_what_stands_in_their_documents(copy: Path, capsys: Capture) -> None:
    with Workspace.load(copy) as workspace:
        experiment: Any = workspace.find(EXPERIMENT)
        experiment.run("deep", parameters={"optimizer": {"lr": 0.5}, "a.b": 1})
    call = ["id=deep", "--fields", "id,params.optimizer.lr,params.a.b,params.none,tags"]
    assert _json(capsys, copy, *call)["rows"] == [
        {"id": "deep", "params.optimizer.lr": 0.5, "params.a.b": 1, "params.none": None, "tags": {}}
    ]
    lines = _query(capsys, copy, "executions", "--fields", "scope,pid", "-n", "1")
    assert lines[0].split() == ["scope", "pid"]


@pytest.mark.parametrize(
    ("words", "message", "cure"),
    [
        (["runz"], "no table 'runz'", "did you mean 'runs'?"),
        (["statsu=failed"], "no field 'statsu' in runs", "did you mean 'status'"),
        (["status=failed", "keep"], "'keep' says nothing", "FIELD=VALUE"),
        (["params.lr__lt<3"], "compares twice", "say `params.lr<3`"),
        (["executions=many"], "compared with 'many'", "give a number"),
        (["--order", "speed"], "no field 'speed'", "there are"),
        (["--fields", "speed"], "no field 'speed' to show", "there are address"),
        (["--fields", "status.x"], "no field 'status.x' to show", "there are address"),
    ],
)
def test_what_cannot_be_asked_is_an_error_with_a_cure(
    springs: Path, capsys: Capture, words: list[str], message: str, cure: str
) -> None:
    assert main(["query", "-w", str(springs), *words]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert message in said.err.splitlines()[0]
    assert cure in said.err.splitlines()[1]


@pytest.mark.parametrize("limit", ["-1", "x", "1.5"])
def test_a_limit_is_a_number_or_all(springs: Path, capsys: Capture, limit: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["query", "-w", str(springs), "-n", limit])
    assert ended.value.code == 2
    assert "neither a number from 0 on nor `all`" in capsys.readouterr().err


def test_control_characters_steer_no_terminal(copy: Path, capsys: Capture) -> None:
    with Workspace.load(copy) as workspace:
        experiment: Any = workspace.find(EXPERIMENT)
        experiment.run("loud", parameters={"a\x1bb": "\x1b[31m"}, notes="\x1b[31m")
    for call in (["id=loud"], ["id=loud", "--fields", "notes,params.a\x1bb"]):
        text = "\n".join(_query(capsys, copy, *call))
        assert "\\x1b" in text
        assert "\x1b" not in text


def test_it_waits_for_no_records_and_for_no_other_command(copy: Path) -> None:
    with Workspace.load(copy) as workspace:
        workspace.sync()
    code = (
        "import sys\nfrom molexp.cli import main\nmain(sys.argv[1:])\n"
        "print(*(n for n in sys.modules if n.startswith(('molexp.cli.', 'pydantic'))))"
    )
    call = [sys.executable, "-c", code, "query", "status=failed", "-w", str(copy)]
    ran = subprocess.run(call, capture_output=True, text=True, check=True, env={**os.environ})
    *lines, loaded = ran.stdout.splitlines()
    assert lines[1].split()[0] == f"{EXPERIMENT}/lr-0.3"
    rooms = {name.removeprefix("molexp.cli.") for name in loaded.split()}
    telling = {"telling", "telling.around", "telling.conditions", "telling.text"}
    assert rooms == {"query", *telling}
