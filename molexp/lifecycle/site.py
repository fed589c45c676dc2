"""An open workspace, and what one process needs to write in it."""

from __future__ import annotations

import os
import pwd
import time
from collections import OrderedDict
from datetime import UTC, datetime
from functools import cached_property
from threading import Lock

from molexp.disk import layout, owner
from molexp.disk.beneath import Directory
from molexp.disk.commit import Batch, Durability, begin
from molexp.disk.journal import Journal
from molexp.disk.record import Aside
from molexp.model.ids import ENTROPY_BYTES, RUN_ENTROPY_BYTES, run_id, ulid
from molexp.model.names import slug

BEAT_SECONDS = 10.0
"""How often an owner sets the time of its ledger."""

MAX_WAYS = 8
"""How many directories above scopes are held open."""


class Site:
    """A workspace's root with this process's place aside and its journal.

    A forked child gets its own of both when it first asks for them: in those that it inherits, a
    lock may be held by a thread that is not there any more.
    """

    def __init__(
        self,
        root: Directory,
        access: str = "private",
        durability: Durability = "power",
        beat: float = BEAT_SECONDS,
    ) -> None:
        self.root = root
        self.beat = beat
        self.modes = layout.ACCESS[access]
        self.durability = durability
        self._pid = 0
        self._own: tuple[Aside, Journal, _Ways] | None = None

    @property
    def writer(self) -> str:
        """The id under which this process writes."""
        return owner.writer()

    @property
    def aside(self) -> Aside:
        """Where this process makes things before they get their name."""
        return self._mine()[0]

    @property
    def journal(self) -> Journal:
        """The hints of this process."""
        return self._mine()[1]

    def enter(self, path: str) -> Directory:
        """The directory of a scope; what lies above it is held open for the next that is asked for.

        Raises NotFoundError, or FormatError if there is a link on the way.
        """
        return self._mine()[2].enter(path)

    @cached_property
    def links(self) -> bool:
        """Whether the file system has hard links, for ends to be given their name by one."""
        return self.aside.can_link()

    @cached_property
    def person(self) -> str:
        """Who is at work: account and machine."""
        return f"{_user()}@{os.uname().nodename}"

    @cached_property
    def edits(self) -> str:
        """The file of edits that all processes of this account on this machine append to."""
        host = slug(os.uname().nodename or "localhost")
        return f"{layout.EDITS_PREFIX}{host}-{slug(_user())}.jsonl"

    def batch(self) -> Batch:
        """A new batch, to be begun before what it is to commit is written."""
        return begin(self.root, self.durability)

    def close(self) -> None:
        """Say that no more hints come, and let go of the workspace."""
        if self._own is not None and self._pid == os.getpid():
            aside, journal, ways = self._own
            journal.close()
            aside.close()
            ways.close()
        self.root.close()

    def _mine(self) -> tuple[Aside, Journal, _Ways]:
        if self._own is None or self._pid != os.getpid():
            aside = Aside(self.root, self.modes)
            self._own = aside, Journal(self.root, aside, self.modes), _Ways(self.root)
            self._pid = os.getpid()  # last: until then no thread takes what is the parent's
        return self._own


class _Ways:
    """The directories that were last gone through, held open.

    One that is still where it was is used again: one call tells that, where walking there takes one
    for each step.
    """

    def __init__(self, root: Directory) -> None:
        self._root = root
        self._open: OrderedDict[str, Directory] = OrderedDict()
        self._lock = Lock()

    def enter(self, path: str) -> Directory:
        """The directory at a path, through the one above it."""
        above, _, name = path.rpartition("/")
        if not above:
            return self._root.enter(path)
        with self._lock:
            way = self._open.get(above)
            if way is None or not self._root.leads_to(above, way):
                if way is not None:
                    self._open.pop(above).close()
                self._open[above] = way = self._root.enter(above)
                if len(self._open) > MAX_WAYS:
                    self._open.popitem(last=False)[1].close()
            self._open.move_to_end(above)
            return way.enter(name)

    def close(self) -> None:
        """Let go of them all."""
        with self._lock:
            for way in self._open.values():
                way.close()
            self._open.clear()


def _user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # a container may run as a number that nobody named
        return f"uid{os.geteuid()}"


def now() -> datetime:
    """This moment."""
    return datetime.now(UTC)


def new_uid() -> str:
    """An identity that nothing else has."""
    return ulid(time.time_ns() // 1_000_000, os.urandom(ENTROPY_BYTES))


def new_run_id(moment: datetime) -> str:
    """A readable id for a run that was made at this moment."""
    return run_id(moment.strftime("%Y%m%d-%H%M%S"), os.urandom(RUN_ENTROPY_BYTES))
