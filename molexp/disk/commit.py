"""Commit points: when everything that was written so far survives power loss, not just a kill.

A batch is told of each file written and each directory whose entries changed. Its commit point is
paid once, either by one call for the whole file system or by one for each of these. What gives a
record its name is published between two syncs: first what it speaks of, then its name.
"""

from __future__ import annotations

import os
from typing import Literal, Protocol

from molexp.disk import door
from molexp.disk.beneath import Directory
from molexp.errors import NotFoundError, StorageError

Durability = Literal["power", "process"]
"""What commit points survive: the death of the ``process`` alone, or of the machine as well."""


class Batch(Protocol):
    """What was written since the last commit point."""

    def wrote(self, directory: Directory, name: str) -> None:
        """The bytes of a file changed."""

    def changed(self, directory: Directory) -> None:
        """The entries of a directory changed."""

    def commit(self) -> None:
        """Everything in the batch survives power loss once this returns.

        Raises StorageError. A sync that failed is never tried again, for the system may have
        dropped what it could not write: from then on every commit of the batch raises.
        """

    def close(self) -> None:
        """Let go of what the batch holds open."""


def begin(root: Directory, durability: Durability = "power", *, one_by_one: bool = False) -> Batch:
    """A batch for what is written beneath ``root``, to be begun before the first write.

    ``one_by_one`` syncs each file and directory, as is done where a whole file system cannot be.
    """
    if durability == "process":
        return _Never()
    if one_by_one or not door.can_sync_file_system():
        return _EachOne()
    return _WholeFileSystem(root)


class _Never:
    """Commit points are skipped, as the caller asked."""

    def wrote(self, directory: Directory, name: str) -> None: ...

    def changed(self, directory: Directory) -> None: ...

    def commit(self) -> None: ...

    def close(self) -> None: ...


class _Syncing:
    """A batch whose first failed sync is its last."""

    def __init__(self) -> None:
        self._failure: StorageError | None = None

    def commit(self) -> None:
        if self._failure is not None:
            raise self._failure
        try:
            self._sync()
        except OSError as error:
            said = error
            if not isinstance(said, StorageError):
                said = StorageError.of(error, "sync", "the file system")
            self._failure = StorageError(
                f"{said.message}; what was written since the last commit point may be lost",
                cure="check that disk, then start again from the last commit point",
                **said.details,
            )
            raise self._failure from error

    def _sync(self) -> None:
        raise NotImplementedError


class _WholeFileSystem(_Syncing):
    """One call syncs all. It reports the write errors since its descriptor was opened."""

    def __init__(self, root: Directory) -> None:
        super().__init__()
        # Opened anew: a descriptor that is shared would share which errors were reported.
        try:
            self._fd = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=root.fd)
        except OSError as error:
            raise StorageError.of(error, "open", root.path) from error

    def wrote(self, directory: Directory, name: str) -> None: ...

    def changed(self, directory: Directory) -> None: ...

    def _sync(self) -> None:
        door.sync_file_system(self._fd)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class _EachOne(_Syncing):
    """Each file and each directory is synced, files first: names are worth what they name.

    Directories are held open, so that moving or closing them in the meantime does no harm.
    """

    def __init__(self) -> None:
        super().__init__()
        self._held: dict[tuple[int, int], Directory] = {}  # by device and inode
        self._files: dict[tuple[tuple[int, int], str], None] = {}  # in order, each once
        self._directories: dict[tuple[int, int], None] = {}

    def wrote(self, directory: Directory, name: str) -> None:
        self._files[self._hold(directory), name] = None

    def changed(self, directory: Directory) -> None:
        self._directories[self._hold(directory)] = None

    def _hold(self, directory: Directory) -> tuple[int, int]:
        status = os.fstat(directory.fd)
        key = (status.st_dev, status.st_ino)
        if key not in self._held:
            try:
                self._held[key] = Directory(os.dup(directory.fd), directory.path)
            except OSError as error:
                raise StorageError.of(error, "hold open", directory.path) from error
        return key

    def _sync(self) -> None:
        for key, name in self._files:
            _sync_file(self._held[key], name)
        for key in self._directories:
            door.sync_directory(self._held[key].fd)
        self.close()

    def close(self) -> None:
        for directory in self._held.values():
            directory.close()
        self._held.clear()
        self._files.clear()
        self._directories.clear()


def _sync_file(directory: Directory, name: str) -> None:
    try:
        fd = directory.open_file(name)
    except NotFoundError:
        return  # it was moved or removed since, and is not this batch's any more
    try:
        door.sync_file(fd)
    finally:
        os.close(fd)
