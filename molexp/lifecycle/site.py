"""An open workspace, and what one process needs to write in it."""

from __future__ import annotations

import os
import pwd
import time
from collections import OrderedDict
from datetime import UTC, datetime
from functools import cached_property
from threading import Lock
from weakref import WeakSet

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

    A forked child gets its own of both: in those that it inherits, a lock may be held by a thread
    that is not there any more.
    """

    aside: Aside
    """Where this process makes things before they get their name."""
    journal: Journal
    """The hints of this process."""
    _ways: _Ways

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
        self.begin()
        _sites.add(self)

    def begin(self) -> None:
        """Make what only this process may use."""
        self.aside = Aside(self.root, self.modes)
        self.journal = Journal(self.root, self.aside, self.modes)
        self._ways = _Ways(self.root)

    @property
    def writer(self) -> str:
        """The id under which this process writes."""
        return owner.writer()

    def enter(self, path: str) -> Directory:
        """The directory of a scope; what lies above it is held open for the next that is asked for.

        Raises NotFoundError, or FormatError if there is a link on the way.
        """
        return self._ways.enter(path)

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
        self.journal.close()
        self.aside.close()
        self._ways.close()
        self.root.close()


_sites: WeakSet[Site] = WeakSet()


def _begin_anew() -> None:
    """A forked child leaves to its parent what it inherits."""
    for site in [*_sites]:
        site.begin()


os.register_at_fork(after_in_child=_begin_anew)


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


_STAMP = {ord("-"): None, ord(":"): None, ord(" "): "-"}  # of a time, what an id has between


def new_run_id(moment: datetime) -> str:
    """A readable id for a run that was made at this moment."""
    stamp = moment.isoformat(" ", "seconds")[:19].translate(_STAMP)
    return run_id(stamp, os.urandom(RUN_ENTROPY_BYTES))
