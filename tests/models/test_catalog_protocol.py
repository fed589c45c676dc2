"""The catalog protocol holds in every story that can be told, and each of its rules is needed."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from tests.models.catalog_disk import Broken
from tests.models.catalog_protocol import Flaw
from tests.models.catalog_story import HANDS, OPERATIONS, Menu, Story, tell

PROFILE = os.environ.get("MOLEXP_PROFILE", "every_change")
STORIES = {"quick": 30, "nightly": 10_000}.get(PROFILE, 200)
SEEDS = {"quick": 100, "nightly": 50_000}.get(PROFILE, 600)

# What may happen in the stories that catch a twin, and the first seed that catches it.
TWINS = {
    Flaw.HINT_AFTER_CHANGE: (Menu(("trash", "edit"), (), 2), 3),
    Flaw.EXECUTION_WATCHED_BY_HINT: (Menu(("start", "line"), ("remove_directory",)), 203),
    Flaw.SCOPES_BEFORE_JOURNALS: (Menu(("edit", "trash", "folding"), (), 2), 247),
    Flaw.RETIRED_BEFORE_DONE: (Menu(("edit", "folding"), (), 2), 0),
    Flaw.MARKS_IGNORED: (Menu(("edit", "create"), ("remove_directory",)), 42),
    Flaw.MARK_WITHOUT_CTIME: (Menu(("edit", "start", "create"), ("copy",)), 5),
    Flaw.SWEEP_WITHOUT_MARK: (Menu(("edit", "folding"), (), 2), 4208),
    Flaw.SYNC_WITHOUT_MARK: (Menu(("sync",), ("edit_by_hand",), 2), 0),
    Flaw.SYNC_BY_HINTS: (
        Menu(("sync", "edit", "folding"), ("edit_by_hand", "remove_generation"), 2),
        3529,
    ),
    Flaw.GONE_IGNORED: (Menu(("edit", "create"), ("remove_journal",)), 14),
    Flaw.RETIRED_MEANS_FINISHED: (Menu(("edit", "create"), ("remove_journal",)), 14),
    Flaw.OFFSET_TRUSTED: (Menu(("edit",), ("remove_journal",), 3), 15),
    Flaw.OFFSET_CHECKED_BY_SIZE: (Menu(("edit", "move", "create"), ("remove_journal",), 2), 3770),
    Flaw.TORN_HINT_READ: (Menu(("edit", "create", "folding"), (), 2), 18),
    Flaw.BOOT_IGNORED: (Menu(("edit", "create"), ("reboot",)), 5),
    Flaw.DEATH_AFTER_READ: (Menu(("edit", "folding"), (), 2), 10031),
    Flaw.NAMESPACE_IGNORED: (Menu(("start", "line"), (), 3), 3),
    Flaw.SILENCE_BY_OWN_CLOCK: (Menu(("trash", "start", "line"), (), 3), 8),
    Flaw.WAKES_WITHOUT_TOUCH: (Menu(("start", "line", "trash"), ("day",)), 14),
    Flaw.SILENCE_PER_PROCESS: (Menu(("start", "line", "create", "line"), ("day",), 1), 1490),
    Flaw.HINT_WITHOUT_BEAT: (Menu(("start", "line", "line"), ("day",), 1), 2861),
    Flaw.NAME_UNCHECKED: (Menu(("edit",), ("remove_directory",), 2), 13),
    Flaw.PLACE_UNCHECKED: (Menu(("edit", "move"), (), 2), 153),
    Flaw.LINE_WITHOUT_NEWLINE_BEFORE: (Menu(("edit",), (), 2), 2),
    Flaw.SIGNATURE_WITHOUT_CTIME: (Menu(("sync",), ("edit_by_hand",), 2), 0),
    Flaw.RACY_SIGNATURE: (Menu(("sync", "edit"), ("edit_by_hand",), 2), 12),
    Flaw.ONE_PASS: (Menu(("move", "query"), ()), 58),
    Flaw.MOVES_IGNORED: (Menu(("move", "edit", "query"), ()), 0),
    Flaw.GONE_KEEPS_ROWS: (Menu(("trash",), (), 2), 0),
}
TOLD = {Flaw.NONE, Flaw.MARKS_BEFORE_JOURNALS}


class Catalog(RuleBasedStateMachine):
    """Any story: operations, kills, hands and folds in any order, each call a point to die at."""

    story: Story
    menu: Menu

    @initialize(
        operations=st.sets(st.sampled_from(OPERATIONS), min_size=1),
        hands=st.sets(st.sampled_from(HANDS)),
        slots=st.integers(1, 4),
    )
    def begin(self, operations: set[str], hands: set[str], slots: int) -> None:
        """Choose what may happen in this story."""
        self.story = Story()
        self.menu = Menu(tuple(sorted(operations)), tuple(sorted(hands)), slots)

    @rule(data=st.data())
    def turn(self, data: st.DataObject) -> None:
        """Let one thing happen."""
        self.story.turn(lambda below: data.draw(st.integers(0, below - 1)), self.menu)

    def teardown(self) -> None:
        """Ask once more, and compare fold, rebuild and files."""
        if hasattr(self, "story"):
            self.story.finish()


def test_no_story_makes_a_view_miss_an_ack_or_a_fold_differ_from_a_rebuild() -> None:
    run_state_machine_as_test(
        Catalog,
        settings=settings(
            settings.get_profile(PROFILE),
            max_examples=STORIES,
            stateful_step_count=30,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_no_seeded_story_does_either() -> None:
    broken = [seed for seed in range(SEEDS) if tell(seed, Flaw.NONE, Menu())]
    assert not broken


@pytest.mark.parametrize("flaw", TWINS, ids=lambda flaw: flaw.name.lower())
def test_a_twin_without_one_rule_is_caught_where_the_protocol_is_not(flaw: Flaw) -> None:
    menu, first = TWINS[flaw]
    seeds = range(first, first + 1_000)
    caught = next((seed for seed in seeds if tell(seed, flaw, menu)), None)
    assert caught is not None, f"no story of seeds {seeds} catches {flaw.name}: look further"
    assert tell(caught, Flaw.NONE, menu) is None


@pytest.mark.nightly
@pytest.mark.parametrize("flaw", TWINS, ids=lambda flaw: flaw.name.lower())
def test_the_protocol_holds_in_every_menu_that_catches_a_twin(flaw: Flaw) -> None:
    menu, _ = TWINS[flaw]
    broken = [seed for seed in range(5_000) if tell(seed, Flaw.NONE, menu)]
    assert not broken


def marks_against_two_folders(flaw: Flaw, skip: int) -> bool:
    """A reader sees the marks, a folder sweeps, a slower folder publishes, the reader goes on."""
    story = Story(flaw)
    for _ in range(skip):
        next(story.serial)
    slow = story.fold(story.slots[3])
    for _ in range(6):
        next(slow)
    story.begin(0, 0, "edit", 0, 0)
    story.go(0, 0, 99)
    story.kill(0)
    story.begin(2, 0, "query", 0, 0)
    story.go(2, 0, 1)
    story.at_once(story.fold(story.slots[1]))
    story.at_once(slow)
    try:
        story.go(2, 0, 99)
    except Broken:
        return True
    return False


def test_marks_read_before_journals_miss_a_sweep_between() -> None:
    assert not any(marks_against_two_folders(Flaw.NONE, skip) for skip in range(20))
    assert any(marks_against_two_folders(Flaw.MARKS_BEFORE_JOURNALS, skip) for skip in range(20))


def test_every_flaw_is_told_of() -> None:
    assert set(Flaw) == set(TWINS) | TOLD
