"""Rows into the tables of a database: of a few scopes, or of very many."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import isfinite
from typing import IO, TYPE_CHECKING, Any

from molexp.catalog import register
from molexp.catalog.engine import Connection, literal, quoted, some
from molexp.late import late
from molexp.rows.tables import Table, tables

if TYPE_CHECKING:
    import hashlib
    import tempfile

    from msgspec import json

    from molexp.rows.gather import Gathered
else:
    hashlib = late("hashlib")
    tempfile = late("tempfile")
    json = late("msgspec.json")

Row = tuple[object, ...]

TOGETHER = 10_000
"""How many scopes are loaded at once."""

IDS = {"hash": "UBIGINT", "scope": "INTEGER", "name": "VARCHAR"}
"""The columns of the table that says where each identity is."""

# A few rows stand in the statement that inserts them, more in a file that has no name.
_FEW = 20
_MANY = 500
_LONGEST = 1 << 20  # of its lines: the engine makes room for several of the longest at once
_ASIDE = "temp"  # where rows wait for their order
_STATEMENT = 1 << 22  # characters of rows, about, in one statement


def make_tables(connection: Connection, target: str) -> None:
    """Make all tables, empty, in a database or schema."""
    for table in tables().values():
        make_table(connection, target, table.name, table.columns)
    make_table(connection, target, "ids", IDS)
    make_table(connection, target, "scopes", register.COLUMNS)


def make_table(connection: Connection, target: str, name: str, columns: Mapping[str, str]) -> None:
    """Make one table, empty."""
    each = ", ".join(f"{quoted(column)} {kind}" for column, kind in columns.items())
    kind = "TEMP TABLE" if target == _ASIDE else "TABLE"
    connection.execute(f"CREATE {kind} {target}.{name} ({each})")


def copy(connection: Connection, source: str, target: str) -> None:
    """Put all rows of one database into another one that is empty, each table in its order."""
    make_tables(connection, target)
    for table in tables().values():
        _copy_table(connection, source, target, table.name, table.order)
    _copy_table(connection, source, target, "ids", ["hash"])
    _copy_table(connection, source, target, "scopes", ["scope"])


def _copy_table(
    connection: Connection, source: str, target: str, name: str, order: Sequence[str]
) -> None:
    keys = ", ".join(map(quoted, order))
    connection.execute(f"INSERT INTO {target}.{name} FROM {source}.{name} ORDER BY {keys}")


def drop(connection: Connection, target: str, scopes: Sequence[int]) -> None:
    """Take away all rows of some scopes, and forget them."""
    if scopes:
        connection.execute(
            f"CREATE OR REPLACE TEMP TABLE stale AS FROM {some(scopes)} AS t (scope)"
        )
        for name in (*tables(), "ids", "scopes"):
            connection.execute(f"DELETE FROM {target}.{name} WHERE scope IN (FROM stale)")


class Loader:
    """Fills the tables of ``target``: scopes are added one by one, and all are there at the end.

    What lies in another order than that of the scopes is put into it at the end of a new database.
    """

    def __init__(self, connection: Connection, target: str, *, is_new: bool = False) -> None:
        self.count = 0
        self._connection = connection
        self._target = target
        self._rows = [(table, Rows(table.columns)) for table in tables().values()]
        self._entries = Rows(register.COLUMNS)
        self._added: list[int] = []
        self._unsorted: list[Table] = []
        self._is_new = is_new
        if is_new:
            make_tables(connection, target)
            self._unsorted = [each for each in tables().values() if each.order != ("scope",)]
            for table in self._unsorted:
                make_table(connection, _ASIDE, table.name, table.columns)

    def add(self, found: Gathered, *, is_sure: bool) -> None:
        """Add one scope; unless ``is_sure``, it may have changed again since it was read."""
        for table, rows in self._rows:
            rows.add(table.reader(found))
        if not self._is_new:
            self._added.append(found.scope)
        self._entries.add([register.entry(found, is_sure=is_sure)])
        self.count += 1
        if self._is_new and self.count % TOGETHER == 0:
            self._load()

    def finish(self) -> None:
        """Let all be there, each table in its order."""
        self._load()
        for table in self._unsorted:
            _copy_table(self._connection, _ASIDE, self._target, table.name, table.order)
            self._connection.execute(f"DROP TABLE {_ASIDE}.{table.name}")
        if self._is_new or self._added:
            self._index()

    def _load(self) -> None:
        for table, rows in self._rows:
            target = _ASIDE if table in self._unsorted else self._target
            rows.insert(self._connection, f"{target}.{table.name}")
        self._entries.insert(self._connection, f"{self._target}.scopes")

    def _index(self) -> None:
        """Note where each identity is: the same as ``ids_in`` says, of all at once."""
        if self._is_new:
            added = ""
        else:
            added = "SEMI JOIN added USING (scope)"
            self._connection.execute(
                f"CREATE OR REPLACE TEMP TABLE added AS FROM {some(self._added)} AS t (scope)"
            )
        each = " UNION ALL ".join(
            f"SELECT md5_number_lower({table.uid}) AS hash, scope, '{table.name}'"
            f" FROM {self._target}.{table.name} {added} WHERE {table.uid} IS NOT NULL"
            for table in tables().values()
            if table.uid is not None
        )
        self._connection.execute(
            f"INSERT INTO {self._target}.ids SELECT * FROM ({each}) ORDER BY hash"
        )


def ids_in(table: Table, rows: Iterable[Row]) -> Iterator[tuple[int, int, str]]:
    """Where each identity is, by a hash of it: among texts that begin alike none is found soon."""
    if table.uid is not None:
        at = [*table.columns].index(table.uid)
        for row in rows:
            scope: Any = row[0]
            uid: Any = row[at]
            if uid is not None:
                yield hash_of(uid), scope, table.name


def hash_of(uid: str) -> int:
    """As the engine's ``md5_number_lower`` says it."""
    return int.from_bytes(hashlib.md5(uid.encode(), usedforsecurity=False).digest()[8:], "little")


class Rows:
    """Rows of one table on their way into it."""

    def __init__(self, columns: Mapping[str, str]) -> None:
        self._columns = columns
        self._few: list[Row] = []
        self._odd: list[Row] = []
        self._file: IO[bytes] | None = None
        self._numbers = [at for at, kind in enumerate(columns.values()) if kind == "DOUBLE"]

    def add(self, rows: Iterable[Row]) -> None:
        """Take some rows."""
        self._few += rows
        if len(self._few) > _MANY:
            self._spell()

    def insert(self, connection: Connection, target: str) -> None:
        """Hand them all over."""
        if self._file is not None or len(self._few) > _FEW:
            self._spell()
        if self._file is not None:
            self._file.flush()
            columns = self._columns
            values = ", ".join(_value(name, kind) for name, kind in columns.items())
            kinds = ", ".join(f"'{name}': '{_taken(kind)}'" for name, kind in columns.items())
            connection.execute(
                f"INSERT INTO {target} SELECT {values}"
                f" FROM read_csv('/dev/fd/{self._file.fileno()}', header = false,"
                " auto_detect = false, delim = ',', quote = '\"', escape = '\\', nullstr = 'null',"
                f" allow_quoted_nulls = false, new_line = '\\n', max_line_size = {_LONGEST * 4},"
                f" columns = {{{kinds}}})"
            )
            self._file.close()
            self._file = None
        for values in _stated(self._few + self._odd):
            connection.execute(f"INSERT INTO {target} VALUES {values}")
        self._few, self._odd = [], []

    def _spell(self) -> None:
        """Spell the rows as lines, but those in which a text would be taken for something else."""
        if self._file is None:
            self._file = _nameless()
        together = self._lines(self._few)
        if together is not None:
            self._file.write(together)
        else:
            for row in self._few:
                line = self._lines([row])
                if line is not None:
                    self._file.write(line)
                else:
                    self._odd.append(row)
        self._few = []

    def _lines(self, rows: Sequence[Row]) -> bytes | None:
        """Rows as lines; None if one of them would not be read as it is.

        What is spelled is JSON, which the engine reads as its own kind of lines: the same quotes,
        of which a backslash takes the meaning, and of a backslash too, but of no other letter.
        """
        if not all(map(isfinite, self._numbers_in(rows))):
            return None
        text = json.Encoder().encode_lines(rows)
        if len(text) >= _LONGEST or b"\\" in text.replace(rb"\\", b"").replace(rb"\"", b""):
            return None
        return text[1:-2].replace(b"]\n[", b"\n") + b"\n"

    def _numbers_in(self, rows: Sequence[Row]) -> Iterator[float]:
        for at in self._numbers:
            for row in rows:
                value = row[at]
                if value is not None:
                    yield value  # type: ignore[misc]  # the column is one of numbers


def _nameless() -> IO[bytes]:
    """A file that nobody else can open, and that is gone with its descriptor."""
    return tempfile.TemporaryFile("w+b")


def _stated(rows: Iterable[Row]) -> Iterator[str]:
    """Rows as they stand in a statement, so many together that it is not too long."""
    spelt: list[str] = []
    size = 0
    for row in rows:
        each = ", ".join("NULL" if value is None else literal(str(value)) for value in row)
        if spelt and size + len(each) > _STATEMENT:
            yield ", ".join(spelt)
            spelt, size = [], 0
        spelt.append(f"({each})")
        size += len(each)
    if spelt:
        yield ", ".join(spelt)


def _taken(kind: str) -> str:
    """As what a value is handed over."""
    plain = kind.removesuffix(" NOT NULL")
    return "VARCHAR" if plain in ("TIMESTAMP", "JSON") else plain


def _value(name: str, kind: str) -> str:
    """How a value that was handed over becomes that of a column."""
    return f"CAST({quoted(name)} AS TIMESTAMP)" if kind == "TIMESTAMP" else quoted(name)
