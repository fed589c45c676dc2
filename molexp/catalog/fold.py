"""Folding: a new generation from the newest one, the hints, and the files; a rebuild from none.

The order is that of docs/design/0003, step by step: what is removed is removed last, and a mark is
made before that, so that whoever reads at the same time finds out.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count

from molexp.catalog import journals, register
from molexp.catalog.engine import STORAGE, Connection, connect, translated
from molexp.catalog.generation import Generation, Shelf, collect, make_name, save_state
from molexp.catalog.journals import Hints, Knowledge
from molexp.catalog.load import Loader, copy, drop
from molexp.disk import door, layout, owner
from molexp.disk.beneath import Directory
from molexp.disk.journal import MARK_PREFIX, make_mark, subtree
from molexp.errors import CatalogError, FormatError, MolexpError, NotFoundError
from molexp.rows.gather import KINDS, Gathered, gather
from molexp.rows.glance import TICK_NS, glance
from molexp.rows.owners import here, is_dead
from molexp.rows.scopes import EVERYTHING, Parts, Way, is_subtree, scopes

GROWN = 1.5
"""A generation that grew to so many times what it was packed to is packed again."""

DRAFT = "draft"
"""How the engine calls a generation in the making."""

_CHUNK = 1 << 18

_MISPLACED = (FileNotFoundError, FileExistsError, NotADirectoryError, IsADirectoryError)


@dataclass
class Report:
    """What was read for a generation."""

    workspaces: int = 0
    projects: int = 0
    experiments: int = 0
    runs: int = 0
    executions: int = 0
    assets: int = 0
    errors: list[MolexpError] = field(default_factory=list)

    def add(self, found: Gathered) -> None:
        """Count one scope."""
        name = f"{found.kind}s"
        setattr(self, name, getattr(self, name) + 1)
        self.executions += len(found.attempts)
        self.assets += len(found.data) + sum(
            len(each.assets) + (each.uid is not None) for each in found.attempts
        )


Progress = Callable[[int], None]
"""Told how many scopes were read."""


class Folder:
    """Makes generations of one workspace."""

    def __init__(self, root: Directory, shelf: Shelf, modes: layout.Modes) -> None:
        self._root = root
        self._shelf = shelf
        self._modes = modes
        self._in_place = shelf.is_writable()

    def fold(
        self, base: Generation | None, *, anew: bool = False, progress: Progress | None = None
    ) -> Report:
        """Publish a new generation; ``anew`` says that nothing of an old one is to be used.

        Raises StorageError, and CatalogError.
        """
        with self._explained():
            return self._fold(base, anew=anew, progress=progress)

    def _fold(self, base: Generation | None, *, anew: bool, progress: Progress | None) -> Report:
        report = Report()
        moment_ns = self._moment()
        known = base.knowledge if base is not None else Knowledge()
        hints = journals.read_hints(self._root, known.journals, is_dead, moment_ns / 1e9)
        scanned = base is None or journals.is_alarm(self._root, known, hints, here())
        old = None if anew else base
        with self._aside() as (tmp, name):
            with closing(_Draft(tmp, name, old)) as draft:
                prefixes = {EVERYTHING}
                if old is not None and not scanned:
                    opened = register.open_ones(draft.connection, DRAFT)
                    prefixes = {*journals.due(hints), *opened}
                reading = _Reading(self._root, draft.connection, report, moment_ns)
                reading.read(prefixes, is_new=old is None, progress=progress)
                knowledge = journals.learned(known, hints, here(), scanned=scanned)
                knowledge = journals.retired(knowledge, hints)
                doomed = self._doomed(knowledge, hints)
                draft.finish(self._announced(knowledge, doomed))
            self._publish(tmp, name, base, doomed)
        return report

    def _moment(self) -> int:
        """Now, by the file system's clock; a mark is there from now on."""
        if not self._in_place:
            return time.time_ns() - TICK_NS
        with self._root.make(layout.JOURNAL, self._modes.directory) as directory:
            if not any(each.startswith(MARK_PREFIX) for each in directory.names()):
                make_mark(directory, self._modes.file)
        with self._root.make(layout.TMP, self._modes.directory) as tmp:
            name = _name_aside()
            fd = door.create(tmp.fd, name, 0o644)
            try:
                return os.fstat(fd).st_ctime_ns
            finally:
                os.close(fd)
                door.unlink(tmp.fd, name)

    @contextmanager
    def _aside(self) -> Iterator[tuple[Directory, str]]:
        """A place for a file in the making; what is not published is gone again."""
        tmp = (
            self._root.make(layout.TMP, self._modes.directory)
            if self._in_place
            else self._shelf.open_cache()
        )
        name = _name_aside()
        with tmp:
            try:
                yield tmp, name
            finally:
                for each in (name, f"{name}.wal"):
                    with suppress(OSError):
                        door.unlink(tmp.fd, each)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        where = self._root.where(layout.CACHE) if self._in_place else str(self._shelf.cache)
        full = "free some space there; the files of the workspace are untouched"
        try:
            with translated(f"no catalog can be written in {where}", full):
                yield
        except (NotFoundError, FormatError, *_MISPLACED) as error:
            raise CatalogError(
                f"what a catalog is made in was removed or replaced meanwhile: {error}",
                cure=f"move away what is no directory in {where}, and run `molexp rebuild`",
            ) from error

    def _doomed(self, knowledge: Knowledge, hints: Hints) -> list[str]:
        """What of the journal directory nobody needs once this generation is there."""
        if not self._in_place:
            return []
        journals_ = [name for name in hints.journals if knowledge.journals[name].finished]
        if journals_ or len(hints.marks) > 1:
            return [*journals_, *(name for name, *_ in hints.marks)]
        return []

    def _announced(self, knowledge: Knowledge, doomed: list[str]) -> Knowledge:
        """Make the mark that tells others that something is removed; what stays to be known."""
        if not doomed:
            return knowledge
        with self._root.enter(layout.JOURNAL) as directory:
            mark = journals.mark(directory, make_mark(directory, self._modes.file))
        left = {name: each for name, each in knowledge.journals.items() if name not in doomed}
        return knowledge._replace(marks=knowledge.marks | {mark}, journals=left)

    def _publish(
        self, tmp: Directory, name: str, base: Generation | None, doomed: list[str]
    ) -> None:
        fd = tmp.open_file(name)
        try:
            door.chmod(fd, self._modes.file)
        finally:
            os.close(fd)
        number = self._shelf.next_number(base)
        with self._shelf.open_home(self._modes.directory) as catalog:
            door.rename(tmp.fd, name, catalog.fd, make_name(number))
            with suppress(MolexpError), self._root.enter(layout.JOURNAL) as directory:
                for each in doomed:
                    with suppress(OSError):
                        door.unlink(directory.fd, each)
            collect(catalog)


class _Draft:
    """A generation in the making, in an engine of its own: what fails there harms no reader."""

    def __init__(self, tmp: Directory, name: str, base: Generation | None) -> None:
        self._tmp = tmp
        self._name = name
        path = f"/dev/fd/{tmp.fd}/{name}"
        self.connection = connect(spill=f"{path}.spill", threads=2)
        self._packed = 0
        if base is not None and base.size <= base.packed * GROWN:
            self._packed = base.packed
            _copy(base.fd, tmp, name)
            self.connection.execute(f"ATTACH '{path}' AS {DRAFT}")
        else:
            self.connection.execute(f"ATTACH '{path}' AS {DRAFT} (STORAGE_VERSION '{STORAGE}')")
            if base is not None:
                with base.attached(self.connection, "old"):
                    copy(self.connection, "old", DRAFT)
        self.connection.execute("BEGIN")  # one for all: else each statement's rows are kept twice

    def finish(self, knowledge: Knowledge) -> None:
        """Finish the file: from now on nothing is written to it."""
        self.connection.execute("COMMIT")
        self.connection.execute(f"CHECKPOINT {DRAFT}")
        packed = self._packed or self._tmp.stat(self._name).st_size
        highest, number = register.extent(self.connection, DRAFT)
        state = {
            "knowledge": knowledge.to_json(),
            "packed": packed,
            "highest": highest,
            "scopes": number,
        }
        save_state(self.connection, DRAFT, state)
        self.connection.execute(f"CHECKPOINT {DRAFT}")
        self.connection.execute(f"DETACH {DRAFT}")

    def close(self) -> None:
        """Let go of the engine."""
        self.connection.close()


class _Reading:
    """The part of a fold that reads scopes and makes their rows."""

    def __init__(
        self, root: Directory, connection: Connection, report: Report, moment_ns: int
    ) -> None:
        self._root = root
        self._connection = connection
        self._report = report
        self._moment_ns = moment_ns
        self._found: set[Parts] = set()

    def read(self, prefixes: set[str], *, is_new: bool, progress: Progress | None) -> None:
        """Bring the rows of all that prefixes name to what its files say."""
        loader = Loader(self._connection, DRAFT, is_new=is_new)
        known: dict[Parts, register.Entry] = {}
        highest = -1
        if not is_new:
            known = register.at(self._connection, DRAFT, prefixes)
            highest, _ = register.extent(self._connection, DRAFT)
        numbers = count(highest + 1)
        stale: list[int] = []
        for address, directory, is_hinted in self._everything(prefixes):
            entry = known.get(address)
            try:
                if entry is not None and entry.signature is not None and not is_hinted:
                    seen = glance(directory, KINDS[len(address)])
                    if seen.signature == entry.signature:
                        self._found.add(address)
                        continue
                scope = next(numbers) if entry is None else entry.scope
                found = gather(directory, address, scope, self._report.errors)
            except NotFoundError:
                continue  # there is no scope, or none any more
            except MolexpError as error:
                self._report.errors.append(error)
                continue
            self._found.add(address)
            if entry is not None:
                stale.append(scope)
            self._report.add(found)
            loader.add(found, is_sure=found.glance.changed_ns < self._moment_ns)
            if progress is not None:
                progress(loader.count)
        gone = self._gone(prefixes, known)
        drop(self._connection, DRAFT, [*stale, *gone])
        loader.finish()

    def _everything(self, prefixes: set[str]) -> Iterator[tuple[Parts, Directory, bool]]:
        """All that prefixes name, each once, and whether it was meant by itself."""
        with Way(self._root) as way:
            for prefix in sorted(prefixes):
                for address, directory in scopes(way, prefix, self._report.errors):
                    if address not in self._found:
                        yield address, directory, not is_subtree(prefix)

    def _gone(self, prefixes: set[str], known: dict[Parts, register.Entry]) -> list[int]:
        """The numbers of scopes that are not there any more, and of all that lay in them."""
        missing = {address: entry for address, entry in known.items() if address not in self._found}
        below = [subtree("/".join(address)) for address in missing if address]
        missing |= register.at(self._connection, DRAFT, below)
        return [entry.scope for address, entry in missing.items() if address not in self._found]


def _name_aside() -> str:
    return f"{owner.writer()}.{os.urandom(6).hex()}"


def _copy(source: int, tmp: Directory, name: str) -> None:
    """Copy an open file."""
    fd = door.create(tmp.fd, name, 0o644)
    try:
        offset = 0
        while chunk := os.pread(source, _CHUNK, offset):
            door.write_all(fd, chunk)
            offset += len(chunk)
    finally:
        os.close(fd)
