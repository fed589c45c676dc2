"""Seeded schedules of the ownership model: owners, starters, reapers, cancellers, movers, sweepers
and zombies, interleaved call by call.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import shutil
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Protocol as Shape

from tests.models.ownership import SILENCE, Protocol, Refused
from tests.models.ownership_actors import create, direct, own
from tests.models.ownership_door import Record, Steps
from tests.models.ownership_flaws import Flaw
from tests.models.ownership_machine import Machine, Owner, Place, Process
from tests.models.ownership_monitor import Monitor, Outcome
from tests.models.ownership_others import cancel, delete_execution, move, reap, sweep

Role = Callable[[Protocol], Steps[None]]


class Actor(Shape):
    """What the scheduler needs of an actor: one step up to its next file-system call (its name,
    None when done), and death.
    """

    def step(self) -> str | None: ...
    def kill(self) -> None: ...


class Walker:
    """An actor that is a generator of the model."""

    def __init__(self, protocol: Protocol, steps: Steps[None]) -> None:
        self.protocol, self.steps = protocol, steps

    def step(self) -> str | None:
        """Make the call that was announced, and announce the next; a refusal or an errno ends the
        actor, as an exception ends a script.
        """
        try:
            return next(self.steps)
        except (StopIteration, Refused, OSError):
            return None

    def kill(self) -> None:
        """Die here: nothing more is called."""
        self.steps.close()
        for fd in self.protocol.fds:
            os.close(fd)
        self.protocol.fds.clear()


class Scheduler:
    """One seeded history: who acts, in which order their calls happen, who is stopped, killed and
    rebooted. What they do, and what must hold, its subclasses say.
    """

    confirming = False  # whether people say of the silent that they are gone
    silence = SILENCE  # how long time passes at once

    def __init__(self, rng: random.Random) -> None:
        self.rng, self.machine = rng, Machine(rng)
        self.actors = dict[Actor, Process]()
        self.stopped = set[Actor]()
        self.announced = dict[Actor, str]()
        self.idle = list[Process]()

    def enter_somebody(self) -> None:
        """Somebody begins to act."""
        raise NotImplementedError

    def confirm_wrongly(self, actor: Actor) -> None:
        """A person says that somebody who is merely stopped is gone."""
        raise NotImplementedError

    def watch(self, made: str) -> None:
        """Look at what a call did."""
        raise NotImplementedError

    def step(self, actor: Actor) -> None:
        """Let one actor make its next call, and look at what that did."""
        self.machine.clock += 1
        made = self.announced.get(actor, "")
        announced = actor.step()
        if announced is None:
            self.leave(actor, linger=self.rng.random() < 0.3)
        else:
            self.announced[actor] = announced
        self.watch(made)

    def leave(self, actor: Actor, linger: bool = False) -> None:
        """An actor is done or killed; its process may linger."""
        actor.kill()
        process = self.actors.pop(actor)
        self.stopped.discard(actor)
        if linger:
            self.idle.append(process)
        else:
            self.machine.exit(process)

    # what befalls them

    def disturb(self) -> None:
        """Stop, wake, kill, wait for, or reboot somebody, or let time pass."""
        what = self.rng.random()
        actor = self.rng.choice(list(self.actors)) if self.actors else None
        if what < 0.35 and actor:
            self.stopped.symmetric_difference_update({actor})
        elif what < 0.65 and actor:
            self.leave(actor)
        elif what < 0.8:
            self.machine.clock += self.silence
            if self.confirming and actor:
                self.confirm_wrongly(actor)
        elif what < 0.95:
            self.empty_idle()
            self.machine.wait()
        else:
            self.reboot(self.rng.choice("AB"))

    def empty_idle(self) -> None:
        """Who lingered goes."""
        while self.idle:
            self.machine.exit(self.idle.pop())

    def reboot(self, host: str) -> None:
        """A host starts again, and all who acted there are gone."""
        there = [a for a, process in self.actors.items() if process.owner.place.host == host]
        for actor in there:
            self.leave(actor)
        self.idle = [process for process in self.idle if process.owner.place.host != host]
        self.machine.reboot(host)

    def happen(self) -> None:
        """Somebody enters, something befalls somebody, or somebody makes a call."""
        awake = [actor for actor in self.actors if actor not in self.stopped]
        room = len(self.actors) < 5 and self.rng.random() < 0.15
        if room or not self.actors:
            self.enter_somebody()
        elif self.rng.random() < 0.05 or not awake:
            self.disturb()
        else:
            self.step(self.rng.choice(awake))

    def finish(self) -> None:
        """Everybody wakes and finishes, and nobody lingers."""
        while self.actors:
            self.step(self.rng.choice(list(self.actors)))
        self.empty_idle()


class Schedule(Scheduler):
    """A history of the model's actors."""

    def __init__(self, seed: int, root: Path, flaw: Flaw | None = None) -> None:
        super().__init__(random.Random(seed))
        self.root, self.flaw = root, flaw
        self.monitor = Monitor(root, self.machine, flaw)
        self.links, self.confirming = self.rng.random() < 0.6, self.rng.random() < 0.35
        self.outcomes = list[Outcome]()
        self.confirmed = list[Owner]()
        for name in ("runs", "trash", "tmp", "swept"):
            (root / name).mkdir(parents=True)
        self.import_run()

    def import_run(self) -> None:
        """Begin with a pending run, or with one from elsewhere with only its third execution."""
        run = self.root / "runs" / "a"
        run.mkdir()
        (run / "meta.json").write_text('{"uid": "first"}')
        if self.rng.random() < 0.4:
            (run / "0003").mkdir()
            old: Record = {"kind": "run", "uid": "old", "run": "first"}
            old |= {"owner": [["C", 1, 1, 0], 1, 1], "links": True}
            old |= {"status": "failed", "cause": "owner"}
            line = json.dumps(old)
            (run / "0003" / "ledger.jsonl").write_text(line)
            end = json.dumps({**old, "sizes": {"ledger.jsonl": len(line)}})
            (run / "0003" / "end.json").write_text(end)

    # who acts

    def enter(self, place: Place, role: Role, hidden: bool = False) -> Actor:
        """Start a process that acts."""
        process = self.machine.spawn(place, hidden)

        def tell(verb: str, uid: str, run: str, began: int) -> None:
            told = Outcome(verb, uid, run, began, self.machine.clock, process.owner)
            self.outcomes.append(told)

        def fork(child: Role) -> None:
            self.enter(place, child)

        protocol = Protocol(
            self.root,
            self.machine,
            process.owner,
            self.links,
            self.flaw,
            tell,
            self.confirmed,
            fork,
        )
        actor = Walker(protocol, role(protocol))
        self.actors[actor] = process
        return actor

    def role(self) -> Role:
        """Something that somebody wants."""
        rng, runs, trash = self.rng, self.root / "runs", self.root / "trash"
        path, other = runs / "a", runs / "b"
        if rng.random() < 0.3:
            path, other = rng.sample([path, other], 2)
        away = trash / f"{self.machine.clock}"
        trashed = sorted(run for run in trash.iterdir() if (run / "meta.json").exists())
        roles: list[tuple[int, Role]] = [
            (10, lambda p: own(p, path, random.Random(rng.random()))),
            (8 if self.confirming else 3, lambda p: reap(p, path, confirm=self.confirming)),
            (3, lambda p: cancel(p, path)),
            (2, lambda p: direct(p, path)),
            (3, lambda p: move(p, path, other)),
            (1, lambda p: move(p, path, away)),
            (1 if trashed else 0, lambda p: move(p, rng.choice(trashed), path)),
            (1, lambda p: delete_execution(p, path)),
            (1, lambda p: sweep(p, patient=rng.random() < 0.5)),
            (1, lambda p: create(p, path)),
        ]
        return rng.choices([act for _, act in roles], [weight for weight, _ in roles])[0]

    def enter_somebody(self) -> None:
        place = self.rng.choice(self.machine.places())
        self.enter(place, self.role(), self.rng.random() < 0.15)

    def watch(self, made: str) -> None:
        if made in ("rename", "link") or self.rng.random() < 0.05:
            self.monitor.observe(self.confirmed)

    def confirm_wrongly(self, actor: Actor) -> None:
        writing = [a for a in self.actors if self.announced.get(a) in ("write", "beat")]
        self.stopped.add(self.rng.choice(writing or [actor]))
        place = self.rng.choice(self.machine.places())
        self.enter(place, lambda p: reap(p, self.root / "runs" / "a", confirm=True))

    def run(self) -> Counter[str]:
        """Play the schedule; raise Violation if it breaks a promise."""
        try:
            for _ in range(self.rng.randint(50, 200)):
                self.happen()
            self.finish()
            runs = [Path(run) for run, _ in self.monitor.runs()]
            for place, run in itertools.product(self.machine.places(), runs):
                doctor = self.enter(place, partial(reap, path=run))
                while doctor in self.actors:
                    self.step(doctor)
            self.monitor.observe(self.confirmed)
            self.monitor.finish(self.outcomes)
        finally:
            for actor in list(self.actors):
                actor.kill()
        return self.monitor.counts


def play(seed: int, root: Path, flaw: Flaw | None = None) -> Counter[str]:
    """Play one schedule in a directory of its own."""
    place = root / f"{seed}"
    try:
        return Schedule(seed, place, flaw).run()
    finally:
        shutil.rmtree(place)
