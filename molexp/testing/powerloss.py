"""Power loss: the operations of a workload are recorded, and every legal state after them judged.

Only acks that say so have to survive: see :data:`molexp.testing.workload.Ack`. ``lose_power`` finds
states that break a promise; ``remove_each_sync`` proves that it would, for without any one of its
syncs the workload has to break in some legal state.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

from molexp.disk import door
from molexp.testing.aftermath import legal_states
from molexp.testing.filesystem import ROOT, FileSystem, read_tree, write_tree
from molexp.testing.trial import Ground, Report, describe, trial
from molexp.testing.workload import Ack, Workload, durable_acks, judge

STATES = 10_000
"""How many states are judged unless the caller says otherwise."""


@dataclass(frozen=True)
class Event:
    """One operation on the paper file system, by the numbers of its nodes; or an ack."""

    operation: str
    arguments: tuple[Any, ...]
    text: str

    @property
    def is_sync(self) -> bool:
        """Whether something survives power loss because of it."""
        return self.operation.startswith("sync_")


@dataclass(frozen=True)
class Removal:
    """One sync of a workload, and what broke without it; nothing if nothing did."""

    sync: str
    complaint: str = ""

    @property
    def found(self) -> bool:
        """Whether its absence was noticed."""
        return self.complaint != ""


def lose_power(
    workload: Workload, base: Path | None = None, *, states: int = STATES, seed: int = 0
) -> Report:
    """Judge up to ``states`` legal states after power loss at any point of the workload."""
    with trial("power loss", workload.name, base) as (report, ground):
        recording = _record(workload, ground.fresh(), report)
        if not report.complaints:
            trials = _Trials(workload, recording.events, ground, states, seed)
            report.complaints += [f"{when}: {text}" for when, text in trials.complaints()]
            report.tried = trials.tried
    return report


def remove_each_sync(
    workload: Workload, base: Path | None = None, *, states: int = STATES, seed: int = 0
) -> list[Removal]:
    """Leave out each sync in turn, and look for a state that breaks in up to ``states``.

    Raises ValueError for a workload of which that proves nothing.
    """
    removals = []
    with trial("syncs removed", workload.name, base) as (report, ground):
        recording = _record(workload, ground.fresh(), report)
        events = recording.events
        if not any(event.is_sync for event in events[recording.start :]):
            report.complaints.append("nothing is ever synced")
        if report.complaints:
            raise ValueError(str(report))
        for index in range(recording.start, len(events)):
            if events[index].is_sync:
                without = [*events[:index], *events[index + 1 :]]
                trials = _Trials(workload, without, ground, states, seed)
                when, text = next(trials.complaints(index), ("", ""))
                position = f"{events[index].text}, event {index - recording.start}"
                removals.append(Removal(position, f"{when}: {text}" if when else ""))
    return removals


@dataclass
class Recorder:
    """A gate that writes down what passes, and keeps the same file system on paper.

    A descriptor is resolved through its inode at the moment of the call, so that it does not matter
    how it was come by, nor that its number is used again.
    """

    root: Path
    events: list[Event] = field(default_factory=list)
    system: FileSystem = field(default_factory=FileSystem)

    def __post_init__(self) -> None:
        self._numbers: dict[tuple[int, int], int] = {}
        self._lock = Lock()
        self._load(self.root, ROOT)
        self._note("sync_file_system", (), "what was there before")
        self.start = len(self.events)

    def __call__(
        self, operation: str, function: Callable[..., Any], arguments: tuple[Any, ...]
    ) -> Any:
        """Make the call, and write it down if it succeeded."""
        with self._lock:
            text = describe(operation, arguments, self.root)
            offset = _offset(arguments[0]) if operation == "write" else 0
            answer = function(*arguments)
            if operation in ("create", "open_append"):
                self._created(arguments, answer, text)
            elif operation == "mkdir":
                self._made(arguments, text)
            elif operation == "write":
                node = self._node(arguments[0])
                if node is not None:
                    self._note("write", (node, offset, bytes(arguments[1][:answer])), text)
            elif operation == "sync_file_system":
                self._note(operation, (), text)
            elif operation in ("rename", "link"):
                self._moved(operation, arguments, text)
            elif operation == "symlink":
                where = self._node(arguments[1])
                if where is not None:
                    self._note("symlink", (arguments[0], where, arguments[2]), text)
            elif operation not in ("chmod", "touch"):
                where = self._node(arguments[0])
                if where is not None:
                    self._note(operation, (where, *arguments[1:]), text)
            return answer

    def acknowledge(self, ack: Ack) -> None:
        """Write down that something was promised."""
        self.events.append(Event("ack", (ack,), str(ack)))

    def _note(self, operation: str, arguments: tuple[Any, ...], text: str) -> Any:
        self.events.append(Event(operation, arguments, text))
        try:
            return getattr(self.system, operation)(*arguments)
        except LookupError as error:
            raise RuntimeError(f"{text}: {error} that came through the door") from error

    def _created(self, arguments: tuple[Any, ...], descriptor: int, text: str) -> None:
        directory, name = self._node(arguments[0]), arguments[1]
        if directory is not None and self.system.find(directory, name) is None:
            status = os.fstat(descriptor)
            self._numbers[_key(status)] = self._note("create", (directory, name), text)

    def _made(self, arguments: tuple[Any, ...], text: str) -> None:
        directory, name = self._node(arguments[0]), arguments[1]
        if directory is not None:
            status = os.stat(name, dir_fd=arguments[0], follow_symlinks=False)
            self._numbers[_key(status)] = self._note("mkdir", (directory, name), text)

    def _moved(self, operation: str, arguments: tuple[Any, ...], text: str) -> None:
        source, target = self._node(arguments[0]), self._node(arguments[2])
        if source is not None and target is not None:
            self._note(operation, (source, arguments[1], target, arguments[3]), text)
        elif source is not None or target is not None:
            raise RuntimeError(f"{text}: what leaves or enters {self.root} cannot be followed")

    def _node(self, descriptor: int) -> int | None:
        """The number of what is open; None if it lies elsewhere."""
        return self._numbers.get(_key(os.fstat(descriptor)))

    def _load(self, path: Path, number: int) -> None:
        self._numbers[_key(path.stat())] = number
        for below in sorted(path.iterdir()):
            key = _key(below.lstat())
            if below.is_symlink():
                self._note("symlink", (os.readlink(below), number, below.name), "")
            elif below.is_dir():
                self._load(below, self._note("mkdir", (number, below.name), ""))
            elif key in self._numbers:
                raise RuntimeError(f"{below} has a second name from before, which is not followed")
            else:
                self._numbers[key] = self._note("create", (number, below.name), "")
                self._note("write", (self._numbers[key], 0, below.read_bytes()), "")


def _record(workload: Workload, root: Path, report: Report) -> Recorder:
    """Run the workload once; whatever makes the record worthless is a complaint."""
    workload.prepare(root)
    recorder = Recorder(root)
    acks: list[Ack] = []
    try:
        with door.gated(recorder):
            for step in workload.steps(root):
                acks.append(step.act())
                recorder.acknowledge(acks[-1])
    except Exception as error:  # noqa: BLE001 - it is the code on trial
        report.complaints.append(f"with the power on, after {len(acks)} acks: {error!r}")
        return recorder
    report.complaints += [f"with the power on: {text}" for text in judge(workload, root, acks)]
    there, written = read_tree(root), recorder.system.state()
    odd = sorted(path for path in {*there, *written} if there.get(path, 0) != written.get(path, 0))
    report.complaints += [f"{path} changed and that did not pass the door" for path in odd]
    if not durable_acks(acks):
        report.complaints.append("no ack says that it survives power loss")
    return recorder


@dataclass
class _Trials:
    """The states after one history, and what is wrong with them."""

    workload: Workload
    events: Sequence[Event]
    ground: Ground
    states: int
    seed: int
    tried: int = 0

    def complaints(self, since: int = 0) -> Iterator[tuple[str, str]]:
        """When the power was lost, at ``since`` or later, and what was wrong then."""
        points = sum(1 for _point in self._points(since))
        for when, system, acks in self._points(since):
            left = self.states - self.tried
            # What changed at ``since`` shows soon after; otherwise all moments are worth as much.
            share = left // 2 if since else -(-left // points)
            points -= 1
            for state in legal_states(system, max(share, 1), self.seed):
                self.tried += 1
                root = self.ground.fresh()
                write_tree(state, root)
                found = judge(self.workload, root, acks, after_death=True)
                yield from ((f"{when}, in {root.name}", text) for text in found)
                if not found:
                    self.ground.done(root)

    def _points(self, since: int) -> Iterator[tuple[str, FileSystem, list[Ack]]]:
        """When the power may be lost: right before each sync and at the end.

        Any other moment lies before one of these with nothing but unsynced changes between, all of
        which may be lost: it adds no state.
        """
        system, acks = FileSystem(), list[Ack]()
        first = next(index for index, event in enumerate(self.events) if event.is_sync)
        for index, event in enumerate(self.events):
            if event.operation == "ack":
                acks.append(event.arguments[0])
                continue
            if event.is_sync and index > first and index >= since:
                yield f"power lost before {event.text}", system, durable_acks(acks)
            getattr(system, event.operation)(*event.arguments)
        yield "power lost at the end", system, durable_acks(acks)


def _key(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _offset(descriptor: int) -> int:
    """Where the next write of a descriptor goes."""
    if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_APPEND:
        return os.fstat(descriptor).st_size
    return os.lseek(descriptor, 0, os.SEEK_CUR)
