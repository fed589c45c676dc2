"""A glance at a scope: which of its files say anything, and whether these have changed."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field

from molexp.disk import layout
from molexp.disk.beneath import Directory
from molexp.disk.walk import is_litter
from molexp.errors import MolexpError, NotFoundError

Mark = tuple[int, int, int, int]
"""A file's inode, size and times: when it has changed, these have."""

_UNREADABLE: Mark = (0, 0, 0, 0)


def mark_of(status: os.stat_result) -> Mark:
    """What tells whether a file, or the names in a directory, have changed."""
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


@dataclass(slots=True)
class Glance:
    """Which files a scope has that say anything of it, and which directories were listed."""

    files: dict[str, Mark] = field(default_factory=dict)
    """By their paths in the scope."""
    directories: dict[str, Mark] = field(default_factory=dict)
    """Likewise: a new name in one shows in its times."""

    @property
    def signature(self) -> int:
        """What differs once any of the files has changed, come or gone.

        The hash of integers alone is the same in every process; where a release of Python takes
        another one, all is read again.
        """
        return hash(tuple(mark for _, mark in sorted(self.files.items())))

    @property
    def changed_ns(self) -> int:
        """When one of the files changed last, by the file system's clock."""
        return max((mark[3] for mark in self.files.values()), default=0)


def glance(directory: Directory, kind: str) -> Glance:
    """Which files the scope in a directory has; raises NotFoundError if there is none."""
    seen = Glance()
    names = _listed(directory, "", seen)
    if layout.META not in names:
        raise NotFoundError(
            f"{directory.path} is no scope",
            cure="look for it by its uid: it was moved or removed",
            kind="scope",
            key=directory.path,
        )
    for name in names:
        if name == layout.META or name.startswith(layout.EDITS_PREFIX):
            _note(directory, name, "", seen)
        elif name == layout.DATA:
            _inside(directory, name, "", seen, _glance_at_data)
        elif kind == "run" and layout.execution_number(name) is not None:
            _inside(directory, name, "", seen, _glance_at_execution)
    return seen


def _glance_at_data(directory: Directory, at: str, seen: Glance) -> None:
    for name in _listed(directory, at, seen):
        if not is_litter(name):
            _inside(directory, name, at, seen, _glance_at_versions)


def _glance_at_versions(directory: Directory, at: str, seen: Glance) -> None:
    for name in _listed(directory, at, seen):
        if layout.version_number(name) is not None:
            _inside(directory, name, at, seen, _glance_at_version)


def _glance_at_version(directory: Directory, at: str, seen: Glance) -> None:
    _note(directory, layout.ASSET, at, seen)


def _glance_at_execution(directory: Directory, at: str, seen: Glance) -> None:
    names = _listed(directory, at, seen)
    has_ended = layout.END in names or "end" in names
    for name in names:
        if name in (layout.END, layout.LEDGER) or name.startswith(layout.LEDGER_PREFIX):
            _note(directory, name, at, seen)
        elif name == "end":
            _note(directory, layout.END_WITHOUT_LINKS, at, seen)
        elif has_ended:
            continue  # its end says what the others came to
        elif name == layout.METRICS or name.startswith(layout.METRICS_PREFIX):
            _note(directory, name, at, seen)
        elif name == layout.LOGS:
            _inside(directory, name, at, seen, _glance_at_logs)


def _glance_at_logs(directory: Directory, at: str, seen: Glance) -> None:
    for name in _listed(directory, at, seen):
        if f"{layout.LOGS}/{name}".startswith((layout.RECORDS, layout.RECORDS_PREFIX)):
            _note(directory, name, at, seen)


def _listed(directory: Directory, at: str, seen: Glance) -> list[str]:
    seen.directories[at] = mark_of(os.fstat(directory.fd))
    return directory.names(alone=True)


def _inside(
    above: Directory,
    name: str,
    at: str,
    seen: Glance,
    act: Callable[[Directory, str, Glance], None],
) -> None:
    """Act in a directory of another one, if it can be looked into."""
    try:
        with above.enter(name) as directory:
            act(directory, f"{at}/{name}" if at else name, seen)
    except MolexpError:
        seen.files[f"{at}/{name}" if at else name] = _UNREADABLE


def _note(directory: Directory, name: str, at: str, seen: Glance) -> None:
    try:
        status = os.stat(name, dir_fd=directory.fd, follow_symlinks=False)
    except FileNotFoundError:
        return  # it was moved or removed since it was listed
    except OSError:
        seen.files[f"{at}/{name}" if at else name] = _UNREADABLE
        return
    seen.files[f"{at}/{name}" if at else name] = mark_of(status)
