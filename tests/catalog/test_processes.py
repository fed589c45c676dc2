"""Many processes at once: all that was acknowledged is shown, nothing twice, with locks or not."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import random
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import molexp as me
from tests.catalog import truth
from tests.catalog.crowd import SHARED, Crowd, facts_shown
from tests.conftest import PROFILE

NIGHTLY = PROFILE == "nightly"
WRITERS = 8
EVENTS = 1000 if NIGHTLY else 8
KILLS = 200 if NIGHTLY else 10
QUERIES, READS = (10_000, 200_000) if NIGHTLY else (12, 300)
SECONDS = 4 * 3600 if NIGHTLY else 120
CROWD = ("folder", "rebuilder", "filler", "reader", "reader")


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
    tmp_path: Path, prepare: Callable[[], None], writers: int, events: int, kills: int
) -> Crowd:
    """A crowd after its life, with whatever it left."""
    crowd = Crowd(tmp_path / "lab", tmp_path / "said", prepare, random.Random(9), events)
    _live(crowd, writers, CROWD, kills, {"reader": 1})
    return crowd


def _live(
    crowd: Crowd, writers: int, others: Iterable[str], kills: int, asked: Mapping[str, int]
) -> None:
    crowd.begin()
    for slot in range(writers):
        crowd.start("writer", slot)
    for kind in others:
        crowd.start(kind, 0)
    crowd.live(kills, asked, SECONDS)


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
    crowd = _lived(tmp_path, _no_change, WRITERS, EVENTS, KILLS)
    _check(crowd)
    assert crowd.killed >= KILLS


def test_readers_see_nothing_torn_and_all_that_they_saw_before(tmp_path: Path) -> None:
    """The others rest here, so that readers ask about as much at the end as in the middle."""
    crowd = Crowd(tmp_path / "lab", tmp_path / "said", _no_change, random.Random(9), 6, rest=10.0)
    crowd.pause = 1.0 if NIGHTLY else 0.1
    kills, asked = KILLS // 5, {"reader": QUERIES, "watcher": READS}
    _live(crowd, WRITERS // 2, (*CROWD, "watcher"), kills, asked)
    _check(crowd)
    counts = crowd.counts()
    assert counts["reader"] >= QUERIES, counts
    assert counts["watcher"] >= READS, counts


@pytest.mark.parametrize("mode", MODES)
def test_locks_are_not_needed(tmp_path: Path, mode: str) -> None:
    events, kills = (EVENTS, KILLS) if NIGHTLY else (4, 3)
    crowd = _lived(tmp_path, MODES[mode], WRITERS if NIGHTLY else 3, events, kills)
    _check(crowd)
    assert crowd.killed >= kills


def test_a_lost_fact_is_found(tmp_path: Path) -> None:
    crowd = _lived(tmp_path, _no_change, 1, 4, 0)
    path = next(crowd.said.glob("writer-*.acks"))
    path.write_text(path.read_text() + '["run", "qm9/baseline/never"]\n')
    with pytest.raises(AssertionError, match="never"):
        _check(crowd)


LIES = {
    "reader": ["tag", SHARED, "never", "said"],
    "watcher": ["ended", "qm9/baseline/lie-0", "succeeded"],
}


@pytest.mark.parametrize("kind", LIES)
def test_who_asks_finds_what_is_not_as_it_was_said(tmp_path: Path, kind: str) -> None:
    crowd = Crowd(tmp_path / "lab", tmp_path / "said", _no_change, random.Random(9), 0)
    crowd.begin()
    experiment = me.Workspace(crowd.root).project("QM9").experiment("baseline")
    experiment.run(id="lie-0", parameters={"number": 0})
    said = [["run", "qm9/baseline/lie-0"], LIES[kind]]
    (crowd.said / "writer-0-0.acks").write_text("".join(f"{json.dumps(each)}\n" for each in said))
    crowd.start(kind, 0)
    crowd.live(0, {kind: 1}, SECONDS)
    [complaint] = crowd.complaints()
    assert "AssertionError" in complaint
