"""An open workspace, and what one process needs to write in it."""

from __future__ import annotations

import os
import pwd
import time
from datetime import UTC, datetime
from functools import cached_property

from molexp.disk import layout, owner
from molexp.disk.beneath import Directory
from molexp.disk.commit import Batch, Durability, begin
from molexp.disk.journal import Journal
from molexp.disk.record import Aside
from molexp.model.ids import ENTROPY_BYTES, run_id, ulid
from molexp.model.names import slug

BEAT_SECONDS = 10.0
"""How often an owner sets the time of its ledger."""


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
        self._writer = ""
        self._aside: Aside | None = None
        self._journal: Journal | None = None

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
        if self._writer == owner.writer() and self._journal is not None:
            self._journal.close()
        self.root.close()

    def _mine(self) -> tuple[Aside, Journal]:
        if self._aside is None or self._journal is None or self._writer != owner.writer():
            self._writer = owner.writer()
            self._aside = Aside(self.root, self.modes)
            self._journal = Journal(self.root, self._aside, self.modes)
        return self._aside, self._journal


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
    return run_id(f"{moment:%Y%m%d-%H%M%S}", os.urandom(5))
