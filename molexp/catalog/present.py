"""The tables as they are now: of a generation, and over it, in memory, of what changed since.

Of a table nothing is made before a statement names it: most ask for two or three of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from molexp.catalog import load, register
from molexp.catalog.engine import Connection, listed
from molexp.rows.tables import tables

if TYPE_CHECKING:
    from molexp.rows.gather import Gathered

Row = tuple[object, ...]

_OVER = "over"
_HIDDEN = {"scope": "INTEGER"}


class _Over:
    """One table: what of it is in memory."""

    def __init__(
        self, columns: Mapping[str, str], read: Callable[[Gathered], Iterable[Row]]
    ) -> None:
        self.columns = columns
        self.read = read
        self.is_made = False
        self.held: set[int] = set()
        """The scopes whose rows are in memory."""
        self.known = 0
        """How many of the changes were looked at."""
        self.shape: tuple[str, bool, bool] | None = None
        """What its view shows: the generation, whether some of it is hidden, what is in memory."""


class Present:
    """The tables of one connection under their names, brought up to date when they are asked."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._tables = {
            "ids": _Over(load.IDS, _ids),
            "scopes": _Over(register.COLUMNS, _entry),
            **{name: _Over(each.columns, each.reader) for name, each in tables().items()},
        }
        self._base = ""
        self._found: dict[int, Gathered] = {}
        self._changed: list[int] = []
        self._indexed = 0
        self._places: dict[int, set[tuple[str, int]]] = {}
        self._held: dict[int, list[int]] = {}
        self.hidden: set[int] = set()
        """The scopes of the generation whose rows are shown no more."""
        self._to_hide: list[int] = []
        self.is_whole = True
        """Whether nothing was broken off in the middle; else it is of no use any more."""
        connection.execute(f"CREATE SCHEMA {_OVER}")
        load.make_table(connection, _OVER, "hidden", _HIDDEN)

    def execute(self, statement: str, values: Sequence[object] | None = None) -> Connection:
        """What a statement finds, whatever tables it names."""
        for name in self._tables:
            if name in statement:
                self._show(name)
        return self.connection.execute(statement, values)

    def show_all(self) -> None:
        """Bring all tables up to date: from now on nothing more is done for what is asked."""
        for name in self._tables:
            self._show(name)

    def locate(self, uid: str) -> list[tuple[str, int]]:
        """In which tables and scopes an identity is."""
        hashed = load.hash_of(uid)
        self._index()
        found = {*self._places.get(hashed, ())}
        if self._base:
            sql = f"SELECT name, scope FROM {self._base}.ids WHERE hash = {hashed}::UBIGINT"
            rows = self.connection.execute(sql).fetchall()
            found.update((name, scope) for name, scope in rows if scope not in self.hidden)
        return sorted(found)

    def address_of(self, scope: int) -> str:
        """The address of a scope that is there."""
        if scope in self._found:
            return "/".join(self._found[scope].address)
        sql = f"SELECT address FROM {self._base}.scopes WHERE scope = {scope}"
        [(address,)] = self.connection.execute(sql).fetchall()
        return str(address)

    def settle_on(self, base: str | None) -> None:
        """Begin anew over another generation, by the name that it is attached under."""
        self._base = base or ""
        self._found, self._changed, self._indexed = {}, [], 0
        self._places, self._held = {}, {}
        for name, table in self._tables.items():
            table.known = 0
            if table.held:
                self.connection.execute(f"DELETE FROM {_OVER}.{name}")
                table.held = set()
        if self.hidden:
            self.connection.execute(f"DELETE FROM {_OVER}.hidden")
        self.hidden, self._to_hide = set(), []

    def put(self, found: Gathered) -> None:
        """Let the rows of a scope be those of what was read."""
        self._found[found.scope] = found
        self._changed.append(found.scope)

    def forget(self, scope: int) -> None:
        """Let a scope that is in memory have no rows any more."""
        self._found.pop(scope, None)
        self._changed.append(scope)

    def hide(self, scopes: Iterable[int]) -> None:
        """Let scopes of the generation have no rows any more."""
        new = {*scopes} - self.hidden
        self.hidden |= new
        self._to_hide += new

    def _index(self) -> None:
        """Note where the identities in memory are."""
        changed = {*self._changed[self._indexed :]}
        self._indexed = len(self._changed)
        for scope in changed:
            for hashed in self._held.pop(scope, ()):
                self._places[hashed] = {each for each in self._places[hashed] if each[1] != scope}
        for scope in changed & self._found.keys():
            for hashed, _, name in _ids(self._found[scope]):
                self._held.setdefault(scope, []).append(hashed)
                self._places.setdefault(hashed, set()).add((name, scope))

    def _show(self, name: str) -> None:
        self.is_whole = False
        table = self._tables[name]
        self._fill(name, table)
        if self._to_hide:
            rows = load.Rows(_HIDDEN)
            rows.add([(scope,) for scope in self._to_hide])
            rows.insert(self.connection, f"{_OVER}.hidden")
            self._to_hide = []
        shape = (self._base, bool(self.hidden), bool(table.held))
        if shape != table.shape:
            self._view(name, *shape)
            table.shape = shape
        self.is_whole = True

    def _fill(self, name: str, table: _Over) -> None:
        """Let the rows in memory be those of the scopes that changed."""
        changed = {*self._changed[table.known :]}
        table.known = len(self._changed)
        stale = changed & table.held
        if stale:
            where = f"WHERE scope IN ({listed(sorted(stale))})"
            self.connection.execute(f"DELETE FROM {_OVER}.{name} {where}")
            table.held -= stale
        rows = load.Rows(table.columns)
        for scope in sorted(changed & self._found.keys()):
            made = [*table.read(self._found[scope])]
            if made:
                rows.add(made)
                table.held.add(scope)
        if not table.is_made and (table.held or not self._base):
            load.make_table(self.connection, _OVER, name, table.columns)
            table.is_made = True
        rows.insert(self.connection, f"{_OVER}.{name}")

    def _view(self, name: str, base: str, hides: bool, holds: bool) -> None:
        """Make the view: of as little as there is, for the engine plans with all of it."""
        shown = []
        if base:
            without = f" ANTI JOIN {_OVER}.hidden USING (scope)" if hides else ""
            shown.append(f"SELECT * FROM {base}.{name}{without}")
        if holds or not base:
            shown.append(f"SELECT * FROM {_OVER}.{name}")
        both = " UNION ALL ".join(shown)
        self.connection.execute(f"CREATE OR REPLACE VIEW {name} AS {both}")


def _entry(found: Gathered) -> Iterator[Row]:
    yield register.entry(found, is_sure=True)


def _ids(found: Gathered) -> Iterator[tuple[int, int, str]]:
    for table in tables().values():
        if table.uid is not None:
            yield from load.ids_in(table, table.reader(found))
