"""Kill points: a process dies at every call at the door, and what it acknowledged must be there.

``report = kill_everywhere(MyWorkload())``, and a test asserts that ``report.complaints`` is empty.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from molexp.disk import door
from molexp.testing.trial import Ending, Ground, Report, Say, describe, run_in_child, trial
from molexp.testing.workload import Ack, Workload, judge


def kill_everywhere(workload: Workload, base: Path | None = None) -> Report:
    """Kill a forked child before each call and in the middle of each write.

    The parent holds the acks that arrived before the death, lets the workload recover, and checks.
    """
    with trial("kill", workload.name, base) as (report, ground):
        calls = _count_calls(workload, ground, report)
        for point in _points(calls):
            root = ground.fresh()
            ending = run_in_child(_dying(workload, root, point))
            report.tried += 1
            complaints = _judge(workload, root, ending)
            report.complaints += [f"killed {point}, in {root.name}: {text}" for text in complaints]
            if not complaints:
                ground.done(root)
    return report


@dataclass(frozen=True)
class _Point:
    """Where to die: at which call, or in the middle of it."""

    at: int
    call: str
    midway: bool = False

    def __str__(self) -> str:
        return f"{'midway in' if self.midway else 'before'} call {self.at} ({self.call})"


def _points(calls: list[tuple[str, int]]) -> list[_Point]:
    points = []
    for at, (call, size) in enumerate(calls, 1):
        points.append(_Point(at, call))
        if size > 1:
            points.append(_Point(at, call, midway=True))
    return points


def _count_calls(workload: Workload, ground: Ground, report: Report) -> list[tuple[str, int]]:
    """Every call that the workload makes, with how many bytes it writes."""
    root = ground.fresh()

    def count(say: Say) -> None:
        def gate(operation: str, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
            size = len(arguments[1]) if operation == "write" else 0
            say([describe(operation, arguments, root), size])
            return function(*arguments)

        acks = _live(workload, root, gate, lambda ack: None)
        say(judge(workload, root, acks))

    ending = run_in_child(count)
    *calls, complaints = ending.said or [[]]
    if ending.raised:
        complaints = [ending.raised]
    elif not calls:
        complaints = ["no call passes the door, so that nothing can be tried"]
    report.complaints += [f"not killed at all, in {root.name}: {text}" for text in complaints]
    return [] if complaints else [(call, size) for call, size in calls]


def _dying(workload: Workload, root: Path, point: _Point) -> Callable[[Say], None]:
    def work(say: Say) -> None:
        seen = 0

        def gate(operation: str, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
            nonlocal seen
            seen += 1
            if seen == point.at:
                if point.midway:
                    descriptor, data = arguments
                    function(descriptor, data[: len(data) // 2])
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments)

        _live(workload, root, gate, say)

    return work


def _live(workload: Workload, root: Path, gate: door.Gate, say: Callable[[Ack], None]) -> list[Ack]:
    workload.prepare(root)
    acks = []
    with door.gated(gate):
        for step in workload.steps(root):
            ack = step.act()
            say(ack)
            acks.append(ack)
    return acks


def _judge(workload: Workload, root: Path, ending: Ending) -> list[str]:
    if ending.raised:
        return [ending.raised]
    if not ending.killed:
        return ["this call was not reached: the workload makes other calls each time"]
    return judge(workload, root, ending.said, after_death=True)
