"""What dead owners left: executions without an end, and endings that a kill cut short."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from molexp.disk import layout
from molexp.disk.beneath import Directory
from molexp.disk.owner import Life
from molexp.disk.trash import sweep
from molexp.disk.walk import is_litter, walk
from molexp.errors import ConflictError, InvalidNameError, MolexpError, NotFoundError
from molexp.lifecycle.attempt import close_files, end_for_another, reap
from molexp.lifecycle.look import Numbered, is_silent, look_at
from molexp.lifecycle.site import Site
from molexp.model.address import Address, ScopeKind
from molexp.model.state import ExecutionState

CONFIRMED = "a person said that its process is over"
"""The reason of an end that somebody confirmed."""


@dataclass(frozen=True)
class Reaped:
    """An execution that was ended for its owner."""

    address: Address
    number: int
    status: ExecutionState
    reason: str


def reap_below(
    site: Site, address: Address, problems: list[MolexpError], *, confirm: bool = False
) -> list[Reaped]:
    """End as failed what owners proven dead left open in a scope, and sweep what they left aside.

    ``confirm`` says that those are over as well of whom nothing is known and that were silent for
    six beats. What cannot be reaped joins ``problems``.
    """
    found: list[Reaped] = []
    for run in runs_below(site, address, problems):
        try:
            found += _reap(site, run, confirm=confirm)
        except NotFoundError:
            continue  # it was moved or removed right now
        except MolexpError as error:
            problems.append(error)
    sweep(site.root)
    return found


def runs_below(
    site: Site, address: Address, problems: list[MolexpError] | None = None
) -> Iterator[Address]:
    """The addresses of all runs in a scope, as their directories tell them.

    What cannot be looked into is passed over, and joins ``problems`` if there is such a list.
    """
    if address.kind is ScopeKind.RUN:
        yield address
        return
    path = layout.scope_path(address)
    below = f"{path}/{layout.BELOW[address.kind]}".lstrip("/")
    try:
        with site.enter(below) as directory:
            names = directory.names()
    except NotFoundError:
        return
    except MolexpError as error:
        if problems is not None:
            problems.append(error)
        return
    for name in names:
        if is_litter(name):
            continue
        try:
            inner = address / name
        except InvalidNameError:
            continue  # no scope can lie there; a survey tells of it
        yield from runs_below(site, inner, problems)


def _reap(site: Site, address: Address, *, confirm: bool) -> Iterator[Reaped]:
    with site.enter(layout.scope_path(address)) as run:
        found = look_at(run)
        for each in found.numbered:
            if each.end is not None:
                _complete(site, run, each)
        newest = found.newest
        if newest is None or newest.end is not None:
            return
        try:
            if newest.life is Life.DEAD:
                end = reap(site, run, address, newest)
            elif confirm and _is_over(site, run, newest):
                failed = ExecutionState.FAILED
                end = end_for_another(site, run, address, newest, failed, CONFIRMED)
            else:
                return
        except ConflictError:
            return  # its owner, or another reaper, was first
    if newest.is_execution:
        yield Reaped(address, newest.number, end.status, end.reason or "")


def _is_over(site: Site, run: Directory, found: Numbered) -> bool:
    """Whether a person may say so: of an owner who lives here nobody can."""
    if found.life is not Life.UNKNOWN:
        return False
    with run.enter(layout.execution_name(found.number)) as place:
        return is_silent(site, place)


def _complete(site: Site, run: Directory, found: Numbered) -> None:
    """Take the write bits that a kill between an end and its closing left."""
    with run.enter(layout.execution_name(found.number)) as place:
        if run.stat(layout.execution_name(found.number)).st_mode & 0o200:
            close_files(site, place, list(walk(place)))
