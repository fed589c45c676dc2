"""Who acts in the ownership model beside the protocol: recording owners, writers that join them,
directors and makers of runs.
"""

from __future__ import annotations

import json
import os
import random
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.models.ownership import Protocol, Refused
from tests.models.ownership_door import Entry, Look, Steps, content, parse
from tests.models.ownership_others import request

DEEDS = ("line", "line", "line", "beat", "beat", "requests", "artifact", "fork")


@dataclass
class Orders:
    """What an owner was asked so far."""

    seen: set[str] = field(default_factory=set)
    paused: bool = False
    cancelled: bool = False


def own(p: Protocol, path: Path, rng: random.Random) -> Steps[None]:
    """Start a run, record for a while, heed requests, and end it (or leave without a word)."""
    look, entry = yield from p.start(path)
    ledger, orders = f"{entry.name}/ledger.jsonl", Orders()
    rounds = rng.choice([1, 3, 5, 12])
    while rounds > 0 and not orders.cancelled:
        rounds -= 1
        deed = rng.choice(DEEDS) if not orders.paused else "requests"
        if deed == "line":
            yield from p.do(p.write, look.at, ledger, f'{{"asset": {rounds}}}\n')
        elif deed == "beat":
            yield from p.do(p.beat, look, entry)
        elif deed == "fork":
            p.fork(lambda child: join(child, inherit(child, look), entry, rng.randint(1, 4)))
        elif deed == "artifact":
            made, at = p.at(look.at, f"{entry.name}/artifacts")
            with suppress(FileExistsError):
                yield from p.do(os.mkdir, made, dir_fd=at)
        else:
            yield from heed(p, look, entry, orders)
    if rng.random() < 0.8:
        status = "cancelled" if orders.cancelled else rng.choice(["succeeded", "failed"])
        yield from p.end(look, entry, status, "owner")
        p.tell("end", entry.uid, look.uid, 0)


def heed(p: Protocol, look: Look, entry: Entry, orders: Orders) -> Steps[None]:
    """Read the requests that are new, and take those that name one's own execution as orders."""
    for name in (yield from p.do(p.names, look.at, "requests")):
        if name in orders.seen:
            continue
        asked = parse((yield from p.do(content, *p.at(look.at, f"requests/{name}"))))
        orders.seen.add(name)
        if asked and asked["execution"] == entry.uid:
            verb = name.split("-")[-1]
            orders.cancelled = orders.cancelled or verb == "cancel.json"
            orders.paused = verb == "pause.json"


def join(p: Protocol, look: Look, entry: Entry, lines: int) -> Steps[None]:
    """A joined writer: it looks for an end before each line, which may still come between the
    look and the line.
    """
    ledger = f"{entry.name}/ledger-{p.me.pid}.{p.me.start}.jsonl"
    for number in range(lines):
        if (yield from p.end_of(look.at, entry.name, entry.line)):
            return
        yield from p.do(p.write, look.at, ledger, f'{{"joined": {number}}}\n')


def inherit(p: Protocol, look: Look) -> Look:
    """A parent's look, through a directory of this process."""
    if isinstance(look.at, int):
        p.fds.append(os.dup(look.at))
        return Look(look.path, p.fds[-1], look.uid, look.entries)
    return look


def direct(p: Protocol, path: Path) -> Steps[None]:
    """Pause and resume twice."""
    look = yield from p.look(path)
    entry = look.execution
    if entry is None or entry.start is None or entry.end:
        raise Refused("ended", path)
    for verb in ("pause", "resume", "pause", "resume"):
        yield from request(p, look, entry, verb)


def create(p: Protocol, path: Path) -> Steps[None]:
    """Make a run of this name, aside and renamed; the loser of a race leaves the winner's alone."""
    staged = yield from p.aside()
    meta = json.dumps({"uid": staged.name})
    yield from p.do(p.write, staged, "meta.json", meta, True)
    yield from p.do(os.rename, staged, path)
