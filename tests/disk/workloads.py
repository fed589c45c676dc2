"""What the fault harnesses run over the primitives of the disk: later floors add theirs beside it.

Each workload is played in both ways of committing: one sync for the whole file system, and one for
each file and directory. The oracles read plain files with the standard library alone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from molexp.disk import layout, ledger, owner, trash
from molexp.disk.beneath import Directory
from molexp.disk.commit import Batch, begin
from molexp.disk.digest import HashingWriter
from molexp.disk.journal import Journal
from molexp.disk.record import Aside, write_new
from molexp.errors import AlreadyExistsError
from molexp.model.codec import join_line
from molexp.testing.workload import Ack, Step, Workload

MODES = layout.ACCESS["private"]
WRITER = "e9c965e5f2-1-1-abcdef"  # fixed, so that every run makes the same calls
UID = "01ARYZ6S410000000000000000"
UNLINKS = frozenset({"unlink", "rmdir"})
"""Whose refusal need not reach the caller: what stays aside is swept."""


class DiskWorkload(Workload):
    """What all workloads share: a root, a batch and a place to make things aside.

    ``rounds`` is how often the history is lived, each time in another place.
    """

    writers = (WRITER,)

    def __init__(self, *, one_by_one: bool = False, rounds: int = 1) -> None:
        self.one_by_one = one_by_one
        self.rounds = rounds
        # Records are completed when they are first used: here, and not in every forked child.
        owner.current().to_json()
        trash.Removed.model_rebuild()

    @property
    def name(self) -> str:
        """The class, and how it commits."""
        return f"{type(self).__name__}, {'one by one' if self.one_by_one else 'syncfs'}"

    def prepare(self, root: Path) -> None:
        (root / layout.META).write_bytes(b'{"format":1}')
        (root / layout.TMP).mkdir(parents=True)

    def begin(self, root: Path) -> tuple[Directory, Batch, Aside]:
        """What a process holds that has just opened the workspace."""
        top = Directory.open(root)
        return top, begin(top, one_by_one=self.one_by_one), Aside(top, MODES, writer=WRITER)


class ExecutionWorkload(DiskWorkload):
    """An execution with artifacts and a checkpoint, and its end."""

    def steps(self, root: Path) -> Sequence[Step]:
        top, batch, aside = self.begin(root)
        lives = [_Execution(f"projects/qm9-{n}", top, batch, aside) for n in range(self.rounds)]
        return [step for life in lives for step in life.steps()]

    def check(self, root: Path, acks: Sequence[Ack]) -> list[str]:
        complaints = []
        for place in {ack["place"] for ack in acks}:
            mine = [ack for ack in acks if ack["place"] == place]
            complaints += [f"{place}: {text}" for text in _check_execution(root / place, mine)]
        return complaints


class _Execution:
    """One execution while it is written."""

    def __init__(self, path: str, top: Directory, batch: Batch, aside: Aside) -> None:
        self.path = path
        self.batch = batch
        self.aside = aside
        self._top = top
        self._place: Directory | None = None
        self._ledger: ledger.Appender | None = None

    def steps(self) -> list[Step]:
        return [
            Step("start", lambda: self.say("start", {"uid": UID})),
            *(Step(name, partial(self.save, name)) for name in ("model", "figure", "table")),
            Step("checkpoint", self.checkpoint, fresh_after_sync=True),
            Step("last artifact", partial(self.save, "last")),
            Step("end", self.end, fresh_after_sync=True, tolerates=UNLINKS),
        ]

    def place(self) -> Directory:
        if self._place is None:
            self._place = self._top.make(self.path, MODES.directory, self.batch.changed)
        return self._place

    def say(self, name: str, value: Any, **ack: Any) -> Ack:
        if self._ledger is None:
            self._ledger = ledger.Appender(self.place(), layout.LEDGER, MODES.file)
            self.batch.changed(self.place())
        self._ledger.append(join_line(name, json.dumps(value).encode()))
        self.batch.wrote(self.place(), layout.LEDGER)
        return {"place": self.path, "line": {name: value}, **ack}

    def save(self, stem: str) -> Ack:
        with self.place().make(layout.ARTIFACTS, MODES.directory, self.batch.changed) as artifacts:
            name = _free_name(artifacts, stem)
            with HashingWriter(artifacts, name, MODES.file) as file:
                file.write(b"weights " * 8)
                file.write(b"more")
            self.batch.wrote(artifacts, name)
            self.batch.changed(artifacts)
        path = f"{layout.ARTIFACTS}/{name}"
        return self.say("asset", {"path": path, "content_hash": file.content_hash})

    def checkpoint(self) -> Ack:
        ack = self.say("asset", {"step": 1}, commits=True)
        self.batch.commit()
        return ack

    def end(self) -> Ack:
        manifest = _manifest(Path(self.place().path))
        data = json.dumps({"format": 1, "manifest": manifest}).encode()
        self.aside.publish_file(data, self.place(), layout.END, 0o444, self.batch)
        return {"place": self.path, "end": True, "commits": True}


def _check_execution(place: Path, acks: Sequence[Ack]) -> list[str]:
    found = _lines(place / layout.LEDGER)
    lines = [ack["line"] for ack in acks if "line" in ack]
    complaints = [f"the acknowledged line {line} is lost" for line in lines if line not in found]
    promised = [line["asset"] for line in lines if "asset" in line]
    complaints += [
        f"{asset['path']} is not what was acknowledged"
        for asset in promised
        if "path" in asset and _sha256(place / asset["path"]) != asset["content_hash"]
    ]
    end = place / layout.END
    if end.exists():
        complaints += _against_manifest(place, end)
    elif any("end" in ack for ack in acks):
        complaints.append("the acknowledged end is lost")
    return complaints


class ScopesWorkload(DiskWorkload):
    """Scopes that are made aside and renamed into place."""

    def steps(self, root: Path) -> Sequence[Step]:
        top, batch, aside = self.begin(root)

        def make(name: str) -> Ack:
            data = json.dumps({"format": 1, "name": name}).encode()

            def fill(made: Directory) -> None:
                write_new(made, layout.META, data, 0o444)
                batch.wrote(made, layout.META)
                batch.changed(made)

            with top.make(layout.PROJECTS, MODES.directory, batch.changed) as projects:
                try:
                    aside.publish_directory(fill, projects, name, batch).close()
                except AlreadyExistsError:
                    pass  # a retry after a commit that failed finds its own
            batch.commit()
            return {"scope": name, "commits": True}

        names = [f"{name}-{n}" for n in range(self.rounds) for name in ("one", "two")]
        return [Step(f"make {name}", partial(make, name), fresh_after_sync=True) for name in names]

    def check(self, root: Path, acks: Sequence[Ack]) -> list[str]:
        complaints = []
        for name in {ack["scope"] for ack in acks}:
            record = root / layout.PROJECTS / name / layout.META
            if not record.exists():
                complaints.append(f"the scope {name} is lost")
            elif json.loads(record.read_bytes()) != {"format": 1, "name": name}:
                complaints.append(f"the record of {name} is damaged")
        return complaints


class EditsWorkload(DiskWorkload):
    """Lines that several processes append to one file, the last of which left it torn."""

    file = "edits-host-me.jsonl"

    def prepare(self, root: Path) -> None:
        super().prepare(root)
        (root / self.file).write_bytes(b'\n{"edit":{"number":0}}\n\n{"edit":{"num')

    def steps(self, root: Path) -> Sequence[Step]:
        top, batch, _aside = self.begin(root)
        held: list[ledger.Appender] = []

        def append(number: int) -> Ack:
            if not held:
                held.append(ledger.Appender(top, self.file, MODES.file, shared=True))
            held[0].append(join_line("edit", b'{"number":%d}' % number))
            return {"line": {"edit": {"number": number}}}

        def sync() -> Ack:
            batch.wrote(top, self.file)
            batch.commit()
            return {"commits": True}

        steps = []
        for first in range(1, 4 * self.rounds, 4):
            steps += [Step(f"edit {n}", partial(append, n)) for n in range(first, first + 4)]
            steps.append(Step("sync", sync, fresh_after_sync=True))
        return [*steps, Step("edit -1", partial(append, -1))]

    def check(self, root: Path, acks: Sequence[Ack]) -> list[str]:
        found = _lines(root / self.file)
        wanted = [{"edit": {"number": 0}}, *(ack["line"] for ack in acks if "line" in ack)]
        return [f"the acknowledged edit {line} is lost" for line in wanted if line not in found]


class RemovalWorkload(DiskWorkload):
    """A closed directory that is removed."""

    place = "projects/qm9/0001"
    in_trash = f"{layout.TRASH}/{UID}/{layout.CONTENT}"

    def prepare(self, root: Path) -> None:
        super().prepare(root)
        self.make_closed(root / self.place)

    def make_closed(self, closed: Path) -> None:
        """An ended execution, as far as its modes go."""
        closed.mkdir(parents=True)
        (closed / layout.END).write_bytes(b"{}")
        (closed / layout.END).chmod(0o444)
        closed.chmod(0o555)

    def record(self) -> trash.Removed:
        """What says where it came from."""
        moment = datetime(2026, 1, 1, tzinfo=UTC)
        return trash.Removed(uid=UID, path=self.place, at=moment, writer=WRITER, by="me")

    def steps(self, root: Path) -> Sequence[Step]:
        top, batch, aside = self.begin(root)

        def remove() -> Ack:
            trash.remove(top, self.record(), aside, batch, MODES.directory)
            return {"lies": self.in_trash, "commits": True}

        return [Step("remove", remove, fresh_after_sync=True, tolerates=UNLINKS)]

    def check(self, root: Path, acks: Sequence[Ack]) -> list[str]:
        held = [path for path in (self.place, self.in_trash) if (root / path).exists()]
        complaints = []
        if not held or (acks and held != [acks[-1]["lies"]]):
            complaints.append(f"it lies in {held}")
        complaints += [
            f"{path} lost what it held"
            for path in held
            if (root / path / layout.END).read_bytes() != b"{}"
        ]
        if held == [self.in_trash]:
            record = json.loads((root / layout.TRASH / UID / layout.REMOVED).read_bytes())
            if record["path"] != self.place:
                complaints.append("the trash does not say where it came from")
        return complaints


class RestoreWorkload(RemovalWorkload):
    """A closed directory that is put back."""

    def prepare(self, root: Path) -> None:
        DiskWorkload.prepare(self, root)
        (root / self.place).parent.mkdir(parents=True)
        self.make_closed(root / self.in_trash)
        (root / layout.TRASH / UID / layout.REMOVED).write_bytes(self.record().to_json())

    def steps(self, root: Path) -> Sequence[Step]:
        top, batch, _aside = self.begin(root)

        def restore() -> Ack:
            trash.restore(top, UID, batch)
            return {"lies": self.place, "commits": True}

        return [Step("restore", restore, fresh_after_sync=True, tolerates=UNLINKS)]


class JournalWorkload(DiskWorkload):
    """Changes that are hinted at: whatever changed, a line that names it is there.

    A kill leaves it so; power loss need not, for whoever boots next looks at everything.
    """

    def prepare(self, root: Path) -> None:
        super().prepare(root)
        (root / layout.JOURNAL).mkdir()
        (root / layout.JOURNAL / "mark.before").touch()

    def steps(self, root: Path) -> Sequence[Step]:
        top, batch, aside = self.begin(root)
        journal = Journal(top, aside, MODES)

        def change(name: str) -> Ack:
            with journal.changing(name):
                aside.publish_file(b"{}", top, name, 0o444, batch)
            return {"changed": name, "commits": True}

        return [
            Step(name, partial(change, name), fresh_after_sync=True, tolerates=UNLINKS)
            for name in self.names()
        ]

    def names(self) -> list[str]:
        """What is changed."""
        return [f"{name}-{n}" for n in range(self.rounds) for name in ("one", "two")]

    def check(self, root: Path, acks: Sequence[Ack]) -> list[str]:
        there = {name for name in self.names() if (root / name).exists()}
        lines = [line for path in root.glob(f"{layout.JOURNAL}/*.jsonl") for line in _lines(path)]
        hinted = {name for line in lines for name in line.get("touch", {}).get("at", ())}
        lost = {ack["changed"] for ack in acks} - there
        complaints = [f"{name} is lost" for name in sorted(lost)]
        if lines:
            complaints += [f"nothing hints at {name}" for name in sorted(there - hinted)]
        return complaints


SYNCED = (ExecutionWorkload, ScopesWorkload, EditsWorkload, RemovalWorkload, RestoreWorkload)
"""Those whose promises survive power loss."""

ALL = (*SYNCED, JournalWorkload)


def _free_name(directory: Directory, stem: str) -> str:
    taken = set(directory.names())
    return next(name for n in range(1, 99) if (name := f"{stem}.v{n}") not in taken)


def _manifest(place: Path) -> dict[str, str]:
    files = (path for path in place.rglob("*") if path.is_file() and path.name != layout.END)
    return {str(path.relative_to(place)): _sha256(path) for path in files}


def _against_manifest(place: Path, end: Path) -> list[str]:
    try:
        manifest = json.loads(end.read_bytes())["manifest"]
    except ValueError:
        return ["the end is torn"]
    return [
        f"{path} is not what the end says of it"
        for path, digest in manifest.items()
        if _sha256(place / path) != digest
    ]


def _lines(path: Path) -> list[dict[str, Any]]:
    lines = []
    for line in path.read_bytes().split(b"\n") if path.exists() else []:
        try:
            lines.append(json.loads(line))
        except ValueError:
            continue
    return lines


def _sha256(path: Path) -> str:
    if not path.is_file():
        return "nothing"
    return f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
