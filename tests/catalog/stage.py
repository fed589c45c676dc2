"""Processes that a test plays in one thread: who lives, and what happens between two calls.

Nothing of the product is replaced. A process that is to die raises at one of its calls at the door,
and whatever it calls while it unwinds does nothing; one that is interrupted makes way, between two
of its calls, for another one.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cached_property
from typing import Any
from unittest.mock import patch

from molexp.disk import door, owner
from molexp.disk.owner import Status
from molexp.model.ids import Process


class Died(BaseException):
    """The process ended here."""


class Machine:
    """Which processes live, and in which boot each host is."""

    def __init__(self) -> None:
        self.alive: set[Process] = set()
        self.boots = {"h0": 1, "h1": 1}
        self._born = 0

    def spawn(self, host: str, namespace: str, pid: int) -> Played:
        """Start a process; the pid is that of one that died, if there was one."""
        self._born += 1
        boot = f"{host}-{self.boots[host]}"
        process = Process(host, boot, namespace, "", pid, self._born)
        self.alive.add(process)
        return Played(self, process)


class Played(owner.System):
    """What a played process is told by its machine."""

    def __init__(self, machine: Machine, process: Process) -> None:
        self.machine, self.process = machine, process

    @cached_property
    def current(self) -> Process:
        return self.process

    def has(self, pid: int) -> bool:
        return self._find(pid) is not None

    def status(self, pid: int) -> Status | None:
        found = self._find(pid)
        return None if found is None else Status(found.started, is_over=False)

    def _find(self, pid: int) -> Process | None:
        here = self.process[:3]
        return next((p for p in self.machine.alive if p.pid == pid and p[:3] == here), None)

    @property
    def is_alive(self) -> bool:
        """Whether it lives."""
        return self.process in self.machine.alive

    def die(self) -> None:
        """Be gone."""
        self.machine.alive.discard(self.process)


@contextmanager
def dying(at: int, *, midway: bool = False) -> Iterator[None]:
    """Die before the call at the door that is the ``at``-th, or in the middle of it."""
    left, ident = at, threading.get_ident()

    def gate(operation: str, function: Callable[..., Any], given: tuple[Any, ...]) -> Any:
        nonlocal left
        if threading.get_ident() != ident:
            return function(*given)
        left -= 1
        if left < 1:
            if left == 0 and midway and operation == "write":
                function(given[0], given[1][: len(given[1]) // 2])
            raise Died
        return function(*given)

    with door.gated(gate):
        yield


@contextmanager
def interrupted(at: int, act: Callable[[], object]) -> Iterator[None]:
    """Let ``act`` happen before the ``at``-th call that others could notice, or that notices them.

    These are the calls at the door, and every open, stat and listing.
    """
    left, ident = at, threading.get_ident()

    def point() -> None:
        nonlocal left
        if threading.get_ident() == ident:
            left -= 1
            if left == 0:
                act()

    def gate(operation: str, function: Callable[..., Any], given: tuple[Any, ...]) -> Any:
        point()
        return function(*given)

    def pausing(function: Callable[..., Any]) -> Callable[..., Any]:
        def paused(*given: Any, **named: Any) -> Any:
            point()
            return function(*given, **named)

        return paused

    with ExitStack() as stack:
        for name in ("open", "stat", "listdir"):
            stack.enter_context(patch.object(os, name, pausing(getattr(os, name))))
        stack.enter_context(door.gated(gate))
        yield
