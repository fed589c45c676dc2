"""Records in files: read and checked, or created whole and never again.

Whatever must appear whole is made *aside*, in ``.molexp/tmp`` under a name that begins with its
writer's id, and is then given its name. Nothing is ever written over.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, TypeVar

from molexp.disk import door, layout, owner
from molexp.disk.beneath import Directory, explained
from molexp.disk.commit import Batch
from molexp.errors import AlreadyExistsError, ConflictError, FormatError, NotFoundError

if TYPE_CHECKING:
    from molexp.model.record import Record

AnyRecord = TypeVar("AnyRecord", bound="Record")
Made = TypeVar("Made")

ATTEMPTS = 3  # at making something aside, where `.molexp` is deleted under it each time

# What a link answers where the file system has none, or limits them.
NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)
# What a rename answers where something has the name.
_TAKEN = (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR)


def read(directory: Directory, relative: str, kind: type[AnyRecord]) -> AnyRecord:
    """The record in a file.

    Raises NotFoundError, or FormatError naming the file and the place in it.
    """
    data = directory.read(relative, kind.max_bytes)
    return kind.from_json(data, directory.where(relative))


def write_new(directory: Directory, name: str, data: bytes, mode: int) -> None:
    """Create a file with these bytes where nothing lies; AlreadyExistsError if something does.

    Someone who looks meanwhile may see a part of it: for what is still aside, or known to be torn.
    Where the disk refuses, its name is taken away again, so that the same call can be made later.
    """
    try:
        fd = door.create(directory.fd, name, mode)
    except FileExistsError as error:
        raise taken(directory, name) from error
    try:
        door.write_all(fd, data)
    except BaseException:
        with suppress(OSError):
            door.unlink(directory.fd, name)
        raise
    finally:
        os.close(fd)


class Aside:
    """Where a process makes things whole before they get their name.

    They are named after the process that makes them, a forked child's after the child, unless
    ``writer`` says otherwise.
    """

    def __init__(self, root: Directory, modes: layout.Modes, *, writer: str | None = None) -> None:
        self._root = root
        self._writer = writer
        self._modes = modes
        self._numbers = count(1)
        self._tmp: Directory | None = None

    def publish_file(
        self, data: bytes, directory: Directory, name: str, mode: int, batch: Batch
    ) -> None:
        """Create a file that is there whole or not at all, and only after what it speaks of.

        Of several who contend for the name the first wins; the others get AlreadyExistsError,
        unless the very same bytes lie there: then this, or a call before it, put them there.
        """
        for _attempt in range(ATTEMPTS):
            made = self._make_file(data, mode)
            try:
                batch.wrote(self._open_tmp(), made)
                batch.commit()
                self._link(made, data, directory, name, mode, batch)
            except FileNotFoundError as error:
                if os.fstat(directory.fd).st_nlink == 0:
                    raise explained(error, directory.path) from error
                self.close()  # `.molexp` was deleted, as anyone may: it is made again
                continue
            finally:
                self._forget(door.unlink, made)
            batch.changed(directory)
            batch.commit()
            return
        raise self._vanishing()

    def publish_directory(
        self, fill: Callable[[Directory], None], parent: Directory, name: str, batch: Batch
    ) -> Directory:
        """Create a directory that is there with all that ``fill`` puts into it, or not at all.

        AlreadyExistsError if something has that name that is no empty directory; ``fill`` may be
        called once more if ``.molexp`` is deleted meanwhile.
        """
        for _attempt in range(ATTEMPTS):
            made = self._make_directory()
            try:
                fill(made)
                door.rename(self._open_tmp().fd, os.path.basename(made.path), parent.fd, name)
            except BaseException as error:
                if isinstance(error, Exception) and os.fstat(made.fd).st_nlink == 0:
                    made.close()
                    self.close()
                    continue  # `.molexp` was deleted, as anyone may: it is made again
                self._discard(made)
                if isinstance(error, OSError) and error.errno in _TAKEN:
                    raise taken(parent, name) from error
                raise
            made.path = parent.where(name)
            batch.changed(parent)
            return made
        raise self._vanishing()

    def can_link(self) -> bool:
        """Whether files can get a second name here; it is tried."""
        made = self._make_file(b"", 0o644)
        other = f"{made}.link"
        try:
            door.link(self._open_tmp().fd, made, self._open_tmp().fd, other)
        except OSError as error:
            if error.errno in NO_LINKS:
                return False
            raise
        finally:
            self._forget(door.unlink, made)
            self._forget(door.unlink, other)
        return True

    def moment(self) -> float:
        """Now, by the file system's clock, in seconds since 1970."""
        name, fd = self._claim(partial(door.create, mode=0o644))
        try:
            return os.fstat(fd).st_mtime
        finally:
            os.close(fd)
            self._forget(door.unlink, name)

    def close(self) -> None:
        """Let go of the directory."""
        if self._tmp is not None:
            self._tmp.close()
            self._tmp = None

    def _make_file(self, data: bytes, mode: int) -> str:
        name, fd = self._claim(partial(door.create, mode=mode))
        try:
            door.write_all(fd, data)
        except BaseException:
            self._forget(door.unlink, name)
            raise
        finally:
            os.close(fd)
        return name

    def _make_directory(self) -> Directory:
        def make(tmp: int, name: str) -> Directory:
            door.mkdir(tmp, name, self._modes.directory)
            return self._open_tmp().enter(name)

        return self._claim(make)[1]

    def _claim(self, make: Callable[[int, str], Made]) -> tuple[str, Made]:
        """Make something under the next free name aside."""
        attempts = 0
        while attempts < ATTEMPTS:
            name = f"{self._writer or owner.writer()}.{next(self._numbers)}"
            try:
                return name, make(self._open_tmp().fd, name)
            except FileExistsError:
                continue  # this process makes things aside elsewhere, too
            except (FileNotFoundError, NotFoundError):
                self.close()  # `.molexp` was deleted, as anyone may: it is made again
                attempts += 1
        raise self._vanishing()

    def _link(
        self, made: str, data: bytes, directory: Directory, name: str, mode: int, batch: Batch
    ) -> None:
        try:
            try:
                door.link(self._open_tmp().fd, made, directory.fd, name)
            except OSError as error:
                # Without links, create it in place. Where it is torn by a kill, it counts as not
                # there until its writer is proven dead.
                if error.errno not in NO_LINKS:
                    raise
                batch.wrote(directory, name)
                write_new(directory, name, data, mode)
        except (FileExistsError, AlreadyExistsError) as error:
            if not _holds(directory, name, data):
                raise taken(directory, name) from error

    def _open_tmp(self) -> Directory:
        if self._tmp is None:
            self._tmp = self._root.make(layout.TMP, self._modes.directory)
        return self._tmp

    def _discard(self, made: Directory) -> None:
        """Take away a directory aside as far as that goes; a sweep does the rest."""
        for name in made.names():
            self._forget_in(made, name)
        made.close()
        self._forget(door.rmdir, os.path.basename(made.path))

    def _forget_in(self, made: Directory, name: str) -> None:
        with suppress(OSError):
            door.unlink(made.fd, name)

    def _forget(self, remove: Callable[[int, str], None], name: str) -> None:
        """Take away a name aside; where that fails, a sweep does it."""
        with suppress(OSError):
            remove(self._open_tmp().fd, name)

    def _vanishing(self) -> ConflictError:
        where = self._root.where(layout.TMP)
        return ConflictError(
            f"{where} was deleted {ATTEMPTS} times while something was made in it",
            cure="stop what deletes it, then call again",
            holder="unknown",
            since="unknown",
        )


def _holds(directory: Directory, name: str, data: bytes) -> bool:
    """Whether a file has exactly these bytes."""
    try:
        return directory.read(name, len(data)) == data
    except (FormatError, NotFoundError):
        return False


def taken(directory: Directory, name: str) -> AlreadyExistsError:
    """The error for a name that something has."""
    path = directory.where(name)
    return AlreadyExistsError(
        f"{path} is there already",
        cure="what is written once is never written over: read it, or choose another name",
        kind="file",
        key=name,
        path=path,
    )


def read_if_there(directory: Directory, relative: str, kind: type[AnyRecord]) -> AnyRecord | None:
    """As :func:`read`, and None where no file lies."""
    try:
        return read(directory, relative, kind)
    except NotFoundError:
        return None
