"""Executions, data, removals and edits under faults: killed, refused, out of power."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from molexp.testing.doorwatch import watching
from molexp.testing.kill import kill_everywhere
from molexp.testing.powerloss import lose_power
from molexp.testing.refusals import REASONS, refuse_everywhere
from molexp.testing.workload import Workload
from tests.lifecycle.workloads import (
    AttemptWorkload,
    EditingWorkload,
    ImportWorkload,
    RemovalAndPowerLoss,
    RemovalWorkload,
)

NIGHTLY = os.environ.get("MOLEXP_PROFILE") == "nightly"
STATES = 20_000 if NIGHTLY else 300
FEW = REASONS if NIGHTLY else (errno.ENOSPC, errno.EACCES)
"""For histories of many calls: what the door makes of each errno, others try."""

# What a failed sync does is tried with the first: of the others every other call is refused.
ALL = [
    AttemptWorkload(),
    ImportWorkload("copy", "process"),
    ImportWorkload("move", "process"),
    RemovalWorkload("process"),
    EditingWorkload(),
]
COMMITTED = [ImportWorkload("copy"), ImportWorkload("move"), RemovalAndPowerLoss()]

every_workload = pytest.mark.parametrize("workload", ALL, ids=lambda workload: workload.name)
committed_workload = pytest.mark.parametrize("workload", COMMITTED, ids=lambda each: each.name)


@every_workload
def test_nothing_acknowledged_is_lost_by_a_kill_at_any_call(workload: Workload) -> None:
    report = kill_everywhere(workload)
    assert report.tried > 25
    assert report.complaints == [], str(report)


@every_workload
def test_a_refused_call_acknowledges_nothing_and_works_once_its_cause_is_gone(
    workload: Workload,
) -> None:
    few = isinstance(workload, ImportWorkload | RemovalWorkload)
    # The longest is refused for one reason: which one it is makes no difference but in the door.
    reasons = FEW[:1] if isinstance(workload, RemovalWorkload) and not NIGHTLY else FEW
    report = refuse_everywhere(workload, reasons=reasons if few else REASONS)
    assert report.tried > 120
    # Some are done but for a last hint: asked again, they find so and make no call at all.
    done = "was acknowledged while all was refused"
    wrong = [each for each in report.complaints if not (few and done in each)]
    assert wrong == [], str(report)


@committed_workload
def test_what_is_committed_survives_power_loss_in_every_legal_state(workload: Workload) -> None:
    report = lose_power(workload, states=STATES)
    assert report.tried > 20
    assert report.complaints == [], str(report)


@every_workload
def test_every_change_passes_the_door(workload: Workload, tmp_path: Path) -> None:
    workload.prepare(tmp_path)
    with watching(tmp_path) as watch:
        for step in workload.steps(tmp_path):
            step.act()
    assert watch.passed > 25
    assert watch.violations == []
