"""A file system in memory, and the values that the catalog protocol keeps in it."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from itertools import count
from typing import Any

DAY = 1000
FACT = re.compile(r"<\d{6}>")
Steps = Generator[None, None, Any]


class Broken(AssertionError):
    """A view, a dump or a file contradicts what was acknowledged."""


@dataclass(eq=False)
class File:
    """An inode with its text, its times and, for a generation, its value."""

    inode: int
    text: str
    mtime: int
    ctime: int
    value: Generation | None = None
    locked: bool = False


@dataclass(frozen=True)
class Record:
    """What one file gave when it was read: trusted as long as its signature stays."""

    signature: tuple[int, ...] | None
    facts: frozenset[str]
    quiet: bool


Row = dict[str, Record]


@dataclass(frozen=True)
class Owner:
    """Who a process is: host, boot, pid namespace, pid and start time."""

    host: str
    boot: int
    space: int
    pid: int
    born: int

    def __str__(self) -> str:
        return f"owner {self.host} {self.boot} {self.space} {self.pid} {self.born}"


def owner_in(text: str) -> Owner | None:
    """The owner named by a first line, or None if the line is damaged."""
    words = text.split("\n")[0].split(" ") if "\n" in text else []
    if len(words) != 6 or words[0] != "owner" or not all(word.isdigit() for word in words[2:]):
        return None
    return Owner(words[1], *(int(word) for word in words[2:]))


@dataclass(frozen=True)
class Known:
    """What a generation remembers of one journal."""

    inode: int
    offset: int
    tail: str
    open: dict[int, tuple[str, ...]]
    finished: bool


@dataclass(frozen=True)
class Seen:
    """What a reader finds of one journal."""

    inode: int
    text: str
    owner: Owner | None
    dead: bool
    silent: bool


Marks = frozenset[tuple[str, int, int]]


@dataclass(frozen=True)
class Generation:
    """One immutable catalog: rows, the scopes to look at again, and what it trusts."""

    number: int = 0
    rows: dict[str, Row] = field(default_factory=dict)
    live: frozenset[str] = frozenset()
    marks: Marks = frozenset()
    journals: dict[str, Known] = field(default_factory=dict)
    boots: frozenset[tuple[str, int]] = frozenset()


def nothing() -> Steps:
    """Take one step that does nothing."""
    yield


@dataclass
class Journal:
    """A writer's own hints: the open file, how much it wrote and its last number."""

    name: str
    file: File
    written: int
    number: int = 0


@dataclass
class Attempt:
    """A ledger that a process holds open, and the scope where it believes it lies."""

    file: File
    scope: str
    number: str
    joined: bool
    last: int
    hint: int = 0


@dataclass
class Op:
    """One call of the API in flight in one thread."""

    steps: Steps = field(default_factory=nothing)
    prefixes: tuple[str, ...] = ()
    since: int = 0
    journal: Journal | None = None
    holding: File | None = None
    still: Callable[[], bool] = lambda: True
    facts: list[str] = field(default_factory=list)
    kept: bool = False
    name: str = ""


@dataclass(eq=False)
class Process:
    """A process: its owner line, the workspace it has open, its journal and its threads."""

    owner: Owner
    root: str
    skew: int
    journal: Journal | None = None
    attempts: list[Attempt] = field(default_factory=list)
    ops: dict[int, Op] = field(default_factory=dict)


def facts_in(text: str) -> frozenset[str]:
    """The facts that whole lines hold; whatever else stands there is skipped."""
    return frozenset(line for line in text.split("\n")[:-1] if FACT.fullmatch(line))


def covers(prefix: str, address: str) -> bool:
    """Whether a hint for this prefix means this address."""
    return (
        prefix == "**"
        or address == prefix
        or (prefix.endswith("/**") and f"{address}/".startswith(prefix[:-2]))
    )


def scope_of(path: str) -> str:
    """The address of the scope that owns a path below `live/`."""
    parts = path.split("/")
    return "/".join(parts[:2]) if parts[1].startswith("r") else parts[0]


def running(row: Row) -> bool:
    """Whether an execution has no end and a writer that may still live."""
    ended = {name.split("/")[0] for name in row if name.endswith("/end")}
    return any(
        "/ledger" in n and n.split("/")[0] not in ended and not r.quiet for n, r in row.items()
    )


class Disk:
    """A file system in memory: paths to inodes, one clock, atomic calls."""

    def __init__(self) -> None:
        self.files: dict[str, File] = {}
        self.now = 1
        self.version = 0
        self.inodes = count(1)

    def create(self, path: str, text: str = "", value: Generation | None = None) -> File | None:
        """Create a file whole (made aside, linked into place); None if the name is taken."""
        if path in self.files:
            return None
        self.version += 1
        self.files[path] = file = File(next(self.inodes), text, self.now, self.now, value)
        return file

    def grow(self, file: File, text: str) -> None:
        """Append to an open file."""
        file.text += text
        file.mtime = file.ctime = self.now
        self.version += 1

    def below(self, path: str) -> list[str]:
        """Every file below a directory."""
        return [name for name in self.files if name.startswith(path + "/")]

    def rename(self, source: str, target: str) -> bool:
        """Rename a directory whole; a taken target and a missing source fail."""
        names = self.below(source)
        if not names or self.below(target):
            return False
        self.version += 1
        for name in names:
            self.files[target + name[len(source) :]] = self.files.pop(name)
        return True

    def remove(self, path: str) -> None:
        """Remove a file, or all below a directory."""
        self.version += 1
        for name in [path, *self.below(path)]:
            self.files.pop(name, None)
