"""Every schedule of the ownership model keeps every promise, and every twin is caught."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.models.ownership_flaws import Flaw
from tests.models.ownership_monitor import Violation
from tests.models.ownership_story import play

SCHEDULES = {"quick": 100, "nightly": 20_000}.get(os.environ.get("MOLEXP_PROFILE", ""), 400)
PORTION = 400  # schedules in one test, so that a night's are shared among all cores
HAPPENS = (
    "run owner",
    "run died",
    "run confirmed",
    "run cancelled while pending",
    "hold moved",
    "hold died",
    "cancel",
    "pause",
    "resume",
    "unknown",
)

# The promise that each twin breaks, and the seed with which the search for it begins: a little
# before one that shows it, since the rarest show in one of three hundred.
TWINS = {
    Flaw.OWN_CLOCK: ("a beating owner read unknown", 420),
    Flaw.DEFUNCT_IS_ALIVE: ("a dead owner was not found", 10),
    Flaw.PID_ONLY: ("a dead owner was not found", 20),
    Flaw.NUMBER_BY_COUNT: ("a dead owner was not found", 10),
    Flaw.ONE_TIME_NAMESPACE: ("a live owner was declared dead", 20),
    Flaw.INVISIBLE_IS_DEAD: ("a live owner was declared dead", 20),
    Flaw.DEAD_ACROSS_NAMESPACES: ("a live owner was declared dead", 10),
    Flaw.MOVE_WITHOUT_HOLD: ("a live run was moved", 30),
    Flaw.DELETE_WHOLE: ("a number vanished", 0),
    Flaw.NO_LOOK_AT_PLACE: ("a run lives in the trash", 50),
    Flaw.START_OVERTAKES_CANCEL: ("a start went on past the cancel of its pending run", 80),
    Flaw.REQUEST_NAMED_BY_VERB: ("an acknowledged request was lost", 10),
    Flaw.NEVER_CLOSED: ("an ended execution stayed open", 0),
    Flaw.NO_LOOK_AFTER_REQUEST: ("an ended execution took a request", 0),
    Flaw.PATHS_NOT_DIRECTORIES: ("an execution of another run", 230),
    Flaw.SWEEP_IN_PLACE: ("an execution without an owner", 90),
    Flaw.MKDIR_THEN_OWNER: ("an execution without an owner", 0),
    Flaw.WHOLE_LEDGER: ("rows changed after the end", 290),
    Flaw.NEXT_NUMBER_BLINDLY: ("two live owners", 0),
    Flaw.EXCLUSIVE_END: ("two terminal states", 70),
    Flaw.RENAME_OVER_END: ("two terminal states", 30),
}
# Schedules within which every twin is caught. Of the first 6,000 seeds, no 993 in a row miss the
# rarest, so the beginnings outlive a change of the protocol, which gives all seeds other schedules.
BUDGET = 1_000


@pytest.fixture
def base() -> Iterator[Path]:
    """A directory in memory if there is any: what takes 8 ms there takes 50 ms on a disk."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="molexp-ownership-", dir=memory) as path:
        yield Path(path)


@pytest.mark.parametrize("first", range(0, SCHEDULES, PORTION))
def test_every_schedule_keeps_every_promise(first: int, base: Path) -> None:
    counts = Counter[str]()
    for seed in range(first, min(first + PORTION, SCHEDULES)):
        try:
            counts += play(seed, base)
        except Violation as violation:
            violation.add_note(f"seed {seed}")
            raise
    assert all(counts[what] for what in HAPPENS), counts


@pytest.mark.parametrize("flaw", Flaw, ids=lambda flaw: flaw.name.lower())
def test_the_scheduler_catches_every_known_bad_twin_at_the_promise_it_breaks(
    flaw: Flaw, base: Path
) -> None:
    promise, first = TWINS[flaw]
    for seed in range(first, first + BUDGET):
        try:
            play(seed, base, flaw)
        except Violation as violation:
            if violation.args[0] == promise:
                return
    pytest.fail(f"no schedule from {first} to {first + BUDGET} showed {promise!r}")


def test_a_seed_plays_the_same_schedule_again(base: Path) -> None:
    once = [play(seed, base / "one") for seed in range(20)]
    again = [play(seed, base / "two") for seed in range(20)]
    assert once == again
