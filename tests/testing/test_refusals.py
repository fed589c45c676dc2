"""A refused call reaches the caller, typed, and does no harm; where not, the harness notices."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from molexp.testing.refusals import REASONS, refuse_everywhere
from molexp.testing.workload import Step, Workload
from tests.testing.workloads import (
    Careless,
    Foreign,
    Insisting,
    Leaking,
    Lines,
    Obstructed,
    Placed,
    Recommitting,
    Removed,
    Resigned,
    Stray,
    Swallowing,
    Torn,
    Untyped,
)


@pytest.mark.parametrize("workload", [Placed(), Lines(), Removed()], ids=lambda w: w.name)
def test_a_right_workload_survives_every_refusal(workload: Workload, base: Path) -> None:
    report = refuse_everywhere(workload, base)
    assert report.complaints == [], report
    assert report.tried > 0


def test_each_call_is_refused_for_each_reason_once_and_for_ever_and_writes_are_cut_too() -> None:
    calls, writes = 3 * 5, 3
    assert refuse_everywhere(Placed()).tried == calls * len(REASONS) * 2 + writes * 3


@pytest.mark.parametrize(
    ("workload", "complaint"),
    [
        (Swallowing(), "was acknowledged although this was refused: write"),
        (Resigned(), "was acknowledged while all was refused"),
        (Untyped(), "which is no StorageError"),
        (Foreign(), "tmp-w1.0 does not begin with its writer's id"),
        (Obstructed(), "FileExistsError"),
        (Stray(), "w1.0 is torn"),
        (Careless(), "a is torn"),
        (Insisting(), "was tried again after it had failed"),
        (Leaking(), "more descriptors stay open"),
        (Torn(), "the line 'one' is lost"),
        (Recommitting(), "was acknowledged after its sync had failed"),
    ],
    ids=lambda value: value.name if isinstance(value, Workload) else None,
)
def test_a_wrong_workload_is_caught(workload: Workload, complaint: str, base: Path) -> None:
    report = refuse_everywhere(workload, base, (errno.ENOSPC,))
    assert any(complaint in text for text in report.complaints), report


def test_a_complaint_says_what_was_refused_how_and_where(base: Path) -> None:
    report = refuse_everywhere(Foreign(), base, (errno.EDQUOT,))
    assert report.complaints[0].startswith("EDQUOT once at call 2, in 00")
    assert any("a short write and then ENOSPC for ever at call 2" in c for c in report.complaints)


def test_a_step_may_tolerate_that_what_a_sweep_finds_is_not_removed(base: Path) -> None:
    class Tolerant(Swallowing):
        def steps(self, root: Path) -> list[Step]:
            return [
                Step(step.name, step.act, tolerates=frozenset({"rename"}))
                for step in super().steps(root)
            ]

    report = refuse_everywhere(Tolerant(), base, (errno.EIO,))
    assert any("was refused: create" in text for text in report.complaints)
    assert not any("was refused: rename" in text for text in report.complaints)


def test_a_commit_that_failed_is_over_unless_the_step_says_so(base: Path) -> None:
    class Undeclared(Lines):
        def steps(self, root: Path) -> list[Step]:
            return [Step(step.name, step.act) for step in super().steps(root)]

    report = refuse_everywhere(Undeclared(), base, (errno.EIO,))
    assert any("does not work once the cause is gone" in text for text in report.complaints)


def test_a_workload_that_fails_by_itself_is_a_complaint(base: Path) -> None:
    class Raising(Placed):
        def put(self, top: int, tmp: int, aside: str, name: str, data: bytes) -> None:
            raise ZeroDivisionError("by itself")

    report = refuse_everywhere(Raising(), base)
    assert any("ZeroDivisionError: by itself" in text for text in report.complaints)
