"""Executions: started by whoever gets the next number, ended by whoever gets the one name.

The order of the calls is that of docs/design/0004: every contest is for a name that is created
whole and never replaced, and no look is trusted alone.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, nullcontext, suppress
from dataclasses import dataclass, field
from typing import Any, Literal

from molexp.disk import door, layout, owner
from molexp.disk.beneath import Directory
from molexp.disk.commit import Batch
from molexp.disk.ledger import Appender
from molexp.disk.record import write_new
from molexp.disk.walk import EntryType, Found, walk
from molexp.errors import (
    AlreadyExistsError,
    CancelledError,
    ConflictError,
    NotFoundError,
    StorageError,
    TransitionError,
)
from molexp.lifecycle.look import Look, Numbered, check_free, end_name, look_at, read_end
from molexp.lifecycle.manifest import Account, measure, summed_up
from molexp.lifecycle.site import Site, new_uid, now
from molexp.model.address import Address
from molexp.model.codec import join_line
from molexp.model.execution import End, FileEntry, Manifest, Owner, Start
from molexp.model.scope import RunMeta
from molexp.model.state import ExecutionState

ATTEMPTS = 9  # at getting a number, where somebody else gets it each time

DIED = "its process died"
"""The reason of an end that a reaper gave."""

PENDING_CANCELLED = "cancelled before it was started"
"""The reason of an execution that was born cancelled."""

MOVED_AWAY = "its run was moved while it was being started"
"""The reason of an execution that its own starter ended at once."""

# Executions of this process whose start or end was refused by the disk: it lives, and nobody else
# can tell that it is not at work in them.
_abandoned: set[str] = set()


@dataclass(kw_only=True)
class Held:
    """An execution, and where it was found: all that is needed to end it."""

    run: Directory
    address: Address
    place: Directory
    number: int
    start: Start
    batch: Batch
    is_away: bool = False
    """Whether its run was moved to where nobody looks for changes."""
    is_fresh: Callable[[], bool] | None = None
    """Of a living owner's: whether its last line or beat is so young that all look at it."""
    known: dict[str, FileEntry] = field(default_factory=dict)
    """Files of which the digest is known, so that nobody reads them again."""
    account: Account | None = None
    """What is known of the lines in it, likewise."""


@dataclass(kw_only=True)
class Attempt(Held):
    """An execution that this process owns, with its ledger and what is not yet synced."""

    meta: RunMeta
    ledger: Appender
    files: dict[str, Appender] = field(default_factory=dict)
    directories: dict[str, Directory] = field(default_factory=dict)
    """What else is open of it, by path."""

    def close(self) -> None:
        """Let go of everything."""
        for file in (*self.files.values(), self.ledger):
            file.close()
        for directory in (*self.directories.values(), self.place, self.run):
            directory.close()
        self.batch.close()


def start_run(
    site: Site,
    address: Address,
    *,
    again: bool = False,
    purpose: Literal["run", "hold"] = "run",
    prepare: Callable[[Directory, Look], Mapping[str, Any]] | None = None,
    **said: Any,
) -> Attempt:
    """Own a new execution of a run; ``said`` are more fields of its start.

    ``prepare`` says still more of them, once it was looked at what is there.
    With the purpose ``hold`` nobody can start the run until that is ended.

    Raises ConflictError while somebody may be at work in it, TransitionError if it succeeded and
    ``again`` is not said, CancelledError if it was cancelled meanwhile, and NotFoundError.
    """
    path = layout.scope_path(address)
    first: Look | None = None
    for _attempt in range(ATTEMPTS):
        run = site.enter(path)
        try:
            found = look_at(run)
            first = first or found
            _check_still_wanted(first, found, path)
            if purpose == "run":
                _check_not_done(found, path, again=again)
            if settle(site, run, found, address) and site.root.leads_to(path, run):
                more = prepare(run, found) if prepare is not None else {}
                told = {**said, **more, "purpose": purpose}
                attempt = _publish(site, run, address, found, told)
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


def _check_still_wanted(first: Look, found: Look, path: str) -> None:
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


def _check_not_done(found: Look, path: str, *, again: bool) -> None:
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


def settle(site: Site, run: Directory, found: Look, address: Address) -> bool:
    """Whether nobody is at work in the run; what a dead owner left open is ended.

    Raises ConflictError if somebody may be at work in it.
    """
    newest = found.newest
    if newest is None or newest.end is not None:
        return True
    is_mine = newest.start.writer == site.writer  # a forked child's parent is still at work
    if not (is_mine and newest.start.uid in _abandoned):
        check_free(run, newest)
    with suppress(ConflictError):  # somebody else was first: look again
        end_for_another(site, run, address, newest)
    return False


def _publish(
    site: Site, run: Directory, address: Address, found: Look, said: dict[str, Any]
) -> Attempt | None:
    """Take the next number with a complete start; None if it is taken."""
    path = layout.scope_path(address)
    number = found.highest + 1
    start = _start(site, found.meta.uid, said)
    batch = site.batch()
    ledgers: list[Appender] = []
    places: list[Directory] = []

    def fill(made: Directory) -> None:
        ledgers.append(Appender(made, layout.LEDGER, site.modes.file, hashed=True))
        ledgers[-1].append(join_line("start", start.to_json()))
        batch.wrote(made, layout.LEDGER)
        batch.changed(made)

    try:
        with site.journal.changing(str(address), place=run, path=path) as change:
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
    attempt = Attempt(
        run=run,
        address=address,
        place=places[0],
        number=number,
        start=start,
        batch=batch,
        meta=found.meta,
        ledger=ledgers[-1],
    )
    if change.moved:
        end_attempt(site, attempt, ExecutionState.CANCELLED, reason=MOVED_AWAY)
        raise NotFoundError(
            f"{site.root.where(path)} was moved or removed while it was being started",
            cure="look for it by its uid, and start it where it is now",
            kind="run",
            key=found.meta.uid,
        )
    return attempt


def _start(site: Site, run_uid: str, said: Mapping[str, Any]) -> Start:
    given = {"links": site.links, "durability": site.durability, **said}
    # What a user gave is looked at; the rest is made here.
    make = Start.make if said.keys() - {"purpose"} else Start.sure
    return make(
        format=1,
        uid=new_uid(),
        run=run_uid,
        owner=Owner.of(owner.current()),
        writer=site.writer,
        at=now(),
        **given,
    )


def cancel_pending(site: Site, run: Directory, address: Address, found: Look) -> bool:
    """Publish an execution that was born cancelled; False if somebody else got its number."""
    number = found.highest + 1
    start = _start(site, found.meta.uid, {})
    directory, _, name = end_name(start).rpartition("/")

    def fill(made: Directory) -> None:
        write_new(made, layout.LEDGER, join_line("start", start.to_json()), site.modes.file)
        manifest = measure(made, list(walk(made)))
        end = _end_of(start, ExecutionState.CANCELLED, manifest, reason=PENDING_CANCELLED)
        with made.make(directory, site.modes.directory) as above:
            write_new(above, name, end.to_json(), site.modes.ended_file)
            for place, file in ((made, layout.LEDGER), (above, name)):
                batch.wrote(place, file)
                batch.changed(place)

    path = layout.scope_path(address)
    with closing(site.batch()) as batch, site.journal.changing(str(address), place=run, path=path):
        try:
            made = site.aside.publish_directory(fill, run, layout.execution_name(number), batch)
        except (AlreadyExistsError, FileNotFoundError):
            return False
        with made:
            batch.commit()
            close_files(site, made, list(walk(made)))
    return True


def end_attempt(site: Site, attempt: Attempt, status: ExecutionState, **said: Any) -> End:
    """End an execution that this process owns: everything is there, then its end, then it closes.

    Raises ConflictError if somebody else has ended it. After a StorageError the same call may be
    made again; if that was a sync, which nothing can make good, the next start ends it as failed.
    """
    files = {layout.LEDGER: attempt.ledger, **attempt.files}
    for path, file in files.items():
        entry = file.as_entry(path)
        if entry is not None:
            attempt.known[path] = entry
    opened = (files | attempt.directories).items()
    try:
        end = _end(site, attempt, status, said, {path: each.fd for path, each in opened})
    except StorageError:
        _abandoned.add(attempt.start.uid)
        raise
    _abandoned.discard(attempt.start.uid)
    attempt.close()
    return end


def abandon(uid: str) -> None:
    """Let the next start in this process end what this process is not at work in any more."""
    _abandoned.add(uid)


def reap(site: Site, run: Directory, address: Address, found: Numbered) -> End:
    """End as failed what an owner that is proven dead left open.

    Raises ConflictError if the owner is not proven dead, or if somebody else was first.
    """
    check_free(run, found)
    return end_for_another(site, run, address, found)


def end_for_another(
    site: Site,
    run: Directory,
    address: Address,
    found: Numbered,
    status: ExecutionState = ExecutionState.FAILED,
    reason: str = DIED,
    *,
    is_away: bool = False,
) -> End:
    """End what somebody else started, by whoever knows that nobody is at work in it.

    Raises ConflictError if somebody was first.
    """
    name = layout.execution_name(found.number)
    with closing(site.batch()) as batch, run.enter(name) as place:
        held = Held(
            run=run,
            address=address,
            place=place,
            number=found.number,
            start=found.start,
            batch=batch,
            is_away=is_away,
        )
        end = _end(site, held, status, {"reason": reason})
    _abandoned.discard(found.start.uid)
    return end


def _end(
    site: Site,
    held: Held,
    status: ExecutionState,
    said: Mapping[str, Any],
    descriptors: Mapping[str, int] | None = None,
) -> End:
    # What may not be looked into must not keep the execution open: the checker reports it.
    found = list(walk(held.place, problems=[]))
    summed = summed_up(held.place, found, held.account)
    manifest = measure(held.place, found, held.known)
    end = _end_of(held.start, status, manifest, **summed, **said)
    path, place = layout.scope_path(held.address), None if held.is_away else held.run
    hint = site.journal.changing(str(held.address), place=place, path=path)
    # A reader looks at what lives and has no end; whether it did so is asked when the end is there.
    with hint if held.is_fresh is None else nullcontext():
        end = _publish_end(site, held, end)
        close_files(site, held.place, found, descriptors)
    if held.is_fresh is not None and not held.is_fresh():
        with hint:
            pass
    return end


def _end_of(start: Start, status: ExecutionState, manifest: Manifest, **said: Any) -> End:
    return End.sure(
        format=1,
        uid=start.uid,
        status=status,
        ended_at=now(),
        ended_by=Owner.of(owner.current()),
        manifest=manifest,
        **said,
    )


def _publish_end(site: Site, held: Held, end: End) -> End:
    """Get the one name that ends it; the end that has it now."""
    data, mode, place, batch = end.to_json(), site.modes.ended_file, held.place, held.batch
    try:
        if end_name(held.start) == layout.END:
            site.aside.publish_file(data, place, layout.END, mode, batch)
            return end
        directory, _, name = layout.END_WITHOUT_LINKS.partition("/")

        def fill(made: Directory) -> None:
            write_new(made, name, data, mode)
            batch.wrote(made, name)
            batch.changed(made)

        batch.commit()
        with site.aside.publish_directory(fill, place, directory, batch) as made:
            door.chmod(made.fd, site.modes.ended_directory)
        batch.commit()
        return end
    except (AlreadyExistsError, StorageError) as error:
        there = read_end(place, held.start)
        mine = (end.ended_by, end.status, end.reason)
        is_mine = there is not None and (there.ended_by, there.status, there.reason) == mine
        if isinstance(error, StorageError) and (there is None or is_mine):
            raise  # and else: what somebody else has closed takes nothing from others
        if there is not None and is_mine:
            return there  # this call was made before, and was refused after it got the name
        raise ConflictError(
            f"{place.path} was ended by somebody else",
            cure="what was written until then is kept; start the run again to go on",
            holder=str(there.ended_by) if there is not None else "another process",
            since=str(held.start.at),
        ) from error


def close_files(
    site: Site,
    place: Directory,
    found: Sequence[Found],
    descriptors: Mapping[str, int] | None = None,
) -> None:
    """Take the write bits of all that was found there, the directory's own last.

    ``descriptors`` are those that are open, by path. What vanished, and what is another user's, is
    left as it is.
    """
    modes = {
        EntryType.FILE: site.modes.ended_file,
        EntryType.DIRECTORY: site.modes.ended_directory,
    }
    opened = descriptors or {}
    for each in reversed(found):
        wanted = modes.get(each.type, each.mode)
        if each.mode == wanted:
            continue
        if each.path in opened:
            door.chmod(opened[each.path], wanted)
            continue
        is_directory = each.type is EntryType.DIRECTORY
        try:
            fd = place.enter(each.path).fd if is_directory else place.open_file(each.path)
        except NotFoundError:
            continue
        except StorageError as error:
            if error.errno != errno.EACCES:
                raise
            continue
        try:
            _close(fd, wanted)
        finally:
            os.close(fd)
    _close(place.fd, site.modes.ended_directory)


def _close(fd: int, mode: int) -> None:
    try:
        door.chmod(fd, mode)
    except StorageError as error:
        if error.errno != errno.EPERM:
            raise
