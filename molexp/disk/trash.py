"""Removal: first into ``trash/``, from where it can be put back, until the trash is emptied.

A removal is written down before anything moves, so that whatever lies in the trash says where it
came from. It moves by one rename, and comes back by one.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Literal

from molexp.disk import door, layout
from molexp.disk.beneath import Directory, explained
from molexp.disk.commit import Batch
from molexp.disk.owner import Life, judge_writer, writer
from molexp.disk.record import NO_LINKS, Aside, read, taken, write_new
from molexp.errors import (
    ConflictError,
    FormatError,
    InvalidInputError,
    MolexpError,
    NotFoundError,
)
from molexp.model.record import Document, Uid, UtcTime

_WRITABLE = 0o700


class Removed(Document):
    """``removed.json``: what was removed, from where, by whom and when.

    ``of`` is the uid of the scope, execution or asset that it is, or was a part of.
    """

    kind: Literal["removed"] = "removed"
    uid: Uid
    path: str
    of: Uid | None = None
    at: UtcTime
    writer: str
    by: str
    reason: str | None = None


def remove(root: Directory, removed: Removed, aside: Aside, batch: Batch, mode: int) -> None:
    """Move what lies at ``removed.path`` into the trash; raises NotFoundError if nothing does.

    After a failure, calling again with the same record goes on where that one ended.
    """
    with root.make(layout.TRASH, mode, batch.changed) as trash:
        try:
            place = trash.enter(removed.uid)
        except NotFoundError:
            root.stat(removed.path)
            _check_removable(removed.path)
            place = _make_place(trash, removed, aside, batch)
        with place:
            batch.commit()
            content = (place, layout.CONTENT)
            if not place.exists(layout.CONTENT) or _are_one(root, removed.path, *content):
                move(root, removed.path, place, layout.CONTENT, batch)
            batch.commit()


def restore(root: Directory, uid: str, batch: Batch) -> Removed:
    """Put back what was removed under ``uid``; after a failure, calling again goes on.

    Raises NotFoundError if the trash does not hold it or its place is gone, and
    AlreadyExistsError if something else lies there by now.
    """
    with root.enter(f"{layout.TRASH}/{uid}") as place:
        removed = read(place, layout.REMOVED, Removed)
        if place.exists(layout.CONTENT):
            content = (place, layout.CONTENT)
            if root.exists(removed.path) and not _are_one(root, removed.path, *content):
                raise taken(root, removed.path)
            above, _, name = removed.path.rpartition("/")
            with root.enter(above) as parent:
                move(place, layout.CONTENT, parent, name, batch)
        else:
            root.stat(removed.path)
        batch.commit()
    with suppress(OSError):  # it is back: an empty place in the trash harms nobody
        empty(root, uid)
    return removed


def removals(root: Directory) -> tuple[list[Removed], list[FormatError]]:
    """All that lies in the trash, the oldest first, and what there cannot be read."""
    found: list[Removed] = []
    problems: list[FormatError] = []
    try:
        trash = root.enter(layout.TRASH)
    except NotFoundError:
        return found, problems
    with trash:
        for name in trash.names():
            try:
                removed = read(trash, f"{name}/{layout.REMOVED}", Removed)
                if trash.exists(f"{name}/{layout.CONTENT}"):
                    found.append(removed)
            except FormatError as error:
                problems.append(error)
            except NotFoundError:
                continue  # being restored or emptied right now
    return sorted(found, key=lambda removed: removed.at), problems


def empty(root: Directory, uid: str) -> None:
    """Delete for good what was removed under ``uid``; its record goes last."""
    with root.enter(layout.TRASH) as trash:
        with suppress(NotFoundError), trash.enter(uid) as place:
            delete(place, layout.CONTENT)
        delete(trash, uid)


def delete(parent: Directory, name: str) -> None:
    """Delete a file or a whole tree, closed ones too; links are deleted, never followed."""
    try:
        status = parent.stat(name)
    except NotFoundError:
        return
    if stat.S_ISDIR(status.st_mode):
        with suppress(NotFoundError), parent.enter(name) as tree:
            if status.st_mode & _WRITABLE != _WRITABLE:
                door.chmod(tree.fd, stat.S_IMODE(status.st_mode) | _WRITABLE)
            for inner in tree.names():
                delete(tree, inner)
    remove = door.rmdir if stat.S_ISDIR(status.st_mode) else door.unlink
    with suppress(FileNotFoundError):  # someone else deletes it, too
        remove(parent.fd, name)


def _check_removable(path: str) -> None:
    """Raises InvalidInputError for what a workspace cannot be without."""
    if path in (layout.META, layout.TRASH, layout.CACHE) or path.startswith(f"{layout.TRASH}/"):
        raise InvalidInputError(
            f"{path} is not removed: it is part of what makes this a workspace",
            cure="remove a scope, an execution or data",
            argument="path",
        )


def _make_place(trash: Directory, removed: Removed, aside: Aside, batch: Batch) -> Directory:
    """The directory for one removal, with its record."""

    def fill(made: Directory) -> None:
        write_new(made, layout.REMOVED, removed.to_json(), 0o444)
        batch.wrote(made, layout.REMOVED)
        batch.changed(made)

    return aside.publish_directory(fill, trash, removed.uid, batch)


def sweep(root: Directory) -> list[str]:
    """Delete what writers that are proven dead left aside; the names that went."""
    swept = []
    with suppress(NotFoundError), root.enter(layout.TMP) as tmp:
        for name in tmp.names():
            if judge_writer(name.partition(".")[0]) is Life.DEAD:
                # Renamed first: what is half deleted must not be given a name by anybody.
                ours = f"{writer()}.{os.urandom(4).hex()}"
                with suppress(OSError, MolexpError):  # somebody else's sweep takes it, or the next
                    door.rename(tmp.fd, name, tmp.fd, ours)
                    delete(tmp, ours)
                    swept.append(name)
    return swept


def move(source: Directory, relative: str, target: Directory, new_name: str, batch: Batch) -> None:
    """Move a file or directory, closed ones too, to where nothing lies."""
    above, _, name = relative.rpartition("/")
    with source.enter(above) as parent, _lifted(parent), _lifted(target):
        batch.changed(target)  # synced first: lost from both is worse than found in both
        batch.changed(parent)
        try:
            if stat.S_ISDIR(parent.stat(name).st_mode):
                with parent.enter(name) as moved, _lifted(moved):
                    door.rename(parent.fd, name, target.fd, new_name)
            else:
                _move_file(parent, name, target, new_name, batch)
        except OSError as error:
            raise _not_moved(error, source.where(relative), target, new_name) from error


def _move_file(
    source: Directory, name: str, target: Directory, new_name: str, batch: Batch
) -> None:
    """Move what is no directory: a rename would replace what lies at its new name."""
    try:
        door.link(source.fd, name, target.fd, new_name)
    except FileExistsError:
        if not _are_one(source, name, target, new_name):
            raise
    except OSError as error:
        # Without links, or where only its owner may link a file.
        if error.errno not in NO_LINKS or target.exists(new_name):
            raise
        door.rename(source.fd, name, target.fd, new_name)
        return
    batch.commit()  # power loss may keep the one without the other
    batch.changed(source)
    door.unlink(source.fd, name)


def _are_one(source: Directory, relative: str, target: Directory, new_name: str) -> bool:
    """Whether two names are of one file, for its move was cut short between them."""
    try:
        return os.path.samestat(source.stat(relative), target.stat(new_name))
    except NotFoundError:
        return False


@contextmanager
def _lifted(directory: Directory) -> Iterator[None]:
    """Let a closed directory be changed or moved while the block runs."""
    mode = stat.S_IMODE(os.fstat(directory.fd).st_mode)
    if mode & stat.S_IWUSR:
        yield
        return
    door.chmod(directory.fd, mode | _WRITABLE)
    try:
        yield
    finally:
        door.chmod(directory.fd, mode)


def _not_moved(error: OSError, path: str, directory: Directory, name: str) -> Exception:
    """What the caller is told of a move that failed."""
    if error.errno in (errno.EEXIST, errno.ENOTEMPTY):
        return taken(directory, name)
    if error.errno == errno.ENOENT:
        return explained(error, path)  # somebody else moved it since the look
    if error.errno == errno.EXDEV:
        return ConflictError(
            f"{path} lies on another file system than {directory.path}",
            cure="a workspace lies on one file system: unmount what is mounted inside it",
            holder="mount",
            since="unknown",
        )
    return error
