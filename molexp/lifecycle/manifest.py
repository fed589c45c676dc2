"""What an end says of the files of its execution."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from molexp.disk import layout
from molexp.disk.beneath import Directory
from molexp.disk.digest import hash_file
from molexp.disk.walk import EntryType, Found, is_litter
from molexp.model.manifest import FileEntry, in_order

MAX_WORK_FILES = 50
MAX_WORK_BYTES = 1 << 30
"""What other programs left in ``work/`` is read up to this; a full verify reads the rest."""


def measure(
    place: Directory, everything: Sequence[Found], known: Mapping[str, FileEntry] | None = None
) -> tuple[FileEntry, ...]:
    """Every file found in an execution, but its end and litter, with its digest.

    A file that passed through our writers is ``known`` and not read again, if it has the size and
    time that it was left with.
    """
    files = [
        found
        for found in everything
        if found.type is EntryType.FILE and not _is_passed_over(found.path)
    ]
    in_work = [found for found in files if found.path.startswith(f"{layout.WORK}/")]
    small = sum(found.size for found in in_work) <= MAX_WORK_BYTES
    sample = in_work if small and len(in_work) <= MAX_WORK_FILES else _spread(in_work, 10)
    unread = {found.path for found in in_work} - {found.path for found in sample}
    return in_order(_entry(place, found, known or {}, unread) for found in files)


def _is_passed_over(path: str) -> bool:
    return path in (layout.END, layout.END_WITHOUT_LINKS) or is_litter(os.path.basename(path))


def _spread(files: list[Found], count: int) -> list[Found]:
    """Some of them, evenly spread."""
    step = max(1, len(files) // count)
    return files[::step][:count]


def _entry(
    place: Directory, found: Found, known: Mapping[str, FileEntry], unread: set[str]
) -> FileEntry:
    before = known.get(found.path)
    if before is not None and (before.size, before.mtime_ns) == (found.size, found.mtime_ns):
        return before
    if found.path in unread:
        return FileEntry(path=found.path, size=found.size, mtime_ns=found.mtime_ns)
    return hash_file(place, found.path)
