"""A look at a run: what its numbered directories say, and who may still be at work in it."""

from __future__ import annotations

from dataclasses import dataclass

from molexp.disk import layout
from molexp.disk.beneath import Directory
from molexp.disk.ledger import LineReader, entries
from molexp.disk.owner import Life, judge
from molexp.disk.record import read, read_if_there
from molexp.errors import ConflictError, FormatError
from molexp.model.execution import End, ExecutionState, Start
from molexp.model.scope import RunMeta


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
        return judge(self.start.owner)


@dataclass(frozen=True)
class Look:
    """What a run was found to be; it may be something else already."""

    meta: RunMeta
    numbered: tuple[Numbered, ...]

    @property
    def newest(self) -> Numbered | None:
        """What has the highest number."""
        return self.numbered[-1] if self.numbered else None

    @property
    def executions(self) -> tuple[Numbered, ...]:
        """The attempts, holds left out."""
        return tuple(each for each in self.numbered if each.is_execution)


def look_at(run: Directory) -> Look:
    """Read who the run is and what every numbered directory in it says.

    Raises NotFoundError for a place that is no run, and FormatError for a record that is damaged:
    without it nobody can tell who owns the run.
    """
    meta = read(run, layout.META, RunMeta)
    numbers = sorted(filter(None, map(layout.execution_number, run.names())))
    return Look(meta, tuple(_numbered(run, number) for number in numbers))


def _numbered(run: Directory, number: int) -> Numbered:
    with run.enter(layout.execution_name(number)) as place:
        start = read_start(place)
        return Numbered(number, start, read_end(place, start))


def read_start(place: Directory) -> Start:
    """The first line of an execution's ledger; raises FormatError if that is no start."""
    lines = LineReader(place, layout.LEDGER)
    for line in entries(lines):
        if isinstance(line.record, Start):
            return line.record
        break
    raise FormatError(
        f"{lines.path} does not begin with the start of an execution",
        cure="restore it from a copy, or move its directory out of the run",
        path=lines.path,
        place="byte 0",
    )


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


def status_of(look: Look) -> ExecutionState:
    """The run's status as its files tell it; ``unknown`` is judged elsewhere, by silence."""
    if not look.executions:
        return ExecutionState.PENDING
    newest = look.executions[-1]
    return newest.end.status if newest.end else ExecutionState.RUNNING
