"""What an end says of the files of its execution: each one's size, time and digest."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Annotated

from pydantic import AfterValidator

from molexp.model.digest import sum_text
from molexp.model.record import Count, Digest, Int64, Record


class FileEntry(Record):
    """One file: ``content_hash`` is null for a file that nobody has read whole."""

    path: str
    size: Count
    mtime_ns: Int64
    content_hash: Digest | None = None


def _ascending(entries: tuple[FileEntry, ...]) -> tuple[FileEntry, ...]:
    for one, other in pairwise(entries):
        if one.path >= other.path:
            raise ValueError(f"{other.path!r} follows {one.path!r}: paths ascend, each comes once")
    return entries


Manifest = Annotated[tuple[FileEntry, ...], AfterValidator(_ascending)]
"""All files of an execution; paths ascend and each comes once."""


def in_order(entries: Iterable[FileEntry]) -> tuple[FileEntry, ...]:
    """The entries as a manifest wants them."""
    return tuple(sorted(entries, key=lambda entry: entry.path))


def digests(entries: Iterable[FileEntry]) -> dict[str, str]:
    """The digest of each file that was read."""
    return {entry.path: entry.content_hash for entry in entries if entry.content_hash}


def checksums(entries: Iterable[FileEntry]) -> str:
    """Text for ``sha256sum -c``, of the files that were read."""
    return sum_text(digests(entries))
