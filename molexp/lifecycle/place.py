"""Where an asset lies, and how its bytes are read and copied without following links."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from molexp.disk import door, layout, trash
from molexp.disk.beneath import Directory, components
from molexp.disk.digest import HashingWriter, check_has_bytes
from molexp.disk.walk import EntryType, is_litter, walk
from molexp.errors import (
    AlreadyExistsError,
    InvalidInputError,
    MolexpError,
    NotFoundError,
    StorageError,
)

if TYPE_CHECKING:
    from _typeshed import StrPath

    from molexp.model.asset import Asset

_CHUNK = 1 << 20
_MAX_READ = 1 << 62  # a caller who reads bytes whole has said that they fit


class Place(NamedTuple):
    """The directory of a scope, and the way from there to the file or directory of an asset.

    ``within`` is None for an asset without bytes in this workspace; ``elsewhere`` is where data
    that was registered in place lies.
    """

    scope_dir: str
    scope: str
    within: str | None = None
    elsewhere: str | None = None

    def at(self, scope_dir: StrPath) -> Place:
        """The same place in a scope that lies in another directory."""
        return Place(os.fspath(scope_dir), self.scope, self.within, self.elsewhere)

    def absolute(self, asset: Asset) -> Path:
        """Where its file or directory lies now; raises NotFoundError for a value."""
        if self.elsewhere is not None:
            return Path(self.elsewhere)
        return Path(os.path.abspath(self.scope_dir), *components(self._path(asset)))

    def read(self, asset: Asset) -> bytes:
        """The bytes of its file; raises NotFoundError, or InvalidInputError for a directory."""
        with self._open_parent(asset) as (parent, name):
            if stat.S_ISDIR(parent.stat(name).st_mode):
                raise InvalidInputError(
                    f"{asset.name!r} is a directory, and has no bytes of its own",
                    cure="read the files in it: `absolute_path()` says where they are",
                    argument="asset",
                )
            return parent.read(name, _MAX_READ)

    def export(self, asset: Asset, target: StrPath) -> Path:
        """Copy its file or directory to where nothing lies; raises AlreadyExistsError."""
        path = Path(target)
        with (
            self._open_parent(asset) as (parent, name),
            Directory.open(path.parent) as directory,
        ):
            components(path.name)
            try:
                if stat.S_ISDIR(parent.stat(name).st_mode):
                    _copy_directory(parent, name, directory, path.name)
                else:
                    copy_file(parent, name, directory, path.name, 0o644)
            except FileExistsError as error:
                raise AlreadyExistsError(
                    f"{path} is there already",
                    cure="name another place: nothing is written over",
                    kind="file",
                    key=path.name,
                    path=str(path),
                ) from error
        return path

    def _path(self, asset: Asset) -> str:
        if self.within is None:
            raise NotFoundError(
                f"the {asset.kind} {asset.name!r} is only a value, and has no file",
                cure="`load()` gives the value",
                kind="file",
                key=asset.name,
            )
        return self.within

    def _open_parent(self, asset: Asset) -> _Parent:
        if self.elsewhere is not None:
            above, name = os.path.split(self.elsewhere)
            return _Parent(Directory.open(above or "."), name)
        with Directory.open(self.scope_dir) as scope:
            above, _, name = self._path(asset).rpartition("/")
            return _Parent(scope.enter(above), name)


def in_execution(scope_dir: str, scope: str, number: int, asset: Asset) -> Place:
    """Where an asset of one of a run's executions lies."""
    below = layout.execution_name(number)
    return Place(scope_dir, scope, f"{below}/{asset.path}" if asset.path is not None else None)


class _Parent:
    """A directory held open, and a name in it."""

    def __init__(self, directory: Directory, name: str) -> None:
        self._directory, self._name = directory, name

    def __enter__(self) -> tuple[Directory, str]:
        return self._directory, self._name

    def __exit__(self, *_: object) -> None:
        self._directory.close()


def _copy_directory(source: Directory, name: str, target: Directory, new_name: str) -> None:
    """Copy a tree to a name that nothing has; one that is cut short is taken away again."""
    modes = layout.ACCESS["private"]
    door.mkdir(target.fd, new_name, modes.directory)
    try:
        with source.enter(name) as tree, target.enter(new_name) as copy:
            copy_tree(tree, copy, modes)
    except BaseException:
        with suppress(OSError, MolexpError):
            trash.delete(target, new_name)
        raise


def copy_file(
    source: Directory, name: str, target: Directory, new_name: str, mode: int
) -> HashingWriter:
    """Copy a file to a name that nothing has, hashed on its way; FileExistsError if something does.

    A copy that the disk refuses half-way is taken away again.
    """
    fd = source.open_file(name)
    try:
        copy = HashingWriter(target, new_name, mode)
        try:
            while chunk := os.read(fd, _CHUNK):
                copy.write(chunk)
        except BaseException:
            copy.close()
            with suppress(OSError):
                door.unlink(target.fd, new_name)
            raise
        copy.close()
    finally:
        os.close(fd)
    return copy


def copy_tree(
    source: Directory, target: Directory, modes: layout.Modes
) -> dict[str, HashingWriter]:
    """Copy all that a directory holds into another, litter left out; the copies, by path.

    Raises FormatError for a link or a device: what it leads to is not part of the tree.
    """
    copied: dict[str, HashingWriter] = {}
    for found in walk(source):
        if is_litter(os.path.basename(found.path)):
            continue
        if found.type is EntryType.DIRECTORY:
            target.make(found.path, modes.directory).close()
            continue
        check_has_bytes(source, found)
        above, _, name = found.path.rpartition("/")
        with source.enter(above) as inside, target.enter(above) as place:
            copied[found.path] = copy_file(inside, name, place, name, modes.file)
    return copied


def check_apart(root: str, source: Path) -> None:
    """Raises InvalidInputError if a directory holds the workspace into which it would be copied."""
    if source in Path(os.path.realpath(root)).parents or source == Path(os.path.realpath(root)):
        raise InvalidInputError(
            f"{source} holds this workspace",
            cure="take a part of it that the workspace does not lie in",
            argument="source",
        )


def check_source(path: Path) -> None:
    """Raises NotFoundError naming what is near, unless a file or directory lies there."""
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError) as error:
        try:
            there = sorted(os.listdir(path.parent))
        except OSError:
            there = []
        near = get_close_matches(path.name, there)
        hint = f"did you mean {near[0]!r}?" if near else f"{path.parent} has no such entry"
        raise NotFoundError(
            f"{path} is not there", cure=hint, kind="file", key=str(path), near=near
        ) from error
    except (OSError, ValueError) as error:
        if isinstance(error, OSError):
            raise StorageError.of(error, "read", str(path)) from error
        raise InvalidInputError(
            f"nothing can have the path {str(path)!r}",
            cure="give the path of a file or a directory",
            argument="path",
        ) from error
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise InvalidInputError(
            f"{path} is neither a file nor a directory, and has no bytes to keep",
            cure="give the path of a file or a directory",
            argument="path",
        )
