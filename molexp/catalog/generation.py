"""Generations: files that hold all rows, written aside, published by rename, never changed."""

from __future__ import annotations

import fcntl
import os
import re
import stat
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import molexp
from molexp.catalog import register
from molexp.catalog.engine import Connection, connect, literal, refusals
from molexp.catalog.journals import Knowledge
from molexp.disk import door, layout
from molexp.disk.beneath import Directory
from molexp.errors import MolexpError
from molexp.rows.tables import tables

FORMAT = 1
"""Of what is in a generation besides the tables."""

KEPT = 3
YOUNG_SECONDS = 600.0
"""How many generations are kept, and for how long any is: readers may be about to open one."""

_NAME = re.compile(r"catalog-([0-9]{8})-[0-9a-f]{12}\.duckdb")
_HIGHEST = 10**8 - 1


def fingerprint() -> str:
    """What a generation must have been made by, to be of any use here."""
    declared = [
        (each.name, [*each.columns.items()], each.order, each.reader.__qualname__)
        for each in tables().values()
    ]
    return repr((FORMAT, molexp.__version__, [*register.COLUMNS.items()], declared))


class Generation(NamedTuple):
    """One generation, attached to a connection under a name."""

    number: int
    name: str
    fd: int
    alias: str
    knowledge: Knowledge
    packed: int
    """How long it was when all of it was last written anew."""
    highest: int
    """The highest number of a scope in it."""
    scopes: int
    """How many scopes it has."""

    @property
    def size(self) -> int:
        """How long it is."""
        return os.fstat(self.fd).st_size

    @contextmanager
    def attached(self, connection: Connection, alias: str) -> Iterator[None]:
        """Attach exactly this file, whatever happens to its name, to another connection.

        By a descriptor of its own: the engine may refuse a path that is attached elsewhere.
        """
        fd = os.dup(self.fd)
        try:
            connection.execute(f"ATTACH '/dev/fd/{fd}' AS {alias} (READ_ONLY)")
            yield
            connection.execute(f"DETACH {alias}")
        finally:
            os.close(fd)


class Shelf:
    """The directories where generations of one workspace lie: its own, and the user's cache."""

    def __init__(self, root: Directory) -> None:
        status = os.fstat(root.fd)
        self._root = root
        self._owners = {os.geteuid(), 0, status.st_uid}
        self._group = status.st_gid if status.st_mode & stat.S_IWGRP else None
        self._useless: set[str] = set()
        self.cache = _cache_home() / f"{status.st_dev:x}-{status.st_ino:x}"

    def is_writable(self) -> bool:
        """Whether the workspace takes what this process folds."""
        for relative in (layout.CATALOG, layout.CACHE, "."):
            if os.access(relative, os.F_OK, dir_fd=self._root.fd):
                return os.access(relative, os.W_OK, dir_fd=self._root.fd)
        return False

    def open_home(self, mode: int) -> Directory:
        """The directory to publish in, made if it is missing."""
        return self._root.make(layout.CATALOG, mode) if self.is_writable() else self.open_cache()

    def open_cache(self) -> Directory:
        """This user's own directory for the workspace, for what may not be written to."""
        self.cache.mkdir(parents=True, exist_ok=True, mode=0o700)
        return Directory.open(self.cache)

    def names(self) -> list[str]:
        """All that may be of use, the newest first."""
        found: list[str] = []
        for directory in self._directories():
            with directory:
                found += directory.names(alone=True)
        return sorted({n for n in found if _NAME.fullmatch(n)} - self._useless, reverse=True)

    def newest(self, connection: Connection, known: Generation | None) -> Generation | None:
        """The highest generation that can be used; ``known`` if that is it."""
        for name in self.names():
            if known is not None and name == known.name:
                return known
            for directory in self._directories():
                with directory:
                    found = self._attach(connection, directory, name)
                if found is not None:
                    return found
            self._useless.add(name)
        return None

    def discard(self, generation: Generation) -> None:
        """Never use this one again: it is damaged."""
        self._useless.add(generation.name)

    def next_number(self, base: Generation | None) -> int:
        """The number of what is made from a generation: beyond those that are of no use."""
        numbers = [base.number] if base is not None else []
        numbers += [_number(name) for name in self._useless]
        return min(max(numbers, default=0) + 1, _HIGHEST)

    def _directories(self) -> Iterator[Directory]:
        with suppress(MolexpError):
            yield self._root.enter(layout.CATALOG)
        with suppress(MolexpError):
            yield Directory.open(self.cache)

    def _attach(self, connection: Connection, directory: Directory, name: str) -> Generation | None:
        """Open it for reading, if somebody who may be trusted wrote it as this release does."""
        try:
            fd = directory.open_file(name)
        except (MolexpError, OSError):
            return None
        number = _number(name)
        alias = f"g{fd}_{name[17:29]}"
        try:
            if not self._is_trusted(os.fstat(fd)):
                raise ValueError(name)
            connection.execute(f"ATTACH '/dev/fd/{fd}' AS {alias} (READ_ONLY)")
            try:
                said = dict(connection.execute(f"SELECT key, value FROM {alias}.state").fetchall())
                if said["fingerprint"] != fingerprint():
                    raise ValueError(name)
                knowledge = Knowledge.from_json(said["knowledge"])
                numbers = [int(said[name]) for name in ("packed", "highest", "scopes")]
            except BaseException:
                connection.execute(f"DETACH {alias}")
                raise
        except (refusals(), ValueError, KeyError, TypeError, AttributeError, RecursionError):
            os.close(fd)  # it is damaged, or none of ours
            return None
        return Generation(number, name, fd, alias, knowledge, *numbers)

    def _is_trusted(self, status: os.stat_result) -> bool:
        if status.st_mode & stat.S_IWOTH:
            return False
        if status.st_uid in self._owners:
            return True
        return self._group is not None and status.st_gid == self._group


def is_whole(generation: Generation) -> bool:
    """Whether every row of it can be read, which tells damage from other trouble."""
    try:
        with closing(connect()) as connection, generation.attached(connection, "whole"):
            for name in (*tables(), "ids", "scopes", "state"):
                connection.execute(f"SELECT bit_xor(hash(t)) FROM whole.{name} AS t").fetchall()
    except refusals():
        return False
    return True


def detach(connection: Connection, generation: Generation) -> None:
    """Let go of a generation."""
    with suppress(refusals()):
        connection.execute(f"DETACH {generation.alias}")
    os.close(generation.fd)


def _number(name: str) -> int:
    return int(name.split("-")[1])


def make_name(number: int) -> str:
    """A name that no other generation has."""
    return f"catalog-{number:08d}-{os.urandom(6).hex()}.duckdb"


def collect(directory: Directory) -> None:
    """Remove this user's generations that no reader can want any more."""
    names = sorted((n for n in directory.names() if _NAME.fullmatch(n)), reverse=True)
    for name in names[KEPT:]:
        with suppress(OSError, MolexpError):
            status = directory.stat(name)
            if status.st_uid == os.geteuid() and time.time() - status.st_mtime > YOUNG_SECONDS:
                door.unlink(directory.fd, name)


def save_state(connection: Connection, target: str, state: dict[str, object]) -> None:
    """Write down what a generation knows of itself."""
    connection.execute(f"CREATE OR REPLACE TABLE {target}.state (key VARCHAR, value VARCHAR)")
    for key, value in {**state, "fingerprint": fingerprint()}.items():
        connection.execute(f"INSERT INTO {target}.state VALUES ({literal(key)}, $1)", [str(value)])


def _cache_home() -> Path:
    """The user's directory for what can be made again."""
    given = os.environ.get("XDG_CACHE_HOME", "")
    home = Path(given) if os.path.isabs(given) else Path(os.path.expanduser("~")) / ".cache"
    return home / "molexp"


@contextmanager
def locked(shelf: Shelf, mode: int) -> Iterator[bool]:
    """Whether nobody else folds meanwhile; where there are no locks, nobody is known to.

    It saves double work, and nothing depends on it.
    """
    try:
        with shelf.open_home(mode) as home:
            fd = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=home.fd)
    except (OSError, MolexpError):
        yield True
        return
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        except OSError:
            pass
        try:
            yield True
        finally:
            with suppress(OSError):  # before it is closed: a forked child would keep it
                fcntl.flock(fd, fcntl.LOCK_UN)
    finally:
        os.close(fd)
