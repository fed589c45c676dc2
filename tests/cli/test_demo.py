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
from molexp.cli.demo import copy_template, template_path
from molexp.disk import door
from molexp.disk.tree import open_tree
from molexp.errors import AlreadyExistsError
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


def test_a_full_disk_leaves_nothing_and_the_same_call_works_afterwards(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gate, calls = _failing_at(0, OSError())
    with door.gated(gate):
        copy_template(tmp_path / "plain")
    assert (len(calls) > 50, calls[-1]) == (True, "rename")
    for call in range(1, len(calls) + 1):
        place = tmp_path / str(call)
        place.mkdir()
        gate, _ = _failing_at(call, OSError(errno.ENOSPC, "No space left on device"))
        with door.gated(gate):
            assert main(["demo", str(place / "lab")]) == 1
        assert "→ free some space" in capsys.readouterr().err
        assert os.listdir(place) == []
        copy_template(place / "lab")
        assert os.listdir(place) == ["lab"]


def test_an_interrupt_leaves_nothing(tmp_path: Path) -> None:
    gate, _ = _failing_at(40, KeyboardInterrupt())
    with door.gated(gate), pytest.raises(KeyboardInterrupt):
        copy_template(tmp_path / "lab")
    assert os.listdir(tmp_path) == []


def test_what_someone_makes_there_meanwhile_is_left_alone(tmp_path: Path) -> None:
    lab = tmp_path / "lab"

    def gate(operation: str, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        if operation == "rename":
            lab.mkdir()
            (lab / "notes.txt").write_text("precious")
        return function(*arguments)

    with door.gated(gate), pytest.raises(AlreadyExistsError):
        copy_template(lab)
    assert os.listdir(tmp_path) == ["lab"]
    assert os.listdir(lab) == ["notes.txt"]


def test_it_speaks_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", str(tmp_path / "lab"), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["files"], said["violations"], said["problems"]) == (38, [], [])
    runs = [scope for scope in said["scopes"] if scope["kind"] == "run"]
    assert sorted(run["status"] for run in runs) == ["cancelled", "succeeded"]


def test_the_copy_keeps_the_rules_and_is_closed_where_it_ended(tmp_path: Path) -> None:
    lab = tmp_path / "lab"
    with watching(tmp_path) as watch:
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
