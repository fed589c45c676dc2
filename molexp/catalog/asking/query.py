"""Queries: immutable, lazy, and built step by step; nothing is asked before an answer is wanted."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from molexp.catalog.asking.compile import Condition, Key, condition, keys, place_of, table_of
from molexp.catalog.engine import quoted, translated
from molexp.catalog.present import Present
from molexp.errors import QueryError
from molexp.late import late
from molexp.model.codec import decode
from molexp.model.ids import is_ulid
from molexp.rows.tables import Table

if TYPE_CHECKING:
    import base64

    from molexp.rows.gather import Gathered
else:
    base64 = late("base64")

Raw = tuple[Any, ...]
"""A row as the engine gives it: the columns of its table, the address and uid of its scope, and
what it is ordered by."""


Answer = TypeVar("Answer")


class Source(Protocol):
    """Where queries are answered: a database that shows every fact acknowledged so far."""

    @property
    def root(self) -> str:
        """The directory of the workspace."""
        ...

    def ask(self, act: Callable[[Present], Answer]) -> Answer:
        """What ``act`` gives for the tables as they are now.

        It may be called again for others, where the first turned out to be damaged.
        """
        ...

    def read(self, address: str) -> Gathered:
        """What the files of one scope say; raises MolexpError if none is there."""
        ...


def asked(source: Source, act: Callable[[Present], Answer]) -> Answer:
    """What ``act`` finds in the tables; raises CatalogError where the engine cannot answer."""
    with translated("the catalog cannot answer", "run `molexp rebuild`"):
        return source.ask(act)


class _Fixed:
    """A value of which nothing is changed once it is made."""

    def __init__(self, **said: Any) -> None:
        vars(self).update(said)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a {type(self).__name__} is never changed: make another one")

    def __delattr__(self, name: str) -> None:
        self.__setattr__(name, None)


class Query(_Fixed):
    """Rows of one table that are what was said, in an order that never depends on chance.

    Every step gives another query. Iterating it, ``all`` and ``first`` give records, ``rows`` plain
    dictionaries; ``count`` and ``rows`` load no record class at all.
    """

    source: Source
    table: str
    said: tuple[str, ...] = ()
    conditions: tuple[Condition, ...] = ()
    order: tuple[str, ...] = ()
    most: int | None = None

    def __init__(self, source: Source, table: str, **said: Any) -> None:
        table_of(table)
        super().__init__(source=source, table=table, **said)

    def _but(self, **changes: Any) -> Query:
        """The same query but for what is changed of it."""
        return Query(**{**vars(self), **changes})

    def filter(self, **lookups: object) -> Query:
        """Only rows that are all of this; raises QueryError naming near fields.

        A lookup is a column with ``__lt``, ``__le``, ``__gt``, ``__ge``, ``__in`` or ``__ne``
        behind it, or with nothing to be equal; None is no value at all. ``params__lr__lt`` asks
        for a parameter, ``run__status`` for a column of the one row that is related, ``tag`` for
        ``"keep"`` or ``"keep=yes"``. ``project``, ``experiment``, ``run``, ``scope`` (exactly that)
        and ``under`` (all in it) say where. ``ne`` gives all rows that ``eq`` does not.
        """
        table = table_of(self.table)
        found = tuple(condition(table, said, value) for said, value in lookups.items())
        spelt = tuple(f"{name}={_shown(value)}" for name, value in lookups.items())
        return self._but(conditions=self.conditions + found, said=self.said + spelt)

    def order_by(self, *fields: str) -> Query:
        """In the order of these, ``-`` for the greatest first; rows without a value come last.

        Rows that are equal in them come in the order of their addresses, as all do by themselves.
        """
        for each in fields:
            if not isinstance(each, str):
                raise QueryError(
                    f"rows are not ordered by {each!r}",
                    cure="name a field: order_by('-started_at')",
                    field=repr(each),
                    near=[],
                )
            keys(table_of(self.table), [each])
        return self._but(order=fields)

    def limit(self, most: int) -> Query:
        """At most so many rows."""
        if type(most) is not int or most < 0:
            raise QueryError(
                f"there are no {most!r} rows", cure="give a number from 0", field="limit", near=[]
            )
        return self._but(most=most if self.most is None else min(most, self.most))

    def count(self) -> int:
        """How many rows there are."""
        values: list[object] = []
        sql = f"SELECT 1 FROM {self.table} AS t{_where(self, values)}"
        sql += "" if self.most is None else f" LIMIT {self.most}"
        count = f"SELECT count(*) FROM ({sql})"
        [(number,)] = asked(self.source, lambda c: c.execute(count, values).fetchall())
        return int(number)

    def all(self) -> list[Any]:
        """All of them, as records of the model; rows that have no record there, as dictionaries."""
        return asked(self.source, lambda p: to_records(self.source, p, self.table, fetch(self, p)))

    def first(self) -> Any:
        """The first of them; None if there is none."""
        return next(iter(self.limit(1).all()), None)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.all())

    def rows(self) -> list[dict[str, Any]]:
        """All of them, by the names of their columns; ``scope`` is the address of a row's scope."""
        return to_rows(table_of(self.table), asked(self.source, lambda p: fetch(self, p)))

    def addresses(self) -> list[str]:
        """Where the scopes lie that are found; raises QueryError for what is no scope."""
        if "address" not in table_of(self.table).columns:
            raise QueryError(
                f"{self.table} have no address of their own",
                cure="`rows()` says with each in which scope it is",
                field="address",
                near=["scope"],
            )
        values: list[object] = []
        sql = f"SELECT address FROM ({_select(self, values)})"
        found = asked(self.source, lambda c: c.execute(sql, values).fetchall())
        return [address for (address,) in found]

    def page(self, size: int = 100, after: str | None = None) -> Page:
        """The next rows behind those of another page, whose ``next`` is given as ``after``.

        A row that is there from the first page to the last is on exactly one of them, whatever
        comes or goes meanwhile. Raises QueryError if that page was one of another query.
        """
        if self.most is not None:
            raise QueryError(
                f"{self} is limited, and a page has a size of its own",
                cure="leave `limit` out: `page(size)`",
                field="limit",
                near=[],
            )
        behind = None if after is None else _read_token(after, self._spelt(), self._keys())
        raw = asked(self.source, lambda p: fetch(self.limit(size), p, behind))
        has_more = bool(raw) and len(raw) == size
        following = _token(self._spelt(), raw[-1][-len(self._keys()) :]) if has_more else None
        return Page(self, raw, following)

    def _spelt(self) -> str:
        return f"{self.table} {' '.join(self.order)}"

    def _keys(self) -> list[Key]:
        return keys(table_of(self.table), self.order)

    def __repr__(self) -> str:
        text = f"{self.table}()"
        if self.said:
            text += f".filter({', '.join(self.said)})"
        if self.order:
            text += f".order_by({', '.join(map(repr, self.order))})"
        return text + ("" if self.most is None else f".limit({self.most})")


class Page(_Fixed):
    """Some rows of a query, and where the next ones are found.

    ``next`` is what ``page(after=…)`` takes to go on; None if there is nothing more.
    """

    query: Query
    raw: Sequence[Raw]
    next: str | None

    def __init__(self, query: Query, raw: Sequence[Raw], next: str | None) -> None:
        super().__init__(query=query, raw=raw, next=next)

    def rows(self) -> list[dict[str, Any]]:
        """Its rows as dictionaries."""
        return to_rows(table_of(self.query.table), self.raw)

    def all(self) -> list[Any]:
        """Its rows as records."""
        source, table = self.query.source, self.query.table
        return asked(source, lambda p: to_records(source, p, table, self.raw))

    def __iter__(self) -> Iterator[Any]:
        return iter(self.all())

    def __len__(self) -> int:
        return len(self.raw)


def fetch(query: Query, present: Present, behind: Sequence[Any] | None = None) -> list[Raw]:
    """The rows as the engine gives them, those alone that come ``behind`` these keys."""
    values: list[object] = []
    sql = _select(query, values, behind)
    return present.execute(sql, values).fetchall()


def to_rows(table: Table, raw: Sequence[Raw]) -> list[dict[str, Any]]:
    """Rows by the names of their columns; ``scope`` is the address of a row's scope."""
    columns = table.columns
    readers = [
        (name, _READERS.get(kind.removesuffix(" NOT NULL"))) for name, kind in columns.items()
    ]
    found = []
    for each in raw:
        row = {
            name: value if read is None or value is None else read(value)
            for (name, read), value in zip(readers, each, strict=False)
        }
        if "address" in columns:
            del row["scope"]
        else:
            row["scope"] = each[len(columns)]  # its number is nobody's business
        found.append(row)
    return found


def to_records(source: Source, present: Present, name: str, raw: Sequence[Raw]) -> list[Any]:
    """Rows of a table as records of the model; as dictionaries, if it has none for them."""
    from molexp.catalog.asking.results import to_records as as_records  # and pydantic with it

    table = table_of(name)
    placed = [each[: len(table.columns) + 2] for each in raw]
    found = as_records(source.root, present, table, placed)
    return to_rows(table, raw) if found is None else [*found]


def _where(query: Query, values: list[object]) -> str:
    if not query.conditions:
        return ""
    for each in query.conditions:
        values += each.values
    return " WHERE " + " AND ".join(f"({each.sql})" for each in query.conditions)


def _select(query: Query, values: list[object], behind: Sequence[Any] | None = None) -> str:
    """The rows in their order; each with its keys, so that a page knows where it ended."""
    table = table_of(query.table)
    order = keys(table, query.order)
    place, join = place_of(table)
    columns = [f"t.{quoted(name)}" for name in table.columns]
    where = [f"{place}.address AS address_", f"{place}.uid AS uid_"]
    named = [f"{each.sql} AS k{number}" for number, each in enumerate(order)]
    joins = "".join(dict.fromkeys([join, *(each.join for each in order)]))
    for each in order:
        values += each.values
    chosen = ", ".join([*columns, *where, *named])
    sql = f"SELECT {chosen} FROM {table.name} AS t{joins}{_where(query, values)}"
    if behind is not None:
        sql = f"SELECT * FROM ({sql}) WHERE {_behind(order, behind, values)}"
    directions = [f"k{n}{' DESC' if key.descends else ''}" for n, key in enumerate(order)]
    sql += " ORDER BY " + ", ".join(f"{each} NULLS LAST" for each in directions)
    return sql + ("" if query.most is None else f" LIMIT {query.most}")


def query_assets(
    source: Source,
    *,
    kind: str | None = None,
    scope: object = None,
    producer_run: object = None,
    producer_task: str | None = None,
    tag: str | None = None,
    limit: int | None = None,
    recursive: bool = False,
) -> list[Any]:
    """Assets of exactly this scope, or with ``recursive`` of all that it holds; by what is said.

    ``producer_run`` is a run's id, address or uid, and ``tag`` a name or ``name=value``.
    """
    said = {"kind": kind, "task": producer_task, "tag": tag, **_made_by(producer_run)}
    return _found(source, "assets", said, scope, limit, recursive=recursive)


def query_runs(
    source: Source,
    *,
    status: str | None = None,
    scope: object = None,
    tag: str | None = None,
    limit: int | None = None,
    recursive: bool = False,
) -> list[Any]:
    """The run that is exactly this scope, or with ``recursive`` all runs that it holds."""
    said = {"status": status, "tag": tag}
    return _found(source, "runs", said, scope, limit, recursive=recursive)


def query_executions(
    source: Source,
    *,
    status: str | None = None,
    scope: object = None,
    run: object = None,
    limit: int | None = None,
    recursive: bool = False,
) -> list[Any]:
    """Executions of exactly this run, or with ``recursive`` of all runs that a scope holds."""
    said = {"status": status, **_made_by(run)}
    return _found(source, "executions", said, scope, limit, recursive=recursive)


def _made_by(run: object) -> dict[str, object]:
    is_uid = isinstance(run, str) and is_ulid(run)
    return {"run__uid" if is_uid else "run": run}


def _found(
    source: Source,
    table: str,
    said: Mapping[str, object],
    scope: object,
    limit: int | None,
    *,
    recursive: bool,
) -> list[Any]:
    asked_for = {name: value for name, value in said.items() if value is not None}
    if scope is not None:
        asked_for["under" if recursive else "scope"] = scope
    query = Query(source, table).filter(**asked_for)
    return (query if limit is None else query.limit(limit)).all()


def _document(text: str) -> Any:
    return decode(json.loads(text))


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC)


_READERS: dict[str, Callable[[Any], Any]] = {"JSON": _document, "TIMESTAMP": _utc}


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:59]}…"


def _behind(order: Sequence[Key], last: Sequence[Any], values: list[object]) -> str:
    """What comes after a row: later in the first key, or equal in it and later in the next."""
    later: list[str] = []
    equal: list[str] = []
    same: list[object] = []
    for number, (key, value) in enumerate(zip(order, last, strict=True)):
        column, given = f"k{number}", f"CAST(? AS {key.kind})"
        if value is not None:
            test = f"({column} {'<' if key.descends else '>'} {given} OR {column} IS NULL)"
            later.append(" AND ".join([*equal, test]))
            values += [*same, value]
        equal.append(f"{column} IS NOT DISTINCT FROM {given}")
        same.append(value)
    return "(" + (" OR ".join(f"({each})" for each in later) or "false") + ")"


def _token(spelt: str, keys: Sequence[Any]) -> str:
    """Where a page ended, as a text that can stand in a URL."""
    plain = [each.isoformat() if isinstance(each, datetime) else each for each in keys]
    return base64.urlsafe_b64encode(json.dumps([spelt, *plain]).encode()).decode()


def _read_token(token: str, spelt: str, order: Sequence[Key]) -> list[Any]:
    try:
        last: list[Any]
        said, *last = json.loads(base64.urlsafe_b64decode(token.encode()))
        is_right = said == spelt and len(last) == len(order)
        is_right = is_right and all(type(each) in _PLAIN for each in last)
    except (ValueError, TypeError, AttributeError, RecursionError):
        is_right, last = False, []
    if not is_right:
        raise QueryError(
            "that is not where a page of this query ended",
            cure="give `next` of a page of the same table in the same order",
            field="after",
            near=[],
        )
    return last


_PLAIN = (str, int, float, bool, type(None))
