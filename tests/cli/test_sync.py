"""`molexp sync`: what was changed by hand is found."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from molexp.cli import main

RUNS = "projects/springs/experiments/learning-rates/runs"
Capture = pytest.CaptureFixture[str]


def _count(capsys: Capture, workspace: Path) -> str:
    assert main(["query", "--count", "-w", str(workspace)]) == 0
    return capsys.readouterr().out.strip()


def test_it_says_what_it_read(copy: Path, capsys: Capture) -> None:
    call = ["sync", "-w", str(copy)]
    assert main(call) == 0
    said = capsys.readouterr().out
    assert said.startswith("read  1 workspace, 1 project, 1 experiment, 5 runs, 5 executions, 35")
    main(call)  # what is as young as the reading itself is read once more
    capsys.readouterr()
    assert main(call) == 0
    assert capsys.readouterr().out == "nothing had changed\n"
    shutil.rmtree(copy / RUNS / "lr-0.1")
    shutil.copytree(copy / RUNS / "lr-0.01", copy / RUNS / "copied")
    assert main([*call, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["runs"], report["errors"]) == (1, [])
    assert _count(capsys, copy) == "5"


def test_what_is_wrong_is_said_with_its_path_and_a_cure(copy: Path, capsys: Capture) -> None:
    call = ["sync", "-w", str(copy)]
    main(call)
    (copy / RUNS / "lr-0.03/meta.json").write_text("{")
    capsys.readouterr()
    assert main(call) == 1
    said = capsys.readouterr()
    assert "lr-0.03/meta.json" in said.err.splitlines()[0]
    assert said.err.splitlines()[1].startswith("  → ")
    (copy / RUNS / "lr-0.03/meta.json").write_text("[")
    assert main([*call, "--json"]) == 1
    errors: list[Any] = json.loads(capsys.readouterr().out)["errors"]
    assert [each["code"] for each in errors] == ["format"]
    assert errors[0]["path"].endswith("lr-0.03/meta.json")
