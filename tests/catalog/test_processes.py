"""Many processes at once: all that was acknowledged is shown, nothing twice, with locks or not."""

from __future__ import annotations

import errno
import fcntl
import os
import random
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.catalog import truth
from tests.catalog.crowd import Crowd, facts_shown
from tests.conftest import PROFILE

NIGHTLY = PROFILE == "nightly"
WRITERS = 8
EVENTS = 1000 if NIGHTLY else 8
KILLS = 200 if NIGHTLY else 10
QUERIES = 10_000 if NIGHTLY else 12


def _no_change() -> None:
    """Locks are what they are."""


def _flock(reaction: Callable[[], None]) -> Callable[[], None]:
    def prepare() -> None:
        def flock(fd: Any, operation: int) -> None:
            # With LOCK_NB none can hang: that is why there is no fifth mode.
            assert operation in (fcntl.LOCK_EX | fcntl.LOCK_NB, fcntl.LOCK_UN)
            if operation != fcntl.LOCK_UN:
                reaction()

        vars(fcntl)["flock"] = flock

    return prepare


def _refuse() -> None:
    raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))


def _held() -> None:
    raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))


MODES = {
    "granted to all": _flock(lambda: None),
    "refused": _flock(_refuse),
    "held by somebody": _flock(_held),
}


def _lived(
    tmp_path: Path, prepare: Callable[[], None], writers: int, events: int, kills: int, queries: int
) -> Crowd:
    """A crowd after its life, with whatever it left."""
    crowd = Crowd(tmp_path / "lab", tmp_path / "said", prepare, random.Random(9), events)
    crowd.begin()
    for slot in range(writers):
        crowd.start("writer", slot)
    for kind in ("folder", "rebuilder", "filler", "reader", "reader"):
        crowd.start(kind, 0)
    crowd.live(kills, queries, seconds=4 * 3600 if NIGHTLY else 120)
    return crowd


def _check(crowd: Crowd) -> None:
    """By what was acknowledged, and by what the files say."""
    assert crowd.complaints() == []
    wanted = set(crowd.facts())

    def work() -> list[object]:
        with closing(truth.view(crowd.root)) as view:
            first = view.ask(facts_shown)
            view.fold()
            folded = truth.ask(crowd.root)
            view.rebuild()
            rebuilt = truth.ask(crowd.root)
        files = truth.from_files(crowd.root)
        return [
            [fact for fact in wanted if fact not in first],
            [fact for fact, times in first.items() if times > 1],
            truth.differences(folded, files),
            truth.differences(rebuilt, files),
        ]

    assert truth.in_child(work) == [[], [], [], []]


def test_what_many_processes_acknowledged_is_there_once(tmp_path: Path) -> None:
    crowd = _lived(tmp_path, _no_change, WRITERS, EVENTS, KILLS, QUERIES)
    _check(crowd)
    assert crowd.killed >= KILLS
    assert crowd.counts()["reader"] >= QUERIES, crowd.counts()


@pytest.mark.parametrize("mode", MODES)
def test_locks_are_not_needed(tmp_path: Path, mode: str) -> None:
    events, kills = (EVENTS, KILLS) if NIGHTLY else (4, 3)
    crowd = _lived(tmp_path, MODES[mode], WRITERS if NIGHTLY else 3, events, kills, 1)
    _check(crowd)
    assert crowd.killed >= kills


def test_a_lost_fact_is_found(tmp_path: Path) -> None:
    crowd = _lived(tmp_path, _no_change, 1, 4, 0, 1)
    path = next(crowd.said.glob("writer-*.acks"))
    path.write_text(path.read_text() + '["run", "qm9/baseline/never"]\n')
    with pytest.raises(AssertionError, match="never"):
        _check(crowd)
