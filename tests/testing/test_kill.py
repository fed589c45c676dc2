"""What was acknowledged survives a kill at any call, and the harness notices where it does not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from molexp.testing.kill import kill_everywhere
from molexp.testing.workload import Ack, Step, Workload
from tests.testing.workloads import AckFirst, Foreign, InPlace, Lines, Placed, Removed, Stray


@pytest.mark.parametrize("workload", [Placed(), Lines(), Removed()], ids=lambda w: w.name)
def test_a_right_workload_loses_nothing_wherever_it_is_killed(
    workload: Workload, base: Path
) -> None:
    report = kill_everywhere(workload, base)
    assert report.complaints == [], report
    assert report.tried > 0


def test_each_call_is_a_point_and_each_write_is_two() -> None:
    # Per file: create, write, sync, rename, sync of the directory.
    assert kill_everywhere(Placed()).tried == 3 * 6


@pytest.mark.parametrize(
    ("workload", "complaint"),
    [
        (InPlace(), "a is not of version 1"),
        (InPlace(), "a is torn"),
        (AckFirst(), "the line 'one' is lost"),
        (Foreign(), "does not begin with its writer's id"),
        (Stray(), "w1.0 is torn"),
    ],
    ids=lambda value: value.name if isinstance(value, Workload) else None,
)
def test_a_wrong_workload_is_caught(workload: Workload, complaint: str, base: Path) -> None:
    report = kill_everywhere(workload, base)
    assert any(complaint in text for text in report.complaints), report


def test_a_complaint_says_where_it_was_killed_and_where_to_look(base: Path) -> None:
    report = kill_everywhere(InPlace(), base)
    before_write = next(text for text in report.complaints if "midway in" in text)
    assert before_write.startswith("killed midway in call 3 (write a), in 00")
    assert report.kept == base
    assert f"kept in {base}" in str(report)


class Idle(Workload):
    """Does nothing at all."""

    def prepare(self, root: Path) -> None: ...

    def steps(self, root: Path) -> Sequence[Step]:
        return [Step("nothing", dict)]

    def check(self, root: Path, acks: Sequence[Ack]) -> list[str]:
        return []


class Raising(Placed):
    """Fails although nobody disturbs it."""

    def put(self, top: int, tmp: int, aside: str, name: str, data: bytes) -> None:
        raise ZeroDivisionError("by itself")


class Shrinking(Placed):
    """Makes fewer calls each time."""

    def prepare(self, root: Path) -> None:
        super().prepare(root)
        if root.name != "000001":
            self.versions = self.versions[:1]


@pytest.mark.parametrize(
    ("workload", "complaint"),
    [
        (Idle(), "no call passes the door"),
        (Raising(), "ZeroDivisionError: by itself"),
        (Shrinking(), "this call was not reached"),
    ],
    ids=lambda value: value.name if isinstance(value, Workload) else None,
)
def test_a_workload_that_proves_nothing_is_a_complaint(
    workload: Workload, complaint: str, base: Path
) -> None:
    report = kill_everywhere(workload, base)
    assert any(complaint in text for text in report.complaints), report


def test_what_recovers_or_looks_may_not_raise(base: Path) -> None:
    class Broken(Placed):
        def recover(self, root: Path) -> None:
            (root / "never there").read_bytes()

    report = kill_everywhere(Broken(), base)
    assert all("looking at it raised FileNotFoundError" in text for text in report.complaints)
    assert len(report.complaints) == report.tried
