"""The catalog is a function of the files: whatever happens, every answer is what they say."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from tests.catalog.acts import WORDS
from tests.catalog.story import HANDS, Menu, Story

PROFILE = os.environ.get("MOLEXP_PROFILE", "every_change")
EXAMPLES, STEPS = {"quick": (4, 20), "nightly": (10_000, 50)}.get(PROFILE, (20, 30))
PORTIONS = 4  # of the examples, so that they are shared among all cores
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


class Catalog(RuleBasedStateMachine):
    """Any history: acts, kills, hands, folds, rebuilds and syncs, and a question after each."""

    story: Story

    @initialize(
        words=st.sets(st.sampled_from(WORDS), min_size=3),
        hands=st.sets(st.sampled_from(HANDS)),
        is_slow=st.booleans(),
    )
    def begin(self, words: set[str], hands: set[str], is_slow: bool) -> None:
        """Choose what may happen in this history."""
        self.base = Path(tempfile.mkdtemp(prefix="molexp-derivable-", dir=MEMORY))
        self.story = Story(self.base, Menu(tuple(sorted(words)), tuple(sorted(hands)), is_slow))

    @rule(data=st.data())
    def turn(self, data: st.DataObject) -> None:
        """Let one thing happen."""
        self.story.turn(lambda below: data.draw(st.integers(0, below - 1)))

    def teardown(self) -> None:
        """Ask everybody, and compare the fold, the rebuild and the files."""
        if hasattr(self, "story"):
            try:
                self.story.finish()
            finally:
                self.story.close()
                shutil.rmtree(self.base, ignore_errors=True)


@pytest.mark.parametrize("portion", range(PORTIONS))
def test_after_any_history_a_fold_is_what_a_rebuild_is_and_every_answer_what_the_files_say(
    portion: int,
) -> None:
    machine = type(f"Catalog{portion}", (Catalog,), {})
    if PROFILE != "nightly":
        machine = seed(portion)(machine)  # other examples in each, and the same ones every time
    run_state_machine_as_test(
        machine,
        settings=settings(
            settings.get_profile(PROFILE),
            max_examples=EXAMPLES // PORTIONS,
            stateful_step_count=STEPS,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
