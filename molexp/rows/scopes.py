"""Which scopes lie in a workspace: their directories, and none of their records."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Set

from molexp.disk import layout
from molexp.disk.beneath import Closing, Directory
from molexp.disk.journal import subtree
from molexp.disk.walk import is_litter
from molexp.errors import InvalidNameError, MolexpError, NotFoundError
from molexp.model.ids import check_run_id
from molexp.model.names import is_slug

Parts = tuple[str, ...]
"""An address in its parts; those of the workspace are none."""

_BELOW = (layout.PROJECTS, layout.EXPERIMENTS, layout.RUNS)

EVERYTHING = subtree("")
"""The prefix of all that lies in a workspace."""


def path_of(address: Parts) -> str:
    """Where a scope lies beneath the root."""
    return "/".join(step for pair in zip(_BELOW, address, strict=False) for step in pair)


def parts_of(prefix: str) -> Parts:
    """The address at which a prefix begins.

    >>> parts_of("qm9/baseline/**"), parts_of("**")
    (('qm9', 'baseline'), ())
    """
    address = prefix.removesuffix(EVERYTHING).removesuffix("/")
    return tuple(address.split("/")) if address else ()


def is_subtree(prefix: str) -> bool:
    """Whether a prefix names all that lies below a scope as well."""
    return prefix.endswith(EVERYTHING)


class Way(Closing):
    """The way from a root to one directory after another; where neighbours lie is held open.

    What is moved or replaced meanwhile may be entered where it was. Whoever looks at many scopes
    finds that out afterwards, or is told by a hint.
    """

    __slots__ = ("_above", "_held", "_root")

    def __init__(self, root: Directory) -> None:
        self._root = root
        self._above = ""
        self._held: Directory | None = None

    def enter(self, relative: str) -> Directory:
        """As :meth:`Directory.enter` of the root."""
        above, _, name = relative.rpartition("/")
        if not above:
            return self._root.enter(relative)
        if self._held is None or above != self._above:
            self.close()
            self._held, self._above = self._root.enter(above), above
        return self._held.enter(name)

    def close(self) -> None:
        """Let go of what is held; the root stays open."""
        if self._held is not None:
            self._held.close()
            self._held = None


def scopes(
    root: Directory | Way, prefix: str, problems: list[MolexpError]
) -> Iterator[tuple[Parts, Directory]]:
    """Every directory in which the scopes at a prefix may lie, open until the next is asked for.

    What cannot be looked into joins ``problems``.
    """
    address = parts_of(prefix)
    try:
        directory = root.enter(path_of(address))
    except NotFoundError:
        return
    except MolexpError as error:
        problems.append(error)
        return
    with directory:
        if is_subtree(prefix):
            yield from _subtree(directory, address, problems)
        else:
            yield address, directory


def survey(root: Directory, prefixes: Iterable[str]) -> dict[Parts, int]:
    """Which scopes lie at prefixes, each with the inode of its record; 0 where none is."""
    found = {}
    for prefix in prefixes:
        if is_subtree(prefix):
            for address, directory in scopes(root, prefix, []):
                found[address] = inode_of(layout.META, directory.fd)
        else:
            address = parts_of(prefix)
            found[address] = inode_of(f"{path_of(address) or '.'}/{layout.META}", root.fd)
    return found


def moved(before: Mapping[Parts, int], after: Mapping[Parts, int]) -> set[str]:
    """The prefixes of what came, went or was replaced between two surveys.

    >>> moved({("qm9",): 7, (): 1}, {(): 1})
    {'qm9/**'}
    """
    return {subtree("/".join(at)) for at, _ in before.items() ^ after.items()}


def is_below(address: Parts, above: Set[Parts]) -> bool:
    """Whether an address is one of some, or lies in the subtree of one.

    >>> is_below(("qm9", "baseline"), {("qm9",)}), is_below(("qm9",), {("qm9", "baseline")})
    (True, False)
    """
    return any(address[:depth] in above for depth in range(len(address) + 1))


def inode_of(path: str, fd: int) -> int:
    """The inode of what lies at a path beneath an open directory; 0 if nothing does."""
    try:
        return os.stat(path, dir_fd=fd, follow_symlinks=False).st_ino
    except OSError:
        return 0


def _subtree(
    directory: Directory, address: Parts, problems: list[MolexpError]
) -> Iterator[tuple[Parts, Directory]]:
    yield address, directory
    if len(address) == len(_BELOW):
        return
    try:
        above = directory.enter(_BELOW[len(address)])
    except NotFoundError:
        return
    except MolexpError as error:
        problems.append(error)
        return
    with above:
        for name in above.names(alone=True):
            if is_litter(name):
                continue
            try:
                _check(name, len(address))
                with above.enter(name) as inner:
                    yield from _subtree(inner, (*address, name), problems)
            except NotFoundError:
                continue  # it was moved or removed since it was listed
            except MolexpError as error:
                problems.append(error)


def _check(name: str, depth: int) -> None:
    if depth == 2:
        check_run_id(name)
    elif not is_slug(name):
        raise InvalidNameError(
            f"{name!r} is no name of a scope's directory",
            cure="move it away: molexp made no directory of that name",
            name=name,
            rule="slug",
        )
