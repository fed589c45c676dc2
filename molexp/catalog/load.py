"""Rows into the tables of a database: of a few scopes, or of very many."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import IO, TYPE_CHECKING

from molexp.catalog import register
from molexp.catalog.engine import Connection, listed, quoted
from molexp.late import late
from molexp.rows.gather import Gathered
from molexp.rows.tables import Table, tables

if TYPE_CHECKING:
    import tempfile
else:
    tempfile = late("tempfile")

Row = tuple[object, ...]

TOGETHER = 10_000
"""How many scopes are loaded at once."""

# Fewer rows go along with the call that inserts them, more by way of a file that has no name.
_FEW = 500
_BETWEEN = "\x1f"  # in such a file, between the columns
_LONGEST = 1 << 20  # of its lines: the engine makes room for several of the longest at once
_FEWER = 20  # rows of which any may be very long, in one call


def make_tables(connection: Connection, target: str) -> None:
    """Make all tables, empty, in a database or schema."""
    for table in tables().values():
        connection.execute(f"CREATE TABLE {target}.{table.name} ({_columns(table)})")
    connection.execute(f"CREATE TABLE {target}.ids (hash UBIGINT, scope INTEGER, name VARCHAR)")
    register.make(connection, target)


def copy(connection: Connection, source: str, target: str) -> None:
    """Put all rows of one database into another one that is empty, each table in its order."""
    make_tables(connection, target)
    orders = {table.name: ", ".join(map(quoted, table.order)) for table in tables().values()}
    for name, order in (*orders.items(), ("ids", "hash"), ("scopes", "scope")):
        connection.execute(f"INSERT INTO {target}.{name} FROM {source}.{name} ORDER BY {order}")


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
        self._rows = [(table, _Rows(table.columns)) for table in tables().values()]
        self._entries = _Rows(register.COLUMNS)
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
        for table, rows in self._rows:
            rows.add(table.reader(found))
        signature = found.glance.signature if is_sure else None
        entry = register.entry(found.scope, found.address, signature, is_open=bool(found.unended))
        self._entries.add([entry])
        self._scopes.append(found.scope)
        self.count += 1
        if self._is_new and self.count % TOGETHER == 0:
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
        for table, rows in self._rows:
            unsorted = f"unsorted_{table.name}"
            named = f"{self._target}.{table.name}"
            rows.insert(self._connection, unsorted if unsorted in self._sorted else named)
        self._entries.insert(self._connection, f"{self._target}.scopes")

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

    def __init__(self, columns: Mapping[str, str]) -> None:
        self._columns = columns
        self._few: list[Row] = []
        self._odd: list[Row] = []
        self._lines: list[str] = []
        self._file: IO[str] | None = None
        self._between = len(columns) - 1
        self._line = f"{_BETWEEN.join(['%s'] * len(columns))}\n"

    def add(self, rows: Iterable[Row]) -> None:
        """Take some rows."""
        self._few += rows
        if len(self._few) > _FEW:
            self._spell()

    def insert(self, connection: Connection, target: str) -> None:
        """Hand them all over."""
        columns = self._columns
        taken = {name: _taken(kind) for name, kind in columns.items()}
        values = ", ".join(_value(name, kind) for name, kind in columns.items())
        insert = f"INSERT INTO {target} SELECT {values} FROM"
        if self._file is not None:
            self._spell()
            self._write()
            self._file.flush()
            kinds = ", ".join(f"'{name}': '{kind}'" for name, kind in taken.items())
            connection.execute(
                f"{insert} read_csv('/dev/fd/{self._file.fileno()}', header = false,"
                f" auto_detect = false, delim = '{_BETWEEN}', quote = '', escape = '',"
                f" nullstr = 'None', new_line = '\\n', max_line_size = {_LONGEST * 4},"
                f" columns = {{{kinds}}})"
            )
            self._file.close()
            self._file = None
        each = ", ".join(
            f"unnest(${number}::{kind}[]) AS {quoted(name)}"
            for number, (name, kind) in enumerate(taken.items(), 1)
        )
        few = [self._few, *(self._odd[at : at + _FEWER] for at in range(0, len(self._odd), _FEWER))]
        for some in filter(None, few):
            rows = [
                _handed_over(column, kind)
                for column, kind in zip(zip(*some, strict=True), taken.values(), strict=True)
            ]
            connection.execute(f"{insert} (SELECT {each})", rows)
        self._few, self._odd = [], []

    def _spell(self) -> None:
        """Spell the rows as lines, but those in which a text would be taken for something else."""
        lines = self._lines
        for row in self._few:
            line = self._line % row
            is_plain = line.count(_BETWEEN) == self._between and line.find("\n") == len(line) - 1
            is_plain = is_plain and "\r" not in line and "\0" not in line
            if is_plain and len(line) < _LONGEST and "None" not in row:
                lines.append(line)
            else:
                self._odd.append(row)
        if self._file is None:
            self._file = _nameless()
        self._few = []
        self._write()

    def _write(self) -> None:
        if self._file is not None:
            self._file.write("".join(self._lines))
        self._lines.clear()


def _nameless() -> IO[str]:
    """A file that nobody else can open, and that is gone with its descriptor."""
    return tempfile.TemporaryFile("w+", encoding="utf-8", newline="")


def _handed_over(values: tuple[object, ...], kind: str) -> list[object]:
    """In a list, the engine's older releases take what is not a number for nothing at all."""
    if kind == "DOUBLE":
        return ["nan" if each != each else each for each in values]
    return list(values)


def _taken(kind: str) -> str:
    """As what a value is handed over."""
    plain = kind.removesuffix(" NOT NULL")
    return "VARCHAR" if plain in ("TIMESTAMP", "JSON") else plain


def _value(name: str, kind: str) -> str:
    """How a value that was handed over becomes that of a column."""
    return f"CAST({quoted(name)} AS TIMESTAMP)" if kind == "TIMESTAMP" else quoted(name)
