"""What an end says of its execution: every file of it, its metrics and its first warnings."""

from __future__ import annotations

import errno
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isnan
from typing import Any

from molexp.disk import layout
from molexp.disk.beneath import Directory
from molexp.disk.digest import hash_file
from molexp.disk.ledger import LineReader, entries
from molexp.disk.walk import EntryType, Found, is_litter
from molexp.errors import MolexpError, NotFoundError, StorageError
from molexp.model.execution import MAX_MESSAGES, FileEntry, Message, Metric, MetricSummary, in_order

_SUMMED = (layout.METRICS, layout.METRICS_PREFIX, layout.RECORDS, layout.RECORDS_PREFIX)

MAX_WORK_FILES = 50
MAX_WORK_BYTES = 1 << 30
"""What other programs left in ``work/`` is read up to this; a full verify reads the rest."""


def measure(
    place: Directory, everything: Sequence[Found], known: Mapping[str, FileEntry] | None = None
) -> tuple[FileEntry, ...]:
    """Every file found in an execution, but its end and litter, with its digest.

    One whose path is not UTF-8 is left out, for no record can name it; the checker reports it. One
    that vanished since it was found is none; one that may not be read is listed without a digest.
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
    listed = (_entry(place, found, known or {}, unread) for found in files)
    return in_order(entry for entry in listed if entry is not None)


def _is_passed_over(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return True
    return path in (layout.END, layout.END_WITHOUT_LINKS) or is_litter(path.rpartition("/")[2])


def _spread(files: list[Found], count: int) -> list[Found]:
    """Some of them, evenly spread."""
    step = max(1, len(files) // count)
    return files[::step][:count]


def _entry(
    place: Directory, found: Found, known: Mapping[str, FileEntry], unread: set[str]
) -> FileEntry | None:
    before = known.get(found.path)
    if before is not None and (before.size, before.mtime_ns) == (found.size, found.mtime_ns):
        return before
    if found.path not in unread:
        try:
            return hash_file(place, found.path)
        except NotFoundError:
            return None
        except StorageError as error:
            if error.errno not in (errno.EACCES, errno.EPERM):
                raise
    return FileEntry(path=found.path, size=found.size, mtime_ns=found.mtime_ns)


class Summaries:
    """Metrics while they come, by key."""

    def __init__(self, by_key: dict[str, list[Any]] | None = None) -> None:
        self._by_key = by_key or {}  # first, last, min, max, count

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

    def copy(self) -> Summaries:
        """The same, to be added to."""
        return Summaries({key: list(values) for key, values in self._by_key.items()})

    def result(self) -> dict[str, MetricSummary]:
        """What an end says."""
        return {
            key: MetricSummary(first=first, last=last, min=low, max=high, count=count)
            for key, (first, last, low, high, count) in self._by_key.items()
        }


@dataclass
class Account:
    """What an owner knows of the lines in its execution, so that nobody reads them again."""

    metrics: Summaries = field(default_factory=Summaries)
    messages: list[Message] = field(default_factory=list)
    """The first of those that warn or worse."""

    def copy(self) -> Account:
        """The same, to be added to."""
        return Account(self.metrics.copy(), list(self.messages))


def summed_up(
    place: Directory, found: Sequence[Found], account: Account | None = None
) -> dict[str, Any]:
    """The metrics and the first warnings of an execution, for its end to say.

    Files of an owner who gives an ``account`` are not read. Lines that cannot be read are passed
    over; the checker reports them.
    """
    known = Account() if account is None else account.copy()  # an end may be made twice
    for each in sorted(found, key=_is_joined):
        is_owners = each.path in (layout.METRICS, layout.RECORDS)
        if not each.path.startswith(_SUMMED) or (is_owners and account is not None):
            continue
        for line in _lines(place, each.path):
            if isinstance(line, Metric):
                known.metrics.add(line.key, line.value)
            elif isinstance(line, Message) and is_warning(line.level):
                known.messages.append(line)
    messages = sorted(known.messages, key=lambda message: message.at)
    return {"metrics": known.metrics.result(), "messages": tuple(messages[:MAX_MESSAGES])}


def _is_joined(found: Found) -> bool:
    """What sorts the files of the owner before those of others."""
    return found.path not in (layout.METRICS, layout.RECORDS)


def is_warning(level: str) -> bool:
    """Whether a level is a warning or worse."""
    known = logging.getLevelName(level)
    return isinstance(known, int) and known >= logging.WARNING


def _lines(place: Directory, name: str) -> list[Any]:
    try:
        return [entry.record for entry in entries(LineReader(place, name))]
    except MolexpError:
        return []
