"""What the listings say, read from the files: what is good is given, what is not is counted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from molexp.disk import layout
from molexp.disk.beneath import Directory
from molexp.disk.walk import is_litter
from molexp.errors import MolexpError, NotFoundError
from molexp.lifecycle import survey
from molexp.lifecycle.look import Numbered, state_of
from molexp.lifecycle.site import Site, now
from molexp.lifecycle.survey import ExecutionSurvey
from molexp.model.address import Address
from molexp.model.asset import DataAsset, OutputAsset
from molexp.model.scope import META, RunMeta, ScopeMeta
from molexp.model.state import ExecutionState

Problems = list[MolexpError]


@dataclass(frozen=True)
class Told:
    """An execution, and the state that it is in, judged now."""

    survey: ExecutionSurvey
    status: ExecutionState

    @property
    def number(self) -> int:
        """Its number."""
        return self.survey.number

    @property
    def started_at(self) -> datetime | None:
        """When it began."""
        return self.survey.start.at if self.survey.start is not None else None

    @property
    def finished_at(self) -> datetime | None:
        """When it ended."""
        return self.survey.end.ended_at if self.survey.end is not None else None

    @property
    def took(self) -> timedelta | None:
        """From its start to its end, or till now if its owner is at work."""
        if self.started_at is None:
            return None
        at_work = self.status in (ExecutionState.RUNNING, ExecutionState.PAUSED)
        until = self.finished_at or (now() if at_work else None)
        return until - self.started_at if until is not None else None

    @property
    def results(self) -> dict[str, Any]:
        """The values that it left as results."""
        outputs = [each for each in self.survey.assets if isinstance(each, OutputAsset)]
        outputs.sort(key=lambda each: each.created_at)
        return {each.name: each.value for each in outputs}


@dataclass(frozen=True)
class RunTold:
    """A run with its executions, the oldest first."""

    address: Address
    meta: RunMeta
    executions: tuple[Told, ...]

    @property
    def latest(self) -> Told | None:
        """The newest execution."""
        return self.executions[-1] if self.executions else None

    @property
    def status(self) -> ExecutionState:
        """That of the newest execution."""
        return self.latest.status if self.latest is not None else ExecutionState.PENDING

    @property
    def results(self) -> dict[str, Any]:
        """Each result, from the newest execution that has it."""
        found: dict[str, Any] = {}
        for each in self.executions:
            found |= each.results
        return found

    @property
    def moment(self) -> tuple[datetime, str]:
        """When it was last started, or made, for the newest to come last."""
        started = self.latest.started_at if self.latest is not None else None
        return started or self.meta.created_at, self.address[-1]


def scope_told(site: Site, address: Address, problems: Problems) -> ScopeMeta | None:
    """A scope's record with its edits; None if it cannot be read."""
    try:
        with site.enter(layout.scope_path(address)) as directory:
            return survey.scope_record(directory, META[address.kind], problems)
    except MolexpError as error:
        problems.append(error)
        return None


def run_told(site: Site, address: Address, problems: Problems) -> RunTold | None:
    """A run with its executions, those that were deleted left out; None if it cannot be read."""
    try:
        with site.enter(layout.scope_path(address)) as run:
            meta = survey.scope_record(run, RunMeta, problems)
            found = [
                Told(each, _judged(site, run, each, problems))
                for each in survey.shown(run, meta, problems)
            ]
    except MolexpError as error:
        problems.append(error)
        return None
    return RunTold(address, meta, tuple(found))


def data_told(site: Site, address: Address, problems: Problems) -> list[DataAsset]:
    """The data of a scope: by name, the newest version last."""
    try:
        with site.enter(layout.scope_path(address)) as directory:
            found = list(survey.data(directory, problems))
    except MolexpError as error:
        problems.append(error)
        return []
    return sorted(found, key=lambda each: (each.name, each.version))


def below(site: Site, address: Address, problems: Problems) -> Iterator[Address]:
    """The addresses in a scope; a directory whose name nothing can have hides no other."""
    between = layout.BELOW.get(address.kind)
    if between is None:
        return
    path = f"{layout.scope_path(address)}/{between}".lstrip("/")
    names: list[str] = []
    try:
        with site.enter(path) as directory:
            names = [name for name in directory.names() if not is_litter(name)]
    except NotFoundError:
        return  # nothing was put into it yet
    except MolexpError as error:
        problems.append(error)
    for name in names:
        try:
            yield address / name
        except MolexpError as error:
            problems.append(error)


def count_below(site: Site, address: Address) -> int:
    """How many scopes there are in one, by their directories."""
    return sum(1 for _ in below(site, address, []))


def _judged(
    site: Site, run: Directory, found: ExecutionSurvey, problems: Problems
) -> ExecutionState:
    """The state that an execution is in; unknown if its files do not tell."""
    if found.end is not None:
        return found.end.status
    if found.start is not None:
        with suppress(NotFoundError):
            try:
                return state_of(site, run, Numbered(found.number, found.start, None))
            except MolexpError as error:
                problems.append(error)
    return ExecutionState.UNKNOWN
