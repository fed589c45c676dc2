"""Digests of what is on disk: taken while the bytes pass, or by reading them once."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from molexp.disk import door
from molexp.disk.beneath import Directory, explained
from molexp.disk.walk import EntryType, Found, is_litter, walk
from molexp.errors import FormatError
from molexp.model.digest import new_hash, spell, total
from molexp.model.execution import FileEntry

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_CHUNK = 1 << 20


def hash_open_file(fd: int) -> tuple[str, int]:
    """The digest and size of an open file, read once from its beginning."""
    raw_hash, size = new_hash(), 0
    while chunk := os.pread(fd, _CHUNK, size):
        raw_hash.update(chunk)
        size += len(chunk)
    return spell(raw_hash), size


def hash_file(directory: Directory, relative: str) -> FileEntry:
    """A file as a manifest lists it; raises NotFoundError or FormatError."""
    fd = directory.open_file(relative)
    try:
        digest, size = hash_open_file(fd)
        mtime_ns = os.fstat(fd).st_mtime_ns
    except OSError as error:
        raise explained(error, directory.where(relative)) from error
    finally:
        os.close(fd)
    return FileEntry(path=relative, size=size, mtime_ns=mtime_ns, content_hash=digest)


@dataclass(frozen=True)
class TreeDigest:
    """A directory as one asset: its digest is that of its sorted ``sha256sum`` text."""

    content_hash: str
    size: int
    files: tuple[FileEntry, ...]


def hash_tree(directory: Directory) -> TreeDigest:
    """Read every file beneath a directory, litter left out.

    Raises FormatError for a link or a device: what it leads to is not part of the tree.
    """
    files = []
    for found in walk(directory):
        if is_litter(os.path.basename(found.path)) or found.type is EntryType.DIRECTORY:
            continue
        check_has_bytes(directory, found)
        files.append(hash_file(directory, found.path))
    digests = {file.path: str(file.content_hash) for file in files}
    return TreeDigest(total(digests), sum(file.size for file in files), tuple(files))


def check_has_bytes(directory: Directory, found: Found) -> None:
    """Raises FormatError for a link or a device."""
    if found.type is not EntryType.FILE:
        raise FormatError(
            f"{directory.where(found.path)} is a {found.type}, which has no bytes of its own",
            cure="put a copy of the file there instead",
            path=directory.where(found.path),
            place="",
        )


class HashingWriter(io.RawIOBase):
    """A new file to write to, hashed while the bytes pass.

    Writers that seek back (zip, HDF5) are followed: such a file is read once more when it closes.
    After ``close``, ``content_hash``, ``size`` and ``mtime_ns`` say what was written.
    """

    def __init__(self, directory: Directory, name: str, mode: int) -> None:
        super().__init__()
        self.content_hash = ""
        self.size = 0
        self.mtime_ns = 0
        self._fd = door.create(directory.fd, name, mode, readable=True)
        self._hash = new_hash()
        self._hashed = 0
        self._position = 0
        self._straight = True

    def write(self, data: ReadableBuffer, /) -> int:
        """Write all of ``data``; raises StorageError."""
        self._check_open()
        view = memoryview(data).cast("B")
        if self._position != self._hashed:
            self._straight = False
        written = 0
        while written < len(view):
            taken = door.write(self._fd, view[written:])
            if self._straight:
                self._hash.update(view[written : written + taken])
                self._hashed += taken
            written += taken
            self._position += taken
        return written

    def readinto(self, buffer: ReadableBuffer, /) -> int:
        """Read back what was written, as some formats do."""
        self._check_open()
        view = memoryview(buffer).cast("B")
        data = os.read(self._fd, len(view))
        view[: len(data)] = data
        self._position += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Move to another place in the file."""
        self._check_open()
        self._position = os.lseek(self._fd, offset, whence)
        return self._position

    def tell(self) -> int:
        """Where the next byte goes."""
        return self._position

    def truncate(self, size: int | None = None, /) -> int:
        """Cut the file; its digest is then taken when it closes."""
        self._check_open()
        size = self._position if size is None else size
        door.truncate(self._fd, size)
        self._straight = False
        return size

    def readable(self) -> bool:
        """Always: what was written can be read back."""
        return True

    def writable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def fileno(self) -> int:
        """The open file; what is written past this object makes its digest wrong."""
        self._straight = False
        return self._fd

    def close(self) -> None:
        """Close the file and say what it holds."""
        if self.closed:
            return
        try:
            if self._straight:
                self.content_hash, self.size = spell(self._hash), self._hashed
            else:
                self.content_hash, self.size = hash_open_file(self._fd)
            self.mtime_ns = os.fstat(self._fd).st_mtime_ns
        finally:
            os.close(self._fd)
            super().close()

    def _check_open(self) -> None:
        if self.closed:
            raise ValueError("the file is closed")
