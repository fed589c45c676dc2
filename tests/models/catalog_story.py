"""A world for the catalog protocol: processes, meddling hands, an oracle of acks and files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from tests.models.catalog_disk import (
    DAY,
    Broken,
    File,
    Op,
    Owner,
    Process,
    Row,
    Steps,
    covers,
    facts_in,
    owner_in,
    scope_of,
)
from tests.models.catalog_protocol import Flaw
from tests.models.catalog_work import RUNS, Work

OPERATIONS = (
    "start",
    "line",
    "join",
    "end",
    "reap",
    "edit",
    "create",
    "move",
    "trash",
    "restore",
    "shut",
    "beat",
    "folding",
    "query",
    "sync",
)
HANDS = (
    "remove_directory",
    "remove_generation",
    "remove_journal",
    "move_by_hand",
    "edit_by_hand",
    "day",
    "reboot",
    "copy",
)
CALLS = (1, 2, 3, 4, 6, 99, 99, 99)
SLOTS = (("h0", 0, 0), ("h0", 0, 0), ("h0", 1, 2 * DAY), ("h1", 0, 0), ("h0", 0, 0), ("h1", 0, 0))
IN_COPY = (4, 5)


@dataclass(frozen=True)
class Menu:
    """What may happen in a story: operations of processes and deeds of hands."""

    operations: tuple[str, ...] = OPERATIONS
    hands: tuple[str, ...] = HANDS
    slots: int = 4


@dataclass
class Question:
    """A query in flight: what it must show, what it may show, and where nobody can tell."""

    must: set[str]
    may: set[tuple[str, str]]
    doubts: set[str]
    reader: Process


@dataclass
class Site:
    """One workspace as the oracle sees it: acks, hands' doubts, and what hands removed."""

    acks: set[str] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)
    doubts: list[tuple[str, str | None]] = field(default_factory=list)
    asked: dict[int, Question] = field(default_factory=dict)


class Story(Work):
    """The world: four processes in one workspace, two in its copy, and whatever befalls them."""

    def __init__(self, flaw: Flaw = Flaw.NONE) -> None:
        super().__init__(flaw)
        self.sites = {"a": Site()}
        self.known: dict[tuple[str, str, int], set[tuple[str, str]]] = {}
        self.boots = {"h0": 1, "h1": 1}
        self.copying: Steps | None = None
        self.slots = [self.born(slot) for slot in range(len(SLOTS))]
        for scope in ("e0", "e1", "e0/r0"):
            fact = f"<{next(self.serial):06}>"
            self.disk.create(f"a/live/{scope}/meta", f"{fact}\n")
            self.sites["a"].acks.add(fact)
        self.at_once(self.fold(self.slots[0]))

    # Processes.

    def born(self, slot: int) -> Process:
        """Start the process of a slot, with the pid that its predecessor had."""
        host, space, skew = SLOTS[slot]
        owner = Owner(host, self.boots[host], space, 100 + slot, next(self.serial))
        p = Process(owner, "b" if slot in IN_COPY else "a", skew)
        self.processes.append(p)
        return p

    def kill(self, slot: int) -> None:
        """Kill a process between two calls, and start another with its pid."""
        p = self.slots[slot]
        self.processes.remove(p)
        for op in p.ops.values():
            if op.holding:
                op.holding.locked = False
            if self.shaken(p, op):
                self.doubt(p.root, *op.prefixes)
            if p.root in self.sites:
                self.sites[p.root].asked.pop(id(op), None)
        p.ops.clear()
        self.slots[slot] = self.born(slot)

    def begin(self, slot: int, thread: int, name: str, a: int, b: int) -> None:
        """Start an operation in a thread that does nothing."""
        p = self.slots[slot]
        if thread in p.ops or p.root not in self.sites:
            return
        op = p.ops[thread] = Op(name=name)
        op.steps = getattr(self, name)(p, op, a, b)

    def go(self, slot: int, thread: int, calls: int) -> None:
        """Let a thread make some calls; what it returns from is acknowledged."""
        p = self.slots[slot]
        for _ in range(calls):
            op = p.ops.get(thread)
            if op is None:
                return
            self.advance(p, thread, op)

    def advance(self, p: Process, thread: int, op: Op) -> None:
        """Make one call."""
        version = self.disk.version
        try:
            next(op.steps)
        except StopIteration as stop:
            del p.ops[thread]
            if stop.value:
                self.sites[p.root].acks.update(op.facts)
        if self.disk.version != version:
            self.observe()

    def at_once(self, work: Steps) -> Any:
        """Run one operation to its end while nothing else moves."""
        for _ in range(10_000):
            try:
                next(work)
            except StopIteration as stop:
                return stop.value
        raise Broken("an operation does not end")

    # Readers and folders.

    def folding(self, p: Process, op: Op, a: int, b: int) -> Steps:
        """Fold, at any pace."""
        yield from self.fold(p)

    def sync(self, p: Process, op: Op, a: int, b: int) -> Steps:
        """Declare that hands were at work: make a mark that no generation knows."""
        site = self.sites[p.root]
        before = list(site.doubts)
        if self.flaw is Flaw.SYNC_BY_HINTS:
            base = self.at_once(self.newest(p.root)).rows
            found: dict[str, Row] = {}
            self.at_once(self.look(p, "**", found, 0))
            changed = {address for address, _ in self.dump(base) ^ self.dump(found)}
            own, p.journal = p.journal, None
            self.at_once(self.change(p, op, changed or {"none"}, lambda: True))
            p.journal = own or p.journal
        elif self.flaw is not Flaw.SYNC_WITHOUT_MARK:
            self.mark(p.root)
        site.doubts = [doubt for doubt in site.doubts if doubt not in before]
        yield

    def query(self, p: Process, op: Op, a: int, b: int) -> Steps:
        """Ask for everything, and hold the answer against acks and files."""
        site = self.sites[p.root]
        held = self.held(p.root)
        question = Question({f for _, f in held} & site.acks, set(held), self.doubted(p.root, p), p)
        site.asked[id(op)] = question
        rows = yield from self.view(p)
        del site.asked[id(op)]
        self.judge(rows, question)

    # The oracle: acks and plain files, nothing else.

    def held(self, root: str, below: str = "live") -> set[tuple[str, str]]:
        """Every fact that the files of a workspace hold, with the scope that holds it."""
        base, key = f"{root}/{below}/", (root, below, self.disk.version)
        if key in self.known:
            return set(self.known[key])
        found: set[tuple[str, str]] = set()
        for path in self.disk.below(base[:-1]):
            scope = scope_of(path[len(base) :]) if below == "live" else ""
            if below != "live" or f"{base}{scope}/meta" in self.disk.files:
                found.update((scope, fact) for fact in facts_in(self.disk.files[path].text))
        self.known = {
            old: facts for old, facts in self.known.items() if old[2] == self.disk.version
        } | {key: found}
        return set(found)

    def shaken(self, p: Process, op: Op) -> bool:
        """Whether a change in flight has lost its hint, to hands or to a day of silence."""
        return op.journal is not None and (self.lost(p, op) or self.disk.now - op.since > DAY // 2)

    def doubt(self, root: str, *prefixes: str, until: str | None = None) -> None:
        """Nobody can know what lies there until `sync()`, or until a host shows its new boot."""
        self.sites[root].doubts.extend((prefix, until) for prefix in prefixes)

    def doubted(self, root: str, reader: Process | None = None) -> set[str]:
        """The prefixes of which a view may be wrong now."""
        ops = [(p, op) for p in self.processes if p.root == root for op in p.ops.values()]
        host = reader.owner.host if reader else None
        hands = {
            prefix for prefix, until in self.sites[root].doubts if until is None or until != host
        }
        return hands.union(*(op.prefixes for p, op in ops if self.shaken(p, op)))

    def observe(self) -> None:
        """After any change: narrow what queries must show, widen what they may."""
        for root, site in self.sites.items():
            if site.asked:
                held = self.held(root)
                facts = {fact for _, fact in held}
                for question in site.asked.values():
                    question.must &= facts
                    question.may |= held
                    question.doubts |= self.doubted(root, question.reader)

    def judge(self, rows: dict[str, Row], question: Question) -> None:
        """A view shows all that it must and only what it may."""
        shown = self.dump(rows)
        unsure = {
            item
            for item in question.may | shown
            if any(covers(d, item[0]) for d in question.doubts)
        }
        missed = question.must - {fact for _, fact in shown | unsure}
        invented = shown - question.may - unsure
        if missed or invented:
            raise Broken(f"missed {sorted(missed)}, invented {sorted(invented)}")

    def check(self, root: str) -> None:
        """Whatever was acknowledged is whole in a file, and a query by anybody shows it."""
        site = self.sites[root]
        facts = {fact for below in ("live", "trash") for _, fact in self.held(root, below)}
        if site.acks - facts - site.gone:
            raise Broken(f"files lost {sorted(site.acks - facts - site.gone)}")
        for p in [self.slots[slot] for slot in (IN_COPY if root == "b" else (0, 3))]:
            question = Question(
                {f for _, f in self.held(root)} & site.acks,
                self.held(root),
                self.doubted(root, p),
                p,
            )
            self.judge(self.at_once(self.view(p)), question)

    def synced(self, slot: int) -> None:
        """After `sync()` the fold's dump, a rebuild's dump and the files are one."""
        p = self.slots[slot]
        if p.root not in self.sites:
            return
        self.at_once(self.sync(p, Op(), 0, 0))
        self.at_once(self.fold(p))
        folded = self.at_once(self.newest(p.root)).rows
        rebuilt: dict[str, Row] = {}
        self.at_once(self.look(p, "**", rebuilt, 0))
        if self.dump(folded) != self.dump(rebuilt) or self.dump(folded) != self.held(p.root):
            raise Broken(f"fold {sorted(self.dump(folded) ^ self.held(p.root))}")
        self.check(p.root)

    def dump(self, rows: dict[str, Row]) -> set[tuple[str, str]]:
        """All facts of a catalog with their scopes."""
        return {
            (address, fact)
            for address, row in rows.items()
            for record in row.values()
            for fact in record.facts
        }

    # What befalls a workspace.

    def open_journal(self, p: Process) -> Steps:
        """A journal of a new boot tells everybody that its host was down."""
        yield from super().open_journal(p)
        site = self.sites[p.root]
        site.doubts = [doubt for doubt in site.doubts if doubt[1] != p.owner.host]

    def covered(self, root: str, path: str, keep: int) -> bool:
        """Whether every generation, even one being made, will notice that a journal was cut."""
        file, name = self.disk.files[path], path.rsplit("/", 1)[1]
        catalogs = [
            self.disk.files[catalog].value for catalog in self.disk.below(f"{root}/.molexp/catalog")
        ]
        known = [catalog.journals.get(name) for catalog in catalogs if catalog]
        folding = any(
            op.name == "folding" for p in self.processes if p.root == root for op in p.ops.values()
        )
        return not folding and all(k and k.inode == file.inode and k.offset > keep for k in known)

    def cut(self, root: str, path: str, keep: int, until: str | None = None) -> None:
        """Cut a journal; what some generation may fail to notice is in doubt."""
        file = self.disk.files[path]
        if until or not self.covered(root, path, keep):
            lines = [line.split() for line in file.text.splitlines() if line.startswith("touch")]
            self.doubt(root, *(prefix for words in lines for prefix in words[2:]), until=until)
        file.text, file.mtime, file.ctime = file.text[:keep], self.disk.now, self.disk.now
        self.disk.version += 1

    def remove_directory(self, root: str, a: int, b: int) -> None:
        """Rm -r .molexp, or its journals, or its catalog."""
        self.disk.remove(f"{root}/.molexp" + ("", "/journal", "/catalog")[a % 3])

    def remove_generation(self, root: str, a: int, b: int) -> None:
        """Delete one generation."""
        found = sorted(self.disk.below(f"{root}/.molexp/catalog"))
        if found:
            self.disk.remove(found[-1 - a % len(found)])

    def remove_journal(self, root: str, a: int, b: int) -> None:
        """Delete a journal, or cut it."""
        found = sorted(
            path for path in self.disk.below(f"{root}/.molexp/journal") if "/journal/j" in path
        )
        path = found[a % len(found)] if found else ""
        keep = len(self.disk.files[path].text) * (a % 3) // 4 if found and b % 2 else 0
        if found and (b > 3 or self.covered(root, path, keep)):
            self.cut(root, path, keep)
            if b % 2 == 0:
                self.disk.remove(path)

    def move_by_hand(self, root: str, a: int, b: int) -> None:
        """Mv a run directory."""
        source, target = RUNS[a % 3], RUNS[(a + 1 + b % 2) % 3]
        if f"{root}/live/{target[:2]}/meta" in self.disk.files and (
            self.disk.rename(f"{root}/live/{source}", f"{root}/live/{target}")
        ):
            self.doubt(root, f"{source}/**", f"{target}/**")

    def edit_by_hand(self, root: str, a: int, b: int) -> None:
        """Put other bytes of the same number into a file, and its times back; or delete a run."""
        base = f"{root}/live/"
        site = self.sites[root]
        if b % 3 == 2:
            path = f"{base}{RUNS[a % 3]}"
            site.gone |= {
                fact
                for name in self.disk.below(path)
                for fact in facts_in(self.disk.files[name].text)
            }
            self.disk.remove(path)
            self.doubt(root, f"{RUNS[a % 3]}/**")
            return
        paths = sorted(
            path for path in self.disk.below(base[:-1]) if path.endswith(("meta", "end"))
        )
        if paths:
            path = paths[a % len(paths)]
            file = self.disk.files[path]
            old = min(facts_in(file.text))
            file.text, file.ctime = (
                file.text.replace(old, f"<{next(self.serial):06}>"),
                self.disk.now,
            )
            site.gone.add(old)
            self.disk.version += 1
            self.doubt(root, scope_of(path[len(base) :]))

    def day(self, root: str, a: int, b: int) -> None:
        """A long time goes by; some processes are stopped, the others beat."""
        beating = [each for p in self.slots for each in p.attempts if not self.late(each.last)]
        self.disk.now += 2 * DAY
        for slot, p in enumerate(self.slots):
            for attempt in p.attempts if (a >> slot) & 1 else []:
                if attempt in beating:
                    attempt.file.mtime = attempt.file.ctime = attempt.last = self.disk.now

    def reboot(self, root: str, a: int, b: int) -> None:
        """A host loses power, and with it what journals were not synced."""
        host = ("h0", "h1")[a % 2]
        self.boots[host] += 1
        for site in self.sites:
            for p in self.slots:
                if p.owner.host == host and p.root == site:
                    self.doubt(
                        site,
                        *(prefix for op in p.ops.values() for prefix in op.prefixes),
                        until=host,
                    )
            for path in self.disk.below(f"{site}/.molexp/journal"):
                file = self.disk.files[path]
                owner = owner_in(file.text)
                if owner and owner.host == host:
                    self.cut(site, path, len(file.text) * (b % 3) // 2, until=host)
        for slot, p in enumerate(self.slots):
            if p.owner.host == host:
                self.kill(slot)

    def copy(self, root: str, a: int, b: int) -> None:
        """Cp -r, part by part, perhaps to a file system that gives the same inode numbers."""
        if "b" in self.sites:
            return
        if self.copying is None:
            parts = [".molexp", "live", "trash"]
            self.copying = self.copy_parts(parts if a % 2 else parts[::-1], b)
        self.disk.now += 1
        if next(self.copying, self) is self:
            self.sites["b"] = Site(acks={fact for _, fact in self.held("b")})

    def copy_parts(self, parts: list[str], b: int) -> Steps:
        """Copy one directory after the other."""
        for part in parts:
            for path in self.disk.below(f"a/{part}"):
                file = self.disk.files[path]
                inode = file.inode if b % 2 else next(self.disk.inodes)
                mtime = file.mtime if b % 4 > 1 else self.disk.now
                self.disk.version += 1
                self.disk.files["b" + path[1:]] = File(
                    inode, file.text, mtime, self.disk.now, file.value
                )
            if part != parts[-1]:
                yield

    # How a story is told.

    def turn(self, draw: Callable[[int], int], menu: Menu) -> None:
        """Let one thing happen; `draw(n)` picks a number below n."""
        kind, slot, thread = (
            draw(20),
            draw(len(SLOTS) if "b" in self.sites else menu.slots),
            draw(2),
        )
        root = self.slots[slot].root
        self.disk.now += draw(2)
        if kind < 9:
            self.begin(slot, thread, menu.operations[draw(len(menu.operations))], draw(6), draw(6))
            self.go(slot, thread, CALLS[draw(len(CALLS))])
            if draw(6) == 5:
                self.kill(slot)
        elif kind < 13:
            self.go(slot, thread, CALLS[draw(len(CALLS))])
        elif kind < 14:
            self.kill(slot)
        elif kind < 16 and menu.hands:
            getattr(self, menu.hands[draw(len(menu.hands))])(root, draw(16), draw(6))
            self.observe()
        elif kind < 18:
            self.at_once(self.fold(self.slots[slot]))
        elif kind < 19:
            self.check(root)
        else:
            self.synced(slot)

    def finish(self) -> None:
        """Ask once more, then sync, in every workspace."""
        for root in self.sites:
            self.check(root)
            self.synced(IN_COPY[0] if root == "b" else 0)


def tell(seed: int, flaw: Flaw, menu: Menu, turns: int = 30) -> str | None:
    """Tell the story of a seed; what broke, or None."""
    luck, story = Random(seed), Story(flaw)
    try:
        for _ in range(turns):
            story.turn(luck.randrange, menu)
        story.finish()
    except Broken as broken:
        return str(broken)
    return None
