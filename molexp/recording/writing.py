"""What one process writes in one execution: its ledger, its files, and what it knows of them.

The owner writes ``ledger.jsonl``. Every other process that joins, a forked child among them, has
files of its own, with its writer's id in their names, and never ends the execution.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from threading import Event, Lock, RLock, get_ident

from molexp.disk import door, journal, layout, owner
from molexp.disk.beneath import Directory, explained
from molexp.disk.commit import Batch
from molexp.disk.journal import Change
from molexp.disk.ledger import Appender
from molexp.disk.record import read_if_there
from molexp.errors import CancelledError, MolexpError, TransitionError
from molexp.lifecycle.attempt import Attempt
from molexp.lifecycle.look import end_name
from molexp.lifecycle.requests import requests
from molexp.lifecycle.site import Site, now
from molexp.model.address import Address
from molexp.model.codec import join_line
from molexp.model.execution import End, FileEntry, Request, Start, StateChange
from molexp.model.names import Siblings

LOOK_SECONDS = 0.1
"""How often accessors look at most whether something was asked."""


PATIENCE_SECONDS = 60.0
"""How long an end waits for what other threads of this process have begun to save."""


class AtWork:
    """How many threads are within something that is to be done before the end."""

    __slots__ = ("_count", "_ender", "_idle", "_turn", "over")

    def __init__(self) -> None:
        self.over: Callable[[], MolexpError] | None = None
        self._count = self._ender = 0
        self._idle: Event | None = None  # what an end waits for
        self._turn = Lock()

    def __enter__(self) -> None:
        with self._turn:
            if self.over is not None and self._ender != get_ident():
                raise self.over()
            self._count += 1

    def __exit__(self, *_: object) -> None:
        with self._turn:
            self._count -= 1
            if self._idle is not None and not self._count:
                self._idle.set()

    def stop(self, over: Callable[[], MolexpError]) -> None:
        """Let this thread alone go on, and others finish what they have begun."""
        with self._turn:
            self._ender, self.over = get_ident(), over
            if not self._count:
                return
            if self._idle is None or self._idle.is_set():
                self._idle = Event()
            idle = self._idle
        idle.wait(PATIENCE_SECONDS)

    def go_on(self) -> None:
        """Let all threads go on again."""
        self.over, self._ender = None, 0


@dataclass(eq=False, repr=False)
class Watched:
    """An execution that is open here, and what is asked of whoever writes in it."""

    site: Site
    address: Address
    run: Directory
    place: Directory
    number: int
    start: Start
    attempt: Attempt | None = None
    lock: AbstractContextManager[object] = field(default_factory=RLock, init=False)
    _at_work: AtWork = field(default_factory=AtWork, init=False)
    _next_look: float = field(default=0.0, init=False)

    @property
    def over(self) -> Callable[[], MolexpError] | None:
        """What every call raises from now on."""
        return self._at_work.over

    @over.setter
    def over(self, over: Callable[[], MolexpError] | None) -> None:
        self._at_work.over = over

    @property
    def is_owner(self) -> bool:
        """Whether it is this process that ends the execution."""
        return self.attempt is not None

    @property
    def path(self) -> str:
        """Where the run lies beneath the root, if nobody moved it by hand."""
        return layout.scope_path(self.address)

    def check(self) -> None:
        """Raise if nothing may be written any more; a tenth of a second may go by until it does.

        Raises TransitionError after the end, CancelledError once that was asked. Where a pause was
        asked, this returns when it is over.
        """
        over = self._at_work.over
        if over is not None:
            raise over()
        if time.monotonic() >= self._next_look:
            self.heed()

    def heed(self) -> None:
        """Look now whether something was asked, and do it."""
        if self.over is not None:
            raise self.over()
        with self.lock:
            self._next_look = time.monotonic() + LOOK_SECONDS
            if not self.is_owner:
                self.check_not_ended()
            asked = self._asked()
            if asked is not None and asked.verb == "pause":
                self._wait(asked)
            elif asked is not None and asked.verb == "cancel":
                raise _cancelled(asked)

    def at_work(self) -> AtWork:
        """What the block begins is done before the end looks at what is there."""
        return self._at_work

    def hinted(self) -> Change:
        """Let readers know that something appears here."""
        return self.site.journal.changing(str(self.address), place=self.run, path=self.path)

    def check_not_ended(self) -> None:
        """Raise TransitionError if the end is there."""
        if self._has_ended():
            end = read_if_there(self.place, end_name(self.start), End)
            path, how = self.place.path, end.status if end is not None else "over"
            self.over = lambda: ended(path, how)
            raise self.over()

    def _has_ended(self) -> bool:
        try:
            os.stat(end_name(self.start), dir_fd=self.place.fd)
        except OSError:
            return False
        return True

    def _asked(self) -> Request | None:
        """The request that counts now: a cancellation before all others, else the newest."""
        try:
            os.stat(layout.REQUESTS, dir_fd=self.run.fd)
        except OSError:
            return None
        all_of_them = requests(self.run, self.number, self.start.uid)
        for each in all_of_them:
            if each.verb == "cancel":
                return each
        return all_of_them[-1] if all_of_them else None

    def _wait(self, asked: Request) -> None:
        """Stand still until somebody asks for something else."""
        self._tell_change("paused", asked)
        while True:
            time.sleep(LOOK_SECONDS)
            if self.over is not None:
                raise self.over()
            self.check_not_ended()
            asked = self._asked() or asked
            if asked.verb == "cancel":
                raise _cancelled(asked)
            if asked.verb == "resume":
                self._tell_change("resumed", asked)
                return

    def _tell_change(self, name: str, asked: Request) -> None:
        """Write down that it was paused or resumed."""
        raise NotImplementedError


@dataclass(eq=False, repr=False)
class Writing(Watched):
    """An execution that this process writes in, as its owner or as one who joined."""

    def __post_init__(self) -> None:
        attempt, site = self.attempt, self.site
        self.forks = owner.forks
        self.suffix = "" if attempt is not None else f"-{site.writer}"
        self.batch: Batch = attempt.batch if attempt is not None else site.batch()
        self.known: dict[str, FileEntry] = attempt.known if attempt is not None else {}
        self.files: dict[str, Appender] = attempt.files if attempt is not None else {}
        self.siblings: dict[str, Siblings] = {}
        """The names that this process knows of, by their directory."""
        self.versions: dict[str, int] = {}
        """The version to try next, by the path of the first."""
        self._ledger = attempt.ledger if attempt is not None else None
        self._directories = attempt.directories if attempt is not None else {}
        self.is_closed = False
        self._last = journal.now()

    def is_fresh(self) -> bool:
        """Whether its last line or beat is so young that no reader has stopped looking at it."""
        return journal.now() - self._last <= journal.FRESH_SECONDS

    @property
    def is_alone(self) -> bool:
        """Whether nobody has joined this owner, so that it knows all assets that were made."""
        prefix = layout.LEDGER_PREFIX
        return self.is_owner and not any(name.startswith(prefix) for name in self.place.names())

    def stop(self) -> None:
        """Let this thread alone write from now on, and others finish what they have begun."""
        path = self.place.path
        self._at_work.stop(lambda: ended(path, "it is ending right now"))

    def go_on(self) -> None:
        """Let all threads write again: the end was refused."""
        for appender in self.files.values():
            appender.resume()
        self._at_work.go_on()

    def know(self, top: str, name: str) -> None:
        """Take note of a name beneath ``top``; raises InvalidNameError if it is a twin."""
        at = top
        for step in name.split("/"):
            self.siblings.setdefault(at, Siblings()).add(step)
            at = f"{at}/{step}"

    def append(self, file: Appender, line: bytes) -> None:
        """Add a line to a file of lines; raises what every call does that comes after the end."""
        try:
            file.append(line)
        except OSError:
            if self.over is None:
                raise
            raise self.over() from None  # another thread ended it since this one looked

    def tell(self, name: str, data: bytes) -> None:
        """Add a line to this process's ledger."""
        with self.at_work():
            ledger = self._ledger or self._join()
            ledger.append(join_line(name, data))
        late = not self.is_owner and self._has_ended()
        if late or journal.now() - self._last > journal.FRESH_SECONDS:
            self._hint()
        self._last = journal.now()

    def beat(self) -> None:
        """Say that the owner lives."""
        if self._ledger is not None and self.over is None:
            door.touch(self._ledger.fd)
            if journal.now() - self._last > journal.FRESH_SECONDS:
                self._hint()
            self._last = journal.now()

    def inside(self, relative: str) -> Directory:
        """A directory of the execution, made when it is first used and held open."""
        found = self._directories.get(relative) if relative else self.place
        if found is None:
            with self.lock:
                found = self._directories.get(relative)
                if found is None:
                    found = self._directories[relative] = self._make(relative)
        return found

    def lines(self, relative: str, register: Callable[[str], object] | None = None) -> Appender:
        """A file of lines that this process alone appends to.

        ``relative`` is its path in the owner's hands; all others have a file beside that.
        ``register`` is told the path once it is there, before anything is appended.
        """
        found = self.files.get(relative)
        if found is None:
            with self.lock:
                found = self.files.get(relative)
                if found is None:
                    with self.at_work():
                        found = self._open_lines(relative, register)
        return found

    def path_of_lines(self, relative: str) -> str:
        """The path of this process's own file for one that the owner has at ``relative``."""
        stem, dot, suffix = relative.rpartition(".")
        return f"{stem}{self.suffix}{dot}{suffix}"

    def finish(self) -> None:
        """Take no more lines."""
        for appender in self.files.values():
            appender.finish()

    def close(self) -> None:
        """Let go of everything but what the attempt holds."""
        self.is_closed = True
        if self.is_owner:
            return
        for file in (*self.files.values(), *([self._ledger] if self._ledger else [])):
            file.close()
        for directory in (*self._directories.values(), self.place, self.run):
            directory.close()
        self.batch.close()

    def _make(self, relative: str) -> Directory:
        mode = self.site.modes.directory
        if "/" not in relative:
            try:  # most are new
                door.mkdir(self.place.fd, relative, mode)
                self.batch.changed(self.place)
            except FileExistsError:
                pass
            except OSError as error:
                raise explained(error, self.place.path) from error
            return self.place.enter(relative)
        return self.place.make(relative, mode, self.batch.changed)

    def _open_lines(self, relative: str, register: Callable[[str], object] | None) -> Appender:
        path = self.path_of_lines(relative)
        above, _, name = path.rpartition("/")
        directory = self.inside(above)
        opened = Appender(directory, name, self.site.modes.file, hashed=True)
        try:
            self.batch.wrote(directory, name)
            self.batch.changed(directory)
            if register is not None and not opened.size:  # else it is known since it was begun
                register(path)
        except BaseException:
            opened.close()
            raise
        self.files[relative] = opened
        return opened

    def _join(self) -> Appender:
        """The ledger of one who joined, made when the first line is told."""
        with self.lock:
            if self._ledger is None:
                self.check_not_ended()
                name = f"{layout.LEDGER_PREFIX}{self.site.writer}.jsonl"
                with self.hinted():
                    self._ledger = Appender(self.place, name, self.site.modes.file)
                self.batch.wrote(self.place, name)
                self.batch.changed(self.place)
            return self._ledger

    def _hint(self) -> None:
        with self.hinted():
            pass

    def _tell_change(self, name: str, asked: Request) -> None:
        if self.is_owner:
            change = StateChange.make(at=now(), by=asked.by, reason=asked.reason)
            self.tell(name, change.to_json())


def ended(path: str, status: str) -> TransitionError:
    """The error for a write to what has ended."""
    return TransitionError(
        f"{path} has ended ({status}), and nothing is written to it any more",
        cure="start the run again: that is another execution",
        current=status,
        wanted="running",
        allowed=[],
    )


def _cancelled(request: Request) -> CancelledError:
    said = f": {request.reason}" if request.reason else ""
    return CancelledError(
        f"{request.by} asked at {request.at:%Y-%m-%d %H:%M:%S} UTC to cancel this run{said}",
        cure="let it pass, so that the execution ends as cancelled",
        by=request.by,
        reason=request.reason,
    )
