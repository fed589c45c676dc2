"""Journals: whoever changes something has said where, in a file that readers can still find."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from molexp.disk import door, journal, layout, owner
from molexp.disk.beneath import Directory
from molexp.disk.journal import Journal, subtree
from molexp.disk.record import Aside
from molexp.errors import StorageError

MODES = layout.ACCESS["private"]


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Directory]:
    with Directory.open(tmp_path) as directory:
        yield directory


@pytest.fixture
def hints(root: Directory) -> Iterator[Journal]:
    aside = Aside(root, MODES)
    made = Journal(root, aside, MODES)
    yield made
    made.close()
    aside.close()


def journals(root: Directory) -> list[Path]:
    """All journals that lie there, the oldest first."""
    place = Path(root.path) / layout.JOURNAL
    found = list(place.glob("*.jsonl")) if place.is_dir() else []
    return sorted(found, key=lambda path: int(path.name.split(".")[1]))


def lines(path: Path) -> list[dict[str, Any]]:
    """What a journal says."""
    return [json.loads(line) for line in path.read_text().split("\n") if line]


def said(root: Directory) -> list[dict[str, Any]]:
    """What the newest journal says after its first line."""
    return lines(journals(root)[-1])[1:]


def test_nothing_is_made_until_the_first_hint(root: Directory, hints: Journal) -> None:
    assert journals(root) == []
    assert Path(root.path, layout.CACHE).exists() is False


def test_a_change_is_hinted_at_before_and_after(root: Directory, hints: Journal) -> None:
    with hints.changing("qm9", subtree("qm9/baseline")):
        assert said(root) == [{"touch": {"n": 1, "at": ["qm9", "qm9/baseline/**"]}}]
    assert said(root)[1:] == [{"done": 1}]


def test_the_first_line_names_the_process_that_writes(root: Directory, hints: Journal) -> None:
    with hints.changing("qm9"):
        pass
    (path,) = journals(root)
    assert lines(path)[0] == {"writer": json.loads(owner.current().to_json())}
    assert path.name.startswith(f"{owner.writer()}.")


def test_a_journal_lies_beside_a_mark(root: Directory, hints: Journal) -> None:
    with hints.changing("qm9"):
        marks = list(Path(root.path, layout.JOURNAL).glob(f"{journal.MARK_PREFIX}*"))
    assert len(marks) == 1
    assert marks[0].read_bytes() == b""


def test_a_change_that_raises_is_said_to_be_over(root: Directory, hints: Journal) -> None:
    with pytest.raises(KeyError), hints.changing("qm9"):
        raise KeyError
    assert said(root)[-1] == {"done": 1}


def test_two_changes_at_once_do_not_end_each_other(root: Directory, hints: Journal) -> None:
    with hints.changing("a"), hints.changing("b"):
        pass
    assert [next(iter(line)) for line in said(root)] == ["touch", "touch", "done", "done"]
    assert [line["done"] for line in said(root)[2:]] == [2, 1]


def test_a_closed_journal_says_so_and_another_one_follows(root: Directory, hints: Journal) -> None:
    with hints.changing("qm9"):
        pass
    hints.close()
    assert said(root)[-1] == {"closed": {}}
    with hints.changing("qm9"):
        pass
    assert len(journals(root)) == 2


def _delete_all(root: Directory) -> None:
    shutil.rmtree(Path(root.path) / layout.CACHE)


def _delete_journal(root: Directory) -> None:
    journals(root)[-1].unlink()


def _cut_journal(root: Directory) -> None:
    os.truncate(journals(root)[-1], 5)


def _move_journal(root: Directory) -> None:
    path = journals(root)[-1]
    path.rename(path.with_suffix(".kept"))


def _replace_journal(root: Directory) -> None:
    path = journals(root)[-1]
    data = path.read_bytes()
    path.rename(path.with_suffix(".kept"))
    path.write_bytes(data)


@pytest.mark.parametrize(
    "lose", [_delete_all, _delete_journal, _cut_journal, _move_journal, _replace_journal]
)
def test_a_hint_whose_journal_is_lost_is_given_again_before_the_call_returns(
    root: Directory, hints: Journal, lose: Callable[[Directory], None]
) -> None:
    with hints.changing("qm9"):
        lose(root)
    assert said(root) == [{"touch": {"n": 2, "at": ["qm9"]}}, {"done": 2}]
    assert lines(journals(root)[-1])[0].keys() == {"writer"}


def test_a_writer_that_slept_hints_again_once_it_wakes(root: Directory) -> None:
    aside = Aside(root, MODES)
    hints = Journal(root, aside, MODES, fresh=0.2)
    with hints.changing("qm9"):
        time.sleep(0.3)
    assert [next(iter(line)) for line in said(root)] == ["touch", "done", "touch", "done"]
    with hints.changing("qm9"):
        pass
    assert len(said(root)) == 6
    hints.close()
    aside.close()


def test_what_was_moved_while_it_was_changed_is_looked_for_everywhere(
    root: Directory, hints: Journal, tmp_path: Path
) -> None:
    with root.make("runs/a", 0o755) as run:
        with hints.changing("a", place=run, path="runs/a"):
            pass
        assert said(root)[-1] == {"done": 1}
        with hints.changing("a", place=run, path="runs/a"):
            (tmp_path / "runs/a").rename(tmp_path / "runs/b")
    assert said(root)[-2:] == [{"touch": {"n": 3, "at": ["**"]}}, {"done": 3}]


def test_a_change_whose_hint_cannot_be_written_is_not_made(root: Directory, hints: Journal) -> None:
    with hints.changing("qm9"):
        pass

    def full(operation: str, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        raise OSError(28, "No space left on device")

    made = False
    with pytest.raises(StorageError), door.gated(full), hints.changing("qm9"):
        made = True
    assert not made
    with hints.changing("qm9"):
        made = True
    assert said(root)[-1] == {"done": 3}


def test_a_process_that_has_the_workspace_open_twice_has_two_journals(root: Directory) -> None:
    asides = [Aside(root, MODES) for _ in range(2)]
    both = [Journal(root, aside, MODES) for aside in asides]
    for each in both:
        with each.changing("qm9"):
            pass
    assert len(journals(root)) == 2
    for each, aside in zip(both, asides, strict=True):
        each.close()
        aside.close()


def test_a_forked_child_hints_in_a_journal_of_its_own(root: Directory, hints: Journal) -> None:
    with hints.changing("before"):
        pass
    child = os.fork()
    if not child:
        with hints.changing("child"):
            pass
        os._exit(0)
    os.waitpid(child, 0)
    with hints.changing("after"):
        pass
    texts = {path.name.split("-")[1]: path.read_text() for path in journals(root)}
    assert "child" in texts[str(child)]
    assert "child" not in texts[str(os.getpid())]
    assert "after" in texts[str(os.getpid())]


@pytest.mark.parametrize("fate", ["stays", "moves", "is replaced", "goes"])
def test_a_change_says_whether_its_place_moved_meanwhile(
    root: Directory, hints: Journal, tmp_path: Path, fate: str
) -> None:
    (tmp_path / "here").mkdir()
    with root.enter("here") as place:
        with hints.changing("qm9", place=place, path="here") as change:
            if fate != "stays":
                (tmp_path / "here").rename(tmp_path / "there")
            if fate == "is replaced":
                (tmp_path / "here").mkdir()
            if fate == "goes":
                (tmp_path / "there").rmdir()
        assert change.moved is (fate != "stays")


def test_a_change_that_names_no_place_has_not_moved(hints: Journal) -> None:
    with hints.changing("qm9") as change:
        pass
    assert change.moved is False
