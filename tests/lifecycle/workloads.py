"""What the fault harnesses run over executions."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import ClassVar

from molexp.disk import layout, owner, trash
from molexp.disk.beneath import Directory
from molexp.disk.commit import Durability
from molexp.errors import NotFoundError
from molexp.lifecycle.attempt import Attempt, end_attempt, start_run
from molexp.lifecycle.data import Action, import_data
from molexp.lifecycle.look import look_at
from molexp.lifecycle.removal import delete_execution, move_run, remove, restore
from molexp.lifecycle.scopes import edit
from molexp.lifecycle.site import Site
from molexp.model.address import Address
from molexp.model.asset import DataAsset
from molexp.model.codec import join_line
from molexp.model.execution import End
from molexp.model.record import Edit
from molexp.model.scope import RunMeta
from molexp.model.state import ExecutionState
from molexp.testing.workload import Ack, Step, Workload, find_unsweepable
from tests.lifecycle.lab import (
    ADDRESS,
    FAILED,
    RUN,
    add_run,
    broken_rules,
    make_lab,
    open_site,
    run_once,
)

KERNEL = owner.writer().partition("-")[0]
UNLINKS = frozenset({"unlink", "rmdir"})
"""Whose refusal need not reach the caller: what stays aside is swept."""


def rules(path: Path) -> list[str]:
    """Which rules the lab breaks.

    A torn line is no loss, for it was never acknowledged; nor is a place in the trash that is empty
    or does not yet say what it is for.
    """
    return [
        rule
        for rule in broken_rules(path)
        if not rule.endswith(("[LINE-1]", "[LINE-4]")) and "/removed.json: " not in rule
    ]


class AttemptWorkload(Workload):
    """A run that is started, written to, ended, and started again."""

    writers = (KERNEL,)

    def prepare(self, root: Path) -> None:
        make_lab(root)
        (root / layout.TMP).mkdir(parents=True)
        End.model_rebuild()

    def steps(self, root: Path) -> Sequence[Step]:
        site = open_site(root)
        held: list[Attempt] = []

        def start() -> Ack:
            held.append(start_run(site, ADDRESS))
            return {"number": held[-1].number, "end": None}

        def say() -> Ack:
            held[-1].ledger.append(join_line("paused", b'{"at":"2026-03-02T09:00:00Z"}'))
            return {"number": held[-1].number, "line": "paused"}

        def end() -> Ack:
            if not held:  # a sync failed, so that this is another life: start again to end it
                held.append(start_run(site, ADDRESS))
            number = held[-1].number
            end_attempt(site, held[-1], ExecutionState.FAILED)
            return {"number": number, "end": "failed"}

        return [
            Step("start", start, tolerates=UNLINKS),
            Step("say", say),
            Step("end", end, fresh_after_sync=True, tolerates=UNLINKS),
            Step("start again", start, tolerates=UNLINKS),
        ]

    def recover(self, root: Path) -> None:
        """The next process starts the run again, and so ends what the dead one left."""
        site = Site(Directory.open(root))
        end_attempt(site, start_run(site, ADDRESS), ExecutionState.CANCELLED)
        site.close()

    def check(self, root: Path, acks: Sequence[Ack]) -> list[str]:
        complaints = rules(root)
        with Directory.open(root / RUN) as run:
            found = {each.number: each for each in look_at(run).numbered}
        for ack in acks:
            each = found.get(ack["number"])
            if each is None:
                complaints.append(f"execution {ack['number']} is lost")
            elif ack.get("end") and (each.end is None or each.end.status != ack["end"]):
                complaints.append(f"the end of execution {ack['number']} is lost")
            elif ack.get("line") and ack["line"] not in _ledger(root, ack["number"]):
                complaints.append(f"a line of execution {ack['number']} is lost")
        return complaints


def _ledger(root: Path, number: int) -> str:
    return (root / RUN / layout.execution_name(number) / layout.LEDGER).read_text()


class ImportWorkload(Workload):
    """A file and a directory that are taken into a workspace beside them."""

    held: ClassVar = {"file.csv": {"": b"id,energy"}, "tree": {"a": b"first", "deep/b": b"second"}}

    def __init__(self, action: Action, durability: Durability = "power") -> None:
        self.action = action
        self.durability: Durability = durability
        DataAsset.model_rebuild()

    @property
    def name(self) -> str:
        """The class, and what is done."""
        return f"{type(self).__name__}, {self.action}"

    def prepare(self, root: Path) -> None:
        make_lab(root / "lab")
        (root / "lab" / layout.TMP).mkdir(parents=True)
        for name, files in self.held.items():
            for below, data in files.items():
                path = root / name / below
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)

    def steps(self, root: Path) -> Sequence[Step]:
        site = Site(Directory.open(root / "lab"), durability=self.durability)

        def take(source: str) -> Ack:
            name = source.partition(".")[0]
            with suppress(NotFoundError):  # the call before moved all of it
                import_data(site, Address(), name, root / source, self.action)
            return {"imported": source, "commits": True}

        return [Step(each, partial(take, each), tolerates=UNLINKS) for each in self.held]

    def recover(self, root: Path) -> None:
        """The next process asks for the same: it is not stored twice, nor is half of it."""
        for step in self.steps(root):
            step.act()

    def check(self, root: Path, acks: Sequence[Ack]) -> list[str]:
        lab = root / "lab"
        complaints = [*rules(lab), *find_unsweepable(lab, [KERNEL])]
        acked = {ack["imported"] for ack in acks}
        for source, files in self.held.items():
            versions = lab / layout.DATA / source.partition(".")[0]
            taken = self._whole(versions / "v1" / layout.FILES / source, files)
            stayed = self._whole(root / source, files)
            if not taken and (source in acked or not stayed):
                complaints.append(f"{source} is neither where it was nor in the workspace")
            if len(list(versions.glob("v*"))) > 1:
                complaints.append(f"{source} is there more than once")
            if source in acked and self.action == "copy" and not stayed:
                complaints.append(f"{source} was to be copied, and is gone")
            if source in acked and self.action == "move" and (root / source).exists():
                complaints.append(f"{source} was to be moved, and is still there")
        if len(acked) == len(self.held) and self.action == "move":
            # After power loss all lies in another place, where nobody looks for what was left.
            is_here = str(root) in (lab / "data/tree/v1/asset.json").read_text()
            complaints += [f"{path} was left" for path in root.iterdir() if is_here and path != lab]
        return complaints

    def _whole(self, place: Path, files: dict[str, bytes]) -> bool:
        paths = {below: place / below if below else place for below in files}
        return all(
            path.is_file() and path.read_bytes() == files[below] for below, path in paths.items()
        )


TARGET = Address.parse("md/short/first")
TARGET_PATH = "projects/md/experiments/short/runs/first"
PLACES = (RUN, TARGET_PATH)


class RemovalWorkload(Workload):
    """An ended execution that is deleted and put back, in a run that moves and is removed."""

    writers = (KERNEL,)
    held: ClassVar = {"artifacts/model": b"weights", "error.txt": b"no"}

    def __init__(self, durability: Durability = "power") -> None:
        self.durability: Durability = durability
        trash.Removed.model_rebuild()
        Edit.model_rebuild()

    def prepare(self, root: Path) -> None:
        make_lab(root)
        (root / layout.TMP).mkdir(parents=True)
        add_run(root, TARGET.parent / "other")
        site = Site(Directory.open(root), durability="process")
        run_once(site, files=self.held, status=FAILED)
        site.close()

    def steps(self, root: Path) -> Sequence[Step]:
        site = Site(Directory.open(root), durability=self.durability)
        first = (root / RUN / "0001").exists()
        place = RUN if first else _places_of(root)[0]
        start = json.loads((root / place / "0001/ledger.jsonl").read_text().splitlines()[0])
        execution, run = start["start"]["uid"], start["start"]["run"]

        def once(act: Callable[[], object], is_done: Callable[[], bool]) -> Ack:
            try:
                act()
            except NotFoundError:  # the call before did all of it, and what follows was refused
                if not is_done():
                    raise
            return {"lies": [*_places_of(root)], "commits": True}

        def lies(path: str) -> Callable[[], bool]:
            return (root / path / layout.META).exists

        acts: dict[str, tuple[Callable[[], object], Callable[[], bool]]] = {
            "delete": (
                partial(delete_execution, site, ADDRESS, 1, None),
                lambda: not (root / RUN / "0001/error.txt").exists(),
            ),
            "undelete": (
                partial(restore, site, execution),
                (root / RUN / "0001/error.txt").exists,
            ),
            "move": (partial(move_run, site, ADDRESS, TARGET), lies(TARGET_PATH)),
            "remove": (partial(remove, site, TARGET), partial(_in_trash, root)),
            "restore": (partial(restore, site, run), lies(TARGET_PATH)),
            "remove all": (partial(remove, site, TARGET.parent), partial(_in_trash, root)),
        }

        def close() -> Ack:
            site.close()
            return {"commits": True}

        steps = [Step(name, partial(once, *act), tolerates=UNLINKS) for name, act in acts.items()]
        return [*steps, Step("close", close)]

    def recover(self, root: Path) -> None:
        """The next process puts all back, and starts the run where it lies."""
        site = Site(Directory.open(root))
        while there := trash.removals(site.root)[0]:
            restore(site, there[0].uid)
        address = layout.address_of(_places_of(root)[0])
        assert address is not None
        end_attempt(site, start_run(site, address), ExecutionState.CANCELLED)
        site.close()

    def check(self, root: Path, acks: Sequence[Ack]) -> list[str]:
        complaints = rules(root)
        places = _places_of(root)
        if len(places) != 1:
            return [*complaints, f"the run lies in {places}"]
        if not (root / places[0] / "0001/end.json").exists():
            complaints.append("the end is lost")
        return complaints + self.lost(root)

    def lost(self, root: Path) -> list[str]:
        """What of the execution's files is nowhere."""
        there = {path.read_bytes() for path in root.rglob("*") if _is_kept(root, path)}
        return [f"{path} is lost" for path, data in self.held.items() if data not in there]


class RemovalAndPowerLoss(RemovalWorkload):
    """The same, where a move that was under way may be found at both of its ends.

    Holds are not synced. Nor can they be reaped here: their owner, this process, lives.
    """

    def recover(self, root: Path) -> None:
        """Nobody looks after it."""

    def check(self, root: Path, acks: Sequence[Ack]) -> list[str]:
        places = _places_of(root)
        complaints = [] if places else ["the run lies nowhere"]
        for place in places:
            if (root / place / layout.META).exists():
                RunMeta.from_json((root / place / layout.META).read_bytes(), place)
        return complaints + self.lost(root)


def _is_kept(root: Path, path: Path) -> bool:
    return path.is_file() and not path.is_relative_to(root / layout.CACHE)


def _places_of(root: Path) -> list[str]:
    """Where the run lies."""
    found = [path for path in PLACES if (root / path / layout.META).exists()]
    removed = [*root.glob(f"{layout.TRASH}/*/{layout.CONTENT}")]
    runs = [run for content in removed for run in (content, content / "runs/first")]
    there = [run for run in runs if (run / "0001/end.json").exists()]
    return found + [str(run.relative_to(root)) for run in there]


def _in_trash(root: Path) -> bool:
    return any(path.startswith(layout.TRASH) for path in _places_of(root))


class EditingWorkload(Workload):
    """Two who edit one run at once, each through the workspace as they opened it."""

    writers = (KERNEL,)

    def prepare(self, root: Path) -> None:
        make_lab(root)
        (root / layout.TMP).mkdir(parents=True)
        Edit.model_rebuild()

    def steps(self, root: Path) -> Sequence[Step]:
        sites = [open_site(root), open_site(root)]

        def say(number: int) -> Ack:
            patch = {"tags": {f"tag-{number}": "said"}, "notes": f"note {number}"}
            edit(sites[number % 2], ADDRESS, patch, "because")
            return {"tag": f"tag-{number}"}

        return [Step(f"edit {n}", partial(say, n), tolerates=UNLINKS) for n in range(4)]

    def recover(self, root: Path) -> None:
        """What the dead left torn swallows nothing of what the next process says."""
        edit(open_site(root), ADDRESS, {"tags": {"recovered": True}})

    def check(self, root: Path, acks: Sequence[Ack]) -> list[str]:
        said: set[str] = set()
        for path in (root / RUN).glob("edits-*.jsonl"):
            for line in path.read_bytes().split(b"\n"):
                with suppress(ValueError):
                    said |= json.loads(line)["edit"]["patch"]["tags"].keys()
        lost = [f"the edit {ack['tag']} is lost" for ack in acks if ack["tag"] not in said]
        return [*rules(root), *lost]
