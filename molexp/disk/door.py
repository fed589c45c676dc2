"""The one module that changes the file system: every call that does passes through here.

A *gate* stands in the door while faults are tried: it is given each call before it is made, and
makes it, refuses it, cuts it short, or ends the process. Arguments are plain (descriptors, names
beneath them, bytes), so that a gate can also write down what happened.
"""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial, wraps
from typing import Any, Final, TypeVar, TypeVarTuple

from molexp.errors import StorageError

Taken = TypeVarTuple("Taken")
Result = TypeVar("Result")

Gate = Callable[[str, Callable[..., Any], tuple[Any, ...]], Any]
"""Called with the operation, the function that does it, and its arguments."""

OPERATIONS: Final = (
    "create",
    "open_append",
    "write",
    "truncate",
    "mkdir",
    "rename",
    "link",
    "symlink",
    "unlink",
    "rmdir",
    "chmod",
    "touch",
    "sync_file",
    "sync_directory",
    "sync_file_system",
)
"""Every operation that passes the door."""

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_CREATE_READABLE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

_gate: Gate | None = None


@contextmanager
def gated(gate: Gate) -> Iterator[None]:
    """Let every call pass ``gate`` while the block runs; gates do not nest."""
    global _gate
    if _gate is not None:
        raise RuntimeError("a gate stands in the door already")
    _gate = gate
    try:
        yield
    finally:
        _gate = None


def _operation(function: Callable[[*Taken], Result], name: str = "") -> Callable[[*Taken], Result]:
    """A call that changes the file system, made by the gate where one stands in the door."""
    operation = name or function.__name__

    @wraps(function)
    def through(*arguments: *Taken) -> Result:
        gate = _gate
        try:
            if gate is None:
                return function(*arguments)
            made: Result = gate(operation, function, arguments)
            return made
        except OSError as error:
            raise _typed(error, operation, arguments) from error

    return through


def create(directory: int, name: str, mode: int, *, readable: bool = False) -> int:
    """Open a file that was not there; FileExistsError if it was."""
    descriptor = _create(directory, name, mode, _CREATE_READABLE if readable else _CREATE)
    if mode & _UMASK:  # the bits that the umask took; without them it goes again
        try:
            chmod(descriptor, mode)
        except BaseException:
            os.close(descriptor)
            with suppress(OSError):
                unlink(directory, name)
            raise
    return descriptor


def open_append(directory: int, name: str, mode: int) -> int:
    """Open a file to append lines to, made if it was not there."""
    descriptor = _open_append(directory, name, mode)
    if mode & _UMASK:
        status = os.fstat(descriptor)
        try:
            if not status.st_size and status.st_uid == os.geteuid():
                chmod(descriptor, mode)
        except BaseException:
            os.close(descriptor)
            raise
    return descriptor


write = _operation(os.write)
"""One write to a descriptor; how many of the bytes it took."""


def write_all(descriptor: int, data: bytes | memoryview) -> None:
    """As many writes as it takes."""
    rest = memoryview(data)
    while rest:
        rest = rest[write(descriptor, rest) :]


truncate = _operation(os.ftruncate, "truncate")
"""Set the size of a file that is still being written."""


def mkdir(directory: int, name: str, mode: int) -> None:
    """Make a directory; FileExistsError if something has that name."""
    _mkdir(directory, name, mode)
    if mode & _LEFT_OUT:
        # Through a descriptor: by its name, a link that took its place would be followed.
        descriptor = os.open(name, _DIRECTORY, dir_fd=directory)
        try:
            chmod(descriptor, mode)
        except BaseException:
            with suppress(OSError):
                rmdir(directory, name)
            raise
        finally:
            os.close(descriptor)


@_operation
def rename(source: int, name: str, target: int, new_name: str) -> None:
    """Move an entry. A directory never replaces one that holds something: that raises OSError."""
    os.rename(name, new_name, src_dir_fd=source, dst_dir_fd=target)


@_operation
def link(source: int, name: str, target: int, new_name: str) -> None:
    """Give a file a second name; FileExistsError if something has it."""
    os.link(name, new_name, src_dir_fd=source, dst_dir_fd=target, follow_symlinks=False)


@_operation
def symlink(text: str, directory: int, name: str) -> None:
    """Make a symbolic link that says ``text``; used for views alone."""
    os.symlink(text, name, dir_fd=directory)


@_operation
def unlink(directory: int, name: str) -> None:
    """Take a file's name away."""
    os.unlink(name, dir_fd=directory)


@_operation
def rmdir(directory: int, name: str) -> None:
    """Remove an empty directory."""
    os.rmdir(name, dir_fd=directory)


chmod = _operation(os.fchmod, "chmod")
"""Set the mode of what is open."""

touch: Callable[[int], None] = _operation(os.utime, "touch")
"""Set the modification time of what is open to now, by the file system's clock: a heartbeat."""

sync_file = _operation(os.fsync, "sync_file")
"""Wait until the bytes of a file would survive power loss."""

sync_directory = _operation(os.fsync, "sync_directory")
"""Wait until the entries of a directory would survive power loss."""


@_operation
def sync_file_system(descriptor: int) -> None:
    """Wait until everything on a file system would survive power loss."""
    import ctypes  # heavy: loaded at the first commit point, and by no reader

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syncfs(descriptor) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def can_sync_file_system() -> bool:
    """Whether one call syncs everything and reports write errors, as Linux does since 5.8."""
    if not sys.platform.startswith("linux"):
        return False
    numbers = re.match(r"(\d+)\.(\d+)", os.uname().release)
    return numbers is not None and (int(numbers[1]), int(numbers[2])) >= (5, 8)


def _typed(error: OSError, operation: str, arguments: tuple[Any, ...]) -> OSError:
    """The error as callers know it: the disk's own troubles typed, all others as they are."""
    if isinstance(error, StorageError) or not StorageError.is_about(error):
        return error
    descriptor, *others = arguments[1:] if operation == "symlink" else arguments
    path = _path_of(descriptor)
    if others and isinstance(others[0], str):
        path = os.path.join(path, others[0])
    return StorageError.of(error, operation.replace("_", " "), path)


def _path_of(descriptor: int) -> str:
    """Where an open file or directory lies, as far as the system tells."""
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")
    except OSError:
        return f"descriptor {descriptor}"


def _umask() -> int:
    """The bits that the process takes from every new file, read without changing them."""
    try:
        with open("/proc/self/status") as status:
            for line in status:
                if line.startswith("Umask:"):
                    return int(line.split()[1], 8)
    except OSError:
        pass
    current = os.umask(0o077)
    os.umask(current)
    return current


_UMASK = _umask()
_LEFT_OUT = _UMASK | stat.S_ISGID
"""What the system leaves out of a directory's mode."""


@partial(_operation, name="create")
def _create(directory: int, name: str, mode: int, flags: int) -> int:
    return os.open(name, flags, mode, dir_fd=directory)


@partial(_operation, name="open_append")
def _open_append(directory: int, name: str, mode: int) -> int:
    return os.open(name, _APPEND, mode, dir_fd=directory)


@partial(_operation, name="mkdir")
def _mkdir(directory: int, name: str, mode: int) -> None:
    os.mkdir(name, mode, dir_fd=directory)
