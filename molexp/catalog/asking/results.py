"""Rows to the records of the model, as the files themselves would give them.

A row is spelt as a document, and its record reads that: what stands in it as JSON stays as it is.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import datetime
from os.path import join
from typing import Any, NamedTuple

from molexp.catalog.engine import some
from molexp.catalog.present import Present
from molexp.lifecycle.place import Place
from molexp.model.asset import Asset, parse_asset
from molexp.model.execution import FoundExecution
from molexp.model.record import Record
from molexp.model.scope import FoundExperiment, FoundProject, FoundRun, ScopeMeta
from molexp.rows.scopes import parts_of, path_of
from molexp.rows.tables import Table

Raw = tuple[Any, ...]
"""A row as the engine gives it: the columns of its table, the address and uid of its scope."""

_SCOPES: dict[str, type[ScopeMeta]] = {
    "projects": FoundProject,
    "experiments": FoundExperiment,
    "runs": FoundRun,
}
_RUN = ("status", "executions", "started_at", "ended_at", "error_type", "error_message")
_OF_SCOPES = ("address", "uid", "name", "created_at", "description", "notes", "tags", "labels")
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
    root: str, present: Present, table: Table, raw: Sequence[Raw]
) -> Sequence[Record] | None:
    """Rows as records; None if the model has no record for rows of this table."""
    if table.name == "assets":
        around = _Surroundings(root, present, table, raw)
        return [around.asset(each) for each in raw]
    if table.name in _SCOPES:
        kind = f'"format":1,"kind":"{table.name.removesuffix("s")}"'
        spell = _Spelling(table, _OF_KINDS[table.name])
        where = [*table.columns].index("address")
        read = _SCOPES[table.name].from_json
        return [read(spell(each, kind), each[where]) for each in raw]
    if table.name == "executions":
        number = [*table.columns].index("execution")
        spell = _Spelling(table, [name for name in table.columns if name not in _NOT_SAID])
        return [
            FoundExecution.from_json(
                spell(each, f'"address":{_text(each[-2])},"number":{each[number]}'),
                f"{each[-2]}, execution {each[number]}",
            )
            for each in raw
        ]
    return None


_NOT_SAID = ("scope", "execution")


class _Spelling:
    """How rows of a table are spelt: some of their columns, and what no column has."""

    def __init__(self, table: Table, names: Sequence[str]) -> None:
        at = {name: number for number, name in enumerate(table.columns)}
        self._members = [
            (f'"{name}":', at[name], _SPELT.get(table.columns[name].split()[0], json.dumps))
            for name in names
        ]
        self._more = at.get("more")

    def __call__(self, raw: Raw, *others: str) -> bytes:
        members = [
            name + spell(raw[at]) for name, at, spell in self._members if raw[at] is not None
        ]
        if self._more is not None:
            others = (*others, _inside(raw[self._more]))
        return f"{{{','.join(filter(None, (*others, *members)))}}}".encode()


def _as_it_is(text: str) -> str:
    return text


def _moment(value: datetime) -> str:
    return f'"{value.isoformat()}Z"'


_text: Callable[[str], str] = json.encoder.encode_basestring_ascii
_SPELT: dict[str, Callable[[Any], str]] = {
    "JSON": _as_it_is,
    "TIMESTAMP": _moment,
    "VARCHAR": _text,
}


def _inside(document: str) -> str:
    """The members of an object that stands as text, without the braces around them."""
    return document[1:-1]


class _At(NamedTuple):
    """Where in a row of assets something stands."""

    execution: int
    asset_id: int
    kind: int
    path: int
    producer: int
    more: int


class _Surroundings:
    """What assets need beyond their rows: where bytes lie, of what was published as well."""

    def __init__(self, root: str, present: Present, table: Table, raw: Sequence[Raw]) -> None:
        self._root = root
        self._at = at = _At(*([*table.columns].index(name) for name in _At._fields))
        self._spell = _Spelling(table, _OF_ASSETS)
        self._directories: dict[str, str] = {}
        published = [
            json.loads(each[at.more])["refers_to"] for each in raw if _REFERS in each[at.more]
        ]
        self._published: dict[tuple[str, str, int], tuple[str, str]] = {}
        if published:
            uids = some(published)
            found = present.execute(
                "SELECT a.asset_id, r.uid, a.execution, r.address, a.path"
                " FROM assets AS a JOIN scopes AS r ON r.scope = a.scope"
                " WHERE a.path IS NOT NULL AND a.execution IS NOT NULL"
                f" AND a.asset_id IN {uids} AND a.scope IN (SELECT scope FROM ids WHERE hash IN"
                f" (SELECT md5_number_lower(uid) FROM {uids} AS t (uid)))"
            )
            self._published = {tuple(key): (at, path) for *key, at, path in found.fetchall()}

    def asset(self, raw: Raw) -> Asset:
        """The asset of a row, as the class of its kind, which knows where its bytes are."""
        at = self._at
        execution, path, address, run = raw[at.execution], raw[at.path], *raw[-2:]
        producer = [_inside(raw[at.producer])]
        others = ['"format":1' if raw[at.kind] == "data" else ""]
        if execution is not None:
            producer.append(f'"execution":{execution}')
            if run is not None:
                producer.append(f'"run":"{run}"')
        if any(producer):
            others.append(f'"producer":{{{",".join(filter(None, producer))}}}')
        if path is not None:  # a record says it from its own directory, not from its scope
            others.append(f'"path":{_text(path.split("/", 3 if execution is None else 1)[-1])}')
        asset = parse_asset(self._spell(raw, *others), f"the asset {raw[at.asset_id]}")
        return asset.placed(self._place(raw, address, path))

    def _place(self, raw: Raw, address: str, path: str | None) -> Place:
        at = self._at
        elsewhere = None
        if _REFERS in raw[at.more]:
            producer = json.loads(raw[at.producer])
            referred = json.loads(raw[at.more])["refers_to"]
            there = self._published.get((referred, producer.get("run"), producer.get("execution")))
            if there is not None:
                return Place(self._directory(there[0]), address, there[1])
        elif raw[at.execution] is None and path is None:
            elsewhere = json.loads(raw[at.more]).get("origin")  # registered where it lies
        return Place(self._directory(address), address, path, elsewhere)

    def _directory(self, address: str) -> str:
        if address not in self._directories:
            self._directories[address] = join(self._root, path_of(parts_of(address)))
        return self._directories[address]


_REFERS = '"refers_to":'
