"""Rows into the tables of a database: of a few scopes, or of very many."""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Sequence
from itertools import chain

from molexp.catalog import register
from molexp.catalog.engine import Connection, listed, quoted
from molexp.rows.gather import Gathered
from molexp.rows.tables import Table, tables

Rows = Sequence[tuple[object, ...]]

TOGETHER = 2000
"""How many scopes are loaded at once."""

# Fewer rows go along with the call that inserts them, more by way of a file that has no name.
_FEW = 500
_FEWER = 20


def make_tables(connection: Connection, target: str) -> None:
    """Make all tables, empty, in a database or schema."""
    for table in tables().values():
        connection.execute(f"CREATE TABLE {target}.{table.name} ({_columns(table)})")
    connection.execute(f"CREATE TABLE {target}.ids (hash UBIGINT, scope INTEGER, name VARCHAR)")
    register.make(connection, target)


def drop(connection: Connection, target: str, scopes: Sequence[int]) -> None:
    """Take away all rows of some scopes."""
    if scopes:
        for name in (*tables(), "ids"):
            connection.execute(f"DELETE FROM {target}.{name} WHERE scope IN ({listed(scopes)})")


class Loader:
    """Fills the tables of ``target``: scopes are added one by one, and all are there at the end.

    What lies in another order than that of the scopes is put into it at the end of a new database.
    """

    def __init__(self, connection: Connection, target: str, *, is_new: bool = False) -> None:
        self.count = 0
        self._connection = connection
        self._target = target
        self._waiting: list[tuple[Gathered, bool]] = []
        self._scopes: list[int] = []
        self._sorted: dict[str, Table] = {}
        self._is_new = is_new
        if is_new:
            make_tables(connection, target)
            for table in tables().values():
                if table.order != ("scope",):
                    name = f"unsorted_{table.name}"
                    connection.execute(f"CREATE OR REPLACE TEMP TABLE {name} ({_columns(table)})")
                    self._sorted[name] = table

    def add(self, found: Gathered, *, is_sure: bool) -> None:
        """Add one scope; unless ``is_sure``, it may have changed again since it was read."""
        self._waiting.append((found, is_sure))
        self.count += 1
        if len(self._waiting) == TOGETHER and self._is_new:
            self._load()

    def finish(self) -> None:
        """Let all be there, each table in its order."""
        self._load()
        for name, table in self._sorted.items():
            order = ", ".join(map(quoted, table.order))
            self._connection.execute(
                f"INSERT INTO {self._target}.{table.name} FROM {name} ORDER BY {order}"
            )
            self._connection.execute(f"DROP TABLE {name}")
        if self._is_new or self._scopes:
            self._index()

    def _load(self) -> None:
        some = [found for found, _ in self._waiting]
        for table in tables().values():
            rows = list(chain.from_iterable(map(table.reader, some)))
            unsorted = f"unsorted_{table.name}"
            where = unsorted if unsorted in self._sorted else f"{self._target}.{table.name}"
            if rows:
                _insert(self._connection, where, table, rows)
        register.enter(
            self._connection,
            self._target,
            (
                (
                    found.scope,
                    found.address,
                    found.glance.signature if is_sure else None,
                    bool(found.unended),
                )
                for found, is_sure in self._waiting
            ),
        )
        self._scopes += [found.scope for found in some]
        self._waiting.clear()

    def _index(self) -> None:
        """Note where each identity is: among texts that begin alike none is found quickly."""
        some = "" if self._is_new else f" AND scope IN ({listed(self._scopes)})"
        each = " UNION ALL ".join(
            f"SELECT md5_number_lower({table.uid}) AS hash, scope, '{table.name}'"
            f" FROM {self._target}.{table.name} WHERE {table.uid} IS NOT NULL{some}"
            for table in tables().values()
            if table.uid is not None
        )
        self._connection.execute(
            f"INSERT INTO {self._target}.ids SELECT * FROM ({each}) ORDER BY hash"
        )


def _columns(table: Table) -> str:
    return ", ".join(f"{quoted(name)} {kind}" for name, kind in table.columns.items())


def _insert(connection: Connection, target: str, table: Table, rows: Rows) -> None:
    import _duckdb

    if len(rows) <= _FEW:
        _insert_few(connection, target, table, rows)
        return
    try:
        _insert_many(connection, target, table, rows)
    except _duckdb.OutOfMemoryException:  # some texts are so long that it takes them one by one
        for begin in range(0, len(rows), _FEWER):
            _insert_few(connection, target, table, rows[begin : begin + _FEWER])


def _insert_few(connection: Connection, target: str, table: Table, rows: Rows) -> None:
    """Hand rows over with the call."""
    kinds = ((name, _taken(kind)) for name, kind in table.columns.items())
    each = ", ".join(
        f"unnest(${number}::{kind}[]) AS {quoted(name)}"
        for number, (name, kind) in enumerate(kinds, 1)
    )
    columns = [list(column) for column in zip(*rows, strict=True)]
    connection.execute(
        f"INSERT INTO {target} SELECT {_values(table)} FROM (SELECT {each})", columns
    )


def _insert_many(connection: Connection, target: str, table: Table, rows: Rows) -> None:
    """Hand rows over in a file."""
    kinds = ", ".join(f"'{name}': '{_taken(kind)}'" for name, kind in table.columns.items())
    with tempfile.TemporaryFile("w+", encoding="utf-8", newline="") as file:
        # Every text in quotes: by itself, only what ends a line here would be.
        csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC).writerows(rows)
        file.flush()
        connection.execute(
            f"INSERT INTO {target} SELECT {_values(table)} FROM"
            f" read_csv('/dev/fd/{file.fileno()}', header = false, auto_detect = false,"
            " delim = ',', quote = '\"', escape = '\"', new_line = '\\n',"
            f" max_line_size = {1 << 26}, columns = {{{kinds}}})"
        )


def _values(table: Table) -> str:
    return ", ".join(_value(name, kind) for name, kind in table.columns.items())


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
