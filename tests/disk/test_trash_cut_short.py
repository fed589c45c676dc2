"""A removal or a restoration that was cut short is finished by the same call."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from itertools import count
from pathlib import Path

import pytest

from molexp.disk import door, trash
from molexp.disk.beneath import Directory
from molexp.errors import NotFoundError, StorageError
from tests.disk import (
    CLOSED,
    FILE,
    INNER,
    LINK,
    RUN,
    Tree,
    before,
    die,
    fork_each,
    lies,
    refusing,
    remove,
    restore,
    with_root,
)

PATHS = pytest.mark.parametrize("path", ["projects", RUN, CLOSED, FILE, INNER, LINK])


def _kill_everywhere(lab: Path, act: Callable[[Path], None], check: Callable[[Path], None]) -> int:
    """``act`` is killed before each of its calls, then called again; how many calls it makes."""
    for at in count(1):
        place = lab.parent / f"{lab.name}-{at}"
        shutil.copytree(lab, place, symlinks=True)

        def killed(at: int = at, place: Path = place) -> str:
            with door.gated(before(at, die)):
                act(place)
            return "lived"

        if fork_each([killed]) == ["lived"]:
            return at - 1
        act(place)
        check(place)
    raise AssertionError


@PATHS
def test_a_removal_that_was_killed_is_finished_by_the_same_call(lab: Path, path: str) -> None:
    there = lies(lab)

    def check(place: Path) -> None:
        assert not os.path.lexists(place / path)
        restore(place)
        assert _open_to_owner(lies(place)) == _open_to_owner(there)

    assert _kill_everywhere(lab, lambda place: remove(place, path), check) > 5


@PATHS
def test_a_restoration_that_was_killed_is_finished_by_the_same_call(lab: Path, path: str) -> None:
    there = lies(lab)
    remove(lab, path)

    def act(place: Path) -> None:
        try:
            restore(place)
        except NotFoundError:  # of what came back already: its record went with the last call
            assert os.path.lexists(place / path)

    def check(place: Path) -> None:
        assert _open_to_owner(lies(place)) == _open_to_owner(there)
        with_root(place, _assert_nothing_removed)

    assert _kill_everywhere(lab, act, check) > 2


def _assert_nothing_removed(root: Directory) -> None:
    assert trash.removals(root) == ([], [])


def _open_to_owner(
    lies: Tree,
) -> Tree:
    """Without the owner's bits of directories: a kill may leave them lifted, and no others."""
    return {
        at: (kind, mode & ~0o700 if kind == "directory" else mode, data)
        for at, (kind, mode, data) in lies.items()
    }


@PATHS
@pytest.mark.parametrize("operation", ["rename", "link", "unlink", "chmod", "mkdir", "write"])
def test_what_the_disk_refuses_is_done_by_the_same_call_later(
    lab: Path, path: str, operation: str
) -> None:
    there = lies(lab)
    for act in (partial(remove, lab, path), partial(restore, lab)):
        for at in count(1):
            with suppress(StorageError), door.gated(refusing(operation, errno.EIO, at=at)):
                act()
                break  # it has no call of that kind any more, or none that matters
            assert lies(lab).keys() <= there.keys()
    assert _open_to_owner(lies(lab)) == _open_to_owner(there)
