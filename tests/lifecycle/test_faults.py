"""Executions under faults: killed at every call, refused every call."""

from __future__ import annotations

from pathlib import Path

from molexp.testing.doorwatch import watching
from molexp.testing.kill import kill_everywhere
from molexp.testing.refusals import refuse_everywhere
from tests.lifecycle.workloads import AttemptWorkload


def test_nothing_acknowledged_is_lost_by_a_kill_at_any_call() -> None:
    report = kill_everywhere(AttemptWorkload())
    assert report.tried > 35
    assert report.complaints == [], str(report)


def test_a_refused_call_acknowledges_nothing_and_works_once_its_cause_is_gone() -> None:
    report = refuse_everywhere(AttemptWorkload())
    assert report.tried > 300
    assert report.complaints == [], str(report)


def test_every_change_passes_the_door(tmp_path: Path) -> None:
    workload = AttemptWorkload()
    workload.prepare(tmp_path)
    with watching(tmp_path) as watch:
        for step in workload.steps(tmp_path):
            step.act()
    assert watch.passed > 25
    assert watch.violations == []
