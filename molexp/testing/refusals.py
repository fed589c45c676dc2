"""Refused calls: every call at the door is refused in turn, once and for ever, for each reason.

A refused step has to raise StorageError and acknowledge nothing; what was acknowledged before stays
as it is; and the same step succeeds once the cause is gone.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from molexp.disk import door
from molexp.errors import StorageError
from molexp.testing.trial import Ground, Report, Say, describe, run_in_child, trial
from molexp.testing.workload import Ack, Step, Workload, judge

REASONS: Final = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EIO,
    errno.EROFS,
    errno.EMFILE,
    errno.EACCES,
)
"""What a call is refused with."""

_SYNCS = ("sync_file", "sync_directory", "sync_file_system")
_DROPPING = ("sync_file", "sync_file_system")  # a directory's names can be made anew


def refuse_everywhere(
    workload: Workload, base: Path | None = None, reasons: Sequence[int] = REASONS
) -> Report:
    """Refuse each call in turn, and cut each write short, in a forked process for each call."""
    with trial("refusals", workload.name, base) as (report, ground):
        plain = _survey(workload, ground, report)
        for at, operation in enumerate(plain.operations, 1):
            faults = [Fault(at, reason, lasting) for reason in reasons for lasting in (False, True)]
            if operation == "write":
                faults += [Fault(at, 0), Fault(at, errno.ENOSPC, short=True)]
                faults += [Fault(at, errno.ENOSPC, lasting=True, short=True)]
            for fault, root, complaints in _try_all(workload, faults, plain, ground):
                report.tried += 1
                report.complaints += [f"{fault}, in {root.name}: {text}" for text in complaints]
                if not complaints:
                    ground.done(root)
    return report


@dataclass(frozen=True)
class Fault:
    """Which call is refused, why, and whether all that follow are.

    ``short`` lets half of the bytes of a write pass first, and refuses the next call. A reason of 0
    only does the former.
    """

    at: int
    reason: int
    lasting: bool = False
    short: bool = False

    def __str__(self) -> str:
        name = errno.errorcode.get(self.reason, "")
        when = f"{name} {'for ever' if self.lasting else 'once'}" if name else ""
        cut = "a short write" if self.short or not self.reason else ""
        return f"{' and then '.join(filter(None, [cut, when]))} at call {self.at}"


@dataclass
class _Plain:
    """What the workload does when nothing is refused."""

    operations: list[str]
    descriptors: int


@dataclass
class _Refuser:
    """The gate: it refuses what the fault says until it is told that the cause is gone."""

    fault: Fault
    root: Path
    calls: int = 0
    lifted: bool = False
    struck: bool = False
    refused: list[tuple[str, str]] = field(default_factory=list)
    retried: list[str] = field(default_factory=list)
    lost: set[tuple[int, int] | None] = field(default_factory=set)

    def __call__(
        self, operation: str, function: Callable[..., Any], arguments: tuple[Any, ...]
    ) -> Any:
        self.calls += 1
        first = self.fault.at + (1 if self.fault.short else 0)
        is_due = self.calls == first or (self.fault.lasting and self.calls > first)
        if self.fault.reason and is_due and not self.lifted:
            self.struck = True
            self.refused.append((operation, describe(operation, arguments, self.root)))
            if operation in _DROPPING:
                self.lost.add(_identity(operation, arguments[0]))
            raise OSError(self.fault.reason, os.strerror(self.fault.reason))
        if self.calls == self.fault.at and operation == "write":
            self.struck = True
            descriptor, data = arguments
            return function(descriptor, data[: len(data) // 2])
        answer = function(*arguments)
        self._note(operation, arguments, answer)
        return answer

    def _note(self, operation: str, arguments: tuple[Any, ...], answer: Any) -> None:
        """A sync that failed has dropped what it could not write: no other can save that."""
        if operation == "create":
            self.lost.discard(_identity(operation, answer))  # inode numbers are used again
        elif operation in _DROPPING and _identity(operation, arguments[0]) in self.lost:
            self.retried.append(describe(operation, arguments, self.root))


def _identity(operation: str, descriptor: int) -> tuple[int, int] | None:
    """The file behind a descriptor; None stands for the whole file system."""
    if operation == "sync_file_system":
        return None
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino


def _survey(workload: Workload, ground: Ground, report: Report) -> _Plain:
    root = ground.fresh()

    def work(say: Say) -> None:
        operations: list[str] = []

        def gate(operation: str, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
            operations.append(operation)
            return function(*arguments)

        workload.prepare(root)
        before = _open_descriptors()
        with door.gated(gate):
            steps = list(workload.steps(root))
            acks = [step.act() for step in steps]
        say([operations, _open_descriptors() - before, judge(workload, root, acks)])

    ending = run_in_child(work)
    if ending.raised:
        report.complaints.append(f"without any refusal: {ending.raised}")
        return _Plain([], 0)
    operations, descriptors, complaints = ending.said[0]
    report.complaints += [f"without any refusal: {text}" for text in complaints]
    if not operations:
        report.complaints.append("no call passes the door, so that nothing can be tried")
    return _Plain(operations, descriptors)


def _try_all(
    workload: Workload, faults: list[Fault], plain: _Plain, ground: Ground
) -> list[tuple[Fault, Path, list[str]]]:
    """The complaints about each fault; one process is warm enough for all of them."""
    places = [(fault, ground.fresh()) for fault in faults]

    def work(say: Say) -> None:
        for fault, root in places:
            say(_Trial(workload, fault, root, plain).run())

    ending = run_in_child(work)
    said = ending.said + [[ending.raised or "not tried"]] * (len(places) - len(ending.said))
    return [(fault, root, found) for (fault, root), found in zip(places, said, strict=True)]


class _Trial:
    """One fault, from the first step to the last."""

    def __init__(self, workload: Workload, fault: Fault, root: Path, plain: _Plain) -> None:
        self.workload = workload
        self.root = root
        self.plain = plain
        self.gate = _Refuser(fault, root)
        self.acks: list[Ack] = []
        self.complaints: list[str] = []
        self.steps: list[Step] = []
        self.renewed = False

    def run(self) -> list[str]:
        """Take all steps; what there is to complain of."""
        self.workload.prepare(self.root)
        before = _open_descriptors()
        with door.gated(self.gate):
            self.steps = list(self.workload.steps(self.root))
            if not all(self._take(index) for index in range(len(self.steps))):
                return self.complaints
        self._look("at the end")
        self.complaints += [
            f"{call} was tried again after it had failed, which proves nothing"
            for call in self.gate.retried
        ]
        more = _open_descriptors() - before - self.plain.descriptors
        if more > 0 and not self.renewed:
            self.complaints.append(f"{more} more descriptors stay open than without a refusal")
        return self.complaints

    def _take(self, index: int) -> bool:
        """Take one step to its ack, in two attempts if need be; whether that went well."""
        step = self.steps[index]
        answer = self._attempt(step)
        if isinstance(answer, StorageError):
            if not self.gate.struck:
                self.complaints.append(f"{step.name!r} raised with nothing refused: {answer}")
                return False
            refused = [operation for operation, _call in self.gate.refused]
            self._look(f"after {step.name!r} was refused")
            if self.gate.fault.lasting and isinstance(self._attempt(step), dict):
                self.complaints.append(f"{step.name!r} was acknowledged while all was refused")
            refused += [operation for operation, _call in self.gate.refused]
            self.gate.lifted = True
            if step.fresh_after_sync and any(operation in _SYNCS for operation in refused):
                step = self._renew(index)
            answer = self._attempt(step)
            if isinstance(answer, StorageError):
                self.complaints.append(
                    f"{step.name!r} does not work once the cause is gone: {answer}"
                )
        if not isinstance(answer, dict):
            return False
        self.complaints += [
            f"{step.name!r} was acknowledged although this was refused: {call}"
            for operation, call in self.gate.refused
            if operation not in step.tolerates
        ]
        self.acks.append(answer)
        return True

    def _attempt(self, step: Step) -> Ack | StorageError | None:
        """The ack, or the error that a caller may expect; any other joins the complaints."""
        self.gate.refused.clear()
        self.gate.struck = False
        try:
            return step.act()
        except StorageError as error:
            return error
        except Exception as error:  # noqa: BLE001 - it is the code on trial
            self.complaints.append(f"{step.name!r} raised {error!r}, which is no StorageError")
            return None

    def _renew(self, index: int) -> Step:
        """Give up the object whose sync failed, and go on as a new process would."""
        if isinstance(self._attempt(self.steps[index]), dict):
            self.complaints.append(
                f"{self.steps[index].name!r} was acknowledged after its sync had failed"
            )
        self.gate.lost.clear()
        self.workload.recover(self.root)
        self.steps = list(self.workload.steps(self.root))
        self.renewed = True
        return self.steps[index]

    def _look(self, when: str) -> None:
        found = judge(self.workload, self.root, self.acks)
        self.complaints += [f"{when}: {text}" for text in found]


def _open_descriptors() -> int:
    try:
        return len(os.listdir("/proc/self/fd"))
    except FileNotFoundError:  # only Linux counts them there
        return 0
