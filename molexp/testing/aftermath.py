"""After power loss: every state that a file system may legally be found in, or a telling sample."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from itertools import product

from molexp.testing.filesystem import ROOT, Directory, Entry, File, FileSystem, State, patched

# How many cuts and sizes of one file are at most all tried.
_ALL = 1_000
# How often in a row luck may find what was found already before it is taken to have found all.
_PATIENCE = 500

Positions = dict[Entry, int]
Contents = dict[int, bytes]


def legal_states(system: FileSystem, limit: int, seed: int = 0) -> Iterator[State]:
    """Each legal state once: all of them if ``limit`` allows it, or that many of them.

    A sample begins with whatever is lost alone and whatever is kept alone; the rest is luck, with
    this seed.
    """
    choices = _Choices(system)
    every = choices.count() <= limit
    trees = choices.all() if every else choices.some(random.Random(seed))
    seen: set[frozenset[tuple[str, bytes | str | None]]] = set()
    repeated = 0
    for positions, contents in trees:
        state = system.state(positions, contents)
        key = frozenset(state.items())
        if key not in seen:
            seen.add(key)
            repeated = 0
            yield state
        elif (repeated := repeated + 1) > _PATIENCE and not every:
            return
        if len(seen) >= limit:
            return


def legal_contents(file: File) -> list[bytes]:
    """What a file may hold, from what is sure to what was there; all of it where that is little."""
    whole = [1 if data is None else len(data) for _offset, data in file.writes]
    every = (sum(whole) + 1) * math.prod(length + 1 for length in whole) <= _ALL
    ranges = [range(length + 1) for length in whole]
    cuts = [list(cut) for cut in product(*ranges)] if every else _telling(whole)
    found: dict[bytes, None] = {}
    for each in cuts:
        body, size = _cut(file, each)
        sizes = range(len(body), size + 1) if every else (len(body), size)
        for grown in sizes:
            found[body.ljust(grown, b"\0")] = None
    found[file.present()] = found.pop(file.present())  # to the end
    return list(found)


def _telling(whole: list[int]) -> list[list[int]]:
    """Nothing; each write cut here and there after all before it; each one missing; everything."""
    cuts = [[0] * len(whole)]
    for index, length in enumerate(whole):
        rest = [0] * (len(whole) - index - 1)
        places = sorted({1, length // 2, length - 1, length})
        cuts += [[*whole[:index], cut, *rest] for cut in places]
    cuts += [[*whole[:index], 0, *whole[index + 1 :]] for index in range(len(whole))]
    return [*cuts, whole]


def _cut(file: File, cuts: list[int]) -> tuple[bytes, int]:
    """The bytes that reached the disk, and the size to which the file may have grown."""
    body, size = file.durable, len(file.durable)
    for (offset, data), cut in zip(file.writes, cuts, strict=True):
        if data is not None:
            body = patched(body, [(offset, data[:cut])])
            size = max(size, offset + len(data))
        elif cut:
            body = patched(body, [(offset, None)])
            size = offset
    return body, max(size, len(body))


def _reachable(system: FileSystem, positions: Positions) -> set[int]:
    """The nodes to which some path leads when entries stand at these positions."""
    seen, rest = {ROOT}, [ROOT]
    while rest:
        node = system.nodes[rest.pop()]
        if isinstance(node, Directory):
            for entry in node.entries.values():
                number = entry.nodes[positions.get(entry, -1)]
                if number is not None and number not in seen:
                    seen.add(number)
                    rest.append(number)
    return seen


class _Choices:
    """What is not sure: entries with more than one position, and files with unsynced writes."""

    def __init__(self, system: FileSystem) -> None:
        self._system = system
        directories = [node for node in system.nodes if isinstance(node, Directory)]
        entries = [entry for node in directories for entry in node.entries.values()]
        self._needing = [entry for entry in entries if entry.needs]
        self._entries = [entry for entry in entries if entry.floor < entry.last]
        self._contents = {
            number: legal_contents(node)
            for number, node in enumerate(system.nodes)
            if isinstance(node, File) and node.writes
        }
        self._low: Positions = {entry: entry.floor for entry in self._entries}
        self._high: Positions = {entry: entry.last for entry in self._entries}
        self._bare: Contents = {number: each[0] for number, each in self._contents.items()}

    def count(self) -> int:
        """No fewer than there are states."""
        positions = math.prod(entry.last - entry.floor + 1 for entry in self._entries)
        return positions * math.prod(len(contents) for contents in self._contents.values())

    def all(self) -> Iterator[tuple[Positions, Contents]]:
        """Every choice that can be made."""
        ranges = (range(entry.floor, entry.last + 1) for entry in self._entries)
        for each in product(*ranges):
            positions = dict(zip(self._entries, each, strict=True))
            if self._unmet(positions) is None:
                reached = _reachable(self._system, positions)
                numbers = [number for number in self._contents if number in reached]
                for contents in product(*(self._contents[number] for number in numbers)):
                    yield positions, dict(zip(numbers, contents, strict=True))

    def some(self, luck: random.Random) -> Iterator[tuple[Positions, Contents]]:
        """The telling choices, then any number of random ones."""
        yield from self._telling()
        while True:
            # Between "nearly all lost" and "nearly all kept", since a coin for each finds neither.
            kept = luck.random()
            positions = {
                entry: entry.last if luck.random() < kept else luck.randint(entry.floor, entry.last)
                for entry in self._entries
            }
            contents = {
                number: each[-1] if luck.random() < kept else luck.choice(each)
                for number, each in self._contents.items()
            }
            yield self._lowered(positions), contents

    def _telling(self) -> Iterator[tuple[Positions, Contents]]:
        yield self._high, {}
        yield self._low, self._bare
        yield self._low, {}
        yield self._high, self._bare
        for entry in self._entries:
            for position in range(entry.floor, entry.last):
                yield self._lowered({**self._high, entry: position}), {}
        for entry in self._entries:
            raised = self._raised({**self._low, entry: entry.last})
            yield raised, {}
            yield raised, self._bare
        for number, contents in self._contents.items():
            for content in contents:
                yield self._high, {number: content}

    def _unmet(self, positions: Positions) -> tuple[Entry, int, Entry, int] | None:
        """An entry, where it stands, and what that needs in vain; None if all is well."""
        for entry in self._needing:
            at = positions.get(entry, entry.last)
            for position, needs in entry.needs.items():
                if entry.floor < position <= at:
                    for other, least in needs:
                        if positions.get(other, other.last) < least:
                            return entry, position, other, least
        return None

    def _lowered(self, positions: Positions) -> Positions:
        """The nearest legal choice in which no entry has come further."""
        while unmet := self._unmet(positions):
            entry, position, _other, _least = unmet
            positions[entry] = position - 1
        return positions

    def _raised(self, positions: Positions) -> Positions:
        """The nearest legal choice in which no entry has come less far."""
        while unmet := self._unmet(positions):
            _entry, _position, other, least = unmet
            positions[other] = least
        return positions
