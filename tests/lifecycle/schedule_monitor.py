"""The promises of docs/design/0004-ownership.md, judged from files in the product's layout."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from molexp.lifecycle.attempt import DIED, PENDING_CANCELLED
from molexp.lifecycle.reaping import CONFIRMED
from molexp.lifecycle.requests import CANCELLED_DEAD
from tests.lifecycle.schedule_roles import SILENCE, Before, Outcome
from tests.lifecycle.schedule_stage import EPOCH, as_played
from tests.models.ownership_machine import Machine, Owner
from tests.models.ownership_monitor import must

Record = dict[str, Any]
OPEN = ("running", "paused", "unknown")


class Ending(NamedTuple):
    """An end as it was first seen."""

    at: int
    data: bytes
    end: Record
    counts: list[str]
    """The digests of what counts."""


@lru_cache(maxsize=4096)
def parse(data: bytes) -> Record:
    """A record, which is whole."""
    record: Record = json.loads(data)
    return record


@lru_cache(maxsize=4096)
def first_line(data: bytes) -> Record | None:
    """The start that a ledger begins with."""
    line, newline, _ = data.partition(b"\n")
    try:
        start: Record | None = json.loads(line).get("start") if newline else None
    except ValueError:
        return None
    return start


def content(path: str) -> bytes | None:
    """A file's bytes, or None."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except (FileNotFoundError, NotADirectoryError):
        return None


def names(path: str) -> list[str]:
    """The names in a directory; none if it is absent."""
    try:
        return sorted(os.listdir(path))
    except (FileNotFoundError, NotADirectoryError):
        return []


def same_asking(one: Outcome, other: Outcome) -> bool:
    """Whether both were told to the same asker of the same verb."""
    return (one.verb, one.uid, one.by) == (other.verb, other.uid, other.by)


class Monitor:
    """What must hold, judged from files, the machine's truth and what callers were told."""

    def __init__(self, root: Path, machine: Machine) -> None:
        self.root, self.machine = os.fspath(root), machine
        self.numbers = dict[tuple[str, str], str]()
        self.places = dict[str, str]()
        self.started = dict[str, int]()
        self.owners = dict[str, Owner]()
        self.hidden = set[Owner]()
        self.ended = dict[str, Ending]()
        self.reasons = dict[str, str]()
        self.made = dict[str, int]()
        self.beats = dict[str, int]()
        self.confirmed = False
        self.counts = Counter[str]()
        self.outcomes = list[Outcome]()

    def runs(self) -> Iterator[tuple[str, str]]:
        """Every run, wherever it lies."""
        between = f"{self.root}/projects/lab/experiments"
        trashed = [f"{self.root}/trash/{name}/content" for name in names(f"{self.root}/trash")]
        experiments = [*(f"{between}/{name}" for name in ("one", "two", "three")), *trashed]
        paths = [f"{each}/runs/a" for each in experiments]
        paths += trashed
        for path in paths:
            data = content(f"{path}/meta.json")
            if data is not None and (meta := parse(data))["kind"] == "run":
                yield path, meta["uid"]

    def before(self) -> Before:
        """What is true now."""
        dead = {uid for uid, owner in self.owners.items() if not self.machine.alive(owner)}
        return Before(frozenset(self.ended), frozenset(dead), dict(self.beats))

    # at every instant

    def observe(self) -> None:
        """Check what must hold at every instant."""
        found = dict[str, str]()
        for place, uid in self.runs():
            must(uid not in found, "a run is in two places", uid, place)
            found[uid] = place
            self.observe_run(place, uid)
        lost = self.places.keys() - found.keys()
        must(not lost, "a run is lost", lost)
        self.places = found

    def observe_run(self, place: str, uid: str) -> None:
        """Check one run."""
        here = [name for name in names(place) if name.isdigit()]
        numbers = list(map(int, here))
        gaps = numbers != list(range(numbers[0], numbers[-1] + 1)) if numbers else False
        must(not gaps, "a number was skipped", place, numbers)
        kept = all(number in here for known, number in self.numbers if known == uid)
        must(kept, "a number vanished", place, here)
        live = [start for name in here if (start := self.observe_numbered(place, name, uid))]
        must(len(live) <= 1, "two live owners", place, live)
        owners = [start for start in live if start["purpose"] == "run" and not self.confirmed]
        moved = self.places.get(uid, place) != place
        must(not (moved and owners), "a live run was moved", place, owners)
        must(not (owners and "/trash/" in place), "a run lives in the trash", place, owners)

    def observe_numbered(self, place: str, name: str, run: str) -> Record | None:
        """Check one numbered directory; its start if it has no end and its owner lives."""
        path = f"{place}/{name}"
        start = first_line(content(f"{path}/ledger.jsonl") or b"")
        must(start is not None, "an execution without an owner", path)
        assert start is not None
        uid = start["uid"]
        must(start["run"] == run, "an execution of another run", path)
        must(self.numbers.setdefault((run, name), uid) == uid, "a number was reused", path)
        if uid not in self.started:
            self.started[uid] = self.machine.clock
            # It was made aside, maybe long before it got its number.
            self.made[uid] = int(os.stat(f"{path}/ledger.jsonl").st_mtime) - EPOCH
        owner = self.owners.setdefault(uid, as_played(start["owner"]))
        data = self.end_of(path, start)
        if data is None:
            must(uid not in self.ended, "an end vanished", path)
            return start if self.machine.alive(owner) else None
        if uid not in self.ended:
            self.first_seen(path, start, data)
        first = self.ended[uid].data
        must(first == data, "two terminal states", path, first, data)
        return None

    def end_of(self, path: str, start: Record) -> bytes | None:
        """The end, under the one name that its start chose; whole or not there."""
        chosen = "end.json" if start.get("links", True) else "end/end.json"
        other = "end/end.json" if start.get("links", True) else "end.json"
        must(content(f"{path}/{other}") is None, "two terminal states", path, other)
        data = content(f"{path}/{chosen}")
        if data is not None:
            try:
                parse(data)
            except ValueError:
                must(False, "an end is torn", path, data)
        return data

    def first_seen(self, path: str, start: Record, data: bytes) -> None:
        """Check an end when it appears."""
        uid, end, owner = start["uid"], parse(data), self.owners[start["uid"]]
        must(end["uid"] == uid, "an end of another execution", path)
        counts = self.what_counts(path, end)
        self.ended[uid] = Ending(self.machine.clock, data, end, counts)
        alive, reason = self.machine.alive(owner), end.get("reason") or "owner"
        self.counts[f"{start['purpose']} {reason}"] += 1
        declared = reason in (DIED, CANCELLED_DEAD) and alive
        must(not declared, "a live owner was declared dead", path, owner)
        if reason == CONFIRMED:
            by = as_played(end["ended_by"])
            near = by.place == owner.place and owner not in self.hidden
            must(not (near and alive), "a live owner was confirmed dead where it lives", path)
            self.confirmed = True

    def what_counts(self, path: str, end: Record) -> list[str]:
        """The digests of all that the manifest lists, up to the lengths that it says."""
        found = []
        for entry in end["manifest"]:
            data = content(f"{path}/{entry['path']}")
            if data is None and entry["path"] != "ledger.jsonl":
                found.append("deleted")  # the execution was, or is just being
                continue
            digest = hashlib.sha256((data or b"")[: entry["size"]]).hexdigest()
            said = (entry.get("content_hash") or digest).rpartition(":")[2]
            must(said == digest, "what counts is not what the manifest says", path, entry)
            found.append(digest)
        return found

    # when everybody is done

    def finish(self) -> None:
        """Check what must hold when everybody is done and every place has reaped once."""
        for place, _ in self.runs():
            for name in names(place):
                if name.isdigit():
                    self.finish_numbered(f"{place}/{name}", "/trash/" in place)
        for outcome in self.outcomes:
            self.counts[f"{outcome.verb} {outcome.state}".strip()] += 1
            if outcome.verb == "end":
                self.finish_end(outcome)
            elif outcome.verb == "asked":
                self.finish_asked(outcome)
            elif outcome.verb == "cancelled":
                mine = [e for e in self.ended.values() if self.cancelled_by(e, outcome)]
                must(bool(mine), "an acknowledged cancel was lost", outcome)
        self.finish_starts()

    def cancelled_by(self, ending: Ending, outcome: Outcome) -> bool:
        """Whether that end is what a canceller says that it made."""
        by = as_played(ending.end["ended_by"])
        return ending.end["status"] == "cancelled" and by == outcome.by

    def finish_numbered(self, path: str, trashed: bool) -> None:
        """Check one numbered directory."""
        start = first_line(content(f"{path}/ledger.jsonl") or b"")
        assert start is not None
        ending = self.ended.get(start["uid"])
        owner = self.owners[start["uid"]]
        found = ending is not None or trashed or self.excused(owner)
        must(found, "a dead owner was not found", path, owner)
        if ending is not None:
            now = self.what_counts(path, ending.end)
            pairs = zip(now, ending.counts, strict=True)
            same = all(mine in (theirs, "deleted") for mine, theirs in pairs)
            must(same, "what counts changed after the end", path)
            mode = stat.S_IMODE(os.stat(path).st_mode)
            must(trashed or mode == 0o555, "an ended execution stayed open", path, oct(mode))

    def finish_end(self, outcome: Outcome) -> None:
        """Whoever was told that it ended its execution did."""
        ending = self.ended.get(outcome.uid)
        own = ending is not None and as_played(ending.end["ended_by"]) == outcome.by
        promise = "an owner was told that it ended what another ended"
        must(own and ending is not None and ending.end["status"] == outcome.state, promise, outcome)

    def finish_asked(self, outcome: Outcome) -> None:
        """A request that was acknowledged is there, and came before the end."""
        mine = [str(outcome.by.pid), str(outcome.by.start)]
        found = sorted(
            (os.stat(path).st_mtime - EPOCH, request["execution"])
            for place, _ in self.runs()
            for name in names(f"{place}/requests")
            if name.endswith(f"-{outcome.uid}.json")
            and (request := self.request(path := f"{place}/requests/{name}"))
            and request["writer"].split("-")[1:3] == mine
        )
        told = [each for each in self.outcomes if same_asking(each, outcome)]
        must(len(found) >= len(told), "an acknowledged request was lost", outcome)
        for at, uid in found[: len(told)]:  # only the last of them may have been refused
            ended = self.ended.get(uid)
            in_time = ended is None or ended.at >= at
            must(in_time, "an ended execution took a request", outcome)

    def request(self, path: str) -> Record:
        """A request, empty where a kill tore it."""
        try:
            return parse(content(path) or b"{}")
        except ValueError:
            return {}

    def finish_starts(self) -> None:
        """No start that was under way goes on past the cancel of its pending run."""
        cancels = {
            uid: self.started[uid]
            for uid, ending in self.ended.items()
            if ending.end.get("reason") == PENDING_CANCELLED
        }
        runs = {uid: run for (run, _), uid in self.numbers.items()}
        promise = "a start went on past the cancel of its pending run"
        for outcome in self.outcomes:
            if outcome.verb == "start" and outcome.uid in runs:
                for uid, at in cancels.items():
                    overtaken = outcome.began < at < self.started[outcome.uid]
                    must(not (overtaken and runs[uid] == runs[outcome.uid]), promise, outcome)

    def excused(self, owner: Owner) -> bool:
        """Whether an owner need not be found dead: it lives, or nobody can tell."""
        if owner.place[:3] not in {place[:3] for place in self.machine.places()}:
            return True
        exists = self.machine.kill0(owner.place, owner.pid)
        is_hidden = exists and self.machine.stat(owner.place, owner.pid) is None
        return is_hidden or self.machine.alive(owner)

    # what a reader was told

    def tell(self, outcome: Outcome) -> None:
        """Remember what a caller was told; what a reader was told is judged at once."""
        if outcome.verb == "beat":
            self.beats[outcome.uid] = self.machine.clock
            return
        self.outcomes.append(outcome)
        if outcome.verb == "status" and outcome.uid and outcome.before is not None:
            self.judge_status(outcome, outcome.before)

    def judge_status(self, outcome: Outcome, before: Before) -> None:
        """Check a state that was read."""
        uid, state = outcome.uid, outcome.state
        ending, owner = self.ended.get(uid), self.owners[uid]
        if uid in before.ended:
            agrees = ending is not None and ending.end["status"] == state
            must(agrees, "a reader saw another end", outcome, ending)
        elif state not in OPEN:
            dead = state == "failed" and not self.machine.alive(owner)
            agrees = ending is not None and ending.end["status"] == state
            must(dead or agrees, "a live owner read as ended", outcome, owner)
        elif state == "unknown":
            beat = before.beats.get(uid, self.made[uid])
            must(outcome.at - beat >= SILENCE, "a beating owner read unknown", outcome, beat)
        near = owner.place == outcome.by.place
        if uid in before.dead and near and not self.hidden:
            must(state not in OPEN, "a dead owner was not found", outcome, owner)
