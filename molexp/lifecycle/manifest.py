"""What an end says of its execution: every file of it, its metrics and its first warnings."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from math import isnan
from typing import Any

from molexp.disk import layout
from molexp.disk.beneath import Directory
from molexp.disk.digest import hash_file
from molexp.disk.ledger import LineReader, entries
from molexp.disk.walk import EntryType, Found, is_litter
from molexp.errors import MolexpError
from molexp.model.execution import MAX_MESSAGES, Message, Metric, MetricSummary
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


class Summaries:
    """Metrics while they come, by key."""

    def __init__(self) -> None:
        self._by_key: dict[str, list[Any]] = {}  # first, last, min, max, count

    def add(self, key: str, value: float) -> None:
        """Take one more value into account."""
        known = self._by_key.get(key)
        if known is None:
            self._by_key[key] = [value, value, value, value, 1]
            return
        known[1] = value
        known[4] += 1
        # What is not a number is smaller and greater than nothing.
        if value < known[2] or isnan(known[2]):
            known[2] = value
        if value > known[3] or isnan(known[3]):
            known[3] = value

    def result(self) -> dict[str, MetricSummary]:
        """What an end says."""
        return {
            key: MetricSummary(first=first, last=last, min=low, max=high, count=count)
            for key, (first, last, low, high, count) in self._by_key.items()
        }


def metrics(place: Directory, own: Summaries | None = None) -> Mapping[str, MetricSummary]:
    """The metrics of an execution, by its owner's ``own`` account where there is one.

    Lines that cannot be read are passed over; the checker reports them.
    """
    summaries = own or Summaries()
    for name in _names(place, ""):
        is_owners = name == layout.METRICS and own is None
        if is_owners or name.startswith(layout.METRICS_PREFIX):
            for line in _lines(place, name):
                if isinstance(line, Metric):
                    summaries.add(line.key, line.value)
    return summaries.result()


def warnings(place: Directory) -> tuple[Message, ...]:
    """The first warnings, and what is worse, of an execution's log records."""
    above, _, records = layout.RECORDS.partition("/")
    found: list[Message] = []
    if records in _names(place, above):
        for line in _lines(place, layout.RECORDS):
            if isinstance(line, Message) and is_warning(line.level):
                found.append(line)
                if len(found) == MAX_MESSAGES:
                    break
    return tuple(found)


def is_warning(level: str) -> bool:
    """Whether a level is a warning or worse."""
    known = logging.getLevelName(level)
    return isinstance(known, int) and known >= logging.WARNING


def _lines(place: Directory, name: str) -> list[Any]:
    try:
        return [entry.record for entry in entries(LineReader(place, name))]
    except MolexpError:
        return []


def _names(place: Directory, relative: str) -> list[str]:
    try:
        with place.enter(relative) as directory:
            return directory.names()
    except MolexpError:
        return []
