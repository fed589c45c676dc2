"""Many processes in one workspace: writers, folders and readers, killed at random.

What a call acknowledged stands in a file outside the workspace, a line each, before anything else
happens. Readers take these lines first and then ask, so that whatever they took must be shown.
"""

from __future__ import annotations

import json
import os
import random
import signal
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import molexp as me
from molexp.catalog import generation
from molexp.catalog import view as views
from molexp.errors import MolexpError
from tests.catalog import truth

SHARED = "qm9/baseline/shared"
OWN = 5
"""After so many runs a writer asks for what it wrote."""
TOGETHER = 50
"""Of so many runs a watcher reads the records before it looks for new ones."""

_ASKING = ("reader", "watcher")

Fact = tuple[str, ...]
"""What was acknowledged: ``run``, ``asset``, ``tag`` or ``ended``, with whatever it says."""


@dataclass
class Crowd:
    """The processes, and what they said."""

    root: Path
    said: Path
    """The directory of what was acknowledged, a file for each process."""
    prepare: Callable[[], None]
    """Called in each process before it begins."""
    luck: random.Random
    events: int
    """How many things each writer has acknowledged before it takes its time."""
    pause: float = 0.1
    """How long writers rest after each run, and folders after each fold: readers get a turn."""
    rest: float = 1.0
    """The same for a writer who has made enough."""
    killed: int = 0
    _names: Iterator[int] = field(default_factory=lambda: iter(range(1_000_000)))
    _living: dict[int, tuple[str, int]] = field(default_factory=dict)

    def begin(self) -> None:
        """Make the workspace, and what all writers edit."""
        self.said.mkdir()
        workspace = me.Workspace(self.root, name="Lab", durability="process")
        workspace.project("QM9").experiment("baseline").run(id=SHARED.rpartition("/")[2])
        workspace.close()

    def start(self, kind: str, slot: int) -> None:
        """Start one more process."""
        name = f"{kind}-{slot}-{next(self._names)}"
        child = os.fork()
        if not child:
            code = 1
            try:
                self.prepare()
                ROLES[kind](self, name)
                code = 0
            except BaseException:  # noqa: BLE001 - nothing may return into the parent's stack
                (self.said / f"{name}.raised").write_text(traceback.format_exc())
            finally:
                os._exit(code)
        self._living[child] = kind, slot

    def live(self, kills: int, asked: Mapping[str, int], seconds: float) -> None:
        """Let them live until all did what they are to do, and enough were killed.

        ``asked`` says how often which kind of process is to ask.
        """
        until = time.monotonic() + seconds
        while time.monotonic() < until and (
            self.killed < kills or self._least() < self.events or self._lack(asked)
        ):
            time.sleep(self.luck.uniform(0.02, min(0.4, seconds / (kills + 1))))
            if self.killed < kills and not self.complaints():
                doomed = [pid for pid, (kind, _) in self._living.items() if kind not in _ASKING]
                child = self.luck.choice(doomed)
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                self.killed += 1
                self.start(*self._living.pop(child))
            if self.complaints():
                break
        (self.said / "stop").touch()
        for child in self._living:
            os.waitpid(child, 0)

    def goes_on(self) -> bool:
        """Whether nobody said that it is enough."""
        return not (self.said / "stop").exists()

    def complaints(self) -> list[str]:
        """What was raised in any of them."""
        return [path.read_text() for path in sorted(self.said.glob("*.raised"))]

    def facts(self) -> Iterator[Fact]:
        """All that was acknowledged so far, to whomever."""
        for path in sorted(self.said.glob("writer-*.acks")):
            yield from _facts(path.read_bytes())

    def counts(self) -> Counter[str]:
        """How many queries readers made, and folds folders."""
        total: Counter[str] = Counter()
        for path in self.said.glob("*.count"):
            total[path.name.partition("-")[0]] += int(path.read_text() or 0)
        return total

    def note(self, name: str, count: int) -> None:
        """Keep how often a process did what it does."""
        (self.said / f"{name}.count").write_text(str(count))

    def made(self, slot: str) -> int:
        """How much the writers of a slot acknowledged so far."""
        return sum(path.read_bytes().count(b"\n") for path in self.said.glob(f"{slot}-*.acks"))

    def _lack(self, asked: Mapping[str, int]) -> bool:
        counts = self.counts()
        return any(counts[kind] < number for kind, number in asked.items())

    def _least(self) -> int:
        slots = {slot for kind, slot in self._living.values() if kind == "writer"}
        return min((self.made(f"writer-{slot}") for slot in slots), default=self.events)


def _facts(data: bytes) -> Iterator[Fact]:
    for line in data.split(b"\n")[:-1]:
        yield tuple(json.loads(line))


def _write(crowd: Crowd, name: str) -> None:
    """Make runs, artifacts and edits, and say so, until it is enough."""
    fd = os.open(crowd.said / f"{name}.acks", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def ack(*fact: str) -> None:
        os.write(fd, json.dumps(fact).encode() + b"\n")

    workspace = me.Workspace.load(crowd.root, durability="process")
    experiment: Any = workspace.find("qm9/baseline")
    shared: Any = workspace.find(SHARED)
    slot = name.rpartition("-")[0]
    for before in _left(crowd, slot, name):
        with suppress(MolexpError):
            _attempt(workspace.find(before), ack, "again")
    number, made = 0, crowd.made(slot)
    while crowd.goes_on():
        run = experiment.run(id=f"{name}-{number:05d}", parameters={"number": number})
        ack("run", str(run.address))
        _attempt(run, ack, str(number))
        shared.edit(tags={f"{name}-{number}": name})
        ack("tag", SHARED, f"{name}-{number}", name)
        run.edit(notes=f"noted {number}", tags={"number": str(number)})
        ack("tag", str(run.address), "number", str(number))
        if number % OWN == 0:
            _ask_for_own(workspace, run, str(number))
        number += 1
        made += 6
        time.sleep(crowd.pause if made < crowd.events else crowd.rest)
    workspace.close()


def _ask_for_own(workspace: me.Workspace, run: Any, text: str) -> None:
    """Whoever wrote something is shown it by the next answer."""
    found = workspace.catalog.runs().filter(scope=run.address).rows()
    assert [(row["status"], row["notes"]) for row in found] == [("succeeded", f"noted {text}")]


def _left(crowd: Crowd, slot: str, name: str) -> list[str]:
    """The last run of whoever had this slot before, if it was killed in it."""
    paths = [path for path in crowd.said.glob(f"{slot}-*.acks") if path.stem != name]
    if not paths:
        return []
    facts = list(_facts(max(paths, key=lambda path: path.stat().st_mtime_ns).read_bytes()))
    runs = [fact[1] for fact in facts if fact[0] == "run"]
    ended = {fact[1] for fact in facts if fact[0] == "ended"}
    return [run for run in runs[-1:] if run not in ended]


def _attempt(run: Any, ack: Callable[..., None], text: str) -> None:
    with run.start(capture=False, again=True) as ctx:
        for count in range(2):
            asset = ctx.artifact.save("a.txt", f"{text}:{count}")
            ack("asset", str(run.address), asset.asset_id, str(asset.version))
    ack("ended", str(run.address), "succeeded")


def _fold(crowd: Crowd, name: str) -> None:
    """Fold, by one view after another."""
    generation.YOUNG_SECONDS = 0.0
    number = 0
    while crowd.goes_on():
        with closing(truth.view(crowd.root)) as view:
            for _ in range(5):
                view.fold()
                number += 1
                crowd.note(name, number)
                time.sleep(crowd.pause)


def _rebuild(crowd: Crowd, name: str) -> None:
    """The same, and rebuild now and then."""
    generation.YOUNG_SECONDS = 0.0
    number = 0
    while crowd.goes_on():
        with closing(truth.view(crowd.root)) as view:
            view.rebuild()
            view.sync()
            view.fold()
            number += 3
            crowd.note(name, number)
            time.sleep(crowd.pause)


def _ask_and_fold(crowd: Crowd, name: str) -> None:
    """Ask, with folds after very few changes."""
    generation.YOUNG_SECONDS = 0.0
    views.MANY, views.RESTS = 2, 0.0
    _read(crowd, name)


def _read(crowd: Crowd, name: str) -> None:
    """Take what was acknowledged, ask, and compare, as fast as it goes."""
    asked = 0
    known: set[Fact] = set()
    offsets: Counter[str] = Counter()
    with closing(truth.view(crowd.root)) as view:
        while crowd.goes_on():
            known |= _new_facts(crowd, offsets)
            shown = view.ask(facts_shown)
            asked += 1
            lost = known - shown.keys()
            if lost:
                raise AssertionError(f"query {asked} does not show {sorted(lost)[:5]}")
            twice = [fact for fact, times in shown.items() if times > 1]
            if twice:
                raise AssertionError(f"query {asked} shows twice {twice[:5]}")
            known |= {fact for fact in shown if fact[0] != "running"}
            crowd.note(name, asked)


def _watch(crowd: Crowd, name: str) -> None:
    """Read the records of what was acknowledged, one after the other, as fast as it goes."""
    read = 0
    known: set[Fact] = set()
    offsets: Counter[str] = Counter()
    luck = random.Random(name)
    workspace = me.Workspace.load(crowd.root)
    while crowd.goes_on():
        known |= _new_facts(crowd, offsets)
        ended = {fact[1] for fact in known if fact[0] == "ended"}
        runs = [fact[1] for fact in known if fact[0] == "run"]
        for address in luck.sample(runs, min(len(runs), TOGETHER)):
            run: Any = workspace.find(address)
            assert run.record.parameters["number"] == int(address.rpartition("-")[2]), address
            history = run.metadata.execution_history
            if address in ended:
                assert run.status == "succeeded", (address, run.status)
                assert history[-1].status == "succeeded", address
            read += 3
        crowd.note(name, read)
    workspace.close()


def _new_facts(crowd: Crowd, offsets: Counter[str]) -> set[Fact]:
    found: set[Fact] = set()
    for path in crowd.said.glob("writer-*.acks"):
        with path.open("rb") as file:
            file.seek(offsets[path.name])
            data = file.read()
        whole = data.rpartition(b"\n")
        offsets[path.name] += len(whole[0]) + len(whole[1])
        found.update(_facts(whole[0] + whole[1]))
    return found


def facts_shown(connection: Any) -> Counter[Fact]:
    """Whatever a catalog shows of the kinds of facts that are acknowledged, and how often."""
    shown: Counter[Fact] = Counter()
    for address, status, execution, number in connection.execute(
        "SELECT address, runs.status, executions.status, execution"
        " FROM runs LEFT JOIN executions USING (scope)"
    ).fetchall():
        shown["run", address] = 1
        if execution in ("succeeded", "failed"):
            shown["attempt", address, str(number), execution] += 1
            if execution == status == "succeeded":
                shown["ended", address, status] = 1
    ((rows,),) = connection.execute(
        "SELECT count(*) - count(DISTINCT address) FROM runs"
    ).fetchall()
    shown["run", "several times"] = 1 + rows
    for fact in connection.execute(
        "SELECT 'asset', address, asset_id, version::VARCHAR"
        " FROM assets JOIN runs USING (scope) WHERE kind = 'artifact' AND assets.size > 2"
    ).fetchall():
        shown[fact] += 1
    for fact in connection.execute(
        "SELECT 'tag', address, tags.key, tags.value FROM tags JOIN runs USING (scope)"
        " WHERE asset IS NULL"
    ).fetchall():
        shown[fact] += 1
    return shown


ROLES: dict[str, Callable[[Crowd, str], None]] = {
    "writer": _write,
    "folder": _fold,
    "rebuilder": _rebuild,
    "filler": _ask_and_fold,
    "reader": _read,
    "watcher": _watch,
}
