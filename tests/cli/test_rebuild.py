"""`molexp rebuild`: the catalog anew, and what was found on the way."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from molexp.cli import main

RUNS = "projects/springs/experiments/learning-rates/runs"
RUINED = ("lr-0.03", "lr-0.1")
Capture = pytest.CaptureFixture[str]


def test_it_says_what_there_is(copy: Path, capsys: Capture) -> None:
    shutil.rmtree(copy / ".molexp")
    assert main(["rebuild", "-w", str(copy)]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert [line.split() for line in said.out.splitlines()] == [
        ["workspaces", "1"],
        ["projects", "1"],
        ["experiments", "1"],
        ["runs", "5"],
        ["executions", "5"],
        ["assets", "35"],
        ["errors", "0"],
    ]
    assert len(list((copy / ".molexp/catalog").glob("*.duckdb"))) == 1


def test_each_error_has_its_path_and_a_cure_and_hides_nothing(copy: Path, capsys: Capture) -> None:
    for run in RUINED:
        (copy / RUNS / run / "meta.json").write_text("{")
    assert main(["rebuild", "-w", str(copy)]) == 1
    said = capsys.readouterr()
    assert said.out.splitlines()[-1].split() == ["errors", "2"]
    wrong, cures = said.err.splitlines()[::2], said.err.splitlines()[1::2]
    assert [line.count(f"{run}/meta.json") for run, line in zip(RUINED, wrong, strict=True)] == [
        1,
        1,
    ]
    assert all(line.startswith("  → ") for line in cures)
    assert main(["rebuild", "--json", "-w", str(copy)]) == 1
    report = json.loads(capsys.readouterr().out)
    assert list(report) == [
        "workspace",
        "workspaces",
        "projects",
        "experiments",
        "runs",
        "executions",
        "assets",
        "errors",
    ]
    assert [each["code"] for each in report["errors"]] == ["format", "format"]
