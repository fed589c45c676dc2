"""The files of a scope that say anything of it: whether they have changed, and what they hold."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from molexp.disk import layout
from molexp.disk.beneath import Directory, explained
from molexp.disk.walk import is_litter
from molexp.errors import FormatError, MolexpError, NotFoundError, StorageError

_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CHUNK = 1 << 24

TICK_NS = 60 * 10**9
"""More than any file system's clock takes to tick, or differs from this host's.

That clock is not asked where nothing can be written: what changed so lately is read again.
"""

Mark = tuple[int, int, int, int]
"""A file's inode, size and times: when it has changed, these have."""

_HALF = re.compile("[\ud800-\udfff]")  # how bytes that are no text stand in a name
_UNREADABLE: Mark = (0, 0, 0, 0)


def mark_of(status: os.stat_result) -> Mark:
    """What tells whether a file, or the names in a directory, have changed."""
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


@dataclass(slots=True)
class Glance:
    """Which files a scope has that say anything of it, and which directories were listed."""

    files: dict[str, Mark] = field(default_factory=dict)
    """By their paths in the scope, in the order of their names."""
    directories: dict[str, Mark] = field(default_factory=dict)
    """Likewise: a new name in one shows in its times."""

    @property
    def signature(self) -> int:
        """What differs once any of the files has changed, come or gone.

        The hash of integers alone is the same in every process; where a release of Python takes
        another one, all is read again.
        """
        return hash(tuple(self.files.values()))

    @property
    def changed_ns(self) -> int:
        """When one of the files changed last, by the file system's clock."""
        return max([mark[3] for mark in self.files.values()], default=0)


def glance(directory: Directory, kind: str) -> Glance:
    """Which files the scope in a directory has; raises NotFoundError if there is none."""
    look = _Look(None)
    look.at_scope(directory, kind)
    return look.seen


def read(
    directory: Directory, kind: str, problems: list[MolexpError]
) -> tuple[Glance, dict[str, bytes]]:
    """The same, and the bytes of each file; what cannot be read joins the problems."""
    look = _Look(problems)
    look.at_scope(directory, kind)
    return look.seen, look.data


def read_summed(directory: Directory, at: str) -> dict[str, bytes]:
    """The files in an execution whose end cannot be read, of which that says what they came to."""
    look = _Look([])
    with suppress(MolexpError), directory.enter(at) as within:
        look.at_open_execution(within, at, within.names())
    return look.data


class _Look:
    """One walk through a scope, which reads what it finds if it is given ``problems``."""

    def __init__(self, problems: list[MolexpError] | None) -> None:
        self.seen = Glance()
        self.data: dict[str, bytes] = {}
        self._problems = problems
        self._note = self._stat if problems is None else self._read

    def at_scope(self, directory: Directory, kind: str) -> None:
        """All of it."""
        names = self._list(directory, "")
        if layout.META not in names:
            raise NotFoundError(
                f"{directory.path} is no scope",
                cure="look for it by its uid: it was moved or removed",
                kind="scope",
                key=directory.path,
            )
        for name in names:
            if name == layout.META or name.startswith(layout.EDITS_PREFIX):
                self._note(directory, name, name)
            elif name == layout.DATA:
                self._inside(directory, name, name, self._at_data)
            elif kind == "run" and layout.execution_number(name) is not None:
                self._inside(directory, name, name, self._at_execution)

    def _at_data(self, directory: Directory, at: str) -> None:
        for name in self._list(directory, at):
            if not is_litter(name):
                self._inside(directory, name, f"{at}/{name}", self._at_versions)

    def _at_versions(self, directory: Directory, at: str) -> None:
        for name in self._list(directory, at):
            if layout.version_number(name) is not None:
                self._inside(directory, name, f"{at}/{name}", self._at_version)

    def _at_version(self, directory: Directory, at: str) -> None:
        self._note(directory, layout.ASSET, f"{at}/{layout.ASSET}")

    def _at_execution(self, directory: Directory, at: str) -> None:
        """Its end first: after that its owner writes nothing any more."""
        names = self._list(directory, at)
        if layout.END in names:
            self._note(directory, layout.END, f"{at}/{layout.END}")
        elif "end" in names:
            self._inside(directory, "end", f"{at}/end", self._at_end)
        for name in names:
            if name == layout.LEDGER or name.startswith(layout.LEDGER_PREFIX):
                self._note(directory, name, f"{at}/{name}")
        ends = f"{at}/{layout.END}", f"{at}/{layout.END_WITHOUT_LINKS}"
        if not any(end in self.seen.files for end in ends):  # an end says what the others came to
            self.at_open_execution(directory, at, names)

    def at_open_execution(self, directory: Directory, at: str, names: list[str]) -> None:
        """The metrics and log records of an execution."""
        for name in names:
            if name == layout.METRICS or name.startswith(layout.METRICS_PREFIX):
                self._note(directory, name, f"{at}/{name}")
            elif name == layout.LOGS:
                self._inside(directory, name, f"{at}/{name}", self._at_logs)

    def _at_end(self, directory: Directory, at: str) -> None:
        self._note(directory, layout.END, f"{at}/{layout.END}")

    def _at_logs(self, directory: Directory, at: str) -> None:
        for name in self._list(directory, at):
            if f"{layout.LOGS}/{name}".startswith((layout.RECORDS, layout.RECORDS_PREFIX)):
                self._note(directory, name, f"{at}/{name}")

    def _list(self, directory: Directory, at: str) -> list[str]:
        self.seen.directories[at] = mark_of(os.fstat(directory.fd))
        names = directory.names(alone=True)
        if all(map(str.isascii, names)):
            return names
        return [name for name in names if not _HALF.search(name)]  # no record can name the others

    def _inside(
        self, above: Directory, name: str, at: str, act: Callable[[Directory, str], None]
    ) -> None:
        """Act in a directory of another one, if it can be looked into."""
        try:
            with above.enter(name) as directory:
                act(directory, at)
        except NotFoundError:
            return  # it was moved or removed since it was listed
        except MolexpError as error:
            self._fail(at, error)

    def _stat(self, directory: Directory, name: str, at: str) -> None:
        try:
            status = os.stat(name, dir_fd=directory.fd, follow_symlinks=False)
        except FileNotFoundError:
            return
        except OSError:
            self.seen.files[at] = _UNREADABLE
        else:
            is_file = stat.S_ISREG(status.st_mode)
            self.seen.files[at] = mark_of(status) if is_file else _UNREADABLE

    def _read(self, directory: Directory, name: str, at: str) -> None:
        try:
            fd = os.open(name, _FILE, dir_fd=directory.fd)
            try:
                status = os.fstat(fd)  # before the bytes: what comes later is another mark
                if not stat.S_ISREG(status.st_mode):
                    raise FormatError(
                        f"{directory.where(name)} is not a regular file",
                        cure="molexp wrote a file there: move away what took its place",
                        path=directory.where(name),
                        place="",
                    )
                data = os.read(fd, status.st_size + 1)
                if len(data) != status.st_size:
                    while more := os.read(fd, _CHUNK):  # it grew meanwhile, or is very large
                        data += more
            finally:
                os.close(fd)
        except FileNotFoundError:
            return
        except MolexpError as error:
            self._fail(at, error)
        except OSError as error:
            found = explained(error, directory.where(name))
            self._fail(
                at, found if isinstance(found, MolexpError) else StorageError.of(error, "read", at)
            )
        else:
            self.seen.files[at] = mark_of(status)
            self.data[at] = data

    def _fail(self, at: str, error: MolexpError) -> None:
        self.seen.files[at] = _UNREADABLE
        if self._problems is not None:
            self._problems.append(error)
