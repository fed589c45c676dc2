"""The tables of the catalog, declared as data: columns, the reader that fills them, relations.

A reader is given one scope as its files tell it, and gives the rows that it makes. A later floor
adds tables of its own by :func:`register_table`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from molexp.errors import AlreadyExistsError, InvalidInputError
from molexp.rows import readers as rows

if TYPE_CHECKING:
    from molexp.rows.gather import Gathered

Reader = Callable[["Gathered"], Iterable[tuple[object, ...]]]


class Relation(NamedTuple):
    """The way from a row to the one row of another table: equal values in these columns."""

    table: str
    on: Mapping[str, str]


class Table(NamedTuple):
    """A table: its columns with their types in SQL, what reads its rows, and its relations.

    The first column is ``scope``, the number of the scope whose files say a row. ``key`` are the
    columns that tell its rows apart, in the order in which they are given out by themselves.
    """

    name: str
    columns: Mapping[str, str]
    reader: Reader
    key: tuple[str, ...]
    relations: Mapping[str, Relation] = MappingProxyType({})
    uid: str | None = None
    """The column of the identity by which ``get`` finds its rows."""
    order: tuple[str, ...] = ("scope",)
    """How its rows lie in a generation: by what is looked for most."""


_INTEGER, _BIGINT, _DOUBLE, _TIME = "INTEGER", "BIGINT", "DOUBLE", "TIMESTAMP"
_TEXT, _MAYBE, _JSON, _FLAG = "VARCHAR NOT NULL", "VARCHAR", "JSON", "BOOLEAN"

_OF_RUN = {"run": Relation("runs", {"scope": "scope"})}
_OF_ATTEMPT = {
    **_OF_RUN,
    "execution": Relation("executions", {"scope": "scope", "execution": "execution"}),
}
_SAID = {
    "uid": _TEXT,
    "name": _TEXT,
    "created_at": _TIME,
    "description": _TEXT,
    "notes": _TEXT,
    "tags": _JSON,
    "labels": _JSON,
}

_BUILT_IN = (
    Table(
        "projects",
        {"scope": _INTEGER, "address": _TEXT, "project": _TEXT, **_SAID, "more": _JSON},
        rows.projects,
        key=("address",),
        uid="uid",
    ),
    Table(
        "experiments",
        {
            "scope": _INTEGER,
            "address": _TEXT,
            "project": _TEXT,
            "experiment": _TEXT,
            **_SAID,
            "params": _JSON,
            "workflow": _MAYBE,
            "workflow_type": _MAYBE,
            "git_commit": _MAYBE,
            "n_replicas": _BIGINT,
            "more": _JSON,
        },
        rows.experiments,
        key=("address",),
        relations={"project": Relation("projects", {"project": "project"})},
        uid="uid",
    ),
    Table(
        "runs",
        {
            "scope": _INTEGER,
            "address": _TEXT,
            "project": _TEXT,
            "experiment": _TEXT,
            "id": _TEXT,
            **_SAID,
            "parameters": _JSON,
            "replica": _BIGINT,
            "status": _TEXT,
            "executions": _INTEGER,
            "started_at": _TIME,
            "ended_at": _TIME,
            "error_type": _MAYBE,
            "error_message": _MAYBE,
            "more": _JSON,
        },
        rows.runs,
        key=("address",),
        relations={
            "experiment": Relation(
                "experiments", {"project": "project", "experiment": "experiment"}
            ),
            "project": Relation("projects", {"project": "project"}),
        },
        uid="uid",
    ),
    Table(
        "executions",
        {
            "scope": _INTEGER,
            "execution": _INTEGER,
            "uid": _MAYBE,
            "status": _TEXT,
            "started_at": _TIME,
            "ended_at": _TIME,
            "host": _MAYBE,
            "pid": _BIGINT,
            "durability": _MAYBE,
            "profile": _MAYBE,
            "config": _JSON,
            "config_hash": _MAYBE,
            "git_commit": _MAYBE,
            "resumed_from": _MAYBE,
            "resumed_step": _BIGINT,
            "last_step": _BIGINT,
            "reason": _MAYBE,
            "error_type": _MAYBE,
            "error_message": _MAYBE,
            "error_trace": _MAYBE,
        },
        rows.executions,
        key=("scope", "execution"),
        relations=_OF_RUN,
        uid="uid",
    ),
    Table(
        "assets",
        {
            "scope": _INTEGER,
            "execution": _INTEGER,
            "asset_id": _TEXT,
            "kind": _TEXT,
            "name": _TEXT,
            "version": _BIGINT,
            "path": _MAYBE,
            "size": _BIGINT,
            "mime": _MAYBE,
            "content_hash": _MAYBE,
            "created_at": _TIME,
            "task": _MAYBE,
            "producer": _JSON,
            "tags": _JSON,
            "meta": _JSON,
            "late": _FLAG,
            "more": _JSON,
        },
        rows.assets,
        key=("scope", "execution", "created_at", "asset_id"),
        relations=_OF_ATTEMPT,
        uid="asset_id",
    ),
    Table(
        "inputs",
        {
            "scope": _INTEGER,
            "execution": _INTEGER,
            "number": _INTEGER,
            "time": _TIME,
            "asset": _MAYBE,
            "name": _MAYBE,
            "value": _JSON,
            "path": _MAYBE,
            "content_hash": _MAYBE,
            "task": _MAYBE,
            "late": _FLAG,
        },
        rows.inputs,
        key=("scope", "execution", "number"),
        relations={**_OF_ATTEMPT, "source": Relation("assets", {"asset": "asset_id"})},
    ),
    Table(
        "metrics",
        {
            "scope": _INTEGER,
            "execution": _INTEGER,
            "key": _TEXT,
            "first": _DOUBLE,
            "last": _DOUBLE,
            "min": _DOUBLE,
            "max": _DOUBLE,
            "count": _BIGINT,
        },
        rows.metrics,
        key=("scope", "execution", "key"),
        relations=_OF_ATTEMPT,
    ),
    Table(
        "messages",
        {
            "scope": _INTEGER,
            "execution": _INTEGER,
            "number": _INTEGER,
            "time": _TIME,
            "level": _TEXT,
            "logger": _TEXT,
            "text": _TEXT,
        },
        rows.messages,
        key=("scope", "execution", "number"),
        relations=_OF_ATTEMPT,
    ),
    Table(
        "tags",
        {
            "scope": _INTEGER,
            "execution": _INTEGER,
            "asset": _MAYBE,
            "is_label": _FLAG,
            "key": _TEXT,
            "value": _TEXT,
        },
        rows.tags,
        key=("scope", "execution", "asset", "is_label", "key"),
        relations=_OF_RUN,
    ),
    Table(
        "edits",
        {
            "scope": _INTEGER,
            "number": _INTEGER,
            "time": _TIME,
            "writer": _TEXT,
            "author": _TEXT,
            "patch": _JSON,
            "reason": _MAYBE,
        },
        rows.edits,
        key=("scope", "number"),
        relations=_OF_RUN,
    ),
    Table(
        "params",
        {"scope": _INTEGER, "key": _TEXT, "number": _DOUBLE, "text": _TEXT, "type": _TEXT},
        rows.params,
        key=("scope", "key"),
        relations=_OF_RUN,
        order=("key", "number", "text"),
    ),
)

_REGISTRY: dict[str, Table] = {table.name: table for table in _BUILT_IN}

BUILT_IN = frozenset(_REGISTRY)
"""The names of the tables that are there without anybody registering them."""


def tables() -> Mapping[str, Table]:
    """All tables, by name."""
    return dict(_REGISTRY)


def register_table(table: Table) -> Table:
    """Add a table, which every catalog that is opened from now on has.

    Raises AlreadyExistsError if another one has its name, and InvalidInputError.
    """
    if not table.name.isidentifier() or next(iter(table.columns), "") != "scope":
        raise InvalidInputError(
            f"{table.name!r} cannot be a table of the catalog",
            cure="give it a plain name, and `scope` as its first column",
            argument="table",
        )
    if _REGISTRY.setdefault(table.name, table) != table:
        raise AlreadyExistsError(
            f"there is another table called {table.name!r}",
            cure="choose another name",
            kind="table",
            key=table.name,
        )
    return table
