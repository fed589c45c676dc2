"""What a query says, as SQL: every name is looked up, every value goes in as a parameter."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from math import inf, isnan
from typing import TYPE_CHECKING, Any, NamedTuple

from molexp.catalog.engine import quoted
from molexp.errors import InvalidNameError, QueryError
from molexp.late import late
from molexp.model.names import is_slug, slug
from molexp.rows.tables import Table, tables

if TYPE_CHECKING:
    import difflib
else:
    difflib = late("difflib")

LOOKUPS = {"eq": "=", "ne": "<>", "lt": "<", "le": "<=", "gt": ">", "ge": ">=", "in": "IN"}
"""How a value is compared, and the sign for it."""

SCOPES = "scopes"
"""The view that says of each scope number its address, its parts and its kind."""

PLACES = ("project", "experiment", "run", "scope", "under")
"""What every table can be filtered by besides its columns: where its rows were recorded."""

_OF_SETS = ("eq", "ne", "in")
_EXACT = 2**53  # beyond this, floats cannot tell integers apart
_PARAMS = "params"


class Condition(NamedTuple):
    """What rows must be: SQL about the row ``t``, and the values of its question marks."""

    sql: str
    values: tuple[object, ...] = ()


class Key(NamedTuple):
    """One thing that rows are ordered by; ``kind`` is its type, ``join`` what it is found in."""

    sql: str
    kind: str
    descends: bool = False
    values: tuple[object, ...] = ()
    join: str = ""


def table_of(name: str) -> Table:
    """The table of a name; raises QueryError naming near ones."""
    found = tables().get(name)
    if found is None:
        raise _unknown("table", name, tables(), "the catalog")
    return found


def condition(table: Table, said: str, value: object) -> Condition:
    """What ``filter(said=value)`` means; raises QueryError.

    A column wins over a special name. Two exceptions: ``scope`` is always an address, for its
    numbers mean nothing to users, and a ``project`` or ``experiment`` means the same everywhere.
    """
    first, *rest = said.split("__")
    is_plain = not rest or (len(rest) == 1 and rest[0] in LOOKUPS)
    is_place = is_plain and (first not in _fields(table) or rest in ([], ["ne"], ["in"], ["eq"]))
    if is_place and first in _special(table):
        return _place(table, first, _lookup(rest, said), value, said)
    if first in _fields(table) and (is_plain or first not in table.relations):
        column, kind = f"t.{quoted(first)}", table.columns[first]
        return _compared(column, kind, _lookup(rest, said), value, said)
    if first == "tag" and first not in _fields(table):
        return _tagged(table, _lookup(rest, said), value, said)
    if first == _PARAMS and rest and first not in _fields(table):
        return _parameter(table, rest, value, said)
    if first in table.relations and rest:
        return _related(table, first, rest, value, said)
    raise _no_field(table, first, rest, said)


def _special(table: Table) -> set[str]:
    """The names that are places: all that no column has, and those that a scope's own have."""
    own = {"project", "experiment"} if "address" in table.columns else set()
    return {each for each in PLACES if each not in table.columns} | own | {"scope"}


def _fields(table: Table) -> list[str]:
    return [name for name in table.columns if name != "scope"]


def _lookup(rest: Sequence[str], said: str) -> str:
    lookup = "__".join(rest) if rest else "eq"
    if lookup not in LOOKUPS:
        raise _unknown("lookup", lookup, LOOKUPS, repr(said))
    return lookup


def _no_field(table: Table, first: str, rest: Sequence[str], said: str) -> QueryError:
    if first in _special(table) and first not in table.relations:
        return _unknown("lookup", "__".join(rest), _OF_SETS, repr(said))
    names = [*_fields(table), *(f"{each}__…" for each in table.relations), "params__…", "tag"]
    names += [each for each in PLACES if each not in names]
    return _unknown("field", first, names, table.name)


def _unknown(what: str, name: str, known: Iterable[str], where: str) -> QueryError:
    names = list(known)
    near = difflib.get_close_matches(name, [each.removesuffix("__…") for each in names])
    hint = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
    return QueryError(
        f"there is no {what} {name!r} in {where}",
        cure=f"{hint}there are {', '.join(names)}",
        field=name,
        near=near,
    )


def _compared(column: str, kind: str, lookup: str, value: object, said: str) -> Condition:
    """A column and a value, compared as Python compares them: NaN is neither more nor less."""
    if lookup == "in":
        return _any_of("in", value, said, lambda each: _compared(column, kind, "eq", each, said))
    if value is None:
        if lookup not in ("eq", "ne"):
            raise _wrong(said, value, "a value: nothing is more or less than None")
        return Condition(f"{column} IS {'NOT ' if lookup == 'ne' else ''}NULL")
    given = _operand(kind, value, said)
    if lookup == "eq":
        return Condition(f"{column} = ?", (given,))
    if lookup == "ne":
        return Condition(f"{column} IS DISTINCT FROM ?", (given,))
    return _ordered(column, kind, lookup, given, said)


def _ordered(column: str, kind: str, lookup: str, given: object, said: str) -> Condition:
    if isinstance(given, float) and isnan(given):
        raise _wrong(said, given, "a number: nothing is more or less than NaN")
    also = f" AND NOT isnan({column})" if _bare(kind) == "DOUBLE" and lookup in ("gt", "ge") else ""
    return Condition(f"{column} {LOOKUPS[lookup]} ?{also}", (given,))


def _any_of(
    lookup: str,
    value: object,
    said: str,
    one: Callable[[object], Condition],
    within: str = "{}",
) -> Condition:
    """One condition for one value or several, or its opposite; ``within`` what it is asked in."""
    if lookup == "in":
        if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
            raise _wrong(said, value, "a list of values")
        test = _either([one(each) for each in value])
    elif lookup in _OF_SETS:
        test = one(value)
    else:
        raise _unknown("lookup", lookup, _OF_SETS, repr(said))
    found = Condition(within.replace("{}", test.sql), test.values)
    return Condition(f"NOT ({found.sql})", found.values) if lookup == "ne" else found


def _either(tests: list[Condition]) -> Condition:
    """Any of them: those that differ in their one value become one list, which is searched fast."""
    same: dict[str, list[Condition]] = {}
    for each in tests:
        same.setdefault(each.sql, []).append(each)
    parts: list[Condition] = []
    for sql, alike in same.items():
        if not alike[0].values:
            parts.append(alike[0])
        elif sql.endswith(" = ?") and sql.count("?") == 1:
            marks = ", ".join("?" * len(alike))
            values = tuple(value for each in alike for value in each.values)
            parts.append(Condition(f"{sql.removesuffix('= ?')}IN ({marks})", values))
        else:
            parts += alike
    sql = " OR ".join(f"({each.sql})" for each in parts) or "false"
    return Condition(f"({sql})", tuple(value for each in parts for value in each.values))


def _operand(kind: str, value: Any, said: str) -> object:
    """A value as a column of a type is compared with; raises QueryError for another type."""
    wanted = _bare(kind)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if wanted == "VARCHAR" and isinstance(value, str):
        return _text(value, said)
    if wanted in ("INTEGER", "BIGINT", "DOUBLE") and is_number:
        return _number(value)
    if wanted == "BOOLEAN" and isinstance(value, bool):
        return value
    if wanted == "TIMESTAMP":
        return _moment(value, said)
    if wanted == "JSON":
        raise QueryError(
            f"{said!r} is about a whole JSON document, and lookups do not reach into one",
            cure="`params__lr__lt=0.01` asks for parameters, `tag='keep'` for tags",
            field=said,
            near=[],
        )
    raise _wrong(said, value, _WORDS[wanted])


_WORDS = {
    "VARCHAR": "a text",
    "INTEGER": "a number",
    "BIGINT": "a number",
    "DOUBLE": "a number",
    "BOOLEAN": "True or False",
    "TIMESTAMP": "a time with its zone, such as datetime(2026, 11, 20, tzinfo=UTC), or a date",
}


def _bare(kind: str) -> str:
    return kind.removesuffix(" NOT NULL")


def _text(value: str, said: str) -> str:
    text = str.__str__(value)  # of an enumeration's member the text, not its name
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _wrong(said, value, "text that UTF-8 can write") from None
    return text


def _number(value: float) -> float:
    """What the engine takes: an integer beyond its own is further off than all that it holds."""
    if type(value) is float or -(2**63) <= value < 2**63:
        return value
    return inf if value > 0 else -inf


def _moment(value: object, said: str) -> datetime:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value) if len(value) > 10 else date.fromisoformat(value)
        except ValueError:
            raise _wrong(said, value, _WORDS["TIMESTAMP"]) from None
    if isinstance(value, date) and not isinstance(value, datetime):
        return datetime(value.year, value.month, value.day)  # noqa: DTZ001 - as the engine has UTC
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise _wrong(said, value, _WORDS["TIMESTAMP"])
    try:
        return value.astimezone(UTC).replace(tzinfo=None)
    except OverflowError:
        raise _wrong(said, value, "a time in the years 1 to 9999 of UTC") from None


def _wrong(said: str, value: object, wanted: str) -> QueryError:
    shown = repr(value)
    return QueryError(
        f"{said!r} is compared with {shown if len(shown) < 60 else shown[:59] + '…'}",
        cure=f"give {wanted}",
        field=said,
        near=[],
    )


def _parameter(table: Table, path: Sequence[str], value: object, said: str) -> Condition:
    """A run's parameters, and those of the run that a row belongs to."""
    _check_has_parameters(table, said)
    lookup, names = "eq", list(path)
    if len(names) > 1 and names[-1] in LOOKUPS:
        lookup = names.pop()
    within = f"t.scope IN (SELECT r.scope FROM {_PARAMS} AS r WHERE r.key = ? AND {{}})"
    if lookup in _OF_SETS:
        found = _any_of(lookup, value, said, lambda each: _equal(each, said), within)
    else:
        found = _any_of("eq", value, said, lambda each: _more_or_less(lookup, each, said), within)
    return Condition(found.sql, (_text(".".join(names), said), *found.values))


def _check_has_parameters(table: Table, said: str) -> None:
    if table.name != "runs" and all(each.table != "runs" for each in table.relations.values()):
        raise QueryError(
            f"{said!r}: {table.name} have no parameters",
            cure="ask for runs, or for what belongs to one",
            field=said,
            near=[],
        )


def _equal(value: object, said: str) -> Condition:
    """The type of the value says which parameters can be equal to it."""
    if value is None:
        return Condition("r.type = 'null'")
    if isinstance(value, bool):
        return Condition("r.type = 'flag' AND r.text = ?", ("true" if value else "false",))
    if isinstance(value, str):
        return Condition("r.type = 'text' AND r.text = ?", (_text(value, said),))
    if isinstance(value, int) and abs(value) > _EXACT:
        return Condition("r.type = 'number' AND r.text = ?", (str(value),))
    if isinstance(value, int | float):
        return Condition("r.number = ?", (float(value),))
    raise _wrong(said, value, "a number, a text, True, False or None")


def _more_or_less(lookup: str, value: object, said: str) -> Condition:
    if isinstance(value, str):
        return Condition(f"r.type = 'text' AND r.text {LOOKUPS[lookup]} ?", (_text(value, said),))
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _ordered("r.number", "DOUBLE", lookup, float(_number(value)), said)
    raise _wrong(said, value, "a number or a text: nothing else is more or less")


def _related(table: Table, name: str, rest: Sequence[str], value: object, said: str) -> Condition:
    """One step along a relation: the rows whose one there is what is asked."""
    relation = table.relations[name]
    there = table_of(relation.table)
    column, *below = rest
    if column not in _fields(there):
        fields = [f"{name}__{each}" for each in _fields(there)]
        raise _unknown("field", f"{name}__{column}", fields, said)
    kind = there.columns[column]
    test = _compared(f"r.{quoted(column)}", kind, _lookup(below, said), value, said)
    here = ", ".join(f"t.{quoted(each)}" for each in relation.on)
    far = ", ".join(f"r.{quoted(each)}" for each in relation.on.values())
    sql = f"({here}) IN (SELECT {far} FROM {there.name} AS r WHERE {test.sql})"
    return Condition(sql, test.values)


def _tagged(table: Table, lookup: str, value: object, said: str) -> Condition:
    """A tag by its name, or by ``name=value``: an asset's own, else that of a row's scope."""
    if "asset_id" in table.columns:
        here, far, whose = "(t.scope, t.asset_id)", "r.scope, r.asset", "r.asset IS NOT NULL"
    else:
        here, far, whose = "t.scope", "r.scope", "r.asset IS NULL"

    def one(each: object) -> Condition:
        if not isinstance(each, str):
            raise _wrong(said, each, "a tag's name, or name=value")
        key, equals, text = _text(each, said).partition("=")
        if equals:
            return Condition("r.key = ? AND r.value = ?", (key, text))
        return Condition("r.value NOT IN ('', 'false') AND r.key = ?", (key,))

    within = f"{here} IN (SELECT {far} FROM tags AS r WHERE NOT r.is_label AND {whose} AND {{}})"
    return _any_of(lookup, value, said, one, within)


_OWN = {
    "project": ("project",),
    "experiment": ("project", "experiment"),
    "run": ("address", "id"),
    "scope": ("address",),
    "under": ("project", "experiment", "id"),
}
"""The columns in which the row of a scope says itself where it is."""


def _place(table: Table, name: str, lookup: str, value: object, said: str) -> Condition:
    """Rows that were recorded somewhere; a handle or a record means where that is."""
    is_own = {"address", *_OWN[name]} <= table.columns.keys()

    def one(each: object) -> Condition:
        wanted = _parts(name, getattr(each, "address", each), said)
        spelt = {"run": "id"} if is_own else {}
        row = "t" if is_own else "r"
        tests = [f"{row}.{quoted(spelt.get(part, part))} = ?" for part in wanted]
        return Condition(" AND ".join(tests) or "true", tuple(wanted.values()))

    within = "{}" if is_own else f"t.scope IN (SELECT r.scope FROM {SCOPES} AS r WHERE {{}})"
    return _any_of(lookup, value, said, one, within)


def _parts(name: str, value: object, said: str) -> dict[str, str]:
    """What the place of a row must be, part by part."""
    if not isinstance(value, str):
        raise _wrong(said, value, "an address such as 'qm9/baseline', or a part of one")
    parts = _text(value, said).split("/") if value else []
    if name == "scope" or (name == "run" and len(parts) == 3):
        return {"address": "/".join(_address(parts, said))}
    if name == "under":
        return dict(zip(PLACES, _address(parts, said), strict=False))
    if name == "run":
        if len(parts) != 1:
            raise _wrong(said, value, "a run's id, or its whole address project/experiment/run")
        return {"run": value}
    names = PLACES[: 1 + (name == "experiment")]
    if not 0 < len(parts) <= len(names):
        raise _wrong(said, value, f"the name of {'an' if name == 'experiment' else 'a'} {name}")
    try:
        return dict(zip(names[-len(parts) :], map(slug, parts), strict=True))
    except InvalidNameError as error:
        raise _wrong(said, value, f"a name ({error.cure})") from error


def _address(parts: list[str], said: str) -> list[str]:
    if len(parts) > 3 or not all(parts) or not all(map(is_slug, parts[:2])):
        raise _wrong(said, "/".join(parts), "an address: project/experiment/run, or fewer")
    return parts


def place_of(table: Table) -> tuple[str, str]:
    """The row that has the address and uid of where a row was recorded, and the join it needs."""
    if "address" in table.columns:
        return "t", ""
    return "place", f" LEFT JOIN {SCOPES} AS place ON place.scope = t.scope"


def keys(table: Table, order: Sequence[str]) -> list[Key]:
    """What rows are ordered by: what was said, and then the key, so that no two rows are equal."""
    found: list[Key] = []
    for number, said in enumerate(order):
        name = said.removeprefix("-")
        found += _keys(table, name, said.startswith("-"), f"o{number}")
    for name in table.key:
        found += _keys(table, name, False, "")
    seen: dict[tuple[str, tuple[object, ...]], Key] = {}
    for each in found:
        seen.setdefault((each.sql, each.values), each)
    return list(seen.values())


def _keys(table: Table, name: str, descends: bool, alias: str) -> list[Key]:
    first, *rest = name.split("__")
    if name == "scope":
        return [Key(f"{place_of(table)[0]}.address", "VARCHAR", descends)]
    if name in table.columns:
        _check_sortable(name, table.columns[name])
        return [Key(f"t.{quoted(name)}", _bare(table.columns[name]), descends)]
    if first == _PARAMS and rest:
        _check_has_parameters(table, name)
        join = f" LEFT JOIN {_PARAMS} AS {alias} ON {alias}.scope = t.scope AND {alias}.key = ?"
        key = (_text(".".join(rest), name),)
        number = Key(f"{alias}.number", "DOUBLE", descends, key, join)
        return [number, Key(f"{alias}.text", "VARCHAR", descends)]
    if first in table.relations and len(rest) == 1:
        relation = table.relations[first]
        there = table_of(relation.table)
        if rest[0] in _fields(there):
            _check_sortable(name, there.columns[rest[0]])
            same = " AND ".join(f"r.{quoted(b)} = t.{quoted(a)}" for a, b in relation.on.items())
            sql = f"(SELECT min(r.{quoted(rest[0])}) FROM {there.name} AS r WHERE {same})"
            return [Key(sql, _bare(there.columns[rest[0]]), descends)]
        fields = [f"{first}__{each}" for each in _fields(there)]
        raise _unknown("field", name, fields, "the order")
    names = [*_fields(table), "scope", *(f"{each}__…" for each in table.relations), "params__…"]
    raise _unknown("field", name, names, "the order")


def _check_sortable(name: str, kind: str) -> None:
    if kind == "JSON":
        raise QueryError(
            f"{name!r} is a JSON document, which comes neither before nor after another one",
            cure="order by a plain column, or by a parameter: 'params__lr'",
            field=name,
            near=[],
        )
