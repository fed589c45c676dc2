"""Who lives: which process wrote something, and whether it can be proven dead.

Dead is proven only in the same boot and the same pid namespace, by a pid that nobody has or that
somebody else has. Of all others nothing is known.
"""

from __future__ import annotations

import hashlib
import os
from enum import StrEnum
from functools import cache

from molexp.model.execution import Owner


class Life(StrEnum):
    """What is known of a process."""

    ALIVE = "alive"
    DEAD = "dead"
    UNKNOWN = "unknown"


@cache
def current() -> Owner:
    """This process."""
    pid = os.getpid()
    return Owner(
        host=os.uname().nodename or "localhost",
        boot_id=_first_line("/proc/sys/kernel/random/boot_id"),
        pid_namespace=_pid_namespace(),
        time_namespace=_namespace("time"),
        pid=pid,
        started=_start_ticks(pid) or 0,
    )


@cache
def writer() -> str:
    """The id under which this process writes: it names the process, so that others can judge it."""
    owner = current()
    return f"{_kernel_of(owner)}-{owner.pid}-{owner.started}-{_luck()}"


@cache
def _luck() -> str:
    """What tells this process's writing from that of any other, whatever the system tells."""
    return _lucky.setdefault(os.getpid(), os.urandom(3).hex())  # one answer for all threads


_lucky: dict[int, str] = {}


def _forget_self() -> None:
    """A forked child is another process, and another writer."""
    current.cache_clear()
    writer.cache_clear()
    _luck.cache_clear()


os.register_at_fork(after_in_child=_forget_self)


def judge(owner: Owner) -> Life:
    """What is known of the process that ``owner`` names."""
    here = current()
    if owner == here:
        return Life.ALIVE
    if (owner.boot_id, owner.pid_namespace) != (here.boot_id, here.pid_namespace):
        return Life.UNKNOWN
    # A time namespace shifts start times, so that those of another one cannot be compared.
    comparable = owner.time_namespace == here.time_namespace
    return _judge(owner.pid, owner.started if comparable else None)


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
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return Life.DEAD
    except PermissionError:
        pass  # somebody has that pid
    if _is_zombie(pid):
        return Life.DEAD
    now = _start_ticks(pid)
    if now is None or started is None:
        return Life.UNKNOWN  # `/proc` may hide the processes of others, which proves nothing
    return Life.ALIVE if now == started else Life.DEAD


def _kernel_of(owner: Owner) -> str:
    """Short for where a pid and a start time mean one process: a boot and two namespaces."""
    text = f"{owner.boot_id}\n{owner.pid_namespace}\n{owner.time_namespace}"
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


def _start_ticks(pid: int) -> int | None:
    """When a process started, in clock ticks since the boot; None if the system does not tell."""
    fields = _status_fields(pid)
    return int(fields[19]) if len(fields) > 19 else None


def _is_zombie(pid: int) -> bool:
    """Whether a process has ended and waits for its parent to notice.

    A process whose first thread alone has ended looks the same, but has other threads.
    """
    fields = _status_fields(pid)
    try:
        return bool(fields) and fields[0] in ("Z", "X") and len(os.listdir(f"/proc/{pid}/task")) < 2
    except OSError:
        return False


def _status_fields(pid: int) -> list[str]:
    """What ``/proc/<pid>/stat`` says after the program's name, which may hold anything."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].decode("ascii", "replace").split()
    except OSError:
        return []
