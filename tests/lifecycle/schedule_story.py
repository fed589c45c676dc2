"""Seeded schedules of the product: its own functions, interleaved call by call.

Who acts, who is stopped, killed and rebooted is the scheduler's of the ownership model; what they
do is the product's, and what must hold is judged from its files.
"""

from __future__ import annotations

import os
import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from unittest.mock import patch

from molexp.disk import layout, owner
from molexp.disk.beneath import Directory
from molexp.disk.owner import asking
from molexp.lifecycle import attempt
from molexp.lifecycle.look import Look, look_at
from molexp.model.codec import join_line
from molexp.model.execution import End, FileEntry, Start
from molexp.model.execution import Owner as OwnerRecord
from molexp.model.scope import ExperimentMeta, ProjectMeta, RunMeta, ScopeMeta, WorkspaceMeta
from molexp.model.state import ExecutionState
from tests.lifecycle import schedule_roles as roles
from tests.lifecycle.lab import broken_rules
from tests.lifecycle.schedule_monitor import Monitor
from tests.lifecycle.schedule_roles import RUNS, SILENCE, Part, Role
from tests.lifecycle.schedule_stage import (
    Player,
    Told,
    World,
    as_named,
    current_player,
    on_stage,
)
from tests.models.ownership_machine import Machine, Owner, Place, Process
from tests.models.ownership_monitor import must
from tests.models.ownership_story import Actor, Scheduler

MOMENT = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
EXCUSED = ("[LINE-1]", "[LINE-4]", "[LAYOUT-5]")
"""Rules that are broken where a kill tore a line, and where a run begins with its third number."""

LOST = Owner(Place("C", 1, 1, 0), 1, 1)  # on a host that nobody acts on


class Schedule(Scheduler):
    """One history."""

    silence = SILENCE

    def __init__(self, seed: int, root: Path) -> None:
        super().__init__(random.Random(seed))
        self.root = root
        self.world = World(self.machine, links=self.rng.random() < 0.7)
        self.confirming, self.hides = self.rng.random() < 0.35, self.rng.random() < 0.4
        self.pace = self.rng.choice([4, 6, 8])
        # Where a whole experiment is moved, nothing comes into it: a run that slips in and is
        # started is moved, and put back.
        self.whole = self.rng.random() < 0.15
        self.monitor = Monitor(root, self.machine)
        self.parts = dict[Actor, Part]()
        make_lab(root, self.machine, self.world.links, third=self.rng.random() < 0.4)

    def enter(self, place: Place, role: Role, hidden: bool = False) -> Player:
        """Start a process that acts."""
        process = self.machine.spawn(place, hidden and self.hides)
        if process.hidden:
            self.monitor.hidden.add(process.owner)
        rng = random.Random(self.rng.random())
        player = Player(self.world, process, lambda _: role(part), rng)

        def fork(at: Directory, start: Start) -> None:
            child = self.enter(place, lambda part: roles.join(part, inherited, start))
            inherited = Directory(child.inherit(at.fd), at.path)

        part = Part(player, self.root, self.monitor.tell, fork, self.monitor.before, rng)
        self.parts[player] = part
        self.actors[player] = process
        return player

    def enter_somebody(self) -> None:
        place = self.rng.choice(self.machine.places())
        self.enter(place, self.role(), self.rng.random() < 0.15)

    def role(self) -> Role:
        """Something that somebody wants."""
        rng = self.rng
        run, other = rng.sample(RUNS, 2)
        there = [each for each in RUNS if (self.root / layout.scope_path(each)).exists()]
        if there and rng.random() < 0.85:
            run = there[0]
            other = rng.choice([each for each in RUNS if each != run])
        confirm, apart = self.confirming, not self.whole
        gone = not there and apart
        wishes: list[tuple[int, Role]] = [
            (10, lambda part: roles.own(part, run)),
            (8 if confirm else 3, lambda part: roles.reap(part, run, confirm)),
            (3, lambda part: roles.ask(part, run, ("cancel",))),
            (2, lambda part: roles.ask(part, run, ("pause", "resume", "pause"))),
            (3, lambda part: roles.read_status(part, run)),
            (3 * apart, lambda part: roles.move(part, run, other)),
            (apart, lambda part: roles.remove(part, run)),
            (3 * self.whole, lambda part: roles.remove(part, RUNS[0].parent)),
            (1 if there else 4, roles.restore),
            (1, lambda part: roles.delete_execution(part, run)),
            (1, roles.sweep),
            (apart + 2 * gone, lambda part: roles.create(part, other if there else run)),
        ]
        return rng.choices([wish for _, wish in wishes], [weight for weight, _ in wishes])[0]

    def confirm_wrongly(self, actor: Actor) -> None:
        writing = [a for a in self.actors if self.announced.get(a) in ("write", "touch")]
        self.stopped.add(self.rng.choice(writing or [actor]))
        place = self.rng.choice(self.machine.places())
        self.enter(place, lambda part: roles.reap(part, RUNS[0].parent.parent, confirm=True))

    def step(self, actor: Actor) -> None:
        assert isinstance(actor, Player)
        actor.burst = int(2 ** self.rng.uniform(0, self.pace)) - 1
        super().step(actor)

    def watch(self, made: str) -> None:
        if self.world.looks_needed or self.rng.random() < 0.05:
            self.world.looks_needed = False
            self.monitor.observe()

    def run(self) -> Counter[str]:
        """Play the schedule; raise Violation if it breaks a promise."""
        try:
            self.monitor.observe()
            for _ in range(self.rng.randint(30, 120)):
                self.happen()
            self.finish()
            for place in self.machine.places():
                doctor = self.enter(place, roles.mend)
                while doctor in self.actors:
                    self.step(doctor)
            self.monitor.observe()
            self.monitor.finish()
            # Whoever was confirmed dead wrongly goes on writing, which does not count.
            if self.rng.random() < 0.1 and not self.monitor.confirmed:
                broken = [rule for rule in broken_rules(self.root) if not rule.endswith(EXCUSED)]
                must(not broken, "a rule of the format is broken", broken)
        finally:
            for actor in list(self.actors):
                actor.kill()
        for actor in self.parts:
            if isinstance(actor, Player) and actor.refusal:
                self.monitor.counts[f"refused: {actor.refusal.partition(':')[0]}"] += 1
        return self.monitor.counts


def make_lab(root: Path, machine: Machine, links: bool, *, third: bool) -> None:
    """A workspace with a pending run, or with one that has only its third execution."""
    uids = iter(f"{number:026d}" for number in range(1, 9))

    def put(place: str, kind: type[ScopeMeta], name: str) -> str:
        meta = kind.make(uid=next(uids), name=name, created_at=MOMENT)
        os.makedirs(root / place, exist_ok=True)
        (root / place / layout.META).write_bytes(meta.to_json())
        return meta.uid

    put("", WorkspaceMeta, "Lab")
    put("projects/lab", ProjectMeta, "Lab")
    for name in ("one", "two", "three"):
        put(f"projects/lab/experiments/{name}", ExperimentMeta, name)
    run = put(layout.scope_path(RUNS[0]), RunMeta, "a")
    if third:
        with asking(Told(machine, Process(LOST, born=1, hidden=False))):
            writer = owner.writer()
        place = root / layout.scope_path(RUNS[0]) / "0003"
        place.mkdir()
        uid, lost = next(uids), OwnerRecord.of(as_named(LOST))
        start = Start(uid=uid, run=run, owner=lost, writer=writer, at=MOMENT, links=links)
        line = join_line("start", start.to_json())
        (place / layout.LEDGER).write_bytes(line)
        entry = FileEntry.make(path=layout.LEDGER, size=len(line), mtime_ns=0)
        said = {"status": ExecutionState.FAILED, "ended_by": lost, "manifest": (entry,)}
        ending = place / (layout.END if links else layout.END_WITHOUT_LINKS)
        ending.parent.mkdir(exist_ok=True)
        ending.write_bytes(End.make(uid=uid, ended_at=MOMENT, **said).to_json())


def noting(asked: Callable[[Directory], Look]) -> Callable[[Directory], Look]:
    """The look of a starter, with a note of when the first was over; it decides nothing."""

    def noted(run: Directory) -> Look:
        found = asked(run)
        player = current_player()
        if player is not None and player.looked is None:
            player.looked = player.world.machine.clock
        return found

    return noted


@contextmanager
def theatre() -> Iterator[None]:
    """Where schedules are played."""
    with on_stage(), patch.object(attempt, "look_at", noting(look_at)):
        yield


def play(seed: int, root: Path) -> Counter[str]:
    """Play one schedule in a directory of its own."""
    place = root / f"{seed}"
    try:
        return Schedule(seed, place).run()
    finally:
        for path, _, _ in os.walk(place):
            os.chmod(path, 0o700)
        shutil.rmtree(place)
