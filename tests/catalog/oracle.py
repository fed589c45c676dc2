"""What the tables of a catalog have to say, read from the files by the records of the model.

Nothing here comes from the rooms on trial but the names of the tables: who reads with a second pair
of eyes finds what one pair does not see.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from hashlib import md5
from math import isnan, nan
from pathlib import Path
from typing import Any

from molexp.disk import layout
from molexp.disk.beneath import Directory
from molexp.disk.ledger import Entry, LineReader, entries
from molexp.errors import MolexpError, NotFoundError
from molexp.lifecycle.survey import ExecutionSurvey, ScopeSurvey, survey
from molexp.model.asset import Asset, ExecutionStateAsset
from molexp.model.execution import Input, Message, Metric
from molexp.model.record import Edit, Record

Row = tuple[Any, ...]
Dump = dict[str, list[Row]]
"""The rows of each table in one order; each begins with the address of its scope."""

Judge = Callable[[ExecutionSurvey, float], str | None]
"""The state of an execution without an end, given the time of its ledger; None if as it says."""

TABLES = (
    "projects",
    "experiments",
    "runs",
    "executions",
    "assets",
    "inputs",
    "metrics",
    "messages",
    "tags",
    "edits",
    "params",
)
_COLUMNS_OF_META = frozenset(
    ["format", "kind", "uid", "name", "created_at", "description", "notes", "tags", "labels"]
)
_COLUMNS_OF_ASSETS = frozenset(
    [
        *("format", "kind", "asset_id", "name", "created_at", "version", "path", "size", "mime"),
        *("content_hash", "producer", "tags", "meta"),
    ]
)
MAX_MESSAGES = 1000


def plain(value: Any) -> Any:
    """A cell as it is compared: a time without its zone, a float by its digits."""
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC).replace(tzinfo=None)
    return repr(value) if isinstance(value, float) else value


def spelt(value: Any) -> str:
    """JSON in one spelling."""
    return json.dumps(value, sort_keys=True)


def ordered(rows: Iterable[Row]) -> list[Row]:
    """Rows in one order, whatever is in them."""
    return sorted((tuple(map(plain, row)) for row in rows), key=repr)


def expected(
    path: Path, judge: Judge | None = None, problems: list[MolexpError] | None = None
) -> Dump:
    """All rows that the files of a workspace make."""
    found: dict[str, list[Row]] = {name: [] for name in TABLES}
    with closing(Directory.open(path)) as root:
        for scope in survey(root, [] if problems is None else problems):
            with root.enter(layout.scope_path(scope.address)) as directory:
                for table, row in _Reader(scope, directory, judge).rows():
                    found[table].append((str(scope.address), *row))
    return {name: ordered(rows) for name, rows in found.items()}


def expected_ids(dump: Dump) -> list[Row]:
    """Where each identity is to be found, given all other rows."""
    column = {"projects": 3, "experiments": 4, "runs": 5, "executions": 2, "assets": 2}
    return ordered(
        (
            row[0],
            int.from_bytes(md5(row[at].encode(), usedforsecurity=False).digest()[8:], "little"),
            name,
        )
        for name, at in column.items()
        for row in dump[name]
        if row[at] is not None
    )


def document(record: Record) -> dict[str, Any]:
    """A record as JSON has it."""
    said: dict[str, Any] = json.loads(record.to_json())
    return said


class _Reader:
    """One scope, and the rows that it makes."""

    def __init__(self, scope: ScopeSurvey, directory: Directory, judge: Judge | None) -> None:
        self.scope, self.directory, self.judge = scope, directory, judge
        self.meta = document(scope.meta)
        self.made = [_Made(each, directory) for each in scope.executions if each.start is not None]

    def rows(self) -> Iterator[tuple[str, Row]]:
        """Each row, with the table that it belongs to."""
        yield from self._of_scope()
        yield from self._of_data()
        for each in self.made:
            yield from self._of_execution(each)

    def _of_scope(self) -> Iterator[tuple[str, Row]]:
        meta, address = self.meta, self.scope.address
        place = (str(address), *address)
        if len(address) == 1:
            yield "projects", (*place, *self._said(), self._more())
        elif len(address) == 2:
            workflow = meta.get("workflow", {})
            told = [workflow.get(name) or None for name in ("path", "type", "git_commit")]
            more = self._more("params", "n_replicas")
            given = spelt(meta.get("params", {}))
            yield "experiments", (*place, *self._said(), given, *told, meta["n_replicas"], more)
        elif len(address) == 3:
            yield "runs", (*place, *self._said(), *self._of_run())
            yield from (("params", row) for row in params("", meta.get("parameters", {})))
        for name, is_label in (("tags", False), ("labels", True)):
            for key, value in meta.get(name, {}).items():
                yield "tags", (None, None, is_label, key, _flat(value))
        changes = sorted(edits(self.directory), key=lambda edit: (edit.at, edit.writer))
        for number, edit in enumerate(changes, 1):
            patch, reason = spelt(edit.patch), edit.reason or None
            yield "edits", (number, edit.at, edit.writer, edit.by, patch, reason)

    def _said(self) -> Row:
        record = self.scope.meta
        said = (record.uid, record.name, record.created_at, record.description, record.notes)
        return (*said, spelt(self.meta["tags"]), spelt(self.meta["labels"]))

    def _more(self, *columns: str) -> str:
        known = _COLUMNS_OF_META | {*columns}
        return spelt(
            {k: v for k, v in self.meta.items() if k not in known and v not in ("", {}, [])}
        )

    def _of_run(self) -> Row:
        newest = self.made[-1] if self.made else None
        start = newest.execution.start if newest else None
        end = newest.execution.end if newest else None
        error = end.error if end is not None else None
        return (
            spelt(self.meta.get("parameters", {})),
            self.meta.get("replica"),
            "pending" if newest is None else self._status(newest),
            len(self.made),
            start.at if start is not None else None,
            end.ended_at if end is not None else None,
            error.type or None if error is not None else None,
            error.message or None if error is not None else None,
            self._more("parameters", "replica"),
        )

    def _status(self, made: _Made) -> str:
        said = None
        if made.execution.end is None and self.judge is not None:
            said = self.judge(made.execution, made.beat)
        return said or str(made.execution.status)

    def _of_data(self) -> Iterator[tuple[str, Row]]:
        for each in self.scope.data:
            within = f"{layout.DATA}/{_directory_of(self.directory, each)}/v{each.version}"
            yield "assets", (None, *_asset(each, within, late=False))
            for key, value in each.tags.items():
                yield "tags", (None, each.asset_id, False, key, _flat(value))

    def _of_execution(self, made: _Made) -> Iterator[tuple[str, Row]]:
        number = made.execution.number
        within = layout.execution_name(number)
        yield "executions", (number, *self._attempt(made))
        for asset in made.execution.assets:
            late = made.late.get(asset.asset_id, False)
            yield "assets", (number, *_asset(asset, within, late=late))
            for key, value in asset.tags.items():
                yield "tags", (number, asset.asset_id, False, key, _flat(value))
        start = made.execution.start
        if start and not any(isinstance(e, ExecutionStateAsset) for e in made.execution.assets):
            state = ExecutionStateAsset(asset_id=start.uid, name=within, created_at=start.at)
            yield "assets", (number, *_asset(state, within, late=False))
        for count, (used, is_late) in enumerate(made.inputs, 1):
            yield "inputs", (number, count, *_input(used), is_late)
        for key, summary in made.metrics().items():
            yield "metrics", (number, key, *summary)
        for count, each in enumerate(made.messages(), 1):
            yield "messages", (number, count, each.at, each.level, each.logger, each.text)

    def _attempt(self, made: _Made) -> Row:
        start, end = made.execution.start, made.execution.end
        assert start is not None
        error = end.error if end is not None else None
        return (
            start.uid,
            self._status(made),
            start.at,
            end.ended_at if end is not None else None,
            start.owner.host or None,
            start.owner.pid,
            start.durability,
            start.profile or None,
            spelt(document(start).get("config", {})),
            start.config_hash,
            start.snapshot.code.commit if start.snapshot.code is not None else None,
            start.resumed_from,
            start.resumed_step,
            end.last_step if end is not None else None,
            end.reason or None if end is not None else None,
            error.type or None if error is not None else None,
            error.message or None if error is not None else None,
            error.trace if error is not None else None,
        )


class _Made:
    """One execution, with what its records do not say in so many words."""

    def __init__(self, execution: ExecutionSurvey, run: Directory) -> None:
        self.execution = execution
        self.late: dict[str, bool] = {}
        self.inputs: list[tuple[Input, bool]] = []
        self._metrics: list[Metric] = []
        self._messages: list[Message] = []
        with run.enter(layout.execution_name(execution.number)) as place:
            self.beat = place.stat(layout.LEDGER).st_mtime
            self._read(place)

    def _read(self, place: Directory) -> None:
        end = self.execution.end
        sizes = {each.path: each.size for each in end.manifest} if end is not None else {}
        for name in _in_order(place, layout.LEDGER, layout.LEDGER_PREFIX):
            until = sizes.get(name, 0) if end is not None and name != layout.LEDGER else None
            for line in _entries(place, name):
                is_late = until is not None and line.offset >= until
                if isinstance(line.record, Asset):
                    self.late[line.record.asset_id] = is_late
                elif isinstance(line.record, Input):
                    self.inputs.append((line.record, is_late))
        if end is None:
            for name in _in_order(place, layout.METRICS, layout.METRICS_PREFIX):
                lines = _entries(place, name)
                self._metrics += [e.record for e in lines if isinstance(e.record, Metric)]
            for name in _in_order(place, layout.RECORDS, layout.RECORDS_PREFIX):
                lines = _entries(place, name)
                self._messages += [e.record for e in lines if isinstance(e.record, Message)]

    def metrics(self) -> dict[str, Row]:
        """What became of each metric."""
        end = self.execution.end
        if end is not None:
            return {k: (m.first, m.last, m.min, m.max, m.count) for k, m in end.metrics.items()}
        values: dict[str, list[float]] = {}
        for each in self._metrics:
            values.setdefault(each.key, []).append(each.value)
        return {key: _summary(some) for key, some in values.items()}

    def messages(self) -> list[Message]:
        """The first of those that warn."""
        end = self.execution.end
        if end is not None:
            return list(end.messages)
        warnings = [each for each in self._messages if _warns(each.level)]
        return sorted(warnings, key=lambda each: each.at)[:MAX_MESSAGES]


def _summary(values: list[float]) -> Row:
    numbers = [value for value in values if not isnan(value)]
    low, high = (min(numbers), max(numbers)) if numbers else (nan, nan)
    return (values[0], values[-1], low, high, len(values))


def _warns(level: str) -> bool:
    number = logging.getLevelName(level)
    return isinstance(number, int) and number >= logging.WARNING


def _in_order(place: Directory, own: str, prefix: str) -> list[str]:
    above, _, begin = prefix.rpartition("/")
    try:
        with place.enter(above) as inside:
            names = inside.names()
    except NotFoundError:
        return []
    path = f"{above}/" if above else ""
    own = own.rpartition("/")[2]
    there = [name for name in names if name == own]
    return [path + name for name in [*there, *(n for n in names if n.startswith(begin))]]


def _entries(place: Directory, name: str) -> list[Entry]:
    return list(entries(LineReader(place, name)))


def edits(directory: Directory) -> Iterator[Edit]:
    """All edits of the scope in a directory."""
    for name in directory.names():
        if name.startswith(layout.EDITS_PREFIX):
            for line in _entries(directory, name):
                if isinstance(line.record, Edit):
                    yield line.record


def params(above: str, values: dict[str, Any]) -> Iterator[Row]:
    """Parameters by their keys: of JSON, so that a text may stand for a number."""
    for name, value in values.items():
        key = f"{above}{name}"
        if isinstance(value, bool):
            yield (key, None, _flat(value), "flag")
        elif isinstance(value, int | float):
            is_exact = isinstance(value, float) or abs(value) <= 2**53
            yield (key, float(value), "" if is_exact else str(value), "number")
        elif value is None:
            yield (key, None, "", "null")
        elif isinstance(value, str):
            if value in ("NaN", "Infinity", "-Infinity"):
                yield (key, float(value), "", "number")
            else:
                spoken = value.lstrip("\\") in ("NaN", "Infinity", "-Infinity")
                yield (key, None, value[1:] if spoken else value, "text")
        else:
            spelt = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
            yield (key, None, spelt, "json")
            if isinstance(value, dict):
                yield from params(f"{key}.", value)


def _directory_of(scope: Directory, asset: Asset) -> str:
    """The directory in which a version of some data lies."""
    with scope.enter(layout.DATA) as data:
        for name in data.names():
            path = f"{name}/v{asset.version}/{layout.ASSET}"
            if data.exists(path):
                said = json.loads(data.read(path, 1 << 24))
                if said["asset_id"] == asset.asset_id:
                    return name
    raise AssertionError(f"{asset} is nowhere")


def _asset(asset: Asset, within: str, *, late: bool) -> Row:
    said = document(asset)
    producer = said.get("producer") or {}
    rest = {k: v for k, v in said.items() if k not in _COLUMNS_OF_ASSETS and v not in ("", {}, [])}
    return (
        asset.asset_id,
        asset.kind,
        asset.name,
        asset.version,
        f"{within}/{asset.path}" if asset.path is not None else None,
        asset.size,
        asset.mime or None,
        asset.content_hash,
        asset.created_at,
        producer.get("task") or None,
        spelt(producer),
        spelt(said.get("tags", {})),
        spelt(said.get("meta", {})),
        late,
        spelt(rest),
    )


def _input(used: Input) -> Row:
    value = document(used).get("value")
    said = None if value is None else spelt(value)
    rest = (used.path or None, used.content_hash, used.task or None)
    return (used.at, used.asset, used.name or None, said, *rest)


def _flat(value: str | bool) -> str:
    return value if isinstance(value, str) else str(value).lower()
