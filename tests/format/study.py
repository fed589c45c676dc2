"""What writes a study that is the same each time: its clock, luck, owners and executions."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from molexp.disk import layout
from molexp.disk.beneath import Directory
from molexp.disk.digest import hash_file
from molexp.disk.ledger import Appender
from molexp.disk.record import write_new
from molexp.model.address import Address
from molexp.model.asset import Asset
from molexp.model.codec import join_line
from molexp.model.digest import hex_of, of_bytes
from molexp.model.execution import (
    End,
    FileEntry,
    Message,
    Metric,
    MetricSummary,
    Owner,
    Snapshot,
    Start,
    in_order,
)
from molexp.model.ids import ENTROPY_BYTES, ulid
from molexp.model.profile import config_hash
from molexp.model.record import Edit, Record
from molexp.model.scope import RunMeta
from molexp.model.state import ExecutionState

PERSON = "ada@lab-ws1"

_FILE, _DIRECTORY = 0o644, 0o755
_EDITS = f"{layout.EDITS_PREFIX}lab-ws1-ada.jsonl"
_BOOT = "5f0c9b2e-7d3a-4c1e-9a55-2f8f0e6d1c34"
_PIDS, _TIMES = "pid:[4026531836]", "time:[4026531834]"
_KERNEL = hex_of(of_bytes(f"{_BOOT}\n{_PIDS}\n{_TIMES}".encode()))[:10]


class Study:
    """What all that is written shares: the root, a clock and the ids that were given out."""

    def __init__(self, root: Directory) -> None:
        self.root = root
        self.now = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)

    def later(self, seconds: float) -> datetime:
        """Some seconds pass."""
        self.now += timedelta(seconds=seconds)
        return self.now

    def luck(self, label: str, size: int = ENTROPY_BYTES) -> bytes:
        """Random bytes that are always the same for one label: five bits of luck in each."""
        bits = int.from_bytes(sha256(label.encode()).digest(), "big")
        return bytes(bits >> 251 - 5 * place & 31 for place in range(size))

    def uid(self, label: str) -> str:
        """A ULID of this moment."""
        return ulid(int(self.now.timestamp() * 1000), self.luck(label))

    def put(self, path: str, data: bytes) -> str:
        """Create a file; its digest."""
        above, _, name = path.rpartition("/")
        with self.root.make(above, _DIRECTORY) as directory:
            write_new(directory, name, data, _FILE)
        return of_bytes(data)

    def keep(self, data: bytes) -> str:
        """Keep an object."""
        self.put(layout.object_path(hex_of(of_bytes(data))), data)
        return of_bytes(data)

    def edit(self, address: str, reason: str | None = None, **patch: object) -> None:
        """Change something about a scope."""
        edit = Edit.make(
            at=self.later(60), writer=writer(desk()), by=PERSON, patch=patch, reason=reason
        )
        with self.root.enter(layout.scope_path(Address.parse(address))) as scope:
            appender = Appender(scope, _EDITS, _FILE, shared=True)
            appender.append(join_line("edit", edit.to_json()))
            appender.close()


def owner(pid: int, started: int) -> Owner:
    return Owner.make(
        host="lab-ws1",
        boot_id=_BOOT,
        pid_namespace=_PIDS,
        time_namespace=_TIMES,
        pid=pid,
        started=started,
    )


def desk() -> Owner:
    return owner(2210, 80417)


def writer(owner: Owner) -> str:
    """The id under which a process of the study writes."""
    luck = sha256(str(owner.pid).encode()).hexdigest()[:6]
    return f"{_KERNEL}-{owner.pid}-{owner.started}-{luck}"


class Execution:
    """An execution while it is written."""

    def __init__(
        self, study: Study, path: str, owner: Owner, snapshot: Snapshot, **start: object
    ) -> None:
        self.study, self.path, self.owner = study, path, owner
        self.uid = study.uid(path)
        run = path.rpartition("/")[0]
        self._appenders: dict[str, Appender] = {}
        self._metrics: list[Metric] = []
        self._messages: list[Message] = []
        self._written: dict[str, datetime] = {}
        config = {"device": "cpu", "threads": 2}
        self.say(
            "start",
            Start.make(
                format=1,
                uid=self.uid,
                run=json.loads(study.root.read(f"{run}/{layout.META}", RunMeta.max_bytes))["uid"],
                owner=owner,
                writer=writer(owner),
                at=study.now,
                profile="laptop",
                config=config,
                config_hash=config_hash(config),
                snapshot=snapshot,
                **start,
            ),
        )

    def say(self, name: str, record: Record, file: str = layout.LEDGER) -> None:
        """Append a line to one of the files of lines."""
        if file not in self._appenders:
            above, _, last = f"{self.path}/{file}".rpartition("/")
            with self.study.root.make(above, _DIRECTORY) as directory:
                self._appenders[file] = Appender(directory, last, _FILE)
        self._appenders[file].append(join_line(name, record.to_json()))
        self._written[file] = self.study.now

    def put(self, path: str, data: bytes) -> tuple[str, int]:
        """Create a file; its digest and size."""
        self._written[path] = self.study.now
        return self.study.put(f"{self.path}/{path}", data), len(data)

    def asset(self, asset: Asset) -> Asset:
        """Take an asset down in the ledger."""
        self.say("asset", asset)
        return asset

    def metric(self, key: str, value: float, step: int) -> None:
        """Record a value of a metric."""
        metric = Metric.make(at=self.study.now, key=key, value=value, step=step)
        self._metrics.append(metric)
        self.say("metric", metric, layout.METRICS)

    def message(self, level: str, text: str) -> None:
        """Record a log record."""
        message = Message.make(at=self.study.now, level=level, logger="gap_model", text=text)
        if level == "WARNING":
            self._messages.append(message)
        self.say("message", message, layout.RECORDS)

    def end(self, status: ExecutionState, **more: object) -> None:
        """Close the execution."""
        for appender in self._appenders.values():
            appender.close()
        data = End.make(
            format=1,
            uid=self.uid,
            status=status,
            ended_at=self.study.later(1),
            ended_by=self.owner,
            metrics=dict(_summaries(self._metrics)),
            messages=tuple(self._messages),
            manifest=self._manifest(),
            **more,
        )
        self.study.put(f"{self.path}/{layout.END}", data.to_json())

    def _manifest(self) -> tuple[FileEntry, ...]:
        with self.study.root.enter(self.path) as directory:
            return in_order(
                hash_file(directory, path).evolve(mtime_ns=int(at.timestamp()) * 10**9)
                for path, at in self._written.items()
            )


def _summaries(metrics: list[Metric]) -> Iterator[tuple[str, MetricSummary]]:
    for key in sorted({metric.key for metric in metrics}):
        values = [metric.value for metric in metrics if metric.key == key]
        numbers = [value for value in values if not math.isnan(value)]
        yield (
            key,
            MetricSummary.make(
                first=values[0],
                last=values[-1],
                min=min(numbers),
                max=max(numbers),
                count=len(values),
            ),
        )
