"""Scopes that move, go into the trash and come back, and executions that are deleted.

Whoever moves a run takes its next number first, as a hold, so that nobody starts it meanwhile.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field

from molexp.disk import layout, trash
from molexp.disk.beneath import Directory
from molexp.disk.journal import subtree
from molexp.disk.record import read, taken
from molexp.disk.trash import Removed
from molexp.disk.walk import is_litter
from molexp.errors import (
    ConflictError,
    FormatError,
    InvalidInputError,
    MolexpError,
    NotFoundError,
)
from molexp.lifecycle.attempt import (
    Attempt,
    abandon,
    end_attempt,
    end_for_another,
    settle,
    start_run,
)
from molexp.lifecycle.look import Numbered, check_free, look_at, read_end
from molexp.lifecycle.reaping import runs_below
from molexp.lifecycle.scopes import edit, find_scope
from molexp.lifecycle.site import Site, new_uid, now
from molexp.model.address import Address, ScopeKind
from molexp.model.scope import META, RunMeta
from molexp.model.state import ExecutionState

MOVED = "the run was moved"
"""The reason of a hold's end."""

ROUNDS = 9  # of holding runs, where new ones are made meanwhile


def move_run(site: Site, source: Address, target: Address) -> None:
    """Move a run to an experiment that is there; the id may change on the way.

    Raises ConflictError while somebody may be at work in it, AlreadyExistsError if something lies
    at ``target``, NotFoundError, and InvalidInputError if no run can lie there.
    """
    if target.kind is not ScopeKind.RUN:
        raise InvalidInputError(
            f"{target or 'the workspace'} is no place for a run",
            cure="name the project, the experiment and the run's id there",
            argument="target",
        )
    above, name = layout.scope_path(target.parent), target[-1]
    with site.enter(above):
        pass  # the experiment is there
    with (
        _holding(site, source) as hold,
        closing(site.batch()) as batch,
        site.enter(above) as experiment,  # never made here: it may just have been removed
        experiment.make(layout.RUNS, site.modes.directory, batch.changed) as parent,
        site.journal.changing(subtree(str(source)), subtree(str(target))),
    ):
        if parent.exists(name):
            raise taken(parent, name)
        trash.move(site.root, layout.scope_path(source), parent, name, batch)
        batch.commit()
        hold.address = target


def remove(site: Site, address: Address, reason: str | None = None) -> Removed:
    """Move a scope into the trash, with all that it holds.

    Raises ConflictError while somebody may be at work in any of its runs, and NotFoundError.
    """
    if not address:
        raise InvalidInputError(
            "a workspace is not removed by itself",
            cure="delete its directory, if that is what you want",
            argument="address",
        )
    with site.enter(layout.scope_path(address)) as directory:
        uid = read(directory, layout.META, META[address.kind]).uid
    removed = _removed(site, layout.scope_path(address), uid, reason)
    if address.kind is ScopeKind.RUN:
        with _holding(site, address) as hold, site.journal.changing(subtree(str(address))):
            _into_trash(site, removed)
            hold.is_away = True
        return removed
    with _holding_all(site, address) as holds, site.journal.changing(subtree(str(address))):
        _into_trash(site, removed)
        holds.place = f"{layout.TRASH}/{removed.uid}/{layout.CONTENT}"
        _check_nobody_slipped_in(site, removed, holds)
    return removed


def restore(site: Site, key: str) -> list[Removed]:
    """Put back what was removed: by the uid of the removal, or the uid or id of what it was.

    Of an execution that left no files, or whose files are back already, nothing is put back: it is
    shown again. Raises NotFoundError, InvalidInputError if several things are meant, and
    AlreadyExistsError if something has its place.
    """
    found, _ = trash.removals(site.root)
    meant = [each for each in found if key in (each.uid, each.of, each.path.rpartition("/")[2])]
    if not meant:
        hidden = _find_hidden(site, key)
        if hidden is not None:
            edit(site, hidden, {"deleted": {key: None}})
            return []
        raise NotFoundError(
            f"nothing in the trash is {key!r}",
            cure="the trash's list says what there is" if found else "the trash is empty",
            kind="removal",
            key=key,
            near=[each.path.rpartition("/")[2] for each in found],
        )
    if len({each.of or each.uid for each in meant}) > 1:
        raise InvalidInputError(
            f"{key!r} was removed {len(meant)} times: {', '.join(each.uid for each in meant)}",
            cure="name one of these",
            argument="key",
        )
    # An execution went in parts, and comes back whole.
    meant = [each for each in found if each in meant or (each.of or "") == meant[0].of]
    for each in meant:
        with site.journal.changing(subtree("")), closing(site.batch()) as batch:
            trash.restore(site.root, each.uid, batch)
    _undelete(site, meant[0])
    return meant


def delete_execution(site: Site, address: Address, number: int, reason: str | None) -> None:
    """Move what an execution left into the trash; its number, ledger and end stay, and are hidden.

    A deletion that was cut short goes on. Raises ConflictError while somebody may be at work in it,
    and NotFoundError.
    """
    path = layout.scope_path(address)
    with site.enter(path) as run:
        found = look_at(run)
        there = [each for each in found.numbered if each.is_execution and each.number == number]
        names = [name for each in there for name in _left_in(run, each)]
        is_shown = any(each.number == number for each in found.executions)
        if not names and not is_shown:
            numbers = ", ".join(str(each.number) for each in found.executions) or "none"
            raise NotFoundError(
                f"{address} has no execution {number}",
                cure=f"it has {numbers}",
                kind="execution",
                key=str(number),
                near=[],
            )
        if there[0].end is None:
            settle(site, run, found, address)
        uid = there[0].start.uid
        if is_shown:
            edit(site, address, {"deleted": {uid: reason or True}}, reason)
    with site.journal.changing(str(address)):
        for name in names:
            inside = f"{path}/{layout.execution_name(number)}/{name}"
            _into_trash(site, _removed(site, inside, uid, reason))


def _left_in(run: Directory, found: Numbered) -> list[str]:
    """What an execution holds that goes when it is deleted."""
    kept = {layout.LEDGER, layout.END, layout.END_WITHOUT_LINKS.partition("/")[0]}
    with run.enter(layout.execution_name(found.number)) as place:
        return [name for name in place.names() if name not in kept and not is_litter(name)]


def _undelete(site: Site, removed: Removed) -> None:
    """Show an execution again whose files came back."""
    run_path = "/".join(removed.path.split("/")[:-2])
    address = layout.address_of(run_path)
    if address is None or address.kind is not ScopeKind.RUN or removed.of is None:
        return
    if _hides(site, address, removed.of):
        edit(site, address, {"deleted": {removed.of: None}})


def _find_hidden(site: Site, execution: str) -> Address | None:
    """The run that has a deleted execution of this uid."""
    runs = runs_below(site, Address())
    return next((each for each in runs if _hides(site, each, execution)), None)


def _hides(site: Site, run: Address, execution: str) -> bool:
    try:
        meta = find_scope(site, run, RunMeta)
    except FormatError:
        return False
    return meta is not None and execution in meta.deleted


def _removed(site: Site, path: str, of: str, reason: str | None) -> Removed:
    return Removed.make(
        format=1,
        kind="removed",
        uid=new_uid(),
        path=path,
        of=of,
        at=now(),
        writer=site.writer,
        by=site.person,
        reason=reason,
    )


def _into_trash(site: Site, removed: Removed) -> None:
    with closing(site.batch()) as batch:
        trash.remove(site.root, removed, site.aside, batch, site.modes.directory)


@contextmanager
def _holding(site: Site, address: Address) -> Iterator[Attempt]:
    """Keep everybody from starting a run while the block moves it."""
    hold = start_run(site, address, purpose="hold")
    try:
        # A person may have said, wrongly, that this process is dead: then the hold holds no more.
        if read_end(hold.place, hold.start) is not None:
            raise ConflictError(
                f"{hold.run.path} was taken by somebody else before it moved",
                cure="call again",
                holder="another process",
                since=str(hold.start.at),
            )
        yield hold
    except BaseException:
        with suppress(MolexpError):  # the first error is the one to tell
            _release(site, hold)
        raise
    _release(site, hold)


def _release(site: Site, hold: Attempt) -> None:
    try:
        end_attempt(site, hold, ExecutionState.SUCCEEDED, reason=MOVED)
    finally:
        hold.close()


@dataclass
class _Holds:
    """The holds of all runs below a scope; ``place`` is where that lies."""

    address: Address
    place: str
    uids: dict[str, str] = field(default_factory=dict)
    """The uid of each hold by the path of its run, relative to ``place``."""
    seen: set[str] = field(default_factory=set)
    """The paths that were looked at: those of the runs, and of what can be none."""


@contextmanager
def _holding_all(site: Site, address: Address) -> Iterator[_Holds]:
    """Keep everybody from starting any run below a scope while the block moves it."""
    holds = _Holds(address, layout.scope_path(address))
    try:
        for _round in range(ROUNDS):
            new = [each for each in _runs_in(site, holds) if each not in holds.seen]
            for each in new:
                run = layout.address_of(f"{holds.place}/{each}")
                if run is not None:
                    with suppress(NotFoundError):  # it is no run, so that nobody can start it
                        hold = start_run(site, run, purpose="hold")
                        holds.uids[each] = hold.start.uid
                        hold.close()
            holds.seen.update(new)
            if not new:
                break
        yield holds
    finally:
        for uid in holds.uids.values():
            abandon(uid)  # until it is released, which the disk may refuse
        for each, uid in holds.uids.items():
            with suppress(NotFoundError, ConflictError):
                _release_one(site, holds, each, uid)


def _release_one(site: Site, holds: _Holds, relative: str, uid: str) -> None:
    """End a hold where its run lies now."""
    is_away = holds.place != layout.scope_path(holds.address)
    with site.enter(f"{holds.place}/{relative}") as run:
        for each in look_at(run).numbered:
            if each.start.uid == uid and each.end is None:
                succeeded = ExecutionState.SUCCEEDED
                end_for_another(site, run, holds.address, each, succeeded, MOVED, is_away=is_away)


def _check_nobody_slipped_in(site: Site, removed: Removed, holds: _Holds) -> None:
    """Put all back if a run that was made after the last look is at work.

    Whoever starts one later finds out after having started it, and ends it.
    """
    for each in _runs_in(site, holds):
        if each in holds.uids:
            continue
        with suppress(NotFoundError), site.enter(f"{holds.place}/{each}") as run:
            newest = look_at(run).newest
            try:
                if newest is not None:
                    check_free(run, newest)
            except ConflictError:
                with closing(site.batch()) as batch:
                    trash.restore(site.root, removed.uid, batch)
                holds.place = removed.path
                raise


def _runs_in(site: Site, holds: _Holds) -> list[str]:
    """The paths of all runs, relative to the place of the scope that holds them."""
    found = [""]
    for kind in tuple(layout.BELOW)[len(holds.address) :]:
        below = layout.BELOW[kind]
        found = [
            f"{each}/{below}/{name}" if each else f"{below}/{name}"
            for each in found
            for name in _names(site, "/".join(filter(None, (holds.place, each, below))))
        ]
    return found


def _names(site: Site, path: str) -> list[str]:
    try:
        with site.enter(path) as directory:
            return [name for name in directory.names() if _is_directory(directory, name)]
    except NotFoundError:
        return []


def _is_directory(directory: Directory, name: str) -> bool:
    return stat.S_ISDIR(directory.stat(name).st_mode) and not is_litter(name)
