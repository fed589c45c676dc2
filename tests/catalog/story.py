"""Histories of a workspace, told by a source of numbers, and what every answer in them must show.

What the files say is the oracle: after each turn a reader asks, and must be given every row that
they make and no other. What hands did behind everybody's back may be seen or not, until a sync.
"""

from __future__ import annotations

import gc
import json
import os
import shutil
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

from molexp.catalog.engine import Connection, connect
from molexp.catalog.journals import Knowledge
from molexp.catalog.present import Present
from molexp.catalog.view import View
from molexp.disk import journal, layout
from molexp.disk.owner import Life, asking, judge
from molexp.lifecycle.survey import ExecutionSurvey
from molexp.rows.tables import tables
from tests.catalog.acts import EXPERIMENTS, RUNS, WORDS, Actor
from tests.catalog.oracle import TABLES, Dump, Row, expected, expected_ids, ordered, spelt
from tests.catalog.small import slow_clock
from tests.catalog.stage import Died, Machine, dying, interrupted
from tests.models.catalog_disk import covers

SLOTS = (("h0", "a"), ("h0", "a"), ("h0", "b"), ("h1", "a"))
DAY = 2 * 24 * 3600.0
SILENT = 60.0

HANDS = (
    "remove_all",
    "remove_journals",
    "remove_catalog",
    "remove_generation",
    "remove_journal",
    "cut_journal",
    "move_by_hand",
    "remove_by_hand",
    "copy_run",
    "edit_by_hand",
    "copy_workspace",
    "reboot",
    "long_time",
)


class Broken(AssertionError):
    """An answer shows what the files do not say, or does not show what they say."""


@dataclass
class Menu:
    """What may happen in a story."""

    words: tuple[str, ...] = WORDS
    hands: tuple[str, ...] = HANDS
    is_slow: bool = False
    """Whether the clock of the file system ticks twice a minute."""


@dataclass
class Place:
    """A workspace, and what nobody can tell of it: prefixes, with the host that can after all."""

    root: Path
    doubts: list[tuple[str, str | None]] = field(default_factory=list)

    def is_doubted(self, address: str, host: str) -> bool:
        """Whether a reader on a host may be wrong about an address."""
        return any(covers(prefix, address) for prefix, but in self.doubts if but != host)


@dataclass(eq=False)
class Someone:
    """A process: what it writes, and what it sees."""

    actor: Actor
    place: Place
    view: View | None = None

    @property
    def host(self) -> str:
        """Where it is."""
        return self.actor.system.process.host


class Story:
    """The world, and whatever befalls it."""

    def __init__(self, base: Path, menu: Menu | None = None) -> None:
        self.base, self.menu = base, menu or Menu()
        self.machine = Machine()
        self.late = 0.0
        self.turns = 0
        self.told: list[str] = []
        self.places = [Place(base / "lab")]
        self.people = [self._born(slot, self.places[0]) for slot in range(len(SLOTS))]
        first = self.people[0].actor
        for word, a in (
            *(("make_project", 0), ("make_project", 1), ("make_experiment", 0)),
            *(("make_experiment", 1), ("make_experiment", 2), ("make_run", 0), ("make_run", 2)),
        ):
            first.acts(word, a, 0)
        for someone in self.people[:2]:
            self.check(someone)

    @contextmanager
    def clock(self) -> Any:
        """Let the clocks by which writers judge themselves go on as the story says."""
        real = journal.now
        ticking = slow_clock() if self.menu.is_slow else nullcontext()
        with patch.object(journal, "now", lambda: real() + self.late), ticking:
            yield

    # What may happen.

    def turn(self, draw: Callable[[int], int]) -> None:
        """Let one thing happen, and ask; ``draw(n)`` picks a number below n."""
        self.turns += 1
        kind, someone = draw(20), self.people[draw(len(self.people))]
        with self.clock():
            if kind < 10:
                self.tell(someone, self._word(draw), draw(12), draw(6))
            elif kind < 12:
                self._interrupt(someone, draw)
            elif kind < 13:
                self._kill_within(someone, draw)
            elif kind < 14:
                self.kill(someone)
            elif kind < 16 and self.menu.hands:
                hand = self.menu.hands[draw(len(self.menu.hands))]
                self.told.append(f"hand {hand}")
                getattr(self, hand)(someone, draw(12), draw(6))
            elif kind < 18:
                self.fold(someone)
            elif kind < 19:
                self.told.append("rebuild")
                self.see(someone, lambda view: view.rebuild())
            else:
                self.sync(someone)
            self.look_around()

    def finish(self) -> None:
        """Ask everybody, then sync in each workspace."""
        with self.clock():
            for someone in self.people:
                self.check(someone)
            for place in self.places:
                here = [each for each in self.people if each.place is place]
                self.sync(here[0])

    def close(self) -> None:
        """Let go of everything."""
        for someone in self.people:
            if someone.view is not None:
                someone.view.close()
        self.people.clear()
        gc.collect()
        _let_go_below(self.base)

    def _word(self, draw: Callable[[int], int]) -> str:
        return self.menu.words[draw(len(self.menu.words))]

    def tell(self, someone: Someone, word: str, a: int, b: int) -> None:
        """Let a process act."""
        self.told.append(f"{self.people.index(someone)} {word} {a} {b}")
        someone.actor.acts(word, a, b)

    def fold(self, someone: Someone) -> None:
        """Fold, in the view of a process."""
        self.told.append(f"{self.people.index(someone)} fold")
        self.see(someone, lambda view: view.fold())

    def _interrupt(self, someone: Someone, draw: Callable[[int], int]) -> None:
        """Let a process act, or fold, between two calls of another one that asks or folds."""
        others = [e for e in self.people if e.place is someone.place and e is not someone]
        other, at = others[draw(len(others))], 1 + draw(60)
        what, deed, word = draw(3), draw(4), self._word(draw)
        a, b = draw(12), draw(6)
        acting: Callable[[], object] = partial(other.actor.acts, word, a, b)
        if deed == 0:
            word, acting = "fold", partial(self.see, other, lambda view: view.fold())
        index = self.people.index(someone), self.people.index(other)
        self.told.append(f"{index} {('ask', 'fold', 'act')[what]} at {at}: {word} {a} {b}")
        if what == 0:
            self.ask_meanwhile(someone, interrupted(at, acting))
        elif what == 1:
            with interrupted(at, acting):
                self.see(someone, lambda view: view.fold())
        else:
            with interrupted(at, acting):
                someone.actor.acts(self._word(draw), draw(12), draw(6))

    def _kill_within(self, someone: Someone, draw: Callable[[int], int]) -> None:
        """Let a process die at a call of something that it does."""
        word, a, b, at, midway = self._word(draw), draw(12), draw(6), 1 + draw(14), draw(2) == 1
        folds = draw(4) == 0
        self.told.append(f"{self.people.index(someone)} dies at {at} of {folds or word} {a} {b}")
        if someone.view is None:
            self.check(someone)
        with suppress(Died), dying(at, midway=midway):
            if folds:
                self.see(someone, lambda view: view.fold())
            else:
                someone.actor.acts(word, a, b)
        self.kill(someone)

    def kill(self, someone: Someone) -> None:
        """Kill a process, and start another with its pid."""
        index = self.people.index(someone)
        self.told.append(f"{index} is killed")
        someone.actor.system.die()
        if someone.view is not None:
            someone.view.close()
        self.people[index] = self._born(index, someone.place)

    def _born(self, index: int, place: Place) -> Someone:
        host, namespace = SLOTS[index % len(SLOTS)]
        return Someone(Actor(self.machine.spawn(host, namespace, 100 + index), place.root), place)

    # Readers, and what they must see.

    def _view(self, someone: Someone) -> View:
        if someone.view is None:
            someone.view = View(someone.place.root, layout.ACCESS["private"])
        return someone.view

    def see(self, someone: Someone, act: Callable[[View], Any]) -> Any:
        """What a process gets of its view."""
        with asking(someone.actor.system):
            return act(self._view(someone))

    def _expected(self, someone: Someone) -> Dump:
        with asking(someone.actor.system):
            return expected(someone.place.root, judged)

    def look_around(self) -> None:
        """One who has looked before asks each time, and every few turns one who has not."""
        self.check(self.people[self.turns % len(self.people)])
        if self.turns % 5 == 0:
            self.check_anew(self.people[self.turns // 5 % len(self.people)])

    def check_anew(self, someone: Someone) -> None:
        """Ask a view that was never asked before."""
        fresh = Someone(someone.actor, someone.place)
        try:
            self.check(fresh)
        finally:
            if fresh.view is not None:
                fresh.view.close()

    def check(self, someone: Someone) -> None:
        """Ask a process's own view; raises Broken."""
        found = self.see(someone, lambda view: view.ask(dump))
        self._compare(someone, found, self._expected(someone))

    def _compare(self, someone: Someone, found: Dump, wanted: Dump, *, more: str = "") -> None:
        for name in TABLES:
            told = [r for r in found[name] if not someone.place.is_doubted(r[0], someone.host)]
            true = [r for r in wanted[name] if not someone.place.is_doubted(r[0], someone.host)]
            if told != true:
                missing = [row for row in true if row not in told]
                wrong = [row for row in told if row not in true]
                raise Broken(f"{name}{more}: missing {missing}, wrong {wrong}\n" + self.tale())

    def ask_meanwhile(self, someone: Someone, meanwhile: AbstractContextManager[None]) -> None:
        """What was there before and after must be seen, and nothing that was there neither."""
        before = self._expected(someone)
        with meanwhile:
            found = self.see(someone, lambda view: view.ask(dump))
        after = self._expected(someone)
        for name in TABLES:
            told = [r for r in found[name] if not someone.place.is_doubted(r[0], someone.host)]
            for row in before[name]:
                is_sure = not someone.place.is_doubted(row[0], someone.host)
                if is_sure and row in after[name] and row not in told:
                    raise Broken(f"{name} meanwhile: missing {row}\n" + self.tale())
            if len(told) != len({repr(row) for row in told}):
                raise Broken(f"{name} meanwhile: twice in {told}\n" + self.tale())
        stayed = _uids(before, someone) & _uids(after, someone)
        if lost := stayed - _uids(found, someone):
            raise Broken(f"runs {lost} were nowhere\n" + self.tale())

    def sync(self, someone: Someone) -> None:
        """After a sync nobody is in doubt, and a fold is what a rebuild is."""
        self.told.append(f"{self.people.index(someone)} sync")
        place = someone.place
        self.see(someone, lambda view: view.sync())
        place.doubts.clear()
        folded = self._dump_newest(place.root)
        wanted = expected(place.root)
        ids = expected_ids(wanted)
        self._compare(someone, folded, wanted, more=" of a fold")
        if folded["ids"] != ids:
            raise Broken(f"ids of a fold\n{folded['ids']}\n{ids}\n" + self.tale())
        self.see(someone, lambda view: view.rebuild())
        rebuilt = self._dump_newest(place.root)
        if rebuilt != folded:
            raise Broken("a rebuild is another one than the fold\n" + self.tale())
        for each in self.people:
            if each.place is place:
                self.check(each)

    def _dump_newest(self, root: Path) -> Dump:
        """What the newest generation of a workspace holds, without any view over it."""
        newest = max((root / layout.CATALOG).glob("*.duckdb"))
        with closing(connect()) as connection:
            connection.execute(f"ATTACH '{newest}' AS g (READ_ONLY)")
            connection.execute("USE g")
            return dump(connection)

    def tale(self) -> str:
        """What happened."""
        return "; ".join(self.told)

    # What hands do.

    def remove_all(self, someone: Someone, a: int, b: int) -> None:
        """``rm -r .molexp``."""
        shutil.rmtree(someone.place.root / ".molexp", ignore_errors=True)

    def remove_journals(self, someone: Someone, a: int, b: int) -> None:
        """Remove all journals and marks."""
        shutil.rmtree(someone.place.root / layout.JOURNAL, ignore_errors=True)

    def remove_catalog(self, someone: Someone, a: int, b: int) -> None:
        """Remove all generations."""
        shutil.rmtree(someone.place.root / layout.CATALOG, ignore_errors=True)

    def remove_generation(self, someone: Someone, a: int, b: int) -> None:
        """Remove one generation."""
        found = sorted((someone.place.root / layout.CATALOG).glob("*"))
        if found:
            found[-1 - a % len(found)].unlink()

    def remove_journal(self, someone: Someone, a: int, b: int) -> None:
        """Remove one journal."""
        for path in self._journals(someone)[a % 2 :: 3][:1]:
            self._lose(someone.place, path, 0)
            path.unlink()

    def cut_journal(self, someone: Someone, a: int, b: int) -> None:
        """Let one journal end earlier."""
        for path in self._journals(someone)[a % 2 :: 3][:1]:
            keep = path.stat().st_size * b // 6
            self._lose(someone.place, path, keep)
            os.truncate(path, keep)

    def _journals(self, someone: Someone) -> list[Path]:
        return sorted((someone.place.root / layout.JOURNAL).glob("*.jsonl"))

    def _lose(self, place: Place, path: Path, keep: int, but: str | None = None) -> None:
        """Be in doubt about what the lost part named, unless every generation has read that."""
        known = self._known(place.root)
        sure = known and all(
            path.name in each
            and each[path.name].inode == path.stat().st_ino
            and each[path.name].offset > keep
            for each in known
        )
        if not sure or but is not None:
            for line in path.read_text().splitlines():
                with suppress(ValueError):
                    at = json.loads(line).get("touch", {}).get("at", ())
                    place.doubts += [(prefix, but) for prefix in at]

    def _known(self, root: Path) -> list[Any]:
        found = []
        for path in (root / layout.CATALOG).glob("*.duckdb"):
            with closing(connect()) as connection:
                connection.execute(f"ATTACH '{path}' AS g (READ_ONLY)")
                said = dict(connection.execute("SELECT key, value FROM g.state").fetchall())
                found.append(Knowledge.from_json(said["knowledge"]).journals)
        return found

    def move_by_hand(self, someone: Someone, a: int, b: int) -> None:
        """``mv`` of a run."""
        source, target = RUNS[a % 4], f"{EXPERIMENTS[b % 3]}/r{a % 2}"
        there, here = self._path(someone, source), self._path(someone, target)
        if there.exists() and here.parent.parent.exists() and not here.exists():
            here.parent.mkdir(exist_ok=True)
            os.rename(there, here)
            someone.place.doubts += [(f"{source}/**", None), (f"{target}/**", None)]

    def remove_by_hand(self, someone: Someone, a: int, b: int) -> None:
        """``rm -r`` of a run."""
        path = self._path(someone, RUNS[a % 4])
        if path.exists():
            shutil.rmtree(path)
            someone.place.doubts.append((f"{RUNS[a % 4]}/**", None))

    def copy_run(self, someone: Someone, a: int, b: int) -> None:
        """``cp -r`` of a run: twins."""
        source, target = RUNS[a % 4], f"{EXPERIMENTS[b % 3]}/twin"
        there, here = self._path(someone, source), self._path(someone, target)
        if there.exists() and here.parent.parent.exists() and not here.exists():
            shutil.copytree(there, here)
            someone.place.doubts.append((f"{target}/**", None))

    def edit_by_hand(self, someone: Someone, a: int, b: int) -> None:
        """Put other bytes of the same number into a record, and its time back."""
        root = someone.place.root
        paths = sorted((root / layout.PROJECTS).rglob("meta.json"))
        ends = sorted((root / layout.PROJECTS).rglob("end.json"))
        paths += [path for path in ends if path.parents[1].parent.name == layout.RUNS]
        if not paths:
            return
        path = paths[a % len(paths)]
        status, text = path.stat(), path.read_text()
        for old, new in (("succeeded", "suspended"), ("suspended", "succeeded"), ('"n_', '"m_')):
            if old in text and path.name == "end.json":
                text = text.replace(old, new, 1)
                break
        else:
            uid = json.loads(text)["uid"]
            text = text.replace(uid, uid[:-1] + ("0" if uid[-1] != "0" else "1"), 1)
        path.write_text(text)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        scope = path.parent if path.name == "meta.json" else path.parents[1]
        steps = scope.relative_to(root).parts[1::2]
        someone.place.doubts.append(("/".join(steps), None))

    def copy_workspace(self, someone: Someone, a: int, b: int) -> None:
        """``cp -r`` of the workspace, after which both go on."""
        if len(self.places) == 1:
            copy = Place(self.base / "copy", list(self.places[0].doubts))
            shutil.copytree(self.places[0].root, copy.root, symlinks=True)
            self.places.append(copy)
            self.people += [self._born(len(self.people) + n, copy) for n in range(2)]

    def reboot(self, someone: Someone, a: int, b: int) -> None:
        """A host loses power, and perhaps the ends of journals that were not on its disk yet."""
        host = someone.host
        for each in self.people:
            for path in self._journals(each) if b % 2 and each.host == host else []:
                with suppress(ValueError, KeyError, IndexError):
                    first = json.loads(path.read_text().splitlines()[0])
                    if first["writer"]["host"] == host:
                        keep = path.stat().st_size * a // 12
                        self._lose(each.place, path, keep, but=host)
                        os.truncate(path, keep)
        self.machine.boots[host] += 1
        for each in list(self.people):
            if each.host == host:
                self.kill(each)

    def long_time(self, someone: Someone, a: int, b: int) -> None:
        """Two days go by, in which some processes are stopped and others beat."""
        self.late += DAY
        for place in self.places:
            for path in [*place.root.rglob("ledger*.jsonl"), *place.root.rglob("*.*.jsonl")]:
                status = path.stat()
                os.utime(path, (status.st_atime - DAY, status.st_mtime - DAY))
        for index, each in enumerate(self.people):
            if a >> index % 4 & 1:
                for number in range(len(each.actor.sessions)):
                    each.actor.acts("beat", number, 0)

    def _path(self, someone: Someone, address: str) -> Path:
        steps = zip(("projects", "experiments", "runs"), address.split("/"), strict=False)
        return someone.place.root.joinpath(*(step for pair in steps for step in pair))


def dump(connection: Connection | Present) -> Dump:
    """All rows that are shown, with the addresses of their scopes instead of numbers."""
    scopes = dict(connection.execute("SELECT scope, address FROM scopes").fetchall())
    found: Dump = {}
    for name, table in tables().items():
        rows = connection.execute(f'SELECT * FROM "{name}"').fetchall()
        json_at = {n for n, kind in enumerate(table.columns.values()) if kind == "JSON"}
        found[name] = ordered(
            (
                scopes[row[0]],
                *(
                    spelt(json.loads(cell)) if n in json_at and cell is not None else cell
                    for n, cell in enumerate(row[1:], 1)
                ),
            )
            for row in rows
        )
    rows = connection.execute("SELECT hash, scope, name FROM ids").fetchall()
    found["ids"] = ordered((scopes[scope], number, name) for number, scope, name in rows)
    return found


def judged(execution: ExecutionSurvey, beat: float) -> str | None:
    """The state of an execution that has no end, if its files do not tell it."""
    assert execution.start is not None
    life = judge(execution.start.owner.process)
    if life is Life.DEAD:
        return "failed"
    return "unknown" if life is Life.UNKNOWN and time.time() - beat > SILENT else None


def _uids(dumped: Dump, someone: Someone) -> set[Any]:
    rows: list[Row] = dumped["runs"]
    return {row[5] for row in rows if not someone.place.is_doubted(row[0], someone.host)}


def _let_go_below(base: Path) -> None:
    """Close what processes had open that were killed."""
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            if os.readlink(f"/proc/self/fd/{name}").startswith(f"{base}/"):
                os.close(int(name))
