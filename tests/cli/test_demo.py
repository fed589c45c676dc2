"""`molexp demo`: a newcomer's first minute."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from molexp.cli import main
from molexp.cli.demo import copy_template, template_path
from molexp.disk.tree import open_tree
from molexp.integrity.conformance import check_workspace
from molexp.testing.doorwatch import watching


def test_it_makes_checks_and_shows_a_workspace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["demo"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("made     molexp-demo, a workspace of 38 plain files\n")
    assert "all is right" in said
    for word in ("QM9", "Baseline", "lr=0.1", "0001 failed: OSError", "0002 succeeded: 6 assets"):
        assert word in said
    assert (tmp_path / "molexp-demo/meta.json").is_file()


def test_it_can_be_run_again_and_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert [main(["demo"]) for _ in range(3)] == [0, 0, 0]
    assert sorted(os.listdir()) == ["molexp-demo", "molexp-demo-2", "molexp-demo-3"]
    capsys.readouterr()


def test_a_named_place_that_is_taken_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.txt").write_text("precious")
    assert main(["demo", str(tmp_path / "mine")]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert "is there already" in said.err
    assert "→ name another place" in said.err
    assert os.listdir(tmp_path / "mine") == ["notes.txt"]


def test_a_place_in_no_directory_is_an_error_and_no_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", str(tmp_path / "no/where")]) == 1
    assert "is not there" in capsys.readouterr().err


def test_it_speaks_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", str(tmp_path / "lab"), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["files"], said["violations"], said["problems"]) == (38, [], [])
    runs = [scope for scope in said["scopes"] if scope["kind"] == "run"]
    assert sorted(run["status"] for run in runs) == ["cancelled", "succeeded"]


def test_the_copy_keeps_the_rules_and_is_closed_where_it_ended(tmp_path: Path) -> None:
    lab = tmp_path / "lab"
    with watching(lab) as watch:
        copy_template(lab)
    assert watch.passed > 50
    assert watch.violations == []
    with open_tree(lab) as tree:
        assert check_workspace(tree) == []
    assert stat.S_IMODE(lab.stat().st_mode) == 0o700
    for end in lab.rglob("end.json"):
        assert stat.S_IMODE(end.parent.stat().st_mode) == 0o555
        assert {stat.S_IMODE(path.stat().st_mode) for path in end.parent.rglob("*")} <= {
            0o444,
            0o555,
        }
        assert stat.S_IMODE(end.parent.parent.stat().st_mode) == 0o755


def test_the_template_is_found(tmp_path: Path) -> None:
    assert (template_path() / "meta.json").is_file()


def test_a_call_without_a_command_says_which_there_are() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "molexp.cli"], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 2
    assert "COMMAND" in ran.stderr
