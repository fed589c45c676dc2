"""What reading needs of a place: a workspace in a directory, or in a zip that nobody unpacks."""

from __future__ import annotations

import io
import os
import stat
import time
from collections.abc import Callable, Iterator
from functools import partial
from types import TracebackType
from typing import IO, TYPE_CHECKING, BinaryIO, Protocol, Self, cast

from molexp.disk.beneath import Closing, Directory, components
from molexp.disk.walk import MAX_DEPTH, EntryType, Found, Problems, walk
from molexp.errors import FormatError, MolexpError, NotFoundError, StorageError

if TYPE_CHECKING:
    from zipfile import ZipInfo

    from _typeshed import WriteableBuffer

# How entries may be compressed: stored, or deflated. Of the other ways, zipfile unpacks a whole
# chunk at once, however large it becomes.
_BOUNDED = (0, 8)


class Tree(Protocol):
    """Files to read by their path beneath a root; nothing is reached through a link.

    All methods raise NotFoundError for what is not there and FormatError for what is not what it
    should be.
    """

    path: str

    def read(self, relative: str, limit: int) -> bytes:
        """The bytes of a file; FormatError if it has more than ``limit``."""

    def open(self, relative: str) -> BinaryIO:
        """The bytes of a file, to be read one after another."""

    def names(self, relative: str = "") -> list[str]:
        """The names of all entries of a directory, sorted."""

    def walk(self, relative: str = "", problems: Problems | None = None) -> Iterator[Found]:
        """All entries beneath a directory; what cannot be looked into joins ``problems``."""

    def where(self, relative: str) -> str:
        """The full path of ``relative``, for messages."""

    def close(self) -> None:
        """Let go of what is open."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


def open_tree(path: str | os.PathLike[str]) -> Tree:
    """The directory or the zip at ``path``; raises NotFoundError or FormatError."""
    text = os.fspath(path)
    return DirectoryTree(text) if os.path.isdir(text) else ZipTree(text)


class DirectoryTree(Closing):
    """A workspace in a directory."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._root = Directory.open(path)
        self.path = self._root.path

    def read(self, relative: str, limit: int) -> bytes:
        return self._root.read(relative, limit)

    def open(self, relative: str) -> BinaryIO:
        return os.fdopen(self._root.open_file(relative), "rb")

    def names(self, relative: str = "") -> list[str]:
        with self._root.enter(relative) as directory:
            return directory.names()

    def walk(self, relative: str = "", problems: Problems | None = None) -> Iterator[Found]:
        return walk(self._root, relative, problems)

    def where(self, relative: str) -> str:
        return self._root.where(relative)

    def close(self) -> None:
        self._root.close()


class _Reader(io.RawIOBase):
    """The bytes of a file in a zip; what a foreign decoder raises comes out as an error of ours."""

    def __init__(self, file: IO[bytes], explain: Callable[[Exception], MolexpError]) -> None:
        super().__init__()
        self._file = file
        self._explain = explain

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        view = memoryview(buffer).cast("B")
        try:
            data = self._file.read(len(view))
        except Exception as error:
            raise self._explain(error) from error
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()


class ZipTree(Closing):
    """A workspace in a zip, read in place.

    Raises FormatError at once if an entry is a link, or its name leads elsewhere or comes twice.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        import zipfile  # half of a directory reader's start-up, and useless to it

        self.path = os.fspath(path)
        try:
            self._zip = zipfile.ZipFile(self.path)
        except FileNotFoundError as error:
            raise NotFoundError(
                f"{self.path} is not there",
                cure="give the path of a workspace: a directory, or a zip of one",
                kind="workspace",
                key=self.path,
            ) from error
        except Exception as error:  # zipfile lets IndexError and others through for damaged input
            raise self._damaged("", error) from error
        self._files: dict[str, ZipInfo] = {}
        self._below: dict[str, set[str]] = {"": set()}
        try:
            for info in self._zip.infolist():
                self._add(info.orig_filename, info)
        except FormatError:
            self.close()
            raise

    def read(self, relative: str, limit: int) -> bytes:
        with self._open(relative) as file:
            try:
                data = file.read(limit + 1)
            except Exception as error:  # a foreign decoder on input that nobody vouches for
                raise self._damaged(relative, error) from error
        if len(data) > limit:
            raise FormatError(
                f"{self.where(relative)} has more than {limit:,} bytes, the most that is read",
                cure="it was not written by molexp: export the workspace again",
                path=self.where(relative),
                place="",
            )
        return data

    def open(self, relative: str) -> BinaryIO:
        reader = _Reader(self._open(relative), partial(self._damaged, relative))
        return cast(BinaryIO, io.BufferedReader(reader))

    def names(self, relative: str = "") -> list[str]:
        if relative not in self._below:
            raise self._missing(relative, "directory")
        return sorted(self._below[relative])

    def walk(self, relative: str = "", problems: Problems | None = None) -> Iterator[Found]:
        for name in self.names(relative):
            path = f"{relative}/{name}" if relative else name
            yield self._found(path)
            if path in self._below:
                yield from self.walk(path)

    def where(self, relative: str) -> str:
        return f"{self.path}!/{relative}"

    def close(self) -> None:
        self._zip.close()

    def _open(self, relative: str) -> IO[bytes]:
        info = self._files.get(relative)
        if info is None:
            raise self._missing(relative, "file")
        try:
            return self._zip.open(info)
        except Exception as error:
            raise self._damaged(relative, error) from error

    def _add(self, name: str, info: ZipInfo) -> None:
        path = name.removesuffix("/")
        steps = path.split("/")
        mode = info.external_attr >> 16
        if any(step in ("", ".", "..") or "\0" in step or "\\" in step for step in steps):
            raise self._refused(name, "its name does not lead straight down")
        if len(steps) > MAX_DEPTH:
            raise self._refused(name[:40], f"it lies deeper than {MAX_DEPTH} directories")
        if stat.S_ISLNK(mode):
            raise self._refused(name, "it is a link")
        if info.compress_type not in _BOUNDED:
            raise self._refused(name, "it is compressed in a way that can burst the memory")
        is_directory = name.endswith("/")
        if path in self._files or (not is_directory and path in self._below):
            raise self._refused(name, "it comes twice")
        for depth, step in enumerate(steps):
            above = "/".join(steps[:depth])
            if above in self._files:
                raise self._refused(name, f"{above} is a file")
            self._below.setdefault(above, set()).add(step)
        if is_directory:
            self._below.setdefault(path, set())
        else:
            self._files[path] = info

    def _found(self, path: str) -> Found:
        info = self._files.get(path)
        if info is None:
            return Found(path, EntryType.DIRECTORY, 0, 0o555, 0, 0, 0)
        seconds = int(time.mktime((*info.date_time, 0, 0, -1)))
        return Found(path, EntryType.FILE, info.file_size, 0o444, seconds * 10**9, 0, 0)

    def _missing(self, relative: str, kind: str) -> MolexpError:
        components(relative)
        if relative in self._files or relative in self._below:
            return FormatError(
                f"{self.where(relative)} is not a {kind}, which belongs there",
                cure="ask whoever made the zip for another one",
                path=self.where(relative),
                place="",
            )
        return NotFoundError(
            f"{self.where(relative)} is not there",
            cure="look at what the zip holds",
            kind=kind,
            key=relative,
        )

    def _refused(self, name: str, why: str) -> FormatError:
        return FormatError(
            f"{self.path}: the entry {name!r} is refused: {why}",
            cure="ask whoever made the zip for another one",
            path=self.path,
            place=name,
        )

    def _damaged(self, relative: str, error: Exception) -> MolexpError:
        if isinstance(error, OSError) and StorageError.is_about(error):
            return StorageError.of(error, "read", self.path)
        return FormatError(
            f"{self.where(relative) if relative else self.path} cannot be read: {error}",
            cure="fetch the zip again, or restore it from a copy",
            path=self.path,
            place=relative,
        )
