"""The present: the newest generation, and over it, in memory, whatever may have changed since.

Readers look where hints point before every answer, so that each shows all that was acknowledged.
The order of the steps is that of docs/design/0003.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from threading import RLock
from typing import TYPE_CHECKING, TypeVar
from weakref import WeakSet

from molexp.catalog import journals, register
from molexp.catalog.engine import connect, leak, may_be_damage, refusals, translated
from molexp.catalog.generation import Generation, Shelf, detach, is_whole, locked
from molexp.catalog.journals import Hints, Knowledge
from molexp.catalog.present import Present
from molexp.disk import layout
from molexp.disk.beneath import Directory
from molexp.disk.journal import make_mark, subtree
from molexp.errors import (
    CatalogError,
    FormatError,
    MolexpError,
    NotFoundError,
    StorageError,
)
from molexp.late import late
from molexp.rows.owners import here, judged
from molexp.rows.scopes import (
    EVERYTHING,
    Parts,
    Way,
    is_below,
    is_subtree,
    moved,
    parts_of,
    path_of,
    scopes,
    survey,
)

if TYPE_CHECKING:
    from molexp.catalog import fold as folds
    from molexp.catalog.fold import Progress, Report
    from molexp.rows import gather as files
    from molexp.rows import glance as looks
    from molexp.rows.gather import Gathered
    from molexp.rows.glance import Glance
else:
    folds = late("molexp.catalog.fold")
    files = late("molexp.rows.gather")
    looks = late("molexp.rows.glance")

Answer = TypeVar("Answer")

MANY = 200
"""Scopes that are not folded, or one in a hundred if that is more, before a reader folds them."""

RESTS = 10.0
"""How many times its last cost goes by before this process folds again."""

FAILED_RESTS = 300.0
"""How many seconds go by before it folds again where that failed."""

_ROUNDS = 50  # of looking, where everything changes all the time
_CHASES = 3  # after newer generations

_ASK_AGAIN = "ask again, or run `molexp rebuild`"


class _Overlaid:
    """A scope whose rows are in memory, and what they were made of."""

    __slots__ = ("found", "is_settled", "states")

    def __init__(
        self, found: Gathered, states: tuple[str | None, ...], *, is_settled: bool
    ) -> None:
        self.found = found
        self.states = states
        self.is_settled = is_settled
        """Whether the times of its directories are so old that a new name would show in them."""

    @property
    def scope(self) -> int:
        """The number of its rows."""
        return self.found.scope


class View:
    """What one process sees of the catalog of one workspace; threads take turns."""

    def __init__(self, path: str | os.PathLike[str], modes: layout.Modes) -> None:
        self.root = os.fspath(path)
        self._modes = modes
        self._lock = RLock()
        self._pid = 0
        self._is_whole = True
        self._present: Present
        self._looked_ns = 0
        self._base: Generation | None = None
        self._knowledge = Knowledge()
        self._was_alarmed = False
        self._rests_until = 0.0
        self._directory = Directory.open(path)
        self._shelf = Shelf(self._directory)
        _views.add(self)

    def ask(self, act: Callable[[Present], Answer], *, folds: bool = True) -> Answer:
        """What ``act`` gives for tables that show every acknowledged fact.

        A generation that turns out to be damaged is left alone, and another one asked. ``folds``
        says that what many have to look at may be folded after the answer.
        """
        with self._lock:
            is_second = False
            while True:
                try:
                    self._refresh()
                    answer = act(self._present)
                except refusals() as error:
                    if not may_be_damage(error) or (self._begin_again() and is_second):
                        raise
                    is_second = True
                else:
                    if folds:
                        self._fold_if_due()
                    return answer

    def read(self, address: str) -> Gathered:
        """What the files of one scope say now; raises MolexpError if none is there."""
        parts = parts_of(address)
        with self._directory.enter(path_of(parts)) as directory:
            found = files.gather(directory, parts, 0, [])
        _judge(found)
        return found

    def rebuild(self, progress: Progress | None = None) -> Report:
        """Make a generation from the files alone; raises CatalogError and StorageError."""
        return self.fold(anew=True, progress=progress)

    def fold(self, *, anew: bool = False, progress: Progress | None = None) -> Report:
        """Make a generation of all that is known now; raises CatalogError and StorageError."""
        with self._lock:
            while True:
                try:
                    with translated(f"no catalog of {self.root} can be opened", _ASK_AGAIN):
                        self._open()
                        self._is_whole = False
                        self._settle_if_new()
                        self._is_whole = True
                    return self._folder().fold(self._base, anew=anew, progress=progress)
                except CatalogError:
                    if self._begin_again():
                        raise

    def sync(self) -> Report:
        """Find what changed behind everybody's back, here and for all other readers.

        A mark that no generation knows lets everybody look at everything, until one knows it.
        """
        with (
            # Removed meanwhile: that says the same. What is no directory stops the fold as well.
            suppress(NotFoundError, FileNotFoundError, FormatError),
            self._directory.make(layout.JOURNAL, self._modes.directory) as directory,
        ):
            make_mark(directory, self._modes.file)
        return self.fold()

    def close(self) -> None:
        """Let go of it all."""
        with self._lock:
            self._close()
            self._directory.close()

    def leave_to_parent(self) -> None:
        """Begin anew in a forked child: neither the connection nor the lock may be touched here."""
        self._lock = RLock()
        if self._pid:
            leak(self._connection)
            self._pid, self._base = 0, None

    def _open(self) -> None:
        """Connect, in this process; anew, if somebody was broken off in the middle."""
        if self._pid and self._is_whole and self._present.is_whole:
            return
        with suppress(Exception):
            self._close()
        self._connection = connect()
        self._present = Present(self._connection)
        self._base = None
        self._pid = os.getpid()
        self._settle_on(None)
        self._is_whole = True

    def _close(self) -> None:
        if self._pid:
            self._connection.close()
            if self._base is not None:
                os.close(self._base.fd)
        self._pid = 0

    def _begin_again(self) -> bool:
        """Leave an engine that is in trouble; whether that was not for a damaged generation."""
        is_sound = True
        if self._pid and self._base is not None:
            is_sound = is_whole(self._base)
            if not is_sound:
                self._shelf.discard(self._base)
        with suppress(Exception):
            self._close()
        self._pid = 0
        return is_sound

    def _folder(self) -> folds.Folder:
        return folds.Folder(self._directory, self._shelf, self._modes)

    def _refresh(self) -> None:
        """Bring what is over the generation up to date."""
        self._open()
        self._is_whole = False
        chases = 0
        for _round in range(_ROUNDS):
            hints = journals.read_hints(self._directory, self._knowledge.journals)
            # Any generation does: its marks tell whether hints may be missing. So nobody who
            # publishes all the time keeps a reader from answering.
            if chases < _CHASES and self._settle_if_new():
                chases += 1
                continue
            alarmed = not self._is_known or journals.is_alarm(
                self._directory, self._knowledge, hints, here()
            )
            if alarmed and self._fold_first():
                continue
            prefixes = {EVERYTHING} if alarmed else {*journals.due(hints), *self._open_ones}
            if self._look_until_still(prefixes, hints, alarmed=alarmed):
                self._is_whole = True
                return
        raise CatalogError(
            f"{self.root} changes so much that no answer was right for a moment",
            cure=_ASK_AGAIN,
        )

    def _look_until_still(self, prefixes: set[str], hints: Hints, *, alarmed: bool) -> bool:
        """Look, until nothing moved meanwhile; False if everything is to be looked at instead.

        What moves as it is looked at may be seen in neither place. Whatever else comes is not
        acknowledged yet, and others may never stop writing: the next answer shows it.
        """
        latest, due = hints, prefixes
        for _round in range(_ROUNDS):
            seen = self._look(due)
            if due:
                known = {name: each.known for name, each in latest.journals.items()}
                latest = journals.read_hints(self._directory, known)
                # In a full look a new mark hides nothing: the hints that it may have cost are those
                # of changes in these very moments, and it stays one that is not known.
                if latest.marks != hints.marks and not alarmed:
                    return False
                due = moved(seen, survey(self._directory, due))
                for each in latest.journals.values():
                    due |= {at for at in each.named if is_subtree(at)}
            if not due:
                self._knowledge = journals.learned(self._knowledge, hints, here(), scanned=alarmed)
                self._is_known, self._was_alarmed = True, self._was_alarmed or alarmed
                return True
        return False

    def _settle_if_new(self) -> bool:
        """Whether there is another generation now, which is then begun with."""
        newest = self._shelf.newest(self._connection, self._base)
        is_new = newest is not self._base
        if is_new:
            self._settle_on(newest)
        return is_new

    def _settle_on(self, base: Generation | None) -> None:
        """Begin anew over another generation."""
        before, self._base = self._base, base
        self._knowledge = base.knowledge if base is not None else Knowledge()
        self._is_known = base is not None
        self._was_alarmed = False
        self._over: dict[Parts, _Overlaid] = {}
        self._entries: dict[Parts, register.Entry | None] = {}
        self._open_ones: set[str] = set()
        self._size, highest = 0, -1
        if base is not None:
            highest, self._size = base.highest, base.scopes
            self._open_ones = {*register.open_ones(self._connection, base.alias)}
        self._numbers = count(highest + 1)
        self._present.settle_on(base.alias if base is not None else None)
        if before is not None:
            detach(self._connection, before)

    def _look(self, prefixes: set[str]) -> dict[Parts, int]:
        """Read again what has changed at prefixes; which scopes were there before that."""
        seen = survey(self._directory, prefixes)
        self._looked_ns = time.time_ns()
        found: set[Parts] = set()
        changed: list[Gathered] = []
        self._know(prefixes)
        with Way(self._directory) as way:
            for prefix in sorted(prefixes):
                if is_subtree(prefix):
                    for address, directory in scopes(way, prefix, []):
                        self._look_at(address, directory, found, changed, is_hinted=False)
                elif seen[parts_of(prefix)]:
                    self._look_once(way, prefix, found, changed)
        self._replace(changed, self._gone(prefixes, found))
        return seen

    def _look_once(self, way: Way, prefix: str, found: set[Parts], changed: list[Gathered]) -> None:
        address = parts_of(prefix)
        overlaid = self._over.get(address)
        if overlaid is not None and self._is_same(address, overlaid):
            found.add(address)
            return
        for each, directory in scopes(way, prefix, []):
            self._look_at(each, directory, found, changed, is_hinted=True)

    def _look_at(
        self,
        address: Parts,
        directory: Directory,
        found: set[Parts],
        changed: list[Gathered],
        *,
        is_hinted: bool,
    ) -> None:
        if address in found:
            return
        entry, overlaid = self._entries.get(address), self._over.get(address)
        try:
            if overlaid is not None:
                number, seen = overlaid.scope, looks.glance(directory, files.KINDS[len(address)])
                if overlaid.found.glance == seen and _has_same_states(overlaid):
                    overlaid.is_settled = self._is_settled(seen)
                    found.add(address)
                    return
            elif entry is not None:
                number = entry.scope
                if not is_hinted and self._is_as_folded(address, directory, entry):
                    found.add(address)
                    return
            else:
                number = next(self._numbers)
            changed.append(files.gather(directory, address, number, []))
            found.add(address)
        except MolexpError:
            return  # nothing is there any more, or `problems()` tells why it cannot be looked into

    def _is_as_folded(self, address: Parts, directory: Directory, entry: register.Entry) -> bool:
        was_gone = entry.scope in self._present.hidden  # for a while
        if was_gone or "/".join(address) in self._open_ones:
            return False
        return entry.signature == looks.glance(directory, files.KINDS[len(address)]).signature

    def _is_same(self, address: Parts, overlaid: _Overlaid) -> bool:
        """Whether what is over the generation still says what the files of a scope say.

        That takes a call for each of them. It is not asked while a directory may get another name
        without another time: a clock that ticks once a second gives the same one to all of it.
        """
        if not overlaid.is_settled:
            return False
        base, fd = path_of(address) or ".", self._directory.fd
        found = overlaid.found
        for marks in (found.glance.directories, found.glance.files):
            for path, mark in marks.items():
                try:
                    status = os.stat(f"{base}/{path}", dir_fd=fd, follow_symlinks=False)
                except OSError:
                    return False
                if looks.mark_of(status) != mark:
                    return False
        return _has_same_states(overlaid)

    def _is_settled(self, seen: Glance) -> bool:
        newest = max(ctime for *_, ctime in seen.directories.values())
        return newest + looks.TICK_NS < self._looked_ns

    def _know(self, prefixes: set[str]) -> None:
        """Ask the generation for what it has at prefixes."""
        if self._base is None:
            return
        exact = {each: parts_of(each) for each in prefixes if not is_subtree(each)}
        unknown = {each for each, at in exact.items() if at not in self._entries}
        unknown |= prefixes - exact.keys()
        if unknown:
            self._entries |= dict.fromkeys(exact.values(), None) | self._entries
            self._entries |= register.at(self._connection, self._base.alias, unknown)

    def _gone(self, prefixes: set[str], found: set[Parts]) -> list[Parts]:
        """The scopes that were known and are not there any more, with all that lay in them."""
        exact = {parts_of(prefix) for prefix in prefixes if not is_subtree(prefix)}
        subtrees = {parts_of(prefix) for prefix in prefixes if is_subtree(prefix)}
        named = {at for at in exact - found if at in self._over or self._entries.get(at)}
        if subtrees:
            known = {at for at, entry in self._entries.items() if entry is not None} | {*self._over}
            named |= {at for at in known - found if is_below(at, subtrees)}
        if not named:
            return []
        if self._base is not None:
            below = [subtree("/".join(at)) for at in named if at]
            self._entries |= register.at(self._connection, self._base.alias, below)
        return [at for at in {*self._entries, *self._over} - found if is_below(at, named)]

    def _replace(self, changed: list[Gathered], gone: list[Parts]) -> None:
        """Let the rows in memory be those of what was read, and hide those that it replaces."""
        for address in gone:
            overlaid = self._over.pop(address, None)
            if overlaid is not None:
                self._present.forget(overlaid.scope)
            self._open_ones.discard("/".join(address))
        for each in changed:
            states = _judge(each)
            self._over[each.address] = _Overlaid(
                each, states, is_settled=self._is_settled(each.glance)
            )
            if each.unended:
                self._open_ones.add("/".join(each.address))
            else:
                self._open_ones.discard("/".join(each.address))
            self._present.put(each)
        replaced = map(self._entries.get, [*(each.address for each in changed), *gone])
        self._present.hide(entry.scope for entry in replaced if entry is not None)

    def _fold_first(self) -> bool:
        """Fold before answering, where all of a large workspace would have to be read anyway."""
        if self._base is not None or not self._may_fold() or not self._is_large():
            return False
        return self._fold()

    def _fold_if_due(self) -> None:
        open_ = len(self._open_ones)
        unfolded = len(self._over) + len(self._present.hidden) // 2 - open_
        many = max(MANY, self._size // 100)
        if (unfolded > many or (self._was_alarmed and self._size > MANY)) and self._may_fold():
            self._fold()

    def _may_fold(self) -> bool:
        return time.monotonic() >= self._rests_until

    def _fold(self) -> bool:
        """Fold, unless somebody else does at this moment; whether there is a new generation."""
        began = time.monotonic()
        try:
            with locked(self._shelf, self._modes.directory) as is_mine:
                if not is_mine:
                    return False
                self._folder().fold(self._base)
        except (CatalogError, StorageError, OSError):
            self._rests_until = time.monotonic() + FAILED_RESTS  # it is only slower without
            return False
        now = time.monotonic()
        self._rests_until = now + RESTS * (now - began)
        return True

    def _is_large(self) -> bool:
        """Whether more scopes are there than are looked at one by one."""
        everything = scopes(self._directory, EVERYTHING, [])
        return any(number > MANY for number, _ in enumerate(everything, 1))


def _judge(found: Gathered) -> tuple[str | None, ...]:
    """Say of the executions that have no end how they are now."""
    states = tuple(map(judged, found.unended))
    for attempt, state in zip(found.unended, states, strict=True):
        attempt.state = state or attempt.state
    return states


def _has_same_states(overlaid: _Overlaid) -> bool:
    """Whether those that may live are judged as they were."""
    return tuple(map(judged, overlaid.found.unended)) == overlaid.states


_views: WeakSet[View] = WeakSet()


def _leave_to_parent() -> None:
    for each in [*_views]:
        each.leave_to_parent()


os.register_at_fork(after_in_child=_leave_to_parent)
