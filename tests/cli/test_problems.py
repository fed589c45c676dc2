"""`molexp problems`: what cannot be read, and what lies there twice."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from molexp.cli import main

RUNS = "projects/springs/experiments/learning-rates/runs"
Capture = pytest.CaptureFixture[str]


def test_a_sound_workspace_has_none(springs: Path, capsys: Capture) -> None:
    assert main(["problems", "-w", str(springs)]) == 0
    assert capsys.readouterr().out == "nothing: every record can be read\n"
    assert main(["problems", "--json", "-w", str(springs)]) == 0
    assert json.loads(capsys.readouterr().out) == {"workspace": str(springs), "problems": []}


def test_damaged_records_and_twins_are_named_with_a_cure(copy: Path, capsys: Capture) -> None:
    (copy / RUNS / "lr-0.03/meta.json").write_text("{")
    shutil.copytree(copy / RUNS / "lr-0.1", copy / RUNS / "again")
    assert main(["problems", "-w", str(copy)]) == 1
    said = capsys.readouterr().out
    assert "lr-0.03/meta.json" in said
    assert "again and springs/learning-rates/lr-0.1 are twins" in said
    assert said.count("\n  → ") == said.count("\n\n") + int(said.split("\n")[-2].split()[0]) - 1
    assert main(["problems", "--json", "-w", str(copy)]) == 1
    found = json.loads(capsys.readouterr().out)["problems"]
    assert {each["code"] for each in found} == {"format", "conflict"}
    assert list(found[0]) == ["code", "message", "cure", "path", "place"]


def test_no_workspace_is_an_error_with_a_cure(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["problems"]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert "molexp: there is no workspace in" in said.err
    assert "`molexp init lab`" in said.err
