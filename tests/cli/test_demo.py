"""`molexp demo`: a newcomer's first minute."""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from molexp.cli import main
from molexp.cli.demo import record_study
from molexp.disk import door
from molexp.disk.tree import open_tree
from molexp.errors import AlreadyExistsError
from molexp.integrity.conformance import check_workspace
from molexp.testing.doorwatch import watching
from molexp.workspace.workspace import Workspace


def test_it_records_checks_and_shows_a_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["demo"]) == 0
    said, errors = capsys.readouterr()
    assert errors == ""
    files = sum(path.is_file() for path in (tmp_path / "molexp-demo").rglob("*"))
    assert said.startswith(f"recorded molexp-demo, a workspace of {files} plain files\n")
    assert f"checked  {files} files: all is right\n" in said
    lines = said.splitlines()
    assert max(map(len, lines[: lines.index("lr-0.3 failed, on purpose. What it left:")])) <= 80
    assert [line.split()[:3] for line in lines if line.startswith("  lr-")] == [
        ["lr-0.003", "succeeded", "0.003"],
        ["lr-0.01", "succeeded", "0.01"],
        ["lr-0.03", "succeeded", "0.03"],
        ["lr-0.1", "succeeded", "0.1"],
        ["lr-0.3", "failed", "0.3"],
    ]
    assert "lr-0.3 failed, on purpose. What it left:\n\n  Traceback (most recent" in said
    assert "  FloatingPointError: step 17: the loss grew from 86 to 1.46e+08" in said


def test_what_it_says_to_type_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["demo", "my study"]) == 0
    said = capsys.readouterr().out
    go, *commands = said[said.index("Now type") :].split("\n\n")[1].splitlines()
    assert go == "  cd 'my study'"
    monkeypatch.chdir(tmp_path / "my study")
    assert [command.split()[:2] for command in commands] == [
        ["molexp", "ls"],
        ["molexp", "show"],
        ["molexp", "show"],
    ]
    for command in commands:
        assert main(command.split()[1:]) == 0
    assert capsys.readouterr().err == ""


def test_the_workspace_does_not_know_where_it_was_made(tmp_path: Path) -> None:
    record_study(tmp_path / "lab")
    for path in (tmp_path / "lab").rglob("*"):
        assert not path.is_file() or b".molexp-demo-" not in path.read_bytes(), path
    with Workspace.load(tmp_path / "lab") as workspace:
        assert workspace.name == "lab"
        best = workspace.find("springs/learning-rates/best")
        assert best.assets.get("fit.json").read_json()["loss"] > 0
        with best.start(again=True) as ctx:  # type: ignore[union-attr]
            assert ctx.find_asset("measurements").read_text().startswith("load_kg")


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
    said = capsys.readouterr().err
    assert "no is not there" in said
    assert "→ make that directory first, or name another place" in said


@pytest.mark.parametrize(
    ("path", "message", "cure"),
    [
        (".", ". is there already", "as in `molexp demo molexp-demo`\n"),
        ("", ". is there already", "as in `molexp demo molexp-demo`\n"),
        ("..", ".. is there already", "as in `molexp demo molexp-demo`\n"),
        ("/", "/ is there already", "as in `molexp demo molexp-demo`\n"),
        ("file", "file is there already", "as in `molexp demo file-2`, or move that one away"),
        ("a file", "a file is there already", "as in `molexp demo 'a file-2'`"),
        ("link", "link is there already", "as in `molexp demo link-2`"),
        ("file/x", "Not a directory", "name another place"),
        ("x" * 300, "File name too long", "name another place"),
        ("x\0y", "no character", "name another place"),
        ("x\udcff", "no character", "name another place"),
    ],
)
def test_a_place_that_cannot_be_is_an_error_with_a_cure(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    path: str,
    message: str,
    cure: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("file", "a file"):
        (tmp_path / name).touch()
    (tmp_path / "link").symlink_to("nowhere")
    before = os.listdir()
    assert main(["demo", path]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    first, second = said.err.splitlines(keepends=True)
    assert message in first
    assert cure in second
    assert os.listdir() == before


def _failing_at(call: int, error: BaseException) -> tuple[door.Gate, list[str]]:
    """A gate that raises once, and what passed it."""
    seen: list[str] = []

    def gate(operation: str, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        seen.append(operation)
        if len(seen) == call:
            raise error
        return function(*arguments)

    return gate, seen


@pytest.mark.nightly
def test_wherever_the_disk_is_full_nothing_is_left(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for call in range(1, _calls(tmp_path / "plain") + 1):
        _check_refused(tmp_path / str(call), call, capsys)


def test_a_full_disk_leaves_nothing_and_the_same_call_works_afterwards(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    calls = _calls(tmp_path / "plain")
    assert calls > 100
    for call in [*range(1, calls, calls // 12), calls]:
        _check_refused(tmp_path / str(call), call, capsys)
    record_study(tmp_path / "1/lab")
    assert os.listdir(tmp_path / "1") == ["lab"]


def _calls(lab: Path) -> int:
    """How many changes of the file system the study is."""
    gate, calls = _failing_at(0, OSError())
    with door.gated(gate):
        record_study(lab)
    assert calls[-1] == "rename"
    return len(calls)


def _check_refused(place: Path, call: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Let one call fail: the demo fails as a whole, or does without what was refused."""
    place.mkdir()
    gate, _ = _failing_at(call, OSError(errno.ENOSPC, "No space left on device"))
    with door.gated(gate):
        status = main(["demo", str(place / "lab")])
    said = capsys.readouterr()
    if status == 0:
        assert os.listdir(place) == ["lab"]
        assert "all is right" in said.out
    else:
        assert "No space left on device" in said.err
        assert "\n  → " in said.err
        assert os.listdir(place) == []


def test_an_interrupt_leaves_nothing(tmp_path: Path) -> None:
    gate, _ = _failing_at(60, KeyboardInterrupt())
    with door.gated(gate), pytest.raises(KeyboardInterrupt):
        record_study(tmp_path / "lab")
    assert os.listdir(tmp_path) == []


def test_what_someone_makes_there_meanwhile_is_left_alone(tmp_path: Path) -> None:
    lab = tmp_path / "lab"

    def gate(operation: str, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        if operation == "rename" and arguments[-1] == "lab":
            lab.mkdir()
            (lab / "notes.txt").write_text("precious")
        return function(*arguments)

    with door.gated(gate), pytest.raises(AlreadyExistsError):
        record_study(lab)
    assert os.listdir(tmp_path) == ["lab"]
    assert os.listdir(lab) == ["notes.txt"]


def test_it_speaks_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", str(tmp_path / "lab"), "--json"]) == 0
    output, errors = capsys.readouterr()
    assert errors == ""
    said = json.loads(output)
    assert list(said) == [
        "workspace",
        "files",
        "violations",
        "problems",
        "address",
        "runs",
        "traces",
    ]
    assert (said["violations"], said["problems"]) == ([], [])
    assert [run["status"] for run in said["runs"]] == [*["succeeded"] * 4, "failed"]
    assert said["traces"][0]["trace"].startswith("Traceback")


def test_the_study_keeps_the_rules_and_is_closed_where_it_ended(tmp_path: Path) -> None:
    lab = tmp_path / "lab"
    with watching(tmp_path) as watch:
        record_study(lab)
    assert watch.passed > 100
    assert watch.violations == []
    with open_tree(lab) as tree:
        assert check_workspace(tree) == []
    assert stat.S_IMODE(lab.stat().st_mode) == 0o700
    ends = list(lab.rglob("end.json"))
    assert len(ends) == 5
    for end in ends:
        assert stat.S_IMODE(end.parent.stat().st_mode) == 0o555
        modes = {stat.S_IMODE(path.stat().st_mode) for path in end.parent.rglob("*")}
        assert modes <= {0o444, 0o555}


def test_a_workspace_that_is_not_right_is_said_to_be_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def gate(operation: str, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        if operation == "rename" and arguments[-1] == "lab":
            half = next(tmp_path.glob(".molexp-demo-*"))
            next(half.rglob("fit.json")).chmod(0o644)
            next(half.rglob("fit.json")).write_text("spoilt")
        return function(*arguments)

    with door.gated(gate):
        assert main(["demo", str(tmp_path / "lab")]) == 1
    said = capsys.readouterr().out
    assert "things are wrong" in said
    assert "fit.json: " in said
