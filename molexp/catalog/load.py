"""Rows into tables: of a few scopes at once, or of very many."""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import TYPE_CHECKING

from molexp.catalog.engine import listed, quoted
from molexp.rows.gather import Gathered
from molexp.rows.tables import Table, tables

if TYPE_CHECKING:
    from molexp.catalog.engine import Connection

Rows = Sequence[tuple[object, ...]]

# Fewer rows go along with the call that inserts them, more by way of a file that has no name.
_FEW = 500

IDS = "ids"
"""Where each identity is: text is not found by its beginning, for many have the same."""


def make_tables(connection: Connection, target: str) -> None:
    """Make all tables, empty, in a database or schema."""
    for table in tables().values():
        columns = ", ".join(f"{quoted(name)} {kind}" for name, kind in table.columns.items())
        connection.execute(f"CREATE TABLE {target}.{table.name} ({columns})")
    connection.execute(f"CREATE TABLE {target}.{IDS} (hash UBIGINT, scope INTEGER, name VARCHAR)")


def load(connection: Connection, target: str, scopes: Iterable[Gathered]) -> None:
    """Add the rows of scopes that have none there."""
    some = list(scopes)
    for table in tables().values():
        rows = list(chain.from_iterable(map(table.reader, some)))
        if rows:
            _insert(connection, f"{target}.{table.name}", table, rows)


def index(connection: Connection, target: str, scopes: Sequence[int] | None = None) -> None:
    """Note where the identities of some scopes are, or of all."""
    some = "" if scopes is None else f" WHERE scope IN ({listed(scopes)})"
    each = " UNION ALL ".join(
        f"SELECT md5_number_lower({table.uid}) AS hash, scope, '{table.name}'"
        f" FROM {target}.{table.name}{some}"
        for table in tables().values()
        if table.uid is not None
    )
    connection.execute(f"INSERT INTO {target}.{IDS} SELECT * FROM ({each}) ORDER BY hash")


def drop(connection: Connection, target: str, scopes: Sequence[int]) -> None:
    """Take away all rows of some scopes."""
    if scopes:
        for name in (*tables(), IDS):
            connection.execute(f"DELETE FROM {target}.{name} WHERE scope IN ({listed(scopes)})")


def _insert(connection: Connection, target: str, table: Table, rows: Rows) -> None:
    taken = {name: _taken(kind) for name, kind in table.columns.items()}
    values = ", ".join(_value(name, kind) for name, kind in table.columns.items())
    insert = f"INSERT INTO {target} SELECT {values} FROM"
    if len(rows) <= _FEW:
        each = ", ".join(
            f"unnest(${number}::{kind}[]) AS {quoted(name)}"
            for number, (name, kind) in enumerate(taken.items(), 1)
        )
        columns = [list(column) for column in zip(*rows, strict=True)]
        connection.execute(f"{insert} (SELECT {each})", columns)
        return
    kinds = ", ".join(f"'{name}': '{kind}'" for name, kind in taken.items())
    with tempfile.TemporaryFile("w+", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
        file.flush()
        connection.execute(
            f"{insert} read_csv('/dev/fd/{file.fileno()}', header = false, auto_detect = false,"
            " delim = ',', quote = '\"', escape = '\"', new_line = '\\n',"
            f" max_line_size = {1 << 26}, columns = {{{kinds}}})"
        )


def _taken(kind: str) -> str:
    """As what a value is handed over."""
    plain = kind.removesuffix(" NOT NULL")
    return "VARCHAR" if plain in ("TIMESTAMP", "JSON") else plain


def _value(name: str, kind: str) -> str:
    """How a value that was handed over becomes that of a column."""
    if kind == "VARCHAR NOT NULL":
        return f"coalesce({quoted(name)}, '')"  # a text of nothing is none on its way
    if kind == "VARCHAR":
        return f"nullif({quoted(name)}, '')"
    if kind == "TIMESTAMP":
        return f"CAST({quoted(name)} AS TIMESTAMP)"
    return quoted(name)
