"""Hints: before a writer changes something it says where, so that readers know where to look.

A journal is the hints of one process; it is never truth, and anyone may delete it. Its writer finds
that out before its call returns, and says everything again in a new one.
"""

from __future__ import annotations

import os
import time
from itertools import count
from json.encoder import encode_basestring_ascii as _quoted
from threading import RLock
from typing import Self

from molexp.disk import door, layout, owner
from molexp.disk.beneath import Directory
from molexp.disk.commit import begin
from molexp.disk.ledger import Appender
from molexp.disk.record import Aside
from molexp.errors import AlreadyExistsError
from molexp.model.codec import join_line

MARK_PREFIX = "mark."
FRESH_SECONDS = 12 * 3600.0
"""Half of the day after which a folder forgets the hints of a silent writer."""


def subtree(address: str) -> str:
    """The prefix that means a scope and all that it holds.

    >>> subtree("qm9/baseline"), subtree("")
    ('qm9/baseline/**', '**')
    """
    return f"{address}/**" if address else "**"


class Change:
    """A change to the files of some addresses, between the hint before it and the one after it.

    Leaving the block makes sure that the hint can still be found, and that what was changed through
    the open directory ``place`` still lies at ``path``: else it hints at everything, and ``moved``
    says so. What the block raises passes, for a change that failed may have happened in part.
    """

    __slots__ = ("_journal", "_number", "_path", "_place", "_prefixes", "_since", "moved")

    def __init__(
        self, journal: Journal, prefixes: tuple[str, ...], place: Directory | None, path: str
    ) -> None:
        self.moved = False
        self._journal = journal
        self._prefixes = prefixes
        self._place = place
        self._path = path

    def __enter__(self) -> Self:
        self._since = now()
        self._number = self._journal.touch(self._prefixes)
        return self

    def __exit__(self, *_: object) -> None:
        journal, place = self._journal, self._place
        self.moved = place is not None and not journal.root.leads_to(self._path, place)
        journal.settle(self._number, self._prefixes, self._since, moved=self.moved)


class Journal:
    """The hints of this process in one workspace; made when the first is given.

    A hint that is older than ``fresh`` seconds when its change is made is given again.
    """

    def __init__(
        self, root: Directory, aside: Aside, modes: layout.Modes, *, fresh: float = FRESH_SECONDS
    ) -> None:
        self.root = root
        self._fresh = fresh
        self._aside = aside
        self._modes = modes
        self._names = count(1)
        self._numbers = count(1)
        self._lock = RLock()
        self._open: _Open | None = None

    def changing(self, *prefixes: str, place: Directory | None = None, path: str = "") -> Change:
        """Hint at these addresses, or subtrees, before and after the block that changes them."""
        return Change(self, prefixes, place, path)

    def close(self) -> None:
        """Say that no more hints come."""
        with self._lock:
            if self._open is not None and self._open.forks == owner.forks:
                self._open.append(join_line("closed", b"{}"))
            self._leave()

    def touch(self, prefixes: tuple[str, ...]) -> int:
        """Hint that something changes at these; the number of the hint."""
        with self._lock:
            number = next(self._numbers)
            at = ",".join(map(_quoted, prefixes))
            self._journal().append(b'{"touch":{"n":%d,"at":[%b]}}\n' % (number, at.encode()))
            return number

    def settle(self, number: int, prefixes: tuple[str, ...], since: float, *, moved: bool) -> None:
        """Say that the change is made; again and in a new journal for as long as that is lost."""
        with self._lock:
            while True:
                journal = self._journal()
                journal.append(b'{"done":%d}\n' % number)
                is_lost = journal.is_lost()
                if not is_lost and not moved and now() - since < self._fresh:
                    return
                if is_lost:
                    self._leave()
                if moved:
                    prefixes, moved = (subtree(""),), False
                since = now()
                number = self.touch(prefixes)

    def _journal(self) -> _Open:
        opened = self._open
        if opened is None or opened.forks != owner.forks:
            self._leave()  # in a forked child the journal is its parent's
            with self.root.make(layout.JOURNAL, self._modes.directory) as directory:
                if not any(name.startswith(MARK_PREFIX) for name in directory.names()):
                    make_mark(directory, self._modes.file)
                opened = self._open = self._begin(directory)
        return opened

    def _begin(self, directory: Directory) -> _Open:
        """A journal under a name that was never used, there from the first with its owner."""
        first = join_line("writer", owner.current().to_json())
        while True:
            name = f"{owner.writer()}.{next(self._names)}.jsonl"
            try:
                unsynced = begin(self.root, "process")
                self._aside.publish_file(first, directory, name, self._modes.file, unsynced)
            except AlreadyExistsError:
                continue  # this process has the workspace open twice
            return _Open(self.root, directory, name, self._modes.file)

    def _leave(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None


class _Open(Appender):
    """A journal while it is written."""

    def __init__(self, root: Directory, directory: Directory, name: str, mode: int) -> None:
        super().__init__(directory, name, mode)
        self.forks = owner.forks
        self._root = root
        self._relative = f"{layout.JOURNAL}/{name}"
        self._inode = os.fstat(self.fd).st_ino

    def is_lost(self) -> bool:
        """Whether its path leads to anything but the bytes that were written."""
        try:
            # One call, for this is paid at every change. It tells whose file lies there, no more,
            # so that a link on the way would harm nobody.
            status = os.stat(self._relative, dir_fd=self._root.fd)
        except OSError:
            return True
        return (status.st_ino, status.st_size) != (self._inode, self.size)


def make_mark(directory: Directory, mode: int) -> str:
    """Make a mark in the journal directory: whoever does not know it looks at everything."""
    name = f"{MARK_PREFIX}{owner.writer()}.{os.urandom(8).hex()}"
    os.close(door.create(directory.fd, name, mode))
    return name


_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def now() -> float:
    """Seconds that go on while the machine sleeps."""
    return time.clock_gettime(_CLOCK)
