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

_OWNERS = (layout.METRICS, layout.RECORDS)
_SUMMED = (layout.METRICS, layout.METRICS_PREFIX, layout.RECORDS, layout.RECORDS_PREFIX)

_IN_WORK = f"{layout.WORK}/"

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
    files = [each for each in everything if each.type is EntryType.FILE]
    in_work = [
        each for each in files if each.path.startswith(_IN_WORK) and not _is_passed_over(each.path)
    ]
    unread: set[str] = set()
    if len(in_work) > MAX_WORK_FILES or sum(each.size for each in in_work) > MAX_WORK_BYTES:
        unread = {each.path for each in in_work} - {each.path for each in _spread(in_work, 10)}
    listed: list[FileEntry] = []
    for found in files:
        if not _is_passed_over(found.path):
            before = (known or {}).get(found.path)
            if before is None or (before.size, before.mtime_ns) != (found.size, found.mtime_ns):
                before = _entry(place, found, unread)
            if before is not None:
                listed.append(before)
    return in_order(listed)


def _is_passed_over(path: str) -> bool:
    if not path.isascii():
        try:
            path.encode()
        except UnicodeEncodeError:
            return True
    return path in (layout.END, layout.END_WITHOUT_LINKS) or is_litter(path.rpartition("/")[2])


def _spread(files: list[Found], count: int) -> list[Found]:
    """Some of them, evenly spread."""
    step = max(1, len(files) // count)
    return files[::step][:count]


def _entry(place: Directory, found: Found, unread: set[str]) -> FileEntry | None:
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
    lines = [each.path for each in found if each.path.startswith(_SUMMED)]
    if account is not None:
        lines = [path for path in lines if path not in _OWNERS]
    known = Account() if account is None else account
    if lines:
        known = known.copy()  # an end may be made twice
    for path in sorted(lines, key=lambda path: path not in _OWNERS):
        for line in _lines(place, path):
            if isinstance(line, Metric):
                known.metrics.add(line.key, line.value)
            elif isinstance(line, Message) and is_warning(line.level):
                known.messages.append(line)
    messages = sorted(known.messages, key=lambda message: message.at)
    return {"metrics": known.metrics.result(), "messages": tuple(messages[:MAX_MESSAGES])}


def is_warning(level: str) -> bool:
    """Whether a level is a warning or worse."""
    known = logging.getLevelName(level)
    return isinstance(known, int) and known >= logging.WARNING


def _lines(place: Directory, name: str) -> list[Any]:
    try:
        return [entry.record for entry in entries(LineReader(place, name))]
    except MolexpError:
        return []
