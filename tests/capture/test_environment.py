"""What a run started in: told cheaply, and without secrets."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path

import pytest

from molexp.capture.environment import capture_environment
from molexp.model.execution import EnvironmentSnapshot
from tests.capture import run_python


def test_python_platform_program_and_place_are_told() -> None:
    captured = capture_environment()
    assert captured.python.split()[0] == platform.python_version()
    assert captured.platform == f"{platform.system()}-{platform.release()}-{platform.machine()}"
    assert captured.executable == sys.executable
    assert captured.cwd == os.getcwd()
    assert EnvironmentSnapshot.from_json(captured.to_json(), "x") == captured


def test_arguments_are_told_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["train.py", "--lr", "0.1", "--token", "canary"])
    assert capture_environment().argv == ("train.py", "--lr", "0.1", "--token", "[redacted]")
    monkeypatch.setattr(sys, "argv", ["other.py", 3, b"x"])
    assert capture_environment().argv == ("other.py", "3", "b'x'")
    monkeypatch.delattr(sys, "argv")
    assert capture_environment().argv == ()


def test_arguments_and_paths_of_any_bytes_can_be_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    odd = tmp_path / os.fsdecode(b"\xff")
    odd.mkdir()
    monkeypatch.chdir(odd)
    monkeypatch.setattr(sys, "argv", ["\udcff", "é"])
    captured = capture_environment()
    assert captured.argv == ("\\udcff", "é")
    assert captured.cwd == f"{tmp_path}/\\udcff"
    captured.to_json()


def test_where_there_is_no_place_none_is_told(tmp_path: Path) -> None:
    done = run_python(
        tmp_path,
        """
from molexp.capture.environment import capture_environment
os.mkdir(sys.argv[1] + "/gone")
os.chdir(sys.argv[1] + "/gone")
os.rmdir(sys.argv[1] + "/gone")
sys.executable = None
captured = capture_environment()
assert captured.cwd is None and captured.executable is None
""",
    )
    assert done.returncode == 0, done.stdout


def test_to_ask_runs_no_program(tmp_path: Path) -> None:
    done = run_python(
        tmp_path,
        """
from molexp.capture.environment import capture_environment
seen = []
sys.addaudithook(lambda event, given: seen.append(event))
capture_environment()
ran = [e for e in seen if e.startswith(("subprocess", "os.system", "os.posix_spawn", "os.exec"))]
assert seen and not ran, ran
""",
    )
    assert done.returncode == 0, done.stdout
