"""The heartbeat goes on whatever the disk says, in one thread, for all who ask for it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

import pytest

from molexp.errors import StorageError
from molexp.lifecycle.heart import Heart, heart

SOON = 0.002
PATIENCE = 30.0  # of a machine under load: no test waits so long for what comes


class Counter:
    """A beat that lets others wait until it was called so often."""

    def __init__(self, fails: Exception | None = None) -> None:
        self.count = 0
        self._fails = fails
        self._changed = threading.Condition()

    def __call__(self) -> None:
        with self._changed:
            self.count += 1
            self._changed.notify_all()
        if self._fails is not None:
            raise self._fails

    def reaches(self, count: int) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: self.count >= count, PATIENCE)


def threads() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name == "molexp-heartbeat"]


def test_a_beat_is_called_again_and_again_until_it_is_removed() -> None:
    made, first, second = Heart(SOON), Counter(), Counter()
    made.add(first)
    made.add(second)
    assert first.reaches(3)
    made.remove(first)
    seen = second.count
    assert second.reaches(seen + 2), "by then a beat that was under way is over"
    left = first.count
    assert second.reaches(seen + 6)
    assert first.count == left


@pytest.mark.parametrize(
    "refusal", [OSError(5, "input/output error"), StorageError("no", cure="wait", errno=28)]
)
def test_a_beat_that_the_disk_refuses_stops_neither_itself_nor_the_others(
    refusal: Exception,
) -> None:
    made, refused, other = Heart(SOON), Counter(refusal), Counter()
    made.add(refused)
    made.add(other)
    assert refused.reaches(3)
    assert other.reaches(3)


def test_a_heart_that_had_nothing_left_to_beat_beats_again() -> None:
    made, first, second = Heart(SOON), Counter(), Counter()
    made.add(first)
    assert first.reaches(1)
    made.remove(first)
    made.remove(first)  # once more does no harm
    made.add(second)
    assert second.reaches(2)


def test_one_thread_beats_for_all() -> None:
    before = len(threads())
    made = Heart(SOON)
    beats = [Counter() for _ in range(20)]
    for each in beats:
        made.add(each)
    assert all(each.reaches(2) for each in beats)
    assert len(threads()) == before + 1


def test_a_process_has_one_heart_of_each_rhythm() -> None:
    assert heart(3600.0) is heart(3600.0)
    assert heart(3600.0) is not heart(7200.0)


def in_fork(work: Callable[[], bool]) -> bool:
    child = os.fork()
    if not child:
        os._exit(0 if work() else 1)
    return os.waitpid(child, 0)[1] == 0


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_has_a_heart_of_its_own() -> None:
    mine = Counter()
    heart(SOON).add(mine)
    assert mine.reaches(1)

    def work() -> bool:
        inherited = mine.count
        childs = Counter()
        heart(SOON).add(childs)
        return childs.reaches(3) and mine.count == inherited

    assert in_fork(work)
    heart(SOON).remove(mine)
