"""Read every record of a workspace: what is good is given, what is not is reported beside it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from molexp.disk import layout
from molexp.disk.beneath import Directory
from molexp.disk.ledger import LineReader, entries
from molexp.disk.record import read
from molexp.disk.walk import is_litter
from molexp.errors import FormatError, InvalidNameError, MolexpError, NotFoundError
from molexp.model.asset import Asset, DataAsset
from molexp.model.execution import End, ExecutionState, Start, StateChange
from molexp.model.record import Edit
from molexp.model.scope import META, Address, AnyMeta, ScopeMeta, effective


@dataclass
class ExecutionSurvey:
    """One attempt at a run, as its files tell it."""

    number: int
    start: Start | None = None
    end: End | None = None
    assets: list[Asset] = field(default_factory=list)
    is_paused: bool = False

    @property
    def status(self) -> ExecutionState:
        """The state that its records say; an end overrules the ledger."""
        if self.end is not None:
            return self.end.status
        return ExecutionState.PAUSED if self.is_paused else ExecutionState.RUNNING


@dataclass
class ScopeSurvey:
    """One scope: its record with all edits, its data, and its executions if it is a run."""

    address: Address
    meta: ScopeMeta
    data: list[DataAsset] = field(default_factory=list)
    executions: list[ExecutionSurvey] = field(default_factory=list)

    @property
    def status(self) -> ExecutionState:
        """A run's status: that of its newest execution."""
        return self.executions[-1].status if self.executions else ExecutionState.PENDING


Problems = list[MolexpError]


def survey(root: Directory, problems: Problems) -> Iterator[ScopeSurvey]:
    """Every scope of a workspace, those that hold others first.

    What cannot be read joins ``problems`` and hides nothing else.
    """
    yield from _survey(root, Address(), problems)


def _survey(root: Directory, address: Address, problems: Problems) -> Iterator[ScopeSurvey]:
    with root.enter(layout.scope_path(address)) as directory:
        try:
            meta = read(directory, layout.META, META[address.kind])
        except (FormatError, NotFoundError) as error:
            problems.append(error)
        else:
            found = ScopeSurvey(address, edited(directory, meta, problems))
            found.data = list(_data(directory, problems))
            found.executions = list(_executions(directory, problems))
            yield found
        below = _names(directory, layout.BELOW.get(address.kind, ""))
    for name in below:
        try:
            yield from _survey(root, address / name, problems)
        except (FormatError, InvalidNameError, NotFoundError) as error:
            problems.append(error)


def _names(directory: Directory, relative: str) -> list[str]:
    """What lies in a directory that may not be there, litter left out."""
    try:
        with directory.enter(relative) as inner:
            return [name for name in inner.names() if relative and not is_litter(name)]
    except NotFoundError:
        return []


def edited(directory: Directory, meta: AnyMeta, problems: Problems) -> AnyMeta:
    """A scope's record with all edits in its directory; those that do not fit join ``problems``."""
    edits: list[Edit] = []
    for name in directory.names():
        if name.startswith(layout.EDITS_PREFIX):
            lines = LineReader(directory, name)
            edits += [line.record for line in entries(lines) if isinstance(line.record, Edit)]
            problems += lines.problems
    meta, refused = effective(meta, edits)
    problems += refused
    return meta


def _data(directory: Directory, problems: Problems) -> Iterator[DataAsset]:
    for name in _names(directory, layout.DATA):
        for version in _names(directory, f"{layout.DATA}/{name}"):
            place = f"{layout.DATA}/{name}/{version}/{layout.ASSET}"
            try:
                yield read(directory, place, DataAsset)
            except (FormatError, NotFoundError) as error:
                problems.append(error)


def _executions(directory: Directory, problems: Problems) -> Iterator[ExecutionSurvey]:
    numbers = [layout.execution_number(name) for name in directory.names()]
    for number in sorted(number for number in numbers if number is not None):
        try:
            with directory.enter(layout.execution_name(number)) as place:
                found = _execution(number, place, problems)
            if found.start is None or found.start.purpose == "run":
                yield found  # a hold is no execution
        except (FormatError, NotFoundError) as error:
            problems.append(error)


def _execution(number: int, place: Directory, problems: Problems) -> ExecutionSurvey:
    found = ExecutionSurvey(number)
    for name in (layout.END, layout.END_WITHOUT_LINKS):
        try:
            found.end = found.end or read(place, name, End)
        except NotFoundError:
            continue  # it ended in the other way, or not at all
        except FormatError as error:
            problems.append(error)
    latest: dict[str, Asset] = {}
    for name in place.names():
        if name != layout.LEDGER and not name.startswith(layout.LEDGER_PREFIX):
            continue
        lines = LineReader(place, name)
        for line in entries(lines):
            if isinstance(line.record, Start):
                found.start = line.record
            elif isinstance(line.record, Asset):
                latest[line.record.asset_id] = line.record
            elif isinstance(line.record, StateChange):
                found.is_paused = line.name == "paused"
        problems += lines.problems
    found.assets = list(latest.values())
    return found
