"""What others ask of the owner of an execution: to pause, to go on, to stop.

A request is written down, and then its writer looks once more whether anybody is left to read it.
"""

from __future__ import annotations

from contextlib import closing
from typing import Literal

from molexp.disk import layout
from molexp.disk.beneath import Directory
from molexp.disk.owner import Life
from molexp.disk.record import read
from molexp.errors import ConflictError, MolexpError, TransitionError
from molexp.lifecycle.attempt import ATTEMPTS, cancel_pending, end_for_another, settle
from molexp.lifecycle.look import Numbered, is_paused, look_at, read_end, status_of
from molexp.lifecycle.site import Site, new_uid, now
from molexp.model.address import Address
from molexp.model.execution import Request
from molexp.model.state import ExecutionState, check_transition

Verb = Literal["cancel", "pause", "resume"]

WANTED = {
    "cancel": ExecutionState.CANCELLED,
    "pause": ExecutionState.PAUSED,
    "resume": ExecutionState.RUNNING,
}
"""The state that each verb asks for."""

CANCELLED_DEAD = "cancelled after its process had died"
"""The reason of an end that a canceller gave."""


def ask(
    site: Site, address: Address, verb: Verb, reason: str | None = None
) -> ExecutionState | None:
    """Ask the owner of a run's newest execution, or do it at once where there is none.

    The state that this led to, or None if the owner was asked. Raises TransitionError if the run
    cannot get there, ConflictError while it is being moved.
    """
    path = layout.scope_path(address)
    for _attempt in range(ATTEMPTS):
        with site.enter(path) as run:
            found = look_at(run)
            newest = found.executions[-1] if found.executions else None
            if newest is None:
                _check_pending(verb)
                free = settle(site, run, found, address) and site.root.leads_to(path, run)
                done = free and cancel_pending(site, run, address, found)
            elif newest.end is None and newest.life is Life.DEAD:
                done = _cancel_dead(site, run, newest, address, verb)
            else:
                state = status_of(site, run, found)
                if state is ExecutionState.UNKNOWN:
                    state = _last_known(run, newest)
                check_transition(state, WANTED[verb])
                _leave(site, run, newest, verb, reason)
                return None
        if done:
            return ExecutionState.CANCELLED
    raise ConflictError(
        f"{site.root.where(path)} was started or ended {ATTEMPTS} times in this moment",
        cure="call again when the others are done",
        holder="several",
        since="now",
    )


def requests(run: Directory, number: int, execution: str) -> list[Request]:
    """What was asked of an execution, the oldest first; what cannot be read is passed over."""
    prefix = f"{layout.execution_name(number)}-"
    found: list[Request] = []
    try:
        with run.enter(layout.REQUESTS) as directory:
            for name in directory.names():
                if name.startswith(prefix):
                    try:
                        found.append(read(directory, name, Request))
                    except MolexpError:
                        continue  # the checker reports it; the other requests count
    except MolexpError:
        return []  # nothing was asked, or something took the place of the requests
    mine = [request for request in found if request.execution == execution]
    return sorted(mine, key=lambda request: (request.at, request.uid))


def _check_pending(verb: Verb) -> None:
    """Raises TransitionError for what can only be asked of somebody."""
    if verb != "cancel":
        raise TransitionError(
            f"a run that was not started cannot be asked to {verb}",
            cure="start it",
            current=ExecutionState.PENDING,
            wanted=WANTED[verb],
            allowed=[ExecutionState.CANCELLED],
        )


def _last_known(run: Directory, found: Numbered) -> ExecutionState:
    """What an owner who is silent was last heard to do: it may hear a request yet."""
    with run.enter(layout.execution_name(found.number)) as place:
        return ExecutionState.PAUSED if is_paused(place) else ExecutionState.RUNNING


def _cancel_dead(site: Site, run: Directory, found: Numbered, address: Address, verb: Verb) -> bool:
    """Carry out a request to an owner that is proven dead."""
    if verb != "cancel":
        check_transition(ExecutionState.FAILED, WANTED[verb])
    try:
        cancelled = ExecutionState.CANCELLED
        end_for_another(site, run, address, found, cancelled, CANCELLED_DEAD)
    except ConflictError:
        return False  # somebody else was first: look again
    return True


def _leave(site: Site, run: Directory, found: Numbered, verb: Verb, reason: str | None) -> None:
    request = Request.make(
        format=1,
        uid=new_uid(),
        verb=verb,
        execution=found.start.uid,
        at=now(),
        writer=site.writer,
        by=site.person,
        reason=reason,
    )
    name = f"{layout.execution_name(found.number)}-{request.uid}-{verb}.json"
    with (
        closing(site.batch()) as batch,
        run.make(layout.REQUESTS, site.modes.directory, batch.changed) as directory,
    ):
        data = request.to_json()
        site.aside.publish_file(data, directory, name, site.modes.ended_file, batch)
    with run.enter(layout.execution_name(found.number)) as place:
        end = read_end(place, found.start)
    if end is not None:
        raise TransitionError(
            f"the execution ended as {end.status} while it was asked to {verb}",
            cure="an execution that ended never changes: start the run again",
            current=end.status,
            wanted=WANTED[verb],
            allowed=[],
        )
