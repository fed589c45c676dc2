"""Files of lines: appended to, one write a line, and read even where a line is torn.

A line is a JSON object and a newline. After a write that failed or fell short, the next line begins
with a newline, so that a torn line spoils no other. Where several processes append to one file,
every line does: none of them can know whether another one's write fell short.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

from molexp.disk import door
from molexp.disk.beneath import Directory, explained
from molexp.errors import FormatError, InvalidInputError, StorageError
from molexp.late import late
from molexp.model.codec import MAX_RECORD_BYTES, split_line

if TYPE_CHECKING:
    from molexp.model import asset, digest, execution
    from molexp.model.record import Record
else:
    asset = late("molexp.model.asset")
    digest = late("molexp.model.digest")
    execution = late("molexp.model.execution")

MAX_LINE_BYTES = MAX_RECORD_BYTES

_CHUNK = 1 << 20
_TAIL_CHUNK = 1 << 16


class Appender:
    """A file of lines, open to append to. What ``append`` returned from survives a kill.

    Raises NotFoundError, StorageError, or FormatError if what lies there is no regular file.

    ``shared`` says that other processes append to the same file; ``hashed`` that the digest of what
    is appended will be wanted.
    """

    def __init__(
        self,
        directory: Directory,
        name: str,
        mode: int,
        *,
        shared: bool = False,
        hashed: bool = False,
    ) -> None:
        self.path = directory.where(name)
        try:
            self.fd = self._fd = door.open_append(directory.fd, name, mode)
        except OSError as error:
            raise explained(error, self.path) from error
        status = os.fstat(self._fd)
        if not stat.S_ISREG(status.st_mode):
            os.close(self._fd)
            raise explained(OSError(errno.ENXIO, "not a regular file"), self.path)
        self._shared = shared
        # What a previous process left torn at the end of the file must not swallow a line.
        self._torn = shared or status.st_size > 0
        self.size = status.st_size
        """How long the file is, if nobody else writes to it."""
        self._hash = digest.new_hash() if hashed and not status.st_size else None
        self._lock = Lock()

    def append(self, line: bytes) -> None:
        """Add one line, its newline included.

        Raises StorageError, and then nothing is promised; InvalidInputError if it is too long.
        """
        if len(line) > MAX_LINE_BYTES + 1:
            raise InvalidInputError(
                f"a line of {len(line):,} bytes is more than any reader of {self.path} takes",
                cure="save what is so large as a file, and record that",
                argument="line",
            )
        with self._lock:
            if self._torn:
                line = b"\n" + line
            try:
                written = door.write(self._fd, line)
            except BaseException:
                self._torn, self._hash = True, None  # what a refused write left is not known
                raise
            self.size += written
            if written == len(line):
                self._torn = self._shared
                if self._hash is not None:
                    self._hash.update(line)
                return
            self._torn, self._hash = True, None
        raise StorageError(
            f"{self.path}: only {written} of {len(line)} bytes of a line were written",
            cure="free some space on that file system and call again",
            operation="write",
            path=self.path,
        )

    def as_entry(self, path: str) -> execution.FileEntry | None:
        """The file as a manifest lists it, if all that it holds was hashed on its way."""
        with self._lock:
            if self._hash is None or self.fd < 0:
                return None
            status = os.fstat(self.fd)
            if status.st_size != self.size:
                return None
            content_hash = digest.spell(self._hash)
        return execution.FileEntry.sure(
            path=path, size=status.st_size, mtime_ns=status.st_mtime_ns, content_hash=content_hash
        )

    def finish(self) -> None:
        """Take no more lines; the file stays open."""
        with self._lock:
            self._fd = -1

    def resume(self) -> None:
        """Take lines again."""
        with self._lock:
            self._fd = self.fd

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:  # or a line under way could go to whatever gets this number next
            if self.fd >= 0:
                os.close(self.fd)
                self.fd = self._fd = -1


class Line(NamedTuple):
    """A line and the place in the file where it begins."""

    offset: int
    data: bytes


class Entry(NamedTuple):
    """A line of a ledger, parsed: ``name`` says what it records."""

    offset: int
    name: str
    record: Record


class LineReader:
    """The whole lines of a file from an offset on; ``offset`` is where the next look begins.

    What stands after the last newline may still be being written: it is never given out, and
    ``torn`` is how many bytes it has.
    """

    def __init__(self, directory: Directory, relative: str, offset: int = 0) -> None:
        self.path = directory.where(relative)
        self.offset = offset
        self.torn = 0
        self.problems: list[FormatError] = []
        self._directory = directory
        self._relative = relative

    def __iter__(self) -> Iterator[Line]:
        fd = self._directory.open_file(self._relative)
        try:
            os.lseek(fd, self.offset, os.SEEK_SET)
            yield from self._lines(fd)
        except OSError as error:
            raise explained(error, self.path) from error
        finally:
            os.close(fd)

    def _lines(self, fd: int) -> Iterator[Line]:
        rest, dropped = b"", 0  # of the line being read: its end, and the bytes that were too many
        while chunk := os.read(fd, _CHUNK):
            *whole, rest = (rest + chunk).split(b"\n")
            for data in whole:
                start, size = self.offset, dropped + len(data)
                self.offset, dropped = start + size + 1, 0
                if size > MAX_LINE_BYTES:
                    self.problems.append(self._oversized(start, size))
                elif data:
                    yield Line(start, data)
            if dropped + len(rest) > MAX_LINE_BYTES:
                rest, dropped = b"", dropped + len(rest)
        self.torn = dropped + len(rest)

    def _oversized(self, offset: int, size: int) -> FormatError:
        return FormatError(
            f"{self.path}: the line at byte {offset} has {size:,} bytes, more than any line of "
            "a record",
            cure="it is passed over: look at what wrote it",
            path=self.path,
            place=f"byte {offset}",
        )


def entries(lines: LineReader) -> Iterator[Entry]:
    """The records of a ledger; what does not parse is passed over and joins the reader's problems.

    Lines that this release does not know are passed over silently: a newer one wrote them.
    """
    for line in lines:
        place = f"{lines.path}, byte {line.offset}"
        try:
            name, inner = split_line(line.data)
            if name == "asset":
                yield Entry(line.offset, name, asset.parse_asset(inner, place))
            elif name in execution.LINES:
                yield Entry(line.offset, name, execution.LINES[name].from_json(inner, place))
        except FormatError as error:
            inside = error.details.get("place")
            error.details["path"] = lines.path
            error.details["place"] = f"byte {line.offset}{f', {inside}' if inside else ''}"
            lines.problems.append(error)
        except ValueError as error:
            lines.problems.append(
                FormatError(
                    f"{place}: {error}",
                    cure="it is passed over, and all other lines are read",
                    path=lines.path,
                    place=f"byte {line.offset}",
                )
            )


def tail(directory: Directory, relative: str, lines: int) -> list[bytes]:
    """The last whole lines of a file, read from its end; fewer if it has fewer."""
    if lines <= 0:
        return []
    fd = directory.open_file(relative)
    try:
        start = os.fstat(fd).st_size
        parts: list[bytes] = []
        newlines = 0
        while start > 0 and newlines <= lines:
            step = min(_TAIL_CHUNK, start)
            start -= step
            parts.append(os.pread(fd, step, start))
            newlines += parts[-1].count(b"\n")
        whole, newline, _torn = b"".join(reversed(parts)).rpartition(b"\n")
        return whole.split(b"\n")[-lines:] if newline else []
    finally:
        os.close(fd)
