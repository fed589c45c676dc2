"""Rows into the tables of a database: of a few scopes, or of very many."""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Sequence
from typing import IO

from molexp.catalog import register
from molexp.catalog.engine import Connection, listed, quoted
from molexp.rows.gather import Gathered
from molexp.rows.scopes import Parts
from molexp.rows.tables import Table, tables

TOGETHER = 10_000
"""How many scopes are loaded at once."""

# Fewer rows go along with the call that inserts them, more by way of a file that has no name.
_FEW = 500


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
        self._rows = [_Rows(table) for table in tables().values()]
        self._entries: list[tuple[int, Parts, int | None, bool]] = []
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
        for rows in self._rows:
            rows.add(found)
        signature = found.glance.signature if is_sure else None
        self._entries.append((found.scope, found.address, signature, bool(found.unended)))
        self.count += 1
        if len(self._entries) == TOGETHER and self._is_new:
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
        for rows in self._rows:
            unsorted = f"unsorted_{rows.table.name}"
            named = f"{self._target}.{rows.table.name}"
            rows.insert(self._connection, unsorted if unsorted in self._sorted else named)
        register.enter(self._connection, self._target, self._entries)
        self._scopes += [scope for scope, *_ in self._entries]
        self._entries.clear()

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


class _Rows:
    """Rows of one table on their way into it."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self._few: list[tuple[object, ...]] = []
        self._many: IO[str] | None = None

    def add(self, found: Gathered) -> None:
        """Take the rows of one scope."""
        if self._many is None:
            self._few += self.table.reader(found)
            if len(self._few) > _FEW:
                self._many = tempfile.TemporaryFile("w+", encoding="utf-8", newline="")  # noqa: SIM115 - it is closed once it was handed over
                self._write = csv.writer(self._many, lineterminator="\n").writerows
                self._write(self._few)
                self._few.clear()
        else:
            self._write(self.table.reader(found))

    def insert(self, connection: Connection, target: str) -> None:
        """Hand them all over."""
        columns = self.table.columns
        taken = {name: _taken(kind) for name, kind in columns.items()}
        values = ", ".join(_value(name, kind) for name, kind in columns.items())
        insert = f"INSERT INTO {target} SELECT {values} FROM"
        if self._few:
            each = ", ".join(
                f"unnest(${number}::{kind}[]) AS {quoted(name)}"
                for number, (name, kind) in enumerate(taken.items(), 1)
            )
            rows = [list(column) for column in zip(*self._few, strict=True)]
            connection.execute(f"{insert} (SELECT {each})", rows)
            self._few.clear()
        if self._many is None:
            return
        kinds = ", ".join(f"'{name}': '{kind}'" for name, kind in taken.items())
        with self._many as file:
            file.flush()
            connection.execute(
                f"{insert} read_csv('/dev/fd/{file.fileno()}', header = false,"
                " auto_detect = false, delim = ',', quote = '\"', escape = '\"',"
                f" new_line = '\\n', max_line_size = {1 << 26}, columns = {{{kinds}}})"
            )
        self._many = None


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
