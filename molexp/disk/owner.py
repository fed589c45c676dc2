"""Who lives: which process wrote something, and whether it can be proven dead.

Dead is proven only in the same boot and the same pid namespace, by a pid that nobody has or that
somebody else has. Of all others nothing is known.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from molexp.late import late
from molexp.model.ids import Process

if TYPE_CHECKING:
    import hashlib
else:
    hashlib = late("hashlib")


class Life(StrEnum):
    """What is known of a process."""

    ALIVE = "alive"
    DEAD = "dead"
    UNKNOWN = "unknown"


class System:
    """What the machine tells a process of itself and of others."""

    @cached_property
    def current(self) -> Process:
        """This process."""
        pid = os.getpid()
        status = self.status(pid)
        return Process(
            host=os.uname().nodename or "localhost",
            boot_id=_first_line("/proc/sys/kernel/random/boot_id"),
            pid_namespace=_pid_namespace(),
            time_namespace=_namespace("time"),
            pid=pid,
            started=status.started if status is not None else 0,
        )

    @cached_property
    def writer(self) -> str:
        """The id under which this process writes."""
        owner = self.current
        luck = _lucky.setdefault(owner.pid, os.urandom(3).hex())  # one answer for all threads
        return f"{_kernel_of(owner)}-{owner.pid}-{owner.started}-{luck}"

    def has(self, pid: int) -> bool:
        """Whether any process has that pid."""
        try:
            os.kill(pid, 0)
        except (ProcessLookupError, OverflowError):
            return False
        except PermissionError:
            pass  # somebody has it
        return True

    def status(self, pid: int) -> Status | None:
        """What it tells of the process with that pid; None if it does not tell."""
        try:
            with open(f"/proc/{pid}/stat", "rb") as file:
                # After the program's name, which may hold anything.
                fields = file.read().rpartition(b")")[2].decode("ascii", "replace").split()
            return Status(int(fields[19]), is_over=fields[0] in ("Z", "X") and _is_alone(pid))
        except (OSError, IndexError, ValueError):
            return None


class Status(NamedTuple):
    """When a process started, in clock ticks since the boot, and whether it is over.

    One that is over waits for its parent to notice. A process whose first thread alone has ended
    looks the same, but has other threads.
    """

    started: int
    is_over: bool


def _is_alone(pid: int) -> bool:
    try:
        return len(os.listdir(f"/proc/{pid}/task")) < 2
    except OSError:
        return False


_machine = System()
_played: ContextVar[System | None] = ContextVar("played", default=None)
_lucky: dict[int, str] = {}

forks = 0
"""How many forks lie behind this process: what was opened at another count is its parent's."""


def _system() -> System:
    return _played.get() or _machine


def _forget_self() -> None:
    """A forked child is another process, and another writer."""
    global _machine, forks
    _machine = System()
    forks += 1


os.register_at_fork(after_in_child=_forget_self)


@contextmanager
def asking(system: System) -> Iterator[None]:
    """Let this thread believe ``system`` while the block runs: for processes that a test plays."""
    token = _played.set(system)
    try:
        yield
    finally:
        _played.reset(token)


def current() -> Process:
    """This process."""
    return _system().current


def writer() -> str:
    """The id under which this process writes: it names the process, so that others can judge it."""
    return _system().writer


def judge(process: Process) -> Life:
    """What is known of a process."""
    here = current()
    if process == here:
        return Life.ALIVE
    if (process.boot_id, process.pid_namespace) != (here.boot_id, here.pid_namespace):
        return Life.UNKNOWN
    # A time namespace shifts start times, so that those of another one cannot be compared.
    comparable = process.time_namespace == here.time_namespace
    return _judge(process.pid, process.started if comparable else None)


def judge_writer(writer_id: str) -> Life:
    """What is known of the process that wrote under an id."""
    kernel, _, rest = writer_id.partition("-")
    pid, _, rest = rest.partition("-")
    started, _, _ = rest.partition("-")
    if not all(text.isascii() and text.isdigit() and len(text) < 20 for text in (pid, started)):
        return Life.UNKNOWN
    if kernel != _kernel_of(current()):
        return Life.UNKNOWN
    return _judge(int(pid), int(started))


def _judge(pid: int, started: int | None) -> Life:
    here = current()
    if not here.boot_id or not here.pid_namespace or not pid:
        return Life.UNKNOWN
    if not _system().has(pid):
        return Life.DEAD
    status = _system().status(pid)
    if status is not None and status.is_over:
        return Life.DEAD
    if status is None or started is None:
        return Life.UNKNOWN  # `/proc` may hide the processes of others, which proves nothing
    return Life.ALIVE if status.started == started else Life.DEAD


def _kernel_of(process: Process) -> str:
    """Short for where a pid and a start time mean one process: a boot and two namespaces."""
    text = f"{process.boot_id}\n{process.pid_namespace}\n{process.time_namespace}"
    return hashlib.sha256(text.encode(), usedforsecurity=False).hexdigest()[:10]


def _pid_namespace() -> str:
    try:
        if os.readlink("/proc/self") != str(os.getpid()):
            return ""  # this `/proc` is that of another namespace, where pids mean others
    except OSError:
        return ""
    return _namespace("pid")


def _namespace(kind: str) -> str:
    try:
        return os.readlink(f"/proc/self/ns/{kind}")
    except OSError:
        return ""


def _first_line(path: str) -> str:
    try:
        with open(path) as file:
            return file.readline().strip()
    except OSError:
        return ""
