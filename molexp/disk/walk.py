"""Everything that lies beneath a directory, as the file system tells it; links are not followed."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple

from molexp.disk.beneath import Directory
from molexp.errors import FormatError, MolexpError, NotFoundError, StorageError

MAX_DEPTH = 200  # of directories: each holds a descriptor open while it is walked

# What file systems, desktops and editors leave behind: reported, never a failure.
_LITTER = re.compile(
    r"\.DS_Store|\._.*|\.nfs.*|\.fuse_hidden.*|Thumbs\.db|desktop\.ini|\.directory", re.DOTALL
)


class EntryType(StrEnum):
    """What an entry of a directory is."""

    FILE = "file"
    DIRECTORY = "directory"
    LINK = "link"
    OTHER = "other"


class Found(NamedTuple):
    """One entry; ``path`` is relative to where the walk began."""

    path: str
    type: EntryType
    size: int
    mode: int
    mtime_ns: int
    ctime_ns: int
    inode: int


def is_litter(name: str) -> bool:
    """Whether a name is one that nobody means to keep."""
    return _LITTER.fullmatch(name) is not None


Problems = list[MolexpError]


def walk(
    directory: Directory, relative: str = "", problems: Problems | None = None
) -> Iterator[Found]:
    """All entries beneath ``relative``, directories before what they hold, in order of names.

    What vanishes during the walk is left out. Raises NotFoundError if the start is not there. A
    directory below it that cannot be looked into, or lies deeper than anybody meant, joins
    ``problems`` and is passed over; without a list of problems it raises.
    """
    with directory.enter(relative) as start:
        yield from _walk(start, start.names(alone=True), relative, 0, problems)


def _walk(
    directory: Directory, names: list[str], prefix: str, depth: int, problems: Problems | None
) -> Iterator[Found]:
    for name in names:
        try:
            status = os.stat(name, dir_fd=directory.fd, follow_symlinks=False)
        except FileNotFoundError:
            continue
        except OSError as error:  # it may be listed, and not searched
            if problems is None:
                raise StorageError.of(error, "read", directory.where(name)) from error
            problems.append(StorageError.of(error, "read", directory.where(name)))
            return
        mode, path = status.st_mode, f"{prefix}/{name}" if prefix else name
        kind = _TYPES.get(stat.S_IFMT(mode), EntryType.OTHER)
        yield Found(
            path,
            kind,
            status.st_size,
            stat.S_IMODE(mode),
            status.st_mtime_ns,
            status.st_ctime_ns,
            status.st_ino,
        )
        if kind is EntryType.DIRECTORY:
            try:
                below, inner = _look_into(directory, name, depth + 1)
            except NotFoundError:
                continue
            except MolexpError as error:
                if problems is None:
                    raise
                problems.append(error)
                continue
            with below:
                yield from _walk(below, inner, path, depth + 1, problems)


def _look_into(directory: Directory, name: str, depth: int) -> tuple[Directory, list[str]]:
    """A directory to walk and what it holds, if it may be listed and does not lie too deep."""
    if depth > MAX_DEPTH:
        raise FormatError(
            f"{directory.where(name)} lies deeper than {MAX_DEPTH} directories",
            cure="move it up, or out of the workspace",
            path=directory.where(name),
            place="",
        )
    below = directory.enter(name)
    try:
        return below, below.names(alone=True)
    except MolexpError:
        below.close()
        raise


_TYPES = {
    stat.S_IFREG: EntryType.FILE,
    stat.S_IFDIR: EntryType.DIRECTORY,
    stat.S_IFLNK: EntryType.LINK,
}
