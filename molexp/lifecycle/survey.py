"""Read every record of a workspace: what is good is given, what is not is reported beside it."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from molexp.disk import layout
from molexp.disk.beneath import Directory
from molexp.disk.ledger import Entry, LineReader, entries
from molexp.disk.record import read
from molexp.disk.walk import is_litter
from molexp.errors import FormatError, MolexpError, NotFoundError
from molexp.model.address import Address
from molexp.model.asset import Asset, DataAsset
from molexp.model.execution import End, FileEntry, Input, Start, StateChange
from molexp.model.record import Edit
from molexp.model.scope import META, AnyMeta, RunMeta, ScopeMeta, effective
from molexp.model.state import ExecutionState

_JOINED_LINES = frozenset(["asset", "input", "paused", "resumed"])
_OWNER_LINES = _JOINED_LINES | {"start"}
"""The lines that belong into a joined writer's ledger, and into the owner's."""


@dataclass
class ExecutionSurvey:
    """One attempt at a run, as its files tell it."""

    number: int
    start: Start | None = None
    end: End | None = None
    assets: list[Asset] = field(default_factory=list)
    inputs: list[Input] = field(default_factory=list)
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
        except MolexpError as error:
            problems.append(error)
        else:
            found = ScopeSurvey(address, edited(directory, meta, problems))
            found.data = list(data(directory, problems))
            found.executions = shown(directory, found.meta, problems)
            yield found
        between = layout.BELOW.get(address.kind)
        below = _names(directory, between, problems) if between else []
    for name in below:
        try:
            yield from _survey(root, address / name, problems)
        except MolexpError as error:
            problems.append(error)


def _names(directory: Directory, relative: str, problems: Problems) -> list[str]:
    """What lies in a directory that may not be there, litter left out."""
    try:
        with directory.enter(relative) as inner:
            return [name for name in inner.names() if not is_litter(name)]
    except NotFoundError:
        return []
    except MolexpError as error:
        problems.append(error)
        return []


def _lines(
    directory: Directory,
    name: str,
    wanted: Container[str],
    problems: Problems,
    *,
    ended: bool = False,
) -> Iterator[Entry]:
    """The lines of a file that belong there; what else is in it joins ``problems``.

    A file of an ``ended`` execution has no line that is still being written.
    """
    lines = LineReader(directory, name)
    try:
        for line in entries(lines):
            if line.name in wanted:
                yield line
            else:
                wrong = f"a line of {line.name!r} does not belong here"
                problems.append(_passed_over(lines.path, line.offset, wrong))
    except MolexpError as error:
        problems.append(error)
    problems += lines.problems
    if ended and lines.torn:
        wrong = f"the last {lines.torn} bytes end no line"
        problems.append(_passed_over(lines.path, lines.offset, wrong))


def _passed_over(path: str, offset: int, wrong: str) -> FormatError:
    place = f"byte {offset}"
    return FormatError(
        f"{path}, {place}: {wrong}",
        cure="it is passed over, and all other lines are read",
        path=path,
        place=place,
    )


def scope_record(directory: Directory, kind: type[AnyMeta], problems: Problems) -> AnyMeta:
    """The record of the scope that lies in a directory, edits applied."""
    return edited(directory, read(directory, layout.META, kind), problems)


def edited(
    directory: Directory, meta: AnyMeta, problems: Problems, names: Sequence[str] | None = None
) -> AnyMeta:
    """A scope's record with all edits in its directory; those that do not fit join ``problems``.

    ``names`` is what lies there, for whoever knows it.
    """
    edits: list[Edit] = []
    for name in _names(directory, "", problems) if names is None else names:
        if name.startswith(layout.EDITS_PREFIX):
            lines = _lines(directory, name, ["edit"], problems)
            edits += [line.record for line in lines if isinstance(line.record, Edit)]
    meta, refused = effective(meta, edits)
    problems += refused
    return meta


def data(directory: Directory, problems: Problems) -> Iterator[DataAsset]:
    """The data of the scope that lies in a directory, all versions."""
    for name in _names(directory, layout.DATA, problems):
        for version in _names(directory, f"{layout.DATA}/{name}", problems):
            place = f"{layout.DATA}/{name}/{version}/{layout.ASSET}"
            try:
                yield read(directory, place, DataAsset)
            except MolexpError as error:
                problems.append(error)


def shown(directory: Directory, meta: ScopeMeta, problems: Problems) -> list[ExecutionSurvey]:
    """The executions in the directory of a scope, those that its record says are deleted left out.

    ``meta`` is its record with all edits.
    """
    hidden = meta.deleted if isinstance(meta, RunMeta) else {}
    return [
        each
        for each in executions(directory, problems)
        if each.start is None or each.start.uid not in hidden
    ]


def executions(directory: Directory, problems: Problems) -> Iterator[ExecutionSurvey]:
    """The executions of the run that lies in a directory, those that were deleted among them."""
    numbers = map(layout.execution_number, _names(directory, "", problems))
    for number in sorted(number for number in numbers if number is not None):
        try:
            with directory.enter(layout.execution_name(number)) as place:
                found = execution(number, place, problems)
            if found.start is None or found.start.purpose == "run":
                yield found  # a hold is no execution
        except MolexpError as error:
            problems.append(error)


def execution(number: int, place: Directory, problems: Problems) -> ExecutionSurvey:
    """All that the records of one execution say."""
    found, told = ExecutionSurvey(number), len(problems)
    for name in (layout.END, layout.END_WITHOUT_LINKS):
        try:
            found.end = found.end or read(place, name, End)
        except NotFoundError:
            continue  # it ended in the other way, or not at all
        except MolexpError as error:
            problems.append(error)
    latest: dict[str, Asset] = {}
    ended = found.end is not None
    ledgers = {layout.LEDGER: _OWNER_LINES}
    for name in _names(place, "", problems):
        if name.startswith(layout.LEDGER_PREFIX):
            ledgers[name] = _JOINED_LINES
    for name, wanted in ledgers.items():
        for line in _lines(place, name, wanted, problems, ended=ended):
            if isinstance(line.record, Asset):
                latest[line.record.asset_id] = line.record
            elif isinstance(line.record, Start):
                found.start = line.record
            elif isinstance(line.record, Input):
                found.inputs.append(line.record)
            elif name == layout.LEDGER and isinstance(line.record, StateChange):
                found.is_paused = line.name == "paused"
    problems += _missing_start(found, place, problems[told:])
    measured = {entry.path: entry for entry in found.end.manifest} if found.end else {}
    found.assets = [_measured(asset, measured) for asset in latest.values()]
    return found


def no_start(path: str) -> FormatError:
    """What is said of a ledger of which nobody can tell who owns the execution."""
    return FormatError(
        f"{path} does not begin with the start of an execution",
        cure="restore it from a copy, or move its directory out of the run",
        path=path,
        place="byte 0",
    )


def _missing_start(
    found: ExecutionSurvey, place: Directory, told: Sequence[MolexpError]
) -> Iterator[FormatError]:
    """What is said where no start is, unless why was told, or nothing ever stood there."""
    if found.start is not None:
        return
    path = place.where(layout.LEDGER)
    with suppress(MolexpError):
        if place.stat(layout.LEDGER).st_size and not any(
            e.details.get("path") == path for e in told
        ):
            yield no_start(path)


def _measured(asset: Asset, files: Mapping[str, FileEntry]) -> Asset:
    """An asset that grew until the end, as a log does, with the size and digest that it came to."""
    if asset.path is None or asset.content_hash is not None or asset.path not in files:
        return asset
    entry = files[asset.path]
    return asset.evolve(size=entry.size, content_hash=entry.content_hash)
