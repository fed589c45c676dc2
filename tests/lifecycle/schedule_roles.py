"""What the processes of a schedule want: every role calls the product's own functions."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

from molexp.disk import door, layout, trash
from molexp.disk.beneath import Directory
from molexp.disk.ledger import Appender
from molexp.errors import MolexpError, NotFoundError
from molexp.lifecycle import attempt, look, removal, requests, scopes
from molexp.lifecycle.attempt import Attempt
from molexp.lifecycle.look import SILENT_BEATS
from molexp.lifecycle.reaping import reap_below
from molexp.lifecycle.site import Site, new_uid, now
from molexp.model.address import Address
from molexp.model.codec import join_line
from molexp.model.execution import Start, StateChange
from molexp.model.scope import RunMeta
from molexp.model.state import ExecutionState
from tests.lifecycle.schedule_stage import Player
from tests.models.ownership_machine import Owner

Role = Callable[["Part"], None]

BEAT = 50.0  # ticks of the machine, of which each call takes one
SILENCE = round(SILENT_BEATS * BEAT)
DEEDS = ("line", "line", "line", "beat", "beat", "requests", "artifact", "fork")
LINE = join_line("input", b'{"at":"2026-03-02T09:00:00Z","name":"lr","value":1}')
RUNS = tuple(Address.parse(text) for text in ("lab/one/a", "lab/two/a", "lab/three/a"))


@dataclass(frozen=True)
class Before:
    """What was true when somebody began to look, which no process may ask."""

    ended: frozenset[str]
    dead: frozenset[str]
    beats: Mapping[str, int]


@dataclass(frozen=True)
class Outcome:
    """What a caller was told: that it had acted, on which execution, and since when it tried."""

    verb: str
    uid: str
    began: int
    at: int
    by: Owner
    state: str = ""
    before: Before | None = None


@dataclass
class Part:
    """One process's part: who plays it, where, and whom it tells what came of it."""

    player: Player
    root: Path
    tell: Callable[[Outcome], None]
    fork: Callable[[Directory, Start], None]
    before: Callable[[], Before]
    rng: random.Random
    problems: list[MolexpError] = field(default_factory=list)

    @property
    def clock(self) -> int:
        """Now, by the machine's clock."""
        return self.player.world.machine.clock

    @property
    def me(self) -> Owner:
        """The process."""
        return self.player.process.owner

    def open(self) -> Site:
        """The workspace, as this process has it open."""
        with self.player.undisturbed():
            site = Site(Directory.open(self.root), durability="process", beat=BEAT)
            # Asked once for all: Python 3.11 lets one process wait for another's answer.
            assert site.links is self.player.world.links
            assert site.edits
        return site

    def told(
        self, verb: str, uid: str, began: int, state: str = "", before: Before | None = None
    ) -> None:
        """Remember that the product said so."""
        self.tell(Outcome(verb, uid, began, self.clock, self.me, state, before))


def own(part: Part, address: Address) -> None:
    """Start a run, record for a while, heed requests, and end it (or leave without a word)."""
    with closing(part.open()) as site:
        owned = attempt.start_run(site, address, again=True)
        uid, rng = owned.start.uid, part.rng
        part.told("start", uid, part.player.looked or 0)
        paused, cancelled, seen = False, False, 0
        rounds = rng.choice([1, 3, 5, 12])
        while rounds > 0 and not cancelled:
            rounds -= 1
            deed = rng.choice(DEEDS) if not paused else "requests"
            if deed == "line":
                owned.ledger.append(LINE)
                part.told("beat", uid, 0)
            elif deed == "beat":
                door.touch(owned.ledger.fd)
                part.told("beat", uid, 0)
            elif deed == "artifact":
                make_artifact(owned)
            elif deed == "fork":
                part.fork(owned.place, owned.start)
            else:
                asked = requests.requests(owned.run, owned.number, uid)
                for verb in [each.verb for each in asked[seen:]]:
                    cancelled = cancelled or verb == "cancel"
                    if verb != "cancel" and paused == (verb == "resume"):
                        paused = not paused
                        change = StateChange(at=now()).to_json()
                        owned.ledger.append(join_line(f"{verb}d", change))
                seen = len(asked)
        if rng.random() < 0.8:
            states = (ExecutionState.SUCCEEDED, ExecutionState.FAILED)
            status = ExecutionState.CANCELLED if cancelled else rng.choice(states)
            attempt.end_attempt(site, owned, status)
            part.told("end", uid, 0, status)


def make_artifact(owned: Attempt) -> None:
    """Save a file."""
    with suppress(FileExistsError):
        door.mkdir(owned.place.fd, layout.ARTIFACTS, 0o755)
        with owned.place.enter(layout.ARTIFACTS) as inside:
            fd = door.create(inside.fd, "model.pt", 0o644)
            door.write_all(fd, b"weights")
            os.close(fd)


def join(part: Part, place: Directory, start: Start) -> None:
    """Write in the execution of the process that forked this one, as long as that has no end."""
    with closing(part.open()) as site:
        ledger: Appender | None = None
        for _ in range(part.rng.randint(1, 4)):
            if look.read_end(place, start) is not None:
                break
            if ledger is None:
                name = f"{layout.LEDGER_PREFIX}{site.writer}.jsonl"
                ledger = Appender(place, name, site.modes.file)
            ledger.append(LINE)


def read_status(part: Part, address: Address) -> None:
    """Ask what state a run is in."""
    with closing(part.open()) as site:
        began, before = part.clock, part.before()
        with site.enter(layout.scope_path(address)) as run:
            found = look.look_at(run)
            state = look.status_of(site, run, found)
        uid = found.executions[-1].start.uid if found.executions else ""
        part.told("status", uid, began, state, before)


def ask(part: Part, address: Address, verbs: tuple[requests.Verb, ...]) -> None:
    """Ask the owner of a run for something, or do it where there is none."""
    with closing(part.open()) as site:
        for verb in verbs:
            began = part.clock
            done = requests.ask(site, address, verb)
            part.told("asked" if done is None else "cancelled", verb, began)


def reap(part: Part, address: Address, confirm: bool = False) -> None:
    """End what dead owners left, or what a person says is over."""
    with closing(part.open()) as site:
        reap_below(site, address, part.problems, confirm=confirm)


def move(part: Part, source: Address, target: Address) -> None:
    """Move a run."""
    with closing(part.open()) as site:
        removal.move_run(site, source, target)


def remove(part: Part, address: Address) -> None:
    """Put a run into the trash."""
    with closing(part.open()) as site:
        removal.remove(site, address)


def restore(part: Part, newest: bool = False) -> None:
    """Put back something out of the trash."""
    with closing(part.open()) as site:
        found, _ = trash.removals(site.root)
        if found:
            removal.restore(site, (found[-1] if newest else part.rng.choice(found)).uid)


def delete_execution(part: Part, address: Address) -> None:
    """Put what an execution left into the trash."""
    with closing(part.open()) as site:
        with site.enter(layout.scope_path(address)) as run:
            numbers = [each.number for each in look.look_at(run).executions]
        if numbers:
            removal.delete_execution(site, address, part.rng.choice(numbers), None)


def sweep(part: Part) -> None:
    """Sweep what dead writers left aside."""
    with closing(part.open()) as site:
        trash.sweep(site.root)


def create(part: Part, address: Address) -> None:
    """Make a run."""
    with closing(part.open()) as site:
        meta = RunMeta.make(uid=new_uid(), name=address[-1], created_at=now(), parameters={})
        scopes.create(site, address, meta)


def mend(part: Part) -> None:
    """Put back all that can be put back, and reap everything."""
    with closing(part.open()) as site:
        for each in trash.removals(site.root)[0]:
            with suppress(MolexpError):
                removal.restore(site, each.uid)
        reap_below(site, Address(), part.problems)
        for problem in part.problems:
            if not isinstance(problem, NotFoundError):
                raise AssertionError(f"a reaper was stopped by {problem!r}")
