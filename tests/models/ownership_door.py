"""The calls of the ownership model on real files: one method is one call that others can see."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from tests.models.ownership_flaws import Flaw
from tests.models.ownership_machine import Machine, Owner, Place

T = TypeVar("T")
Steps = Generator[str, None, T]
Record = dict[str, Any]


@lru_cache(maxsize=4096)
def parse(text: str | None) -> Record | None:
    """The first line of a text as a record (shared: never changed), None if absent or torn."""
    try:
        record: Record | None = json.loads(text.split("\n", 1)[0]) if text else None
    except ValueError:
        return None
    return record


def owner_of(line: Record) -> Owner:
    """The owner that a start line or an end names."""
    place, pid, start = line["owner"]
    return Owner(Place(*place), pid, start)


def content(path: str | Path, place: int | None = None) -> str | None:
    """A file's text, or None."""
    try:
        file = os.open(path, os.O_RDONLY, dir_fd=place)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        return os.read(file, 1 << 16).decode()
    finally:
        os.close(file)


@dataclass
class Entry:
    """A numbered directory: an execution, or the hold of a mover."""

    number: int
    start: Record | None
    end: Record | None

    @property
    def name(self) -> str:
        """Its directory."""
        return f"{self.number:04d}"

    @property
    def line(self) -> Record:
        """Its start line, where it is known to have one."""
        assert self.start is not None
        return self.start

    @property
    def uid(self) -> str:
        """What its start line calls it; nothing if it has none."""
        return self.start["uid"] if self.start else ""


@dataclass
class Look:
    """What one look at a run saw, and the directory it was seen through."""

    path: Path
    at: int | Path
    uid: str
    entries: list[Entry]

    @property
    def newest(self) -> Entry | None:
        """The entry with the highest number, hold or execution: it decides who may go on."""
        return self.entries[-1] if self.entries else None

    @property
    def execution(self) -> Entry | None:
        """The newest entry that is an execution."""
        return next(
            (e for e in reversed(self.entries) if e.start is None or e.start["kind"] == "run"), None
        )


@dataclass
class Door:
    """What one process may call, and who it is."""

    root: Path
    machine: Machine  # of which it asks its kernel and the file system's clock, never the truth
    me: Owner
    links: bool
    flaw: Flaw | None
    fds: list[int] = field(default_factory=list, init=False)
    serial: Iterator[int] = field(default_factory=lambda: itertools.count(1), init=False)

    def do(self, call: Callable[..., T], *args: Any, **named: Any) -> Steps[T]:
        """Let the others go first, then make one call."""
        yield call.__name__
        return call(*args, **named)

    def at(self, place: int | Path, name: str) -> tuple[str, int | None]:
        """A name beneath an open directory (or, in one twin, beneath a path)."""
        return (name, place) if isinstance(place, int) else (str(place / name), None)

    def open_dir(self, path: Path) -> int | Path:
        """Open a directory once; what follows is done through it, wherever it is moved."""
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        self.fds.append(fd)
        return path if self.flaw is Flaw.PATHS_NOT_DIRECTORIES else fd

    def names(self, place: int | Path, name: str = ".") -> list[str]:
        """The names in a directory, none if it is absent."""
        path, fd = self.at(place, name)
        try:
            opened = os.open(path, os.O_RDONLY | os.O_DIRECTORY, dir_fd=fd)
        except (FileNotFoundError, NotADirectoryError):
            return []
        try:
            return sorted(os.listdir(opened))
        finally:
            os.close(opened)

    def write(self, place: int | Path, name: str, text: str, create: bool = False) -> None:
        """Append a text in one write, to a new file if asked; the file system's clock stamps it."""
        path, fd = self.at(place, name)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | (os.O_EXCL if create else 0)
        file = os.open(path, flags, dir_fd=fd)
        try:
            os.write(file, text.encode())
            os.utime(file, (self.machine.clock, self.machine.clock))
        finally:
            os.close(file)

    def rename(self, source: Path, place: int | Path, name: str) -> None:
        """Rename a directory that is not empty; a target that is not empty makes it fail."""
        path, fd = self.at(place, name)
        os.rename(source, path, dst_dir_fd=fd)

    def link(self, source: Path, place: int | Path, name: str) -> None:
        """Give a whole file its final name: fails if it is taken."""
        path, fd = self.at(place, name)
        os.link(source, path, dst_dir_fd=fd)

    def still_there(self, look: Look) -> bool:
        """Whether the path still leads to the directory that was opened."""
        if isinstance(look.at, Path):
            return True
        try:
            return os.path.samestat(os.stat(look.path), os.fstat(look.at))
        except FileNotFoundError:
            return False

    def beat(self, look: Look, entry: Entry) -> None:
        """Touch the ledger with no time given, so that the file system's clock stamps it."""
        path, fd = self.at(look.at, f"{entry.name}/ledger.jsonl")
        os.utime(path, (self.now(), self.now()), dir_fd=fd)
        self.machine.beats[entry.uid] = self.machine.clock

    def now(self) -> int:
        """The file system's clock, or in one twin this host's."""
        skew = self.machine.skew[self.me.place.host] if self.flaw is Flaw.OWN_CLOCK else 0
        return self.machine.clock + skew
