"""What the tests of this floor share: gates for the door, processes, a small workspace."""

from __future__ import annotations

import os
import signal
import stat
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Never

from molexp.disk import door, layout, trash
from molexp.disk.beneath import Directory
from molexp.disk.commit import begin
from molexp.disk.door import Gate
from molexp.disk.record import Aside, write_new
from molexp.disk.trash import Removed
from molexp.model.ids import ENTROPY_BYTES, ulid

Call = tuple[str, tuple[Any, ...]]
Tree = dict[str, tuple[str, int, bytes]]
"""Paths to type, mode and content."""

MODES = layout.ACCESS["private"]
RUN = "projects/p/experiments/e/runs/r"
CLOSED = f"{RUN}/0001"
FILE = f"{RUN}/meta.json"
INNER = f"{CLOSED}/artifacts/model.pt"
LINK = f"{CLOSED}/out"
"""What lies in the workspace that :func:`make_lab` makes."""


def recording(calls: list[Call]) -> Gate:
    """A gate that writes down each call and makes it."""

    def gate(operation: str, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        calls.append((operation, arguments))
        return function(*arguments)

    return gate


def refusing(operation: str, number: int, *, at: int = 0) -> Gate:
    """A gate at which an operation fails: its ``at``-th call, or, with 0, each of them."""
    seen = 0

    def gate(called: str, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        nonlocal seen
        seen += called == operation
        if called == operation and at in (0, seen):
            raise OSError(number, os.strerror(number))
        return function(*arguments)

    return gate


def before(at: int, act: Callable[[], object]) -> Gate:
    """A gate at which something happens right before the ``at``-th call."""
    seen = 0

    def gate(operation: str, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        nonlocal seen
        seen += 1
        if seen == at:
            act()
        return function(*arguments)

    return gate


def calls_of(work: Callable[[], object]) -> list[str]:
    """The operations that ``work`` makes at the door."""
    calls: list[Call] = []
    with door.gated(recording(calls)):
        work()
    return [operation for operation, _ in calls]


def die() -> None:
    """End this process as ``kill -9`` does."""
    os.kill(os.getpid(), signal.SIGKILL)


def tree_of(path: Path) -> Tree:
    """Everything beneath a directory, links not followed."""
    found: Tree = {}
    for entry in sorted(path.rglob("*")):
        status = entry.lstat()
        mode, relative = stat.S_IMODE(status.st_mode), entry.relative_to(path).as_posix()
        if stat.S_ISLNK(status.st_mode):
            found[relative] = ("link", mode, os.fsencode(os.readlink(entry)))
        elif stat.S_ISREG(status.st_mode):
            found[relative] = ("file", mode, entry.read_bytes())
        else:
            found[relative] = ("directory", mode, b"")
    return found


def fork_each(works: Sequence[Callable[[], str]]) -> list[str | None]:
    """What each of them says, all run at once in processes of their own; None for one killed."""
    children = [_fork(work) for work in works]
    said = []
    for pid, pipe in children:
        with open(pipe, encoding="utf-8") as answer:
            text = answer.read()
        _, status = os.waitpid(pid, 0)
        said.append(text if os.waitstatus_to_exitcode(status) == 0 else None)
    return said


def meet(place: Path, name: str, number: int) -> None:
    """Wait until so many processes have come to a place, so that they go on together."""
    place.mkdir(exist_ok=True)
    (place / name).touch()
    while len(os.listdir(place)) < number:
        time.sleep(0.001)


def _fork(work: Callable[[], str]) -> tuple[int, int]:
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        _answer(work, writing)
    os.close(writing)
    return pid, reading


def _answer(work: Callable[[], str], pipe: int) -> Never:
    code = 1
    try:
        rest = work().encode()
        while rest:
            rest = rest[os.write(pipe, rest) :]
        code = 0
    finally:
        os._exit(code)


def uid_of(number: int = 0) -> str:
    """A uid, the same one for the same number."""
    return ulid(1_700_000_000_000 + number, bytes(ENTROPY_BYTES))


def removal_of(path: str, number: int = 0) -> Removed:
    """The record of the removal of a path."""
    at = datetime.fromtimestamp(1_700_000_000 + number, UTC)
    return Removed(uid=uid_of(number), path=path, at=at, writer="w", by="me")


def make_lab(lab: Path) -> None:
    """A run with a closed execution, which holds a link to what lies outside."""
    (lab / CLOSED / "artifacts").mkdir(parents=True)
    (lab / FILE).write_bytes(b"{}")
    (lab / INNER).write_bytes(b"weights")
    (lab / LINK).symlink_to("/etc/passwd")
    (lab / INNER).chmod(0o444)
    (lab / CLOSED / "artifacts").chmod(0o555)
    (lab / CLOSED).chmod(0o555)


def with_root(lab: Path, act: Callable[[Directory], object]) -> None:
    """Call with the open directory."""
    with Directory.open(lab) as root:
        act(root)


def remove(lab: Path, path: str, number: int = 0) -> None:
    """Move a path into the trash."""
    with Directory.open(lab) as root:
        aside, batch = Aside(root, MODES), begin(root, "process")
        trash.remove(root, removal_of(path, number), aside, batch, MODES.directory)
        aside.close()


def restore(lab: Path, number: int = 0) -> None:
    """Put back what was removed under a number."""
    with Directory.open(lab) as root:
        assert trash.restore(root, uid_of(number), begin(root, "process")).uid == uid_of(number)


def lies(lab: Path) -> Tree:
    """All but what is disposable."""
    disposable = (layout.CACHE, layout.TRASH)
    return {at: what for at, what in tree_of(lab).items() if at.split("/")[0] not in disposable}


def entries(root: Directory) -> list[str]:
    """What lies in a workspace, its cache left out."""
    return [name for name in root.names() if name != layout.CACHE]


def aside_of(root: Directory) -> list[str]:
    """What lies aside."""
    with root.enter(layout.TMP) as tmp:
        return tmp.names()


def put_two(made: Directory) -> None:
    """Put two files into a directory that is made aside."""
    for name in ("a", "b"):
        write_new(made, name, name.encode(), 0o444)
