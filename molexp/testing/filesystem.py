"""A file system on paper: what was done to it, and what of that is sure to survive power loss.

It promises no more than POSIX does, and loses whatever it may:

- bytes: each write since the file's last sync reached the disk whole, cut at any byte, or not at
  all, independently of the others; the file may have grown ahead of them, and reads as zeros there;
  each change of its size happened or did not;
- names: each entry that changed since its directory's last sync stands as it did after any of the
  changes, or before all of them, independently of the others;
- a rename may be seen half: the new name beside the old one. Neither is there only where the loss
  of the old one was made sure, by a sync of its directory, and the new one was not;
- a directory is gone only where all that was taken out of it is, with the same exception;
- ``sync_file`` keeps the bytes of a file, not its name; ``sync_directory`` keeps the names in a
  directory, not what they lead to, nor the directory's own name; ``sync_file_system`` keeps all.

Modes and times are not modelled.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

ROOT: Final = 0
"""The number of the directory beneath which everything lies."""

State = dict[str, bytes | str | None]
"""A tree by relative path: a file's bytes, a link's text, or None for a directory."""


@dataclass(eq=False)
class Entry:
    """A name in a directory: all nodes that it led to since it was first used, None for nothing.

    What stands at ``floor`` or later survives. ``needs`` says which other entries have come how far
    where this one has come to a position by itself, and not by a sync.
    """

    nodes: list[int | None] = field(default_factory=lambda: [None])
    floor: int = 0
    needs: dict[int, list[tuple[Entry, int]]] = field(default_factory=dict)

    @property
    def last(self) -> int:
        """The position at which it stands while the power is on."""
        return len(self.nodes) - 1


@dataclass(eq=False)
class Directory:
    """A directory's entries."""

    entries: dict[str, Entry] = field(default_factory=dict)


@dataclass(eq=False)
class File:
    """A file's bytes as they were last synced, and each write since: its offset and bytes.

    A write of None sets the file's size to its offset.
    """

    durable: bytes = b""
    writes: list[Write] = field(default_factory=list)

    def present(self) -> bytes:
        """The bytes that a reader sees while the power is on."""
        return patched(self.durable, self.writes)


@dataclass(frozen=True)
class Link:
    """A symbolic link."""

    text: str


Node = Directory | File | Link
Write = tuple[int, bytes | None]


class FileSystem:
    """Numbered nodes, of which the root is the first; changes are given by directory and name."""

    def __init__(self) -> None:
        self.nodes: list[Node] = [Directory()]

    def create(self, directory: int, name: str) -> int:
        """An empty file; its number."""
        return self._add(directory, name, File())

    def mkdir(self, directory: int, name: str) -> int:
        """An empty directory; its number."""
        return self._add(directory, name, Directory())

    def symlink(self, text: str, directory: int, name: str) -> int:
        """A symbolic link; its number."""
        return self._add(directory, name, Link(text))

    def write(self, file: int, offset: int, data: bytes) -> None:
        """Put bytes into a file."""
        node = self.nodes[file]
        assert isinstance(node, File), "only files are written to"
        node.writes.append((offset, data))

    def truncate(self, file: int, size: int) -> None:
        """Set the size of a file."""
        node = self.nodes[file]
        assert isinstance(node, File), "only files have a size"
        node.writes.append((size, None))

    def link(self, source: int, name: str, target: int, new_name: str) -> None:
        """Give a file a second name."""
        self._set(target, new_name, self._present(source, name))

    def rename(self, source: int, name: str, target: int, new_name: str) -> None:
        """Move an entry; what had the new name loses it."""
        moved = self._present(source, name)
        replaced = self.find(target, new_name)
        if moved == replaced:
            return  # two names of one file: POSIX leaves both
        arrived = self._set(target, new_name, moved, self._emptied(replaced))
        self._set(source, name, None, [arrived])

    def unlink(self, directory: int, name: str) -> None:
        """Take a name away."""
        self._present(directory, name)
        self._set(directory, name, None)

    def rmdir(self, directory: int, name: str) -> None:
        """Remove an empty directory."""
        self._set(directory, name, None, self._emptied(self._present(directory, name)))

    def sync_file(self, file: int) -> None:
        """Keep the bytes of a file; its name is another matter."""
        node = self.nodes[file]
        if isinstance(node, File):
            node.durable = node.present()
            node.writes.clear()
        else:
            self.sync_directory(file)

    def sync_directory(self, directory: int) -> None:
        """Keep the names in a directory as they are now."""
        for entry in self._directory(directory).entries.values():
            entry.floor = entry.last

    def sync_file_system(self) -> None:
        """Keep everything."""
        for number, node in enumerate(self.nodes):
            if not isinstance(node, Link):
                self.sync_file(number)

    def find(self, directory: int, name: str) -> int | None:
        """What a name leads to while the power is on."""
        entry = self._directory(directory).entries.get(name)
        return entry.nodes[-1] if entry else None

    def state(
        self,
        positions: Mapping[Entry, int] | None = None,
        contents: Mapping[int, bytes] | None = None,
    ) -> State:
        """The tree with some entries at other positions, and files with other bytes, than now."""
        found: State = {}
        self._gather(ROOT, "", (ROOT,), positions or {}, contents or {}, found)
        return found

    def _gather(
        self,
        number: int,
        prefix: str,
        above: tuple[int, ...],
        positions: Mapping[Entry, int],
        contents: Mapping[int, bytes],
        found: State,
    ) -> None:
        for name, entry in self._directory(number).entries.items():
            below = entry.nodes[positions.get(entry, -1)]
            if below is None or below in above:
                continue  # halves of renames can form a ring, which no file system shows
            node = self.nodes[below]
            if isinstance(node, Directory):
                found[prefix + name] = None
                self._gather(below, f"{prefix}{name}/", (*above, below), positions, contents, found)
            elif isinstance(node, File):
                found[prefix + name] = contents[below] if below in contents else node.present()
            else:
                found[prefix + name] = node.text

    def _directory(self, number: int) -> Directory:
        node = self.nodes[number]
        assert isinstance(node, Directory), f"node {number} is no directory"
        return node

    def _add(self, directory: int, name: str, node: Node) -> int:
        self.nodes.append(node)
        number = len(self.nodes) - 1
        self._set(directory, name, number)
        return number

    def _set(
        self,
        directory: int,
        name: str,
        node: int | None,
        needs: list[tuple[Entry, int]] | None = None,
    ) -> tuple[Entry, int]:
        entry = self._directory(directory).entries.setdefault(name, Entry())
        entry.nodes.append(node)
        if needs:
            entry.needs[entry.last] = needs
        return entry, entry.last

    def _present(self, directory: int, name: str) -> int:
        number = self.find(directory, name)
        if number is None:
            raise LookupError(f"nothing has the name {name!r}")
        return number

    def _emptied(self, number: int | None) -> list[tuple[Entry, int]]:
        """What has to have left a directory before it can be gone."""
        node = None if number is None else self.nodes[number]
        if not isinstance(node, Directory):
            return []
        return [(entry, entry.last) for entry in node.entries.values()]


def patched(data: bytes, writes: list[Write]) -> bytes:
    """``data`` after some writes; a gap between its end and a write reads as zeros."""
    for offset, piece in writes:
        if piece is None:
            data = data[:offset].ljust(offset, b"\0")
        elif piece:
            data = data[:offset].ljust(offset, b"\0") + piece + data[offset + len(piece) :]
    return data


def read_tree(root: Path) -> State:
    """What lies beneath a directory, as plain files say it."""
    found: State = {}
    _read_into(found, str(root), "")
    return found


def _read_into(found: State, folder: str, prefix: str) -> None:
    with os.scandir(folder) as entries:
        for entry in entries:
            relative = prefix + entry.name
            if entry.is_symlink():
                found[relative] = os.readlink(entry.path)
            elif entry.is_dir():
                found[relative] = None
                _read_into(found, entry.path, f"{relative}/")
            else:
                with open(entry.path, "rb") as file:
                    found[relative] = file.read()


def write_tree(state: State, root: Path) -> None:
    """Make such a tree in an empty directory."""
    for relative in sorted(state):
        content, path = state[relative], f"{root}/{relative}"
        if content is None:
            os.mkdir(path)
        elif isinstance(content, str):
            os.symlink(content, path)
        else:
            with open(path, "wb", buffering=0) as file:
                file.write(content)
