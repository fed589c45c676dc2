"""Executions: started by whoever gets the next number, ended by whoever gets the one name.

The order of the calls is that of docs/design/0004: every contest is for a name that is created
whole and never replaced, and no look is trusted alone.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from molexp.disk import door, layout, owner
from molexp.disk.beneath import Directory
from molexp.disk.commit import Batch
from molexp.disk.ledger import Appender
from molexp.disk.record import write_new
from molexp.disk.walk import EntryType, walk
from molexp.errors import (
    AlreadyExistsError,
    CancelledError,
    ConflictError,
    NotFoundError,
    StorageError,
    TransitionError,
)
from molexp.model.codec import join_line
from molexp.model.execution import End, ExecutionState, Start
from molexp.lifecycle.look import Look, Numbered, check_free, end_name, look_at, read_end
from molexp.lifecycle.manifest import measure
from molexp.lifecycle.site import Site, new_uid, now

ATTEMPTS = 9  # at getting a number, where somebody else gets it each time

DIED = "its process died"
"""The reason of an end that a reaper gave."""

PENDING_CANCELLED = "cancelled before it was started"
"""The reason of an execution that was born cancelled."""

# Executions of this process whose start or end was refused by the disk: it lives, and nobody else
# can tell that it is not at work in them.
_abandoned: set[str] = set()


@dataclass
class Attempt:
    """An execution that this process owns: its directory, its ledger and what is not yet synced."""

    run: Directory
    place: Directory
    number: int
    start: Start
    ledger: Appender
    batch: Batch

    def close(self) -> None:
        """Let go of everything."""
        self.ledger.close()
        self.batch.close()
        self.place.close()
        self.run.close()


def start_run(site: Site, path: str, address: str, *, again: bool = False, **said: Any) -> Attempt:
    """Own a new execution of the run at ``path``; ``said`` are more fields of its start.

    Raises ConflictError while somebody may be at work in it, TransitionError if it succeeded and
    ``again`` is not said, CancelledError if it was cancelled meanwhile, and NotFoundError.
    """
    first: Look | None = None
    for _attempt in range(ATTEMPTS):
        run = site.root.enter(path)
        try:
            found = look_at(run)
            first = first or found
            _check_still_wanted(first, found, path, again=again)
            if _settle(site, run, found, address) and site.root.leads_to(path, run):
                attempt = _publish(site, run, path, found, address, said)
                if attempt is not None:
                    return attempt
        except BaseException:
            run.close()
            raise
        run.close()
    raise ConflictError(
        f"{site.root.where(path)} was started {ATTEMPTS} times by others in this moment",
        cure="call again when they are done",
        holder="several",
        since="now",
    )


def _check_still_wanted(first: Look, found: Look, path: str, *, again: bool) -> None:
    if found.meta.uid != first.meta.uid:
        raise NotFoundError(
            f"the run {first.meta.uid} is not at {path} any more: another one is",
            cure="look for it by its uid: it was moved or removed",
            kind="run",
            key=first.meta.uid,
        )
    for each in found.numbered[len(first.numbered) :]:
        if each.end is not None and each.end.reason == PENDING_CANCELLED:
            raise CancelledError(
                f"the run at {path} was cancelled while it was being started",
                cure="start it again if that was not meant",
                by=str(each.start.owner),
                reason=each.end.reason,
            )
    newest = found.executions[-1] if found.executions else None
    ended = newest.end.status if newest is not None and newest.end is not None else None
    if ended is ExecutionState.SUCCEEDED and not again:
        raise TransitionError(
            f"the run at {path} has succeeded",
            cure="to run it once more, say `start(again=True)`",
            current="succeeded",
            wanted="running",
            allowed=[],
        )


def _settle(site: Site, run: Directory, found: Look, address: str) -> bool:
    """Whether nobody is at work in the run; what a dead owner left open is ended."""
    newest = found.newest
    if newest is None or newest.end is not None:
        return True
    if newest.start.uid not in _abandoned:
        check_free(run, newest)
    with suppress(ConflictError):  # somebody else was first: look again
        _end_for_another(site, run, newest, address)
    return False


def _publish(
    site: Site, run: Directory, path: str, found: Look, address: str, said: dict[str, Any]
) -> Attempt | None:
    """Take the next number with a complete start; None if it is taken."""
    number = (found.newest.number if found.newest else 0) + 1
    start = Start.make(
        format=1,
        uid=new_uid(),
        run=found.meta.uid,
        owner=owner.current(),
        writer=site.writer,
        at=now(),
        durability=site.durability,
        **said,
    )
    batch = site.batch()
    ledgers: list[Appender] = []
    places: list[Directory] = []

    def fill(made: Directory) -> None:
        ledgers.append(Appender(made, layout.LEDGER, site.modes.file))
        ledgers[-1].append(join_line("start", start.to_json()))
        batch.wrote(made, layout.LEDGER)
        batch.changed(made)

    try:
        with site.journal.changing(address, place=run, path=path):
            name = layout.execution_name(number)
            places.append(site.aside.publish_directory(fill, run, name, batch))
    except BaseException as error:
        held: tuple[Appender | Directory | Batch, ...] = (*ledgers, *places, batch)
        for each in held:
            each.close()
        if isinstance(error, AlreadyExistsError | FileNotFoundError):
            return None
        _abandoned.add(start.uid)
        raise
    return Attempt(run, places[0], number, start, ledgers[-1], batch)


def end_attempt(
    site: Site, attempt: Attempt, address: str, status: ExecutionState, **said: Any
) -> End:
    """End an execution that this process owns: everything is there, then its end, then it closes.

    Raises ConflictError if somebody else has ended it. After a StorageError the same call may be
    made again; if that was a sync, which nothing can make good, the next start ends it as failed.
    """
    try:
        end = _end(site, attempt.place, attempt.start, attempt.batch, address, status, said)
    except StorageError:
        _abandoned.add(attempt.start.uid)
        raise
    _abandoned.discard(attempt.start.uid)
    attempt.close()
    return end


def reap(site: Site, run: Directory, found: Numbered, address: str) -> End:
    """End as failed what an owner that is proven dead left open.

    Raises ConflictError if the owner is not proven dead, or if somebody else was first.
    """
    check_free(run, found)
    return _end_for_another(site, run, found, address)


def _end_for_another(site: Site, run: Directory, found: Numbered, address: str) -> End:
    batch = site.batch()
    try:
        with run.enter(layout.execution_name(found.number)) as place:
            status = ExecutionState.FAILED
            return _end(site, place, found.start, batch, address, status, {"reason": DIED})
    finally:
        batch.close()


def _end(
    site: Site,
    place: Directory,
    start: Start,
    batch: Batch,
    address: str,
    status: ExecutionState,
    said: dict[str, Any],
) -> End:
    end = End.make(
        format=1,
        uid=start.uid,
        status=status,
        ended_at=now(),
        ended_by=owner.current(),
        manifest=measure(place),
        **said,
    )
    with site.journal.changing(address):
        end = _publish_end(site, place, start, batch, end)
        close_files(site, place)
    return end


def _publish_end(site: Site, place: Directory, start: Start, batch: Batch, end: End) -> End:
    """Get the one name that ends it; the end that has it now."""
    data, mode = end.to_json(), site.modes.ended_file
    try:
        if end_name(start) == layout.END:
            site.aside.publish_file(data, place, layout.END, mode, batch)
            return end
        directory, _, name = layout.END_WITHOUT_LINKS.partition("/")

        def fill(made: Directory) -> None:
            write_new(made, name, data, mode)
            batch.wrote(made, name)
            batch.changed(made)

        batch.commit()
        site.aside.publish_directory(fill, place, directory, batch).close()
        batch.commit()
        return end
    except AlreadyExistsError as error:
        there = read_end(place, start)
        mine = (end.ended_by, end.status, end.reason)
        if there is not None and (there.ended_by, there.status, there.reason) == mine:
            return there  # this call was made before, and was refused after it got the name
        raise ConflictError(
            f"{place.path} was ended by somebody else",
            cure="what was written until then is kept; start the run again to go on",
            holder=str(there.ended_by) if there is not None else "another process",
            since=str(start.at),
        ) from error


def close_files(site: Site, place: Directory) -> None:
    """Take the write bits of all that lies there, the directory's own last."""
    below = [found for found in walk(place) if found.type is not EntryType.LINK]
    for found in reversed(below):
        is_directory = found.type is EntryType.DIRECTORY
        wanted = site.modes.ended_directory if is_directory else site.modes.ended_file
        if found.mode == wanted or found.type is EntryType.OTHER:
            continue
        if is_directory:
            with place.enter(found.path) as directory:
                door.chmod(directory.fd, wanted)
            continue
        fd = place.open_file(found.path)
        try:
            door.chmod(fd, wanted)
        finally:
            os.close(fd)
    door.chmod(place.fd, site.modes.ended_directory)
