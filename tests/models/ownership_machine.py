"""The machines beneath the ownership model: processes, pids, boots, namespaces and time."""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass
from typing import NamedTuple


class Place(NamedTuple):
    """Where a process sees the world from: host, boot, pid namespace, time namespace."""

    host: str
    boot: int
    pidns: int
    timens: int


class Owner(NamedTuple):
    """Who wrote a start line: a place, a pid, and the start time as that place reads it."""

    place: Place
    pid: int
    start: int


@dataclass
class Process:
    """A process as the kernel knows it."""

    owner: Owner
    born: int
    hidden: bool
    defunct: bool = False


class Machine:
    """Kernels of all hosts: processes, reused pids, boots and the one clock of the file system."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.clock = 1
        self.boots = {"A": 1, "B": 1}
        self.table = dict[tuple[str, int, int, int], Process]()
        self.skew = {"A": 0, "B": rng.choice([-500, 0, 500])}
        self.beats = dict[str, int]()

    def places(self) -> list[Place]:
        """Two pid namespaces on host A, one of them with two time namespaces, and host B."""
        a, b = self.boots["A"], self.boots["B"]
        return [Place("A", a, 1, 0), Place("A", a, 1, 1), Place("A", a, 2, 0), Place("B", b, 1, 0)]

    def spawn(self, place: Place, hidden: bool = False) -> Process:
        """Start a process under the lowest free pid, so that pids are reused at once."""
        pid = next(n for n in itertools.count(1) if (*place[:3], n) not in self.table)
        born, self.clock = self.clock, self.clock + 1
        process = Process(Owner(place, pid, born + 1000 * place.timens), born, hidden)
        self.table[(*place[:3], pid)] = process
        return process

    def exit(self, process: Process) -> None:
        """End a process; half of them stay defunct until somebody waits for them."""
        process.defunct = self.rng.random() < 0.5
        if not process.defunct:
            self.table.pop((*process.owner.place[:3], process.owner.pid), None)

    def wait(self) -> None:
        """Parents wait for their children: who is defunct goes, and the pid is free."""
        self.table = {key: found for key, found in self.table.items() if not found.defunct}

    def reboot(self, host: str) -> None:
        """A host starts again: all its processes are gone, its boot is another."""
        self.table = {key: found for key, found in self.table.items() if key[0] != host}
        self.boots[host] += 1

    def alive(self, owner: Owner) -> bool:
        """The truth, which no actor may ask."""
        found = self.table.get((*owner.place[:3], owner.pid))
        return found is not None and found.owner == owner and not found.defunct

    def kill0(self, viewer: Place, pid: int) -> bool:
        """What `kill(pid, 0)` says to a viewer: the pid exists in its own namespace."""
        return (*viewer[:3], pid) in self.table

    def stat(self, viewer: Place, pid: int) -> tuple[int, bool] | None:
        """What /proc/<pid>/stat says to a viewer: start time in its time namespace and whether
        defunct; None if invisible.
        """
        found = self.table.get((*viewer[:3], pid))
        if found is None or found.hidden:
            return None
        return found.born + 1000 * viewer.timens, found.defunct
