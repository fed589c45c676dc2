"""Product code played call by call: a thread for each process of the machine, one at work at a
time.

Before every call that others could see, or could make vain, the thread hands over: at the door's
gate, and before each open, stat and listing. Nothing of the product is replaced. A process that was
killed goes on to unwind, but from then on whatever it calls raises and does nothing.
"""

from __future__ import annotations

import errno
import gc
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any
from unittest.mock import patch

from molexp.disk import door, owner
from molexp.disk.owner import Status
from molexp.errors import MolexpError
from molexp.model import ids
from tests.models.ownership_machine import Machine, Place, Process
from tests.models.ownership_machine import Owner as Played

EPOCH = 1_500_000_000  # what the clock of the file system shows when the machine's shows nothing
WEIGHTY = ("end.json", "end", "content", "a", "one")
"""The names of ends, of what is trashed, of runs and of experiments."""

PATIENCE = 60  # seconds until a thread that does not hand over counts as stuck

_open, _stat, _listdir, _dup, _close = os.open, os.stat, os.listdir, os.dup, os.close
_utime, _urandom, _time, _time_ns = os.utime, os.urandom, time.time, time.time_ns
_here = threading.local()


class Died(BaseException):
    """The process ended here: nothing that it calls does anything any more."""


@lru_cache(maxsize=4096)
def as_named(played: Played) -> ids.Process:
    """A process as the product names it."""
    place = played.place
    return ids.Process(
        host=place.host,
        boot_id=f"{place.host}{place.boot}",
        pid_namespace=f"{place.pidns}",
        time_namespace=f"{place.timens}",
        pid=played.pid,
        started=played.start,
    )


def as_played(recorded: dict[str, Any]) -> Played:
    """The process that a record names."""
    boot, pidns, timens = recorded["boot_id"], recorded["pid_namespace"], recorded["time_namespace"]
    place = Place(recorded["host"], int(boot[1:]), int(pidns), int(timens))
    return Played(place, recorded["pid"], recorded["started"])


class Told(owner.System):
    """What a played process is told by its machine."""

    def __init__(self, machine: Machine, process: Process) -> None:
        self.machine, self.me = machine, process.owner

    @cached_property
    def current(self) -> ids.Process:
        return as_named(self.me)

    def has(self, pid: int) -> bool:
        return self.machine.kill0(self.me.place, pid)

    def status(self, pid: int) -> Status | None:
        seen = self.machine.stat(self.me.place, pid)
        return None if seen is None else Status(seen[0], is_over=seen[1])


@dataclass
class World:
    """What all players of one schedule share."""

    machine: Machine
    links: bool
    looks_needed: bool = False
    """Whether a call was made that changes who owns what."""


@dataclass(eq=False)
class Player:
    """A process that runs product code; an actor, as the scheduler wants one."""

    world: World
    process: Process
    work: Callable[[Player], None]
    rng: random.Random
    burst: int = 0
    """How many calls it makes before it hands over."""
    refusal: str = ""
    """How the product refused what was wanted."""
    error: BaseException | None = None
    """What no product function may raise."""
    last: str = ""
    """The call that was announced."""
    looked: int | None = None
    """When its first look at a run was over."""
    is_done: bool = False
    is_dead: bool = False
    _midway: bool = False
    _inside: bool = False
    _fds: set[int] = field(default_factory=set)
    _thread: threading.Thread | None = None
    _go: threading.Lock = field(default_factory=threading.Lock)
    _back: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._go.acquire()
        self._back.acquire()

    # for the scheduler

    def step(self) -> str | None:
        """Make the call that was announced, and announce the next; None when done."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, daemon=True)
            self._thread.start()
        else:
            self._go.release()
        if not self._back.acquire(timeout=PATIENCE):
            raise RuntimeError(f"stuck after {self.last}: it waits for another process's thread")
        if self.is_done:
            self._thread.join()
            if self.error is not None and not self.is_dead:
                raise self.error
            return None
        return self.last

    def kill(self) -> None:
        """Die before the next call, or in the middle of it if it is a write."""
        if self.is_done:
            return
        self.is_dead = True
        self._midway = self.rng.random() < 0.5
        if self._thread is None:
            self._let_go()
        else:
            self.step()

    def inherit(self, fd: int) -> int:
        """A descriptor of the parent's that this process has from the first."""
        new = _dup(fd)
        self._fds.add(new)
        return new

    # for the calls

    def pause(self, call: str, weighty: bool = False) -> None:
        """Let the others go first, unless this one has a burst of calls to make."""
        if self.is_dead:
            raise Died
        self.world.machine.clock += 1
        self.last = call
        if self.burst > 0 and not (weighty and self.rng.random() < 0.3):
            self.burst -= 1
            return
        self._back.release()
        self._go.acquire()
        if self.is_dead:
            raise Died

    def at_the_door(
        self, operation: str, function: Callable[..., Any], given: tuple[Any, ...]
    ) -> Any:
        """Make a call that changes something, when it is this process's turn."""
        weighty = operation in ("rename", "link") and is_weighty(given[3])
        try:
            self.pause(operation, weighty)
        except Died:
            if self._midway and operation == "write":
                self._midway = False
                function(given[0], given[1][: self.rng.randrange(len(given[1]))])
            raise
        if operation == "link" and not self.world.links:
            raise OSError(errno.EPERM, "this file system has no links")
        self._inside = True
        try:
            result = function(*given)
            self._stamp(operation, result, given[0])
        finally:
            self._inside = False
        if weighty:
            self.world.looks_needed = True
            self.burst = 0
        return result

    def open(self, path: Any, *given: Any, **named: Any) -> int:
        """An open, and a descriptor that dies with the process."""
        if self.is_dead:
            raise Died
        if not self._inside and path != ".":  # through the one that is open: nobody sees that
            self.pause("open")
        fd = _open(path, *given, **named)
        self._fds.add(fd)
        return fd

    def dup(self, fd: int) -> int:
        """Another descriptor that dies with the process."""
        new = _dup(fd)
        self._fds.add(new)
        return new

    def close(self, fd: int) -> None:
        """Close a descriptor."""
        self._fds.discard(fd)
        _close(fd)

    @contextmanager
    def undisturbed(self) -> Iterator[None]:
        """Make all calls of the block in one go."""
        before, self.burst = self.burst, 1_000_000
        try:
            yield
        finally:
            self.burst = before

    def _stamp(self, operation: str, result: Any, first: Any) -> None:
        """Let the file system's clock, which is the machine's, stamp a file that changed."""
        if operation in ("create", "open_append"):
            if os.fstat(result).st_size:
                return
            first = result
        elif operation not in ("write", "touch", "truncate"):
            return
        moment = EPOCH + self.world.machine.clock
        _utime(first, (moment, moment))

    def _run(self) -> None:
        _here.player = self
        try:
            with owner.asking(Told(self.world.machine, self.process)):
                self.work(self)
        except Died:
            pass
        except MolexpError as error:
            self.refusal = f"{type(error).__name__}: {error}"
        except BaseException as error:  # noqa: BLE001 - it is the code on trial
            self.error = error
            if self.is_dead:
                self.error = None
        _here.player = None
        self._let_go()
        self._back.release()

    def _let_go(self) -> None:
        for fd in self._fds:
            _close(fd)
        self._fds.clear()
        self.is_done = True


def is_weighty(name: str) -> bool:
    """Whether what gets this name changes who owns what, or where that lies."""
    return name.isdigit() or name in WEIGHTY


def current_player() -> Player | None:
    """The process whose thread this is."""
    player: Player | None = getattr(_here, "player", None)
    return player


def _gate(operation: str, function: Callable[..., Any], given: tuple[Any, ...]) -> Any:
    player = current_player()
    return player.at_the_door(operation, function, given) if player else function(*given)


def _paused(call: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def paused(*given: Any, **named: Any) -> Any:
        player = current_player()
        if player is not None:
            player.pause(call)
        return function(*given, **named)

    return paused


def _opened(*given: Any, **named: Any) -> int:
    player = current_player()
    return player.open(*given, **named) if player else _open(*given, **named)


def _dupped(fd: int) -> int:
    player = current_player()
    return player.dup(fd) if player else _dup(fd)


def _closed(fd: int) -> None:
    player = current_player()
    if player:
        player.close(fd)
    else:
        _close(fd)


def _told_time() -> float:
    """This host's clock, which need not agree with the file system's."""
    player = current_player()
    if player is None:
        return _time()
    machine = player.world.machine
    return float(EPOCH + machine.clock + machine.skew[player.process.owner.place.host])


def _told_time_ns() -> int:
    player = current_player()
    if player is None:
        return _time_ns()
    return (EPOCH + player.world.machine.clock) * 1_000_000_000


def _told_luck(size: int) -> bytes:
    player = current_player()
    return player.rng.randbytes(size) if player else _urandom(size)


@contextmanager
def on_stage() -> Iterator[None]:
    """Let players play while the block runs; all other threads notice nothing."""
    with ExitStack() as stack:
        stack.enter_context(door.gated(_gate))
        for module, name, function in (
            (os, "open", _opened),
            (os, "stat", _paused("stat", _stat)),
            (os, "listdir", _paused("list", _listdir)),
            (os, "dup", _dupped),
            (os, "close", _closed),
            (os, "urandom", _told_luck),
            (time, "time", _told_time),
            (time, "time_ns", _told_time_ns),
        ):
            stack.enter_context(patch.object(module, name, function))
        yield
    gc.collect()
