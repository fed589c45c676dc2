"""The promises of docs/design/0004-ownership.md, judged from outside."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.models.ownership import CLOSED, SILENCE
from tests.models.ownership_door import Record, content, owner_of, parse
from tests.models.ownership_flaws import Flaw
from tests.models.ownership_machine import Machine, Owner


class Violation(AssertionError):
    """A promise was broken."""


def must(holds: bool, promise: str, *facts: object) -> None:
    """Raise if a promise does not hold."""
    if not holds:
        raise Violation(promise, *facts)


def ending_of(execution: str) -> Record | None:
    """The whole end of an execution: `end.json`, or the `end/` of a file system without links."""
    return parse(content(f"{execution}/end.json")) or parse(content(f"{execution}/end/end.json"))


def rows_of(execution: str, end: Record, flaw: Flaw | None) -> list[str]:
    """The ledger lines that count: up to the lengths in the manifest, whatever came later."""
    rows = []
    for name, size in sorted(end["sizes"].items()):
        text = content(f"{execution}/{name}") or ""
        whole = flaw is Flaw.WHOLE_LEDGER and name == "ledger.jsonl"
        rows += (text if whole else text[:size]).splitlines()
    return rows


class Outcome(NamedTuple):
    """What a caller was told: an acknowledged action, on which execution of which run, when it
    was under way, by whom.
    """

    verb: str
    uid: str
    run: str
    began: int
    at: int
    by: Owner


class Ending(NamedTuple):
    """An end as it was first seen: when, what it said, and the rows that counted then."""

    at: int
    end: Record
    rows: list[str]


class Monitor:
    """What must hold, judged from plain files, the machine's truth and what callers were told; it
    knows no actor.
    """

    def __init__(self, root: Path, machine: Machine, flaw: Flaw | None) -> None:
        self.root, self.machine, self.flaw = root, machine, flaw
        self.numbers = dict[tuple[str, str], str]()
        self.places = dict[str, str]()
        self.started = dict[str, int]()
        self.ended = dict[str, Ending]()
        self.counts = Counter[str]()

    def runs(self) -> Iterator[tuple[str, str]]:
        """Every run, wherever it lies."""
        for place in ("runs", "trash"):
            for name in sorted(os.listdir(self.root / place)):
                meta = parse(content(f"{self.root}/{place}/{name}/meta.json"))
                if meta:
                    yield f"{self.root}/{place}/{name}", meta["uid"]

    def entries(self, run: str) -> list[str]:
        """The numbered directories of a run."""
        return sorted(name for name in os.listdir(run) if name.isdigit())

    # at every instant

    def observe(self, confirmed: list[Owner]) -> None:
        """Check what must hold at every instant."""
        for run, uid in self.runs():
            here = self.entries(run)
            seen = [self.observe_entry(run, name, uid) for name in here]
            live = [line for line in seen if line]
            must(len(live) <= 1, "two live owners", uid, live)
            kept = all(number in here for known, number in self.numbers if known == uid)
            must(kept, "a number vanished", uid)
            moved = self.places.setdefault(uid, run) != run
            owners = [line for line in live if line["kind"] == "run" and not confirmed]
            must(not (moved and owners), "a live run was moved", uid, owners)
            must(not (owners and "/trash/" in run), "a run lives in the trash", uid, owners)
            self.places[uid] = run

    def observe_entry(self, place: str, name: str, run: str) -> Record | None:
        """Check one numbered directory; its start line if it has no end and its owner lives."""
        entry = f"{place}/{name}"
        start = parse(content(f"{entry}/ledger.jsonl"))
        if start is None:
            raise Violation("an execution without an owner", entry)
        uid = start["uid"]
        must(start["run"] == run, "an execution of another run", entry)
        must(self.numbers.setdefault((run, name), uid) == uid, "a number was reused", entry)
        self.started.setdefault(uid, self.machine.clock)
        alive, end = self.machine.alive(owner_of(start)), self.end_of(entry, start)
        if end is None:
            must(uid not in self.ended, "an end vanished", entry)
            return start if alive else None
        if uid not in self.ended:
            rows = rows_of(entry, end, self.flaw)
            self.ended[uid] = Ending(self.machine.clock, end, rows)
            self.counts[f"{start['kind']} {end['cause']}"] += 1
            must(end["cause"] != "died" or not alive, "a live owner was declared dead", entry)
        first = self.ended[uid].end
        must(first == end, "two terminal states", entry, first, end)
        return None

    def end_of(self, entry: str, start: Record) -> Record | None:
        """The end that a reader beside the owner sees; only in one twin a torn one says more."""
        end = ending_of(entry)
        if end is not None or self.flaw is not Flaw.EXCLUSIVE_END:
            return end
        if self.machine.alive(owner_of(start)) or content(f"{entry}/end.json") is None:
            return None
        torn: Record = {"status": "failed", "cause": "died while ending", "sizes": {}}
        return torn | {"owner": start["owner"]}

    # when everybody is done

    def finish(self, outcomes: list[Outcome]) -> None:
        """Check what must hold when everybody is done and every place has reaped once."""
        for run, _ in self.runs():
            for name in self.entries(run):
                self.finish_entry(run, f"{run}/{name}", outcomes)
        cancels = [told for told in outcomes if told.verb == "cancel pending"]
        starts = [told for told in outcomes if told.verb == "start"]
        for cancel in cancels:
            for start in starts:
                if start.run == cancel.run:
                    cancelled = self.started[cancel.uid]
                    overtaken = start.began < cancelled < self.started[start.uid]
                    promise = "a start went on past the cancel of its pending run"
                    must(not overtaken, promise, cancel, start)

    def finish_entry(self, run: str, entry: str, outcomes: list[Outcome]) -> None:
        """Check what must hold of one numbered directory when everybody is done."""
        start = parse(content(f"{entry}/ledger.jsonl"))
        assert start is not None
        end = self.end_of(entry, start)
        found = end is not None or self.excused(owner_of(start))
        must(found, "a dead owner was not found", entry, owner_of(start))
        if end:
            same = rows_of(entry, end, self.flaw) == self.ended[start["uid"]].rows
            must(same, "rows changed after the end", entry)
            mode = os.stat(entry).st_mode & 0o7777
            must(mode == CLOSED, "an ended execution stayed open", entry)
        told = [outcome for outcome in outcomes if outcome.uid == start["uid"]]
        asked = [outcome for outcome in told if outcome.verb in ("cancel", "pause", "resume")]
        requests = [parse(content(path)) or {} for path in Path(run).glob("requests/*")]
        files = [request for request in requests if request.get("execution") == start["uid"]]
        must(len(asked) <= len(files), "an acknowledged request was lost", entry)
        self.finish_told(told, asked, end)

    def excused(self, owner: Owner) -> bool:
        """Whether an owner need not be found dead: it lives, or nobody can tell."""
        if owner.place[:3] not in {place[:3] for place in self.machine.places()}:
            return True
        exists = self.machine.kill0(owner.place, owner.pid)
        hidden = exists and self.machine.stat(owner.place, owner.pid) is None
        return hidden or self.machine.alive(owner)

    def finish_told(self, told: list[Outcome], asked: list[Outcome], end: Record | None) -> None:
        """Check what callers were told about one execution."""
        for outcome in told:
            self.counts[outcome.verb] += 1
            if outcome.verb == "end":
                own = end is not None and owner_of(end) == outcome.by
                promise = "an owner was told that it ended what another ended"
                must(own, promise, outcome, end)
            if outcome.verb == "unknown":
                beat = self.machine.beats.get(outcome.uid, 0)
                silent = beat > outcome.at or outcome.at - beat > SILENCE or not beat
                must(silent, "a beating owner read unknown", outcome, beat)
        for outcome in asked:
            ended = self.ended.get(outcome.uid)
            before = ended is None or ended.at >= outcome.began
            must(before, "an ended execution took a request", outcome)
