"""Directories held open, beneath which nothing is reached through a symbolic link.

A path is walked a component at a time from an open directory, so that no one who swaps a component
for a link, at whatever moment, can lead a read or a write out of the workspace.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from types import TracebackType
from typing import Self

from molexp.disk import door
from molexp.errors import FormatError, InvalidNameError, NotFoundError, StorageError

_WALK = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# A FIFO planted in place of a file must not hold up its reader, hence not blocking.
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CHUNK = 1 << 20
_NO_NAMES = frozenset(["", ".", ".."])


class Closing:
    """Whatever is let go of at the end of its ``with`` block."""

    __slots__ = ()

    def close(self) -> None:
        """Let go of what is open."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class Directory(Closing):
    """An open directory, and the way to whatever lies beneath it.

    ``path`` is how it was reached, for messages alone. Close it, or use it as a context manager.
    """

    __slots__ = ("_identity", "fd", "path")

    def __init__(self, fd: int, path: str) -> None:
        self.fd = fd
        self.path = path
        self._identity: tuple[int, int] | None = None

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Self:
        """The directory at a path that the user chose, links in it included.

        Raises NotFoundError if nothing is there.
        """
        text = os.fspath(path)
        if "\0" in text or not _can_be_named(text):
            raise InvalidNameError(
                f"no directory can have the path {text!r}",
                cure="give the path of a directory that is there",
                name=text,
                rule="beneath",
            )
        try:
            return cls(os.open(text, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC), text)
        except OSError as error:
            raise explained(error, text) from error

    def enter(self, relative: str) -> Directory:
        """The directory at ``relative``; raises NotFoundError, or FormatError if it is a link."""
        if "/" not in relative and relative.isascii() and relative not in _NO_NAMES:
            return Directory(self._step(relative), f"{self.path}/{relative}")
        if not relative:  # opened anew: whoever lists a shared descriptor moves others' place
            return Directory(self._step("."), self.path)
        return Directory(self._walk(components(relative)), self.where(relative))

    def make(
        self, relative: str, mode: int, changed: Callable[[Directory], None] | None = None
    ) -> Directory:
        """As :meth:`enter`, where directories that are missing are made.

        ``changed`` is told of each directory that got a new entry.
        """
        names = components(relative) if relative else []
        current = Directory(self._step("."), self.path)
        for name in names:
            with current:
                current = current._enter_or_make(name, mode, changed)
        return current

    def open_file(self, relative: str) -> int:
        """A descriptor to read the regular file at ``relative``.

        Raises NotFoundError, or FormatError if it is a link, a directory or a device.
        """
        return self._open_regular(relative)[0]

    def read(self, relative: str, limit: int) -> bytes:
        """The bytes of a file; raises FormatError if it has more than ``limit``."""
        fd, size = self._open_regular(relative)
        try:
            wanted = min(size, limit) + 1
            data = os.read(fd, wanted)
            if len(data) == size <= limit:
                return data
            return self._read_rest(fd, data, limit, relative)
        except OSError as error:
            raise explained(error, self.where(relative)) from error
        finally:
            os.close(fd)

    def stat(self, relative: str) -> os.stat_result:
        """What the file system says of an entry, links not followed; raises NotFoundError."""
        *above, name = components(relative)
        parent = self._walk(above) if above else self.fd
        try:
            return os.stat(name, dir_fd=parent, follow_symlinks=False)
        except OSError as error:
            raise explained(error, self.where(relative)) from error
        finally:
            if above:
                os.close(parent)

    def exists(self, relative: str) -> bool:
        """Whether anything lies at ``relative``."""
        try:
            self.stat(relative)
        except NotFoundError:
            return False
        return True

    def leads_to(self, relative: str, directory: Directory) -> bool:
        """Whether what lies at ``relative`` now is this open directory."""
        try:
            # One call, for this is paid at every change. It tells whose directory lies there, no
            # more, so that a link on the way would harm nobody.
            there = os.stat(relative or ".", dir_fd=self.fd, follow_symlinks=False)
        except OSError:
            return False
        here = directory._identity
        if here is None:
            status = os.fstat(directory.fd)
            here = directory._identity = status.st_dev, status.st_ino
        return (there.st_dev, there.st_ino) == here

    def names(self, *, alone: bool = False) -> list[str]:
        """The names of all entries, sorted; ``alone`` says that nobody else has it open as this."""
        if not alone:
            with self.enter("") as anew:
                return anew.names(alone=True)
        try:
            return sorted(os.listdir(self.fd))
        except OSError as error:
            raise explained(error, self.path) from error

    def where(self, relative: str) -> str:
        """The full path of ``relative``, for messages."""
        return f"{self.path}/{relative}" if relative else self.path

    def close(self) -> None:
        """Let go of the descriptor; once is enough, and more do no harm."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def __repr__(self) -> str:
        return f"Directory({self.path!r})"

    def _enter_or_make(
        self, name: str, mode: int, changed: Callable[[Directory], None] | None
    ) -> Directory:
        try:
            return self.enter(name)
        except NotFoundError:
            try:
                door.mkdir(self.fd, name, mode)
            except FileExistsError:
                pass  # someone else made it since the look
        if changed is not None:
            changed(self)
        return self.enter(name)

    def _step(self, name: str) -> int:
        """A descriptor of a directory in this one."""
        try:
            return os.open(name, _WALK, dir_fd=self.fd)
        except ValueError as error:  # a NUL in it
            raise _not_down(name) from error
        except OSError as error:
            raise explained(error, self.where(name)) from error

    def _walk(self, names: list[str]) -> int:
        """A descriptor of the directory that ``names`` lead to."""
        at = fd = self.fd
        for depth, name in enumerate(names):
            try:
                fd = os.open(name, _WALK, dir_fd=at)
            except OSError as error:
                raise explained(error, self.where("/".join(names[: depth + 1]))) from error
            finally:
                if at != self.fd:
                    os.close(at)
            at = fd
        return fd

    def _open_regular(self, relative: str) -> tuple[int, int]:
        """A descriptor of a regular file, and how many bytes it had when it was opened."""
        *above, name = components(relative)
        parent = self._walk(above) if above else self.fd
        try:
            fd = os.open(name, _READ, dir_fd=parent)
        except OSError as error:
            raise explained(error, self.where(relative)) from error
        finally:
            if above:
                os.close(parent)
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            os.close(fd)
            raise FormatError(
                f"{self.where(relative)} is not a regular file",
                cure="molexp wrote a file there: move away what took its place",
                path=self.where(relative),
                place="",
            )
        return fd, status.st_size

    def _read_rest(self, fd: int, data: bytes, limit: int, relative: str) -> bytes:
        parts, size = [data], len(data)
        while size <= limit:
            more = os.read(fd, _CHUNK)
            if not more:
                return b"".join(parts)
            parts.append(more)
            size += len(more)
        raise FormatError(
            f"{self.where(relative)} has more than {limit:,} bytes, the most that is read of it",
            cure="it was not written by molexp: move it away, or restore it from a copy",
            path=self.where(relative),
            place="",
        )


def components(relative: str) -> list[str]:
    """The names in a relative path; raises InvalidNameError for one that leads elsewhere."""
    names = relative.split("/")
    if "\0" in relative or not _NO_NAMES.isdisjoint(names) or not _can_be_named(relative):
        raise _not_down(relative)
    return names


def _not_down(relative: str) -> InvalidNameError:
    return InvalidNameError(
        f"the path {relative!r} is refused: it does not lead straight down",
        cure="give names joined by single '/', without '.', '..' or NUL",
        name=relative,
        rule="beneath",
    )


def _can_be_named(name: str) -> bool:
    """Whether the file system takes a name: one with half a character in it has no bytes."""
    try:
        return name.isascii() or bool(os.fsencode(name))
    except UnicodeEncodeError:
        return False


def explained(error: OSError, path: str) -> Exception:
    """What the caller is told of an open that failed."""
    if isinstance(error, StorageError):
        return error
    if error.errno == errno.ENOENT:
        return NotFoundError(
            f"{path} is not there",
            cure="check the path; it may have been moved or removed since it was named",
            kind="file",
            key=path,
        )
    if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.ENXIO):
        return FormatError(
            f"{path} is a link, or not of the type that belongs there; molexp follows no links",
            cure="move away what took its place",
            path=path,
            place="",
        )
    return StorageError.of(error, "read", path)
