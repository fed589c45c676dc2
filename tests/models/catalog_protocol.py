"""The hint, fold and overlay protocol as an executable model: a step is a file-system call."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from enum import Enum, auto
from itertools import count

from tests.models.catalog_disk import (
    DAY,
    Disk,
    File,
    Generation,
    Journal,
    Known,
    Marks,
    Op,
    Owner,
    Process,
    Record,
    Row,
    Seen,
    Steps,
    covers,
    facts_in,
    owner_in,
    running,
    scope_of,
)

TOUCH = re.compile(r"touch (\d+)((?: \S+)+)")
DONE = re.compile(r"done (\d+)")


class Flaw(Enum):
    """A known-bad twin: one rule of the protocol left out or turned round."""

    NONE = auto()
    HINT_AFTER_CHANGE = auto()
    EXECUTION_WATCHED_BY_HINT = auto()
    SCOPES_BEFORE_JOURNALS = auto()
    RETIRED_BEFORE_DONE = auto()
    MARKS_IGNORED = auto()
    MARKS_BEFORE_JOURNALS = auto()
    MARK_WITHOUT_CTIME = auto()
    SWEEP_WITHOUT_MARK = auto()
    SYNC_WITHOUT_MARK = auto()
    SYNC_BY_HINTS = auto()
    GONE_IGNORED = auto()
    RETIRED_MEANS_FINISHED = auto()
    OFFSET_TRUSTED = auto()
    OFFSET_CHECKED_BY_SIZE = auto()
    TORN_HINT_READ = auto()
    BOOT_IGNORED = auto()
    DEATH_AFTER_READ = auto()
    NAMESPACE_IGNORED = auto()
    SILENCE_BY_OWN_CLOCK = auto()
    WAKES_WITHOUT_TOUCH = auto()
    SILENCE_PER_PROCESS = auto()
    HINT_WITHOUT_BEAT = auto()
    NAME_UNCHECKED = auto()
    PLACE_UNCHECKED = auto()
    LINE_WITHOUT_NEWLINE_BEFORE = auto()
    SIGNATURE_WITHOUT_CTIME = auto()
    RACY_SIGNATURE = auto()
    ONE_PASS = auto()
    MOVES_IGNORED = auto()
    GONE_KEEPS_ROWS = auto()


class Protocol:
    """The rules themselves: what writers, folders and readers do, call by call."""

    def __init__(self, flaw: Flaw = Flaw.NONE) -> None:
        self.flaw = flaw
        self.disk = Disk()
        self.serial = count(1)
        self.processes: list[Process] = []

    # Who lives.

    def dead(self, watcher: Process, owner: Owner | None) -> bool:
        """Whether this watcher can prove that the owner is dead."""
        here = watcher.owner
        if owner is None or (owner.host, owner.boot) != (here.host, here.boot):
            return False
        if owner.space != here.space and self.flaw is not Flaw.NAMESPACE_IGNORED:
            return False
        visible = [
            p.owner
            for p in self.processes
            if p.owner.space == here.space and p.owner.host == here.host
        ]
        return owner not in visible

    def silent(self, watcher: Process, file: File, probe: int) -> bool:
        """Whether a file was still for a day by the file system's clock."""
        clock = self.disk.now + watcher.skew if self.flaw is Flaw.SILENCE_BY_OWN_CLOCK else probe
        return clock - file.mtime > DAY

    # Writers: hint, change, done, and a last look before the call returns.

    def append(self, op: Op, file: File, line: str, journal: Journal | None = None) -> Steps:
        """Append one line by one write, which a kill may tear."""
        while file.locked:
            yield
        half = len(line) // 2
        for part, last in ((line[:half], False), (line[half:], True)):
            self.disk.grow(file, part)
            if journal:
                journal.written += len(part)
            file.locked, op.holding = not last, None if last else file
            yield

    def mark(self, root: str) -> None:
        """Make a mark: whoever does not know it must scan."""
        self.disk.create(f"{root}/.molexp/journal/m{next(self.serial)}")

    def marks(self, root: str) -> Marks:
        """The marks that lie in the journal directory, each by name, inode and ctime."""
        names = [
            name for name in self.disk.below(f"{root}/.molexp/journal") if "/journal/m" in name
        ]
        untimed = self.flaw is Flaw.MARK_WITHOUT_CTIME
        found = ((name.split("/", 1)[1], self.disk.files[name]) for name in names)
        return frozenset((name, file.inode, 0 if untimed else file.ctime) for name, file in found)

    def open_journal(self, p: Process) -> Steps:
        """Start a journal under a new name, in a directory that has a mark."""
        if not self.marks(p.root):
            yield
            self.mark(p.root)
        yield
        name = f"j{next(self.serial)}"
        text = f"{p.owner}\n"
        file = self.disk.create(f"{p.root}/.molexp/journal/{name}", text)
        if file is not None:
            p.journal = Journal(name, file, len(text))
        yield

    def touch(self, p: Process, op: Op) -> Steps:
        """Append the hint that names what is about to change."""
        while p.journal is None:
            yield from self.open_journal(p)
        journal, began = p.journal, self.disk.now
        journal.number += 1
        number = journal.number
        line = f"touch {number} {' '.join(op.prefixes)}\n"
        yield from self.append(op, journal.file, line, journal)
        op.journal, op.since = journal, began
        return journal, number

    def lost(self, p: Process, op: Op) -> bool:
        """Whether the journal that holds this hint has lost its name or its bytes."""
        journal = op.journal
        if journal is None:
            return False
        file = self.disk.files.get(f"{p.root}/.molexp/journal/{journal.name}")
        return (
            journal is not p.journal
            or file is not journal.file
            or len(file.text) != journal.written
        )

    def late(self, since: int) -> bool:
        """Whether so much time went by that a folder may have retired the hint."""
        return self.disk.now - since > DAY // 2 and self.flaw is not Flaw.WAKES_WITHOUT_TOUCH

    def settle(self, p: Process, op: Op, hint: tuple[Journal, int]) -> Steps:
        """Append `done`, then hint again for as long as the hint may not have been seen."""
        while True:
            journal, number = hint
            if not op.kept:
                yield from self.append(op, journal.file, f"done {number}\n", journal)
            lost = self.lost(p, op) and self.flaw is not Flaw.NAME_UNCHECKED
            yield
            moved = not op.still() and self.flaw is not Flaw.PLACE_UNCHECKED
            yield
            if moved and "**" not in op.prefixes:
                op.prefixes = ("**",)
            elif not lost and not self.late(op.since):
                return
            if lost and journal is p.journal:
                p.journal = None
            hint = yield from self.touch(p, op)

    def change(self, p: Process, op: Op, prefixes: Iterable[str], act: Callable[[], bool]) -> Steps:
        """Hint, make one change, and settle."""
        op.prefixes = tuple(sorted(prefixes))
        early = self.flaw is Flaw.HINT_AFTER_CHANGE
        made = early and act()
        if early:
            yield
        hint = yield from self.touch(p, op)
        made = made if early else act()
        yield
        yield from self.settle(p, op, hint)
        return made

    def fact(self, op: Op) -> str:
        """A fact that no other line holds, to be acknowledged when this call returns."""
        op.facts.append(f"<{next(self.serial):06}>")
        return op.facts[-1]

    def close(self, p: Process, op: Op) -> Steps:
        """End the journal of a process that does nothing else."""
        if p.journal and len(p.ops) == 1 and not p.attempts:
            journal, p.journal = p.journal, None
            yield from self.append(op, journal.file, "closed\n", journal)

    # Readers and folders: journals first, then marks, then the newest generation, then the scopes.

    def journals(self, p: Process, probe: int = 0) -> Steps:
        """Read every journal, its owner's death judged before its lines, and then the marks."""
        early = self.marks(p.root)
        if self.flaw is Flaw.MARKS_BEFORE_JOURNALS:
            yield
        names = sorted(
            name for name in self.disk.below(f"{p.root}/.molexp/journal") if "/journal/j" in name
        )
        yield
        seen: dict[str, Seen] = {}
        for name in names:
            file = self.disk.files.get(name)
            if file is None:
                return (yield from self.journals(p, probe))
            owner, text = owner_in(file.text), file.text
            dead, silent = self.dead(p, owner), self.silent(p, file, probe)
            yield
            if self.flaw is Flaw.DEATH_AFTER_READ:
                dead = self.dead(p, owner)
            else:
                text = file.text
            yield
            seen[name.rsplit("/", 1)[1]] = Seen(file.inode, text, owner, dead, silent)
        marks = early if self.flaw is Flaw.MARKS_BEFORE_JOURNALS else self.marks(p.root)
        yield
        return seen, marks

    def newest(self, root: str) -> Steps:
        """Open the highest generation, or start from nothing."""
        while names := self.disk.below(f"{root}/.molexp/catalog"):
            yield
            file = self.disk.files.get(max(names))
            yield
            if file is not None and file.value is not None:
                return file.value
        yield
        return Generation()

    def same(self, known: Known | None, seen: Seen) -> bool:
        """Whether the bytes that a generation read of this journal still stand in it."""
        if known is None or self.flaw is Flaw.OFFSET_TRUSTED:
            return known is not None
        if self.flaw is Flaw.OFFSET_CHECKED_BY_SIZE:
            return known.inode == seen.inode and len(seen.text) >= known.offset
        return known.inode == seen.inode and seen.text[: known.offset].endswith(known.tail)

    def alarm(self, p: Process, base: Generation, seen: dict[str, Seen], marks: Marks) -> Steps:
        """Whether hints may be missing, so that only a scan of everything can tell."""
        if not base.number or (
            self.flaw is not Flaw.MARKS_IGNORED and (not marks or marks - base.marks)
        ):
            return True
        for name, known in base.journals.items():
            if name in seen:
                if known.offset and not self.same(known, seen[name]):
                    return True
            elif not known.finished and not (
                self.flaw is Flaw.RETIRED_MEANS_FINISHED and not known.open
            ):
                yield
                if (
                    f"{p.root}/.molexp/journal/{name}" not in self.disk.files
                    and self.flaw is not Flaw.GONE_IGNORED
                ):
                    return True
        strangers = [known.owner for name, known in seen.items() if name not in base.journals]
        if self.flaw is Flaw.BOOT_IGNORED:
            return False
        boots = base.boots | {(o.host, o.boot) for o in [p.owner, *strangers] if o}
        hosts = [host for host, _ in boots]
        return None in strangers or any(hosts.count(host) > 1 for host, _ in boots - base.boots)

    def replay(self, known: Known | None, seen: Seen) -> tuple[Known, set[str]]:
        """Read the new whole lines of a journal: what stays open, and what they name."""
        end = len(seen.text) if self.flaw is Flaw.TORN_HINT_READ else seen.text.rfind("\n") + 1
        begin = known.offset if known else 0
        hints = dict(known.open) if known else {}
        named: set[str] = set()
        lines = seen.text[begin:end].splitlines(keepends=True)
        closed = known is not None and known.finished
        for line in (line.strip() for line in lines):
            if touch := TOUCH.fullmatch(line):
                hints[int(touch[1])] = tuple(touch[2].split())
                named.update(touch[2].split())
            elif done := DONE.fullmatch(line):
                named.update(hints.pop(int(done[1]), ()))
                if self.flaw is Flaw.RETIRED_BEFORE_DONE:
                    named.clear()
            closed = closed or line == "closed"
        tail = lines[-1] if lines else known.tail if known else ""
        return Known(seen.inode, end, tail, hints, closed), named

    def due(self, base: Generation, seen: dict[str, Seen]) -> tuple[dict[str, Known], set[str]]:
        """What is known of every journal now, and every prefix to look at again."""
        known, due = dict(base.journals), set(base.live)
        for name, journal in seen.items():
            old = known.get(name)
            known[name], named = self.replay(old if self.same(old, journal) else None, journal)
            due |= named
        due.update(
            prefix for each in known.values() for some in each.open.values() for prefix in some
        )
        return known, due

    def survey(self, root: str, prefix: str) -> dict[str, int]:
        """The scopes at and below a prefix, each with the inode of its identity."""
        found: dict[str, int] = {}
        for path in self.disk.below(f"{root}/live"):
            name = path.removeprefix(f"{root}/live/")
            if name.endswith("/meta") and covers(prefix, name[: -len("/meta")]):
                found[name[: -len("/meta")]] = self.disk.files[path].inode
        return found

    def look(self, p: Process, prefix: str, rows: dict[str, Row], probe: int) -> Steps:
        """Read again what lies at a prefix, and drop the rows of what is gone."""
        found = self.survey(p.root, prefix)
        yield
        gone = f"{prefix}/**" if prefix not in found and not prefix.endswith("**") else prefix
        for address in [
            address for address in rows if covers(gone, address) and address not in found
        ]:
            if self.flaw is not Flaw.GONE_KEEPS_ROWS:
                del rows[address]
        for address in sorted(found):
            rows[address] = yield from self.read(p, address, rows.get(address, {}), probe)
        return found

    def read(self, p: Process, address: str, old: Row, probe: int) -> Steps:
        """Read one scope's own files, ends first, each judged and stat'ed before it is read."""
        base = f"{p.root}/live/{address}/"
        names = [
            path
            for path in self.disk.below(base[:-1])
            if scope_of(path.split("/live/")[1]) == address
        ]
        yield
        row: Row = {}
        for path in sorted(names, key=lambda path: ("/ledger" in path, path)):
            file, name = self.disk.files.get(path), path.removeprefix(base)
            if file is None:
                continue
            quiet = self.dead(p, owner_in(file.text)) or self.silent(p, file, probe)
            signature = self.signature(file, probe)
            early = file.text
            yield
            known = old.get(name)
            if known and signature and known.signature == signature:
                row[name] = replace(known, quiet=quiet)
                continue
            text = early if self.flaw is Flaw.DEATH_AFTER_READ else file.text
            if self.flaw is Flaw.DEATH_AFTER_READ:
                quiet = self.dead(p, owner_in(file.text))
            yield
            row[name] = Record(signature, facts_in(text), quiet)
        return row

    def signature(self, file: File, probe: int) -> tuple[int, ...] | None:
        """What must differ once a file has changed; None if it may change within this tick."""
        if file.ctime >= probe and self.flaw is not Flaw.RACY_SIGNATURE:
            return None
        changed = 0 if self.flaw is Flaw.SIGNATURE_WITHOUT_CTIME else file.ctime
        return (file.inode, len(file.text), file.mtime, changed)

    def view(self, p: Process) -> Steps:
        """Answer a query: the newest generation, and over it whatever may have changed since."""
        while True:
            seen, marks = yield from self.journals(p)
            base = yield from self.newest(p.root)
            rows = dict(base.rows)
            _, due = self.due(base, seen)
            scan = yield from self.alarm(p, base, seen, marks)
            if scan:
                due = {"**"}
            if not due or (yield from self.overlay(p, due, rows, seen, marks, scan=scan)):
                return rows

    def overlay(
        self,
        p: Process,
        due: set[str],
        rows: dict[str, Row],
        seen: dict[str, Seen],
        marks: Marks,
        *,
        scan: bool,
    ) -> Steps:
        """Look at what is due, and again at what moved meanwhile; False if a mark came."""
        while True:
            found = {}
            for prefix in sorted(due):
                found[prefix] = yield from self.look(p, prefix, rows, self.disk.now)
            if self.flaw is Flaw.ONE_PASS:
                return True
            later, now = yield from self.journals(p)
            if now != marks and not scan:
                return False
            moving = {
                prefix
                for name, journal in later.items()
                for prefix in self.replay(
                    self.replay(None, seen[name])[0] if name in seen else None, journal
                )[1]
                if prefix.endswith("**") and self.flaw is not Flaw.MOVES_IGNORED
            }
            for prefix in sorted(due):
                after = self.survey(p.root, prefix)
                yield
                moving |= {f"{address}/**" for address, _ in after.items() ^ found[prefix].items()}
            if not moving:
                return True
            due, seen = moving, later

    def fold(self, p: Process) -> Steps:
        """Make a new generation from the newest one, the journals and the files."""
        if not self.marks(p.root):
            yield
            self.mark(p.root)
        yield
        probe = self.disk.now
        yield
        seen, marks = yield from self.journals(p, probe)
        base = yield from self.newest(p.root)
        scan = yield from self.alarm(p, base, seen, marks)
        rows = dict(base.rows)
        known, due = self.due(base, seen)
        for prefix in ["**"] if scan else sorted(due):
            yield from self.look(p, prefix, rows, probe)
        if self.flaw is Flaw.SCOPES_BEFORE_JOURNALS:
            seen, marks = yield from self.journals(p, probe)
            known, due = self.due(base, seen)
        known = {
            name: self.retire(known[name], seen.get(name))
            for name in known
            if name in seen or not scan
        }
        boots = base.boots | {
            (o.host, o.boot) for o in [p.owner, *(s.owner for s in seen.values())] if o
        }
        live = frozenset(address for address, row in rows.items() if running(row))
        if self.flaw is Flaw.EXECUTION_WATCHED_BY_HINT:
            live = frozenset()
        yield from self.publish(
            p, Generation(base.number + 1, rows, live, marks, known, boots), seen
        )

    def retire(self, known: Known, seen: Seen | None) -> Known:
        """Forget the hints of the dead and the silent, whose scopes were read after the proof."""
        if seen is None:
            return known
        hints = {} if seen.dead or seen.silent else known.open
        return replace(known, open=hints, finished=seen.dead or (known.finished and not hints))

    def publish(self, p: Process, new: Generation, seen: dict[str, Seen]) -> Steps:
        """Mark, publish, and only then remove old marks, finished journals and old generations."""
        journal, catalog = f"{p.root}/.molexp/journal", f"{p.root}/.molexp/catalog"
        doomed = [
            f"{journal}/{name}"
            for name, known in new.journals.items()
            if known.finished and name in seen
        ]
        if doomed or len(new.marks) > 1:
            doomed += [f"{p.root}/{name}" for name, *_ in new.marks]
            before = self.marks(p.root)
            if self.flaw is Flaw.SWEEP_WITHOUT_MARK:
                doomed = [path for path in doomed if "/journal/m" not in path]
            else:
                self.mark(p.root)
            new = replace(new, marks=new.marks | (self.marks(p.root) - before))
            yield
        new = replace(
            new, journals={n: k for n, k in new.journals.items() if f"{journal}/{n}" not in doomed}
        )
        serial = next(self.serial)
        self.disk.create(
            f"{catalog}/g{new.number:04}-{serial * 7919 % 1009:04}-{serial}", value=new
        )
        yield
        for path in doomed + sorted(self.disk.below(catalog))[:-2]:
            self.disk.remove(path)
            yield
