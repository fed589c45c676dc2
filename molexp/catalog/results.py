"""Rows to the records of the model, as the files themselves would give them."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from os.path import join
from typing import Any, TypeVar

from molexp.catalog.present import Present
from molexp.lifecycle.place import Place
from molexp.model.asset import Asset, parse_asset
from molexp.model.codec import encode
from molexp.model.execution import FoundExecution
from molexp.model.record import Record
from molexp.model.scope import FoundExperiment, FoundProject, FoundRun, ScopeMeta
from molexp.rows.scopes import path_of

Row = Mapping[str, Any]
Found = TypeVar("Found")

_SCOPES: dict[str, type[ScopeMeta]] = {
    "projects": FoundProject,
    "experiments": FoundExperiment,
    "runs": FoundRun,
}
_RUN = ("status", "executions", "started_at", "ended_at", "error_type", "error_message")
_OF_SCOPES = ("uid", "name", "created_at", "description", "notes", "tags", "labels")
_OF_KINDS = {
    "projects": _OF_SCOPES,
    "experiments": (*_OF_SCOPES, "params", "n_replicas"),
    "runs": (*_OF_SCOPES, "parameters", "replica", *_RUN),
}
_OF_ASSETS = (
    "asset_id",
    "kind",
    "name",
    "version",
    "size",
    "mime",
    "content_hash",
    "created_at",
    "tags",
    "meta",
)


def to_records(
    root: str, present: Present, table: str, rows: Sequence[Row], numbers: Collection[int]
) -> Sequence[Record | Row]:
    """Rows as records; those of tables that the model has no record for stay as they are.

    ``numbers`` are those of the rows' scopes.
    """
    if table == "assets":
        around = _Surroundings(root, present, rows, numbers)
        return [around.asset(row) for row in rows]
    if table in _SCOPES:
        return [_scope(table, row) for row in rows]
    return [_execution(row) for row in rows] if table == "executions" else rows


def _scope(table: str, row: Row) -> ScopeMeta:
    kind = {"format": 1, "kind": table.removesuffix("s"), "address": row["address"]}
    said = {name: _plain(row[name]) for name in _OF_KINDS[table] if row[name] is not None}
    return _read(_SCOPES[table].from_json, {**_plain(row["more"]), **said, **kind}, row["address"])


def _execution(row: Row) -> FoundExecution:
    said = {name: _plain(value) for name, value in row.items() if value is not None}
    said |= {"address": said.pop("scope"), "number": said.pop("execution")}
    return _read(FoundExecution.from_json, said, f"{row['scope']}, execution {row['execution']}")


class _Surroundings:
    """What assets need beyond their rows: the runs that made them, and where bytes lie."""

    def __init__(
        self, root: str, present: Present, rows: Sequence[Row], numbers: Collection[int]
    ) -> None:
        self._root = root
        made = {row["scope"] for row in rows if row["execution"] is not None}
        self._runs: dict[str, str] = {}
        if made:
            self._find_runs(present, "scope", "INTEGER", list(numbers))
        if made - self._runs.keys():  # numbers of another generation, as behind an older page
            self._find_runs(present, "address", "VARCHAR", list(made - self._runs.keys()))
        published = [row["more"]["refers_to"] for row in rows if "refers_to" in row["more"]]
        self._published: dict[tuple[str, str, int], tuple[str, str]] = {}
        if published:
            found = present.execute(
                "SELECT a.asset_id, r.uid, a.execution, r.address, a.path"
                " FROM assets AS a JOIN runs AS r ON r.scope = a.scope"
                " WHERE a.path IS NOT NULL AND a.execution IS NOT NULL"
                " AND a.asset_id IN (SELECT unnest(CAST($1 AS VARCHAR[])))"
                " AND a.scope IN (SELECT scope FROM ids WHERE hash IN"
                " (SELECT md5_number_lower(unnest(CAST($1 AS VARCHAR[])))))",
                [published],
            )
            self._published = {tuple(key): (at, path) for *key, at, path in found.fetchall()}

    def _find_runs(self, present: Present, column: str, kind: str, wanted: list[Any]) -> None:
        test = f"{column} = ?"
        if len(wanted) > 1:
            test = f"{column} IN (SELECT unnest(CAST(? AS {kind}[])))"
        given = wanted if len(wanted) > 1 else wanted[0]
        found = present.execute(f"SELECT address, uid FROM runs WHERE {test}", [given])
        self._runs |= dict(found.fetchall())

    def asset(self, row: Row) -> Asset:
        """The asset of a row, as the class of its kind, which knows where its bytes are."""
        said = {name: _plain(row[name]) for name in _OF_ASSETS if row[name] is not None}
        said = {**_plain(row["more"]), **said}
        producer = dict(row["producer"])
        if row["execution"] is not None:
            producer |= {"execution": row["execution"]}
            if row["scope"] in self._runs:
                producer["run"] = self._runs[row["scope"]]
        if producer:
            said["producer"] = producer
        if row["kind"] == "data":
            said["format"] = 1
        if row["path"] is not None:  # a record says it from its own directory, not from its scope
            said["path"] = row["path"].split("/", 3 if row["execution"] is None else 1)[-1]
        asset = _read(parse_asset, said, f"the asset {row['asset_id']}")
        return asset.placed(self._place(row))

    def _place(self, row: Row) -> Place:
        address, path, more = row["scope"], row["path"], row["more"]
        elsewhere = None
        if "refers_to" in more:
            producer = row["producer"]
            key = (more["refers_to"], producer.get("run"), producer.get("execution"))
            there = self._published.get(key)
            if there is not None:
                return Place(self._directory(there[0]), address, there[1])
        elif row["execution"] is None and path is None:
            elsewhere = more.get("origin")  # data that was registered where it lies
        return Place(self._directory(address), address, path, elsewhere)

    def _directory(self, address: str) -> str:
        return join(self._root, path_of(tuple(address.split("/")) if address else ()))


def _plain(value: Any) -> Any:
    """As JSON has it, from which records are read."""
    return f"{value.isoformat()}" if hasattr(value, "isoformat") else encode(value)


def _read(read: Callable[[bytes, str], Found], said: Row, where: str) -> Found:
    return read(json.dumps(said).encode(), where)
