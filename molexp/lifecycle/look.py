"""A look at a run: what its numbered directories say, and who may still be at work in it."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass

from molexp.disk import layout
from molexp.disk.beneath import Directory
from molexp.disk.ledger import LineReader, entries
from molexp.disk.owner import Life, judge
from molexp.disk.record import read, read_if_there
from molexp.errors import ConflictError, MolexpError, NotFoundError
from molexp.lifecycle.site import Site
from molexp.lifecycle.survey import edited, no_start
from molexp.model.codec import split_line
from molexp.model.execution import End, Start
from molexp.model.scope import RunMeta
from molexp.model.state import ExecutionState

SILENT_BEATS = 6
"""After so many missed beats an owner of whom nothing is known reads ``unknown``."""


@dataclass(frozen=True)
class Numbered:
    """A numbered directory of a run: an execution, or a hold."""

    number: int
    start: Start
    end: End | None

    @property
    def is_execution(self) -> bool:
        """Whether it is an attempt at the run, and not a hold."""
        return self.start.purpose == "run"

    @property
    def life(self) -> Life:
        """What is known of its owner."""
        return judge(self.start.owner.process)


@dataclass(frozen=True)
class Look:
    """What a run was found to be; it may be something else already."""

    meta: RunMeta
    numbered: tuple[Numbered, ...]
    highest: int = 0
    """The highest number that a directory there has; the next one is free."""

    @property
    def newest(self) -> Numbered | None:
        """What has the highest number."""
        return self.numbered[-1] if self.numbered else None

    @property
    def executions(self) -> tuple[Numbered, ...]:
        """The attempts, holds and those that were deleted left out."""
        hidden = self.meta.deleted
        return tuple(
            each for each in self.numbered if each.is_execution and each.start.uid not in hidden
        )


def look_at(run: Directory) -> Look:
    """Read who the run is and what every numbered directory in it says.

    A numbered directory without a byte of its start is passed over, for it never had an owner that
    lives: an execution appears with its start, and only a power loss takes that away.

    Raises NotFoundError for a place that is no run, and FormatError for a record that is damaged:
    without it nobody can tell who owns the run.
    """
    meta, names = read(run, layout.META, RunMeta), run.names(alone=True)
    meta = edited(run, meta, [], names)
    numbers = sorted(filter(None, map(layout.execution_number, names)))
    looked = (_numbered(run, number) for number in numbers)
    numbered = tuple(each for each in looked if each is not None)
    return Look(meta, numbered, numbers[-1] if numbers else 0)


def _numbered(run: Directory, number: int) -> Numbered | None:
    with run.enter(layout.execution_name(number)) as place:
        try:
            if not place.stat(layout.LEDGER).st_size:
                return None
        except NotFoundError:
            return None
        start = read_start(place)
        return Numbered(number, start, read_end(place, start))


def read_start(place: Directory) -> Start:
    """The first line of an execution's ledger; raises FormatError if that is no start."""
    lines = LineReader(place, layout.LEDGER)
    for line in entries(lines):
        if isinstance(line.record, Start):
            return line.record
        break
    raise no_start(lines.path)


def read_end(place: Directory, start: Start) -> End | None:
    """How an execution ended, from the one name that its start chose; None if it has not."""
    return read_if_there(place, end_name(start), End)


def end_name(start: Start) -> str:
    """The one name for which all who would end an execution contend."""
    return layout.END if start.links else layout.END_WITHOUT_LINKS


def check_free(run: Directory, found: Numbered) -> None:
    """Raises ConflictError if somebody may be at work in what has no end."""
    if found.end is None and found.life is not Life.DEAD:
        owner, doing = found.start.owner, "runs" if found.is_execution else "moves"
        raise ConflictError(
            f"{run.path} is taken: {owner} {doing} it since {found.start.at:%Y-%m-%d %H:%M:%S} UTC",
            cure="wait for it or cancel it; if you know that it is over, say `reap(confirm=True)`",
            holder=str(owner),
            since=found.start.at.isoformat(),
        )


def status_of(site: Site, run: Directory, look: Look) -> ExecutionState:
    """The run's status: that of its newest execution."""
    if not look.executions:
        return ExecutionState.PENDING
    return state_of(site, run, look.executions[-1])


def state_of(site: Site, run: Directory, found: Numbered) -> ExecutionState:
    """The state that an execution is in, judged now.

    Without an end it is ``failed`` if its owner is proven dead, and ``unknown`` if nothing is known
    of that owner and it has been silent for six beats.
    """
    if found.end is not None:
        return found.end.status
    life = found.life
    if life is Life.DEAD:
        return ExecutionState.FAILED
    with run.enter(layout.execution_name(found.number)) as place:
        if life is Life.UNKNOWN and is_silent(site, place):
            return ExecutionState.UNKNOWN
        return ExecutionState.PAUSED if is_paused(place) else ExecutionState.RUNNING


def is_silent(site: Site, place: Directory) -> bool:
    """Whether an execution's ledger was not touched for six beats, by the file system's clock."""
    touched = place.stat(layout.LEDGER).st_mtime
    patience = SILENT_BEATS * site.beat
    if 0 <= time.time() - touched < patience:
        return False
    try:
        moment = site.aside.moment()
    except (OSError, MolexpError):  # who may not write here has only a clock of their own
        moment = time.time()
    return moment - touched >= patience


def is_paused(place: Directory) -> bool:
    """Whether the last change of state that a ledger tells of is a pause."""
    paused = False
    for line in LineReader(place, layout.LEDGER):
        if b'"paused"' in line.data or b'"resumed"' in line.data:
            with suppress(ValueError):
                name, _ = split_line(line.data)
                if name in ("paused", "resumed"):
                    paused = name == "paused"
    return paused
