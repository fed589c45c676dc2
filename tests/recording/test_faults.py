"""Recorded runs under faults: killed at every call, refused every call, power lost at any time."""

from __future__ import annotations

from collections.abc import Sequence
from errno import EIO, ENOSPC
from pathlib import Path

import pytest

from molexp.testing.doorwatch import watching
from molexp.testing.kill import kill_everywhere
from molexp.testing.powerloss import lose_power, remove_each_sync
from molexp.testing.refusals import REASONS, refuse_everywhere
from molexp.testing.workload import Ack, Workload
from tests.conftest import PROFILE
from tests.recording.workloads import (
    CheckpointedLoop,
    PowerLost,
    RetryAfterKill,
    RunWithArtifacts,
)

ALL = [RunWithArtifacts, CheckpointedLoop, RetryAfterKill]
NIGHTLY = PROFILE == "nightly"


@pytest.mark.parametrize("workload", ALL, ids=lambda kind: kind.__name__)
def test_nothing_acknowledged_is_lost_by_a_kill_at_any_call(workload: type[Workload]) -> None:
    report = kill_everywhere(workload())
    assert report.tried > 30
    assert report.complaints == [], str(report)


@pytest.mark.parametrize("workload", ALL, ids=lambda kind: kind.__name__)
def test_a_refused_call_acknowledges_nothing_and_works_once_its_cause_is_gone(
    workload: type[Workload],
) -> None:
    reasons: Sequence[int] = REASONS if NIGHTLY else (ENOSPC, EIO)
    report = refuse_everywhere(workload(), reasons=reasons)
    assert report.tried > 100
    assert report.complaints == [], str(report)


def test_checkpoints_and_ends_survive_power_loss() -> None:
    report = lose_power(PowerLost(), states=20_000 if NIGHTLY else 600)
    assert report.tried > 100
    assert report.complaints == [], str(report)


@pytest.mark.nightly
def test_every_sync_is_needed() -> None:
    removals = remove_each_sync(PowerLost(), states=2_000)
    assert removals
    assert [each.sync for each in removals if not each.found] == []


@pytest.mark.parametrize("workload", ALL, ids=lambda kind: kind.__name__)
def test_every_change_passes_the_door(tmp_path: Path, workload: type[Workload]) -> None:
    trial = workload()
    trial.prepare(tmp_path)
    beside = 1 if workload is RunWithArtifacts else 0  # a file that the task itself puts there
    with watching(tmp_path) as watch:
        for step in trial.steps(tmp_path):
            step.act()
    assert watch.passed > 20
    assert len(watch.violations) == beside, watch.violations


class Forgetful(RunWithArtifacts):
    """It acknowledges what was never written."""

    def check(self, root: Path, acks: Sequence[Ack]) -> list[str]:
        lie = {"number": 1, "line": "epoch 2", "in": "logs/train.log"}
        return super().check(root, [*acks, lie])


def test_the_oracle_finds_what_is_lost(tmp_path: Path) -> None:
    workload = Forgetful()
    workload.prepare(tmp_path)
    acks = [step.act() for step in workload.steps(tmp_path)]
    assert len(workload.check(tmp_path, acks)) == 1
    assert RunWithArtifacts().check(tmp_path, acks) == []
