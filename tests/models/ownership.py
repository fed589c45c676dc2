"""The protocol of docs/design/0004-ownership.md: who owns a run, and how an execution ends."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.models.ownership_door import (
    Door,
    Entry,
    Look,
    Record,
    Steps,
    content,
    owner_of,
    parse,
)
from tests.models.ownership_flaws import Flaw
from tests.models.ownership_machine import Owner

# Ticks without a beat (six heartbeats) after which an owner that cannot be judged reads `unknown`.
SILENCE = 60
# Stand for 0555 and 0444, which would protect only against users who are not root.
CLOSED, CLOSED_FILE = 0o1755, 0o744
PENDING = "cancelled while pending"


class Refused(Exception):
    """The product's typed refusal (ConflictError, TransitionError, NotFoundError, CancelledError),
    told apart by its first argument.
    """


@dataclass
class Protocol(Door):
    """The protocol as one process follows it: every method yields before each call that another
    process could see.
    """

    # What a caller is told: verb, execution, run, since when it was under way.
    tell: Callable[[str, str, str, int], None]
    confirmed: list[Owner]
    fork: Callable[[Callable[[Protocol], Steps[None]]], None]

    # who lives

    def dead(self, owner: Owner) -> Steps[bool]:
        """Whether an owner is proven dead."""
        near = owner.place[:3] == self.me.place[:3]
        if not near and self.flaw is not Flaw.DEAD_ACROSS_NAMESPACES:
            return False
        if not (yield from self.do(self.machine.kill0, self.me.place, owner.pid)):
            return True
        seen = yield from self.do(self.machine.stat, self.me.place, owner.pid)
        if seen is None:
            return self.flaw is Flaw.INVISIBLE_IS_DEAD
        born, defunct = seen
        if defunct and self.flaw is not Flaw.DEFUNCT_IS_ALIVE:
            return True
        same_clock = owner.place.timens == self.me.place.timens
        comparable = same_clock or self.flaw is Flaw.ONE_TIME_NAMESPACE
        return comparable and born != owner.start and self.flaw is not Flaw.PID_ONLY

    def unknown(self, look: Look, entry: Entry) -> Steps[bool]:
        """Whether an owner that cannot be judged has been silent for six heartbeats."""
        path, fd = self.at(look.at, f"{entry.name}/ledger.jsonl")
        beat = (yield from self.do(os.stat, path, dir_fd=fd)).st_mtime
        silent = self.now() - beat > SILENCE
        if silent:
            self.tell("unknown", entry.uid, look.uid, 0)
        return silent

    # a look

    def look(self, path: Path) -> Steps[Look]:
        """Open a run, list its numbers, read the start and end of each."""
        try:
            place = yield from self.do(self.open_dir, path)
        except FileNotFoundError:
            raise Refused("not found", path) from None
        meta = parse((yield from self.do(content, *self.at(place, "meta.json"))))
        numbers = [n for n in (yield from self.do(self.names, place)) if n.isdigit()]
        entries = []
        for name in sorted(numbers, key=int):
            line = yield from self.do(content, *self.at(place, f"{name}/ledger.jsonl"))
            start = parse(line)
            end = (yield from self.end_of(place, name, start)) if start else None
            entries.append(Entry(int(name), start, end))
        return Look(path, place, meta["uid"] if meta else "", entries)

    def end_of(self, place: int | Path, name: str, start: Record) -> Steps[Record | None]:
        """The end of an entry, under the name that its start line chose."""
        text = yield from self.do(content, *self.at(place, f"{name}/{self.end_name(start)}"))
        torn = text is not None and parse(text) is None
        if torn and (yield from self.dead(owner_of(start))):
            return {"status": "failed", "cause": "died while ending", "sizes": {}}
        return parse(text)

    def end_name(self, start: Record) -> str:
        """The one name for which all who would end an entry contend."""
        if start["links"] or self.flaw in (Flaw.EXCLUSIVE_END, Flaw.RENAME_OVER_END):
            return "end.json"
        return "end/end.json"

    # a start

    def aside(self) -> Steps[Path]:
        """A new directory in tmp; its name begins with its writer."""
        parts = (*self.me.place, self.me.pid, self.me.start, next(self.serial))
        path = self.root / "tmp" / ".".join(map(str, parts))
        yield from self.do(path.mkdir)
        return path

    def stage(self, look: Look, kind: str) -> Steps[tuple[Path, Record]]:
        """Make a numbered directory in tmp, with its complete start line."""
        staged = yield from self.aside()
        line: Record = {"kind": kind, "uid": staged.name, "run": look.uid}
        line |= {"owner": self.me, "links": self.links}
        yield from self.do(self.write, staged, "ledger.jsonl", json.dumps(line) + "\n", True)
        return staged, line

    def settle(self, look: Look) -> Steps[None]:
        """Refuse while the newest entry has no end and its owner is not proven dead; end a dead
        one as failed.
        """
        if (entry := look.newest) is None or entry.end or entry.start is None:
            return
        if not (yield from self.dead(owner_of(entry.start))):
            raise Refused("conflict", entry.start["owner"])
        yield from self.end(look, entry, "failed", "died")

    def publish(self, look: Look, staged: Path, line: Record) -> Steps[Entry | None]:
        """Rename a staged directory to the next number; None if the number was taken or the run
        is gone: look again.
        """
        number = (look.newest.number if look.newest else 0) + 1
        if self.flaw is Flaw.NUMBER_BY_COUNT:
            number = len(look.entries) + 1
        asks = self.flaw is not Flaw.NO_LOOK_AT_PLACE
        if asks and not (yield from self.do(self.still_there, look)):
            return None
        while True:
            entry = Entry(number, line, None)
            try:
                yield from self.do(self.rename, staged, look.at, entry.name)
                return entry
            except OSError as error:
                blindly = self.flaw is Flaw.NEXT_NUMBER_BLINDLY
                if not blindly or error.errno == errno.ENOENT:
                    return None
                number += 1

    def start(self, path: Path) -> Steps[tuple[Look, Entry]]:
        """Own a new execution of a run."""
        first, began = None, 0
        for _ in range(9):
            look = yield from self.look(path)
            if first is None:
                first, began = look, self.machine.clock
            if look.uid != first.uid:
                raise Refused("not found", first.uid)
            new = look.entries[len(first.entries) :]
            born = [e for e in new if e.end and e.end.get("cause") == PENDING]
            if born and self.flaw is not Flaw.START_OVERTAKES_CANCEL:
                raise Refused("cancelled", born)
            try:
                yield from self.settle(look)
            except Refused as refusal:
                if refusal.args[0] == "ended":
                    continue
                raise
            if self.flaw is Flaw.MKDIR_THEN_OWNER:
                return (yield from self.start_in_place(look))
            staged, line = yield from self.stage(look, "run")
            entry = yield from self.publish(look, staged, line)
            if entry:
                self.tell("start", line["uid"], look.uid, began)
                return look, entry
        raise Refused("conflict", "busy")

    def start_in_place(self, look: Look) -> Steps[tuple[Look, Entry]]:
        """The twin that makes its directory first and says who owns it afterwards."""
        entry = Entry((look.newest.number if look.newest else 0) + 1, None, None)
        where, fd = self.at(look.at, entry.name)
        line: Record = {"kind": "run", "uid": f"{self.me}", "run": look.uid}
        line |= {"owner": self.me, "links": self.links}
        text = json.dumps(line) + "\n"
        try:
            yield from self.do(os.mkdir, where, dir_fd=fd)
            yield from self.do(self.write, look.at, f"{entry.name}/ledger.jsonl", text)
        except OSError:
            raise Refused("conflict", "taken") from None
        entry.start = line
        return look, entry

    # an end

    def end(self, look: Look, entry: Entry, status: str, cause: str) -> Steps[None]:
        """Close an entry: measure, write aside, take the one name, then take the write bits."""
        sizes = {}
        for name in (yield from self.do(self.names, look.at, entry.name)):
            if name.startswith("ledger"):
                path, fd = self.at(look.at, f"{entry.name}/{name}")
                sizes[name] = (yield from self.do(os.stat, path, dir_fd=fd)).st_size
        end: Record = {"status": status, "cause": cause, "owner": self.me}
        text = json.dumps(end | {"uid": entry.line["uid"], "sizes": sizes})
        for _ in range(3):
            try:
                yield from self.take_end(look, entry, text)
                yield from self.close(look, entry)
                return
            except FileNotFoundError:  # a sweeper took what lay aside: write it again
                continue
            except OSError:
                raise Refused("ended", entry.name) from None
        raise Refused("not found", entry.name)

    def take_end(self, look: Look, entry: Entry, text: str) -> Steps[None]:
        """Contend for the one name that ends an entry: a link, or where the start line says so a
        directory's rename.
        """
        name = f"{entry.name}/end.json"
        if self.flaw is Flaw.EXCLUSIVE_END and not entry.line["links"]:
            yield from self.do(self.write, look.at, name, "", True)
            yield from self.do(self.write, look.at, name, text[:20])
            yield from self.do(self.write, look.at, name, text[20:])
            return
        aside = yield from self.aside()
        yield from self.do(self.write, aside, "end.json", text, True)
        if self.flaw is Flaw.RENAME_OVER_END:
            if (yield from self.do(content, *self.at(look.at, name))):
                raise FileExistsError(name)
            yield from self.do(self.rename, aside / "end.json", look.at, name)
        elif entry.line["links"]:
            yield from self.do(self.link, aside / "end.json", look.at, name)
        else:
            yield from self.do(self.rename, aside, look.at, f"{entry.name}/end")

    def close(self, look: Look, entry: Entry) -> Steps[None]:
        """Take the write bits, the directory's last: its mode says that closing is complete."""
        names = yield from self.do(self.names, look.at, entry.name)
        files = [f"{entry.name}/{name}" for name in names if name.endswith((".jsonl", ".json"))]
        for name, mode in [*((file, CLOSED_FILE) for file in files), (entry.name, CLOSED)]:
            path, fd = self.at(look.at, name)
            yield from self.do(os.chmod, path, mode, dir_fd=fd)
