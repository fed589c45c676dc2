"""`molexp query`: rows of the catalog that are what is said.

A condition is FIELD=VALUE, as in `status=failed`, `experiment=springs/baseline`, `tag=keep`,
`run.status=failed` or `params.lr=0.01`. Others than equality are said by what follows the field,
`params.lr__lt=0.01`, with lt, le, gt, ge, ne, in; or by a sign in quotes, 'params.lr<0.01'.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from difflib import get_close_matches
from typing import Any

from molexp.catalog.asking.query import Query
from molexp.cli.telling.around import add_workspace_to, find_workspace
from molexp.cli.telling.conditions import is_condition, lookups
from molexp.cli.telling.text import as_json, inert, size_text, table, time_text, value_text
from molexp.errors import QueryError
from molexp.rows.tables import tables

_SHOWN = {
    "projects": "address created_at description",
    "experiments": "address created_at params description",
    "runs": "address status parameters started_at error_type",
    "executions": "scope execution status started_at host error_type",
    "assets": "scope execution kind name version size created_at",
    "inputs": "scope execution name asset value path time",
    "metrics": "scope execution key count first last min max",
    "messages": "scope execution time level text",
    "tags": "scope execution asset key value",
    "edits": "scope time author patch reason",
    "params": "scope key number text",
}
"""The fields of the tables that are shown unless others are asked for; of all others, all."""

_TIMES = ("started_at", "time", "created_at")
_LIMIT = 20


def add_to(parser: argparse.ArgumentParser) -> None:
    """Describe the command to its parser."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "words",
        nargs="*",
        metavar="TABLE | FIELD=VALUE",
        help=f"what to look for: {', '.join(tables())} (default: runs); and what it must be",
    )
    parser.add_argument(
        "--order",
        metavar="FIELDS",
        help="with commas between them, - for the greatest first (default: the newest first)",
    )
    parser.add_argument(
        "-n", "--limit", default=_LIMIT, type=_limit, metavar="N", help=f"or `all`; else {_LIMIT}"
    )
    parser.add_argument("--fields", metavar="FIELDS", help="what to show, with commas between them")
    parser.add_argument("--count", action="store_true", help="only how many there are")
    add_workspace_to(parser)


def run(arguments: argparse.Namespace) -> int:
    """Ask, and print what is found: at most so many rows, and how many more there are."""
    words = list(arguments.words)
    name = "runs" if not words or is_condition(words[0]) else words.pop(0)
    with find_workspace(arguments.workspace) as workspace:
        query = workspace.catalog.table(name)
        for lookup, value in lookups(tables()[name], words):
            query = query.filter(**{lookup: value})
        found, count = ([], query.count()) if arguments.count else _asked(query, arguments)
        fields = _fields(name, arguments.fields, found)
    if arguments.json:
        said = {"workspace": str(workspace.root), "table": name, "count": count}
        if not arguments.count:
            said["rows"] = _chosen(found, fields) if arguments.fields else found
        print(as_json(said))
    elif arguments.count:
        print(count)
    else:
        print("\n".join(_lines(name, fields, found, count)))
    return 0


def _asked(query: Query, arguments: argparse.Namespace) -> tuple[list[dict[str, Any]], int]:
    """Some rows, and how many there are."""
    limit = arguments.limit
    ordered = query.order_by(*_order(query.table, arguments.order))
    found = (ordered if limit is None else ordered.limit(limit)).rows()
    is_all = limit is None or len(found) < limit
    return found, len(found) if is_all else max(query.count(), len(found))


def _limit(text: str) -> int | None:
    """How many rows are shown; None for all."""
    if text == "all":
        return None
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number from 0 on nor `all`")
    return int(text)


def _order(name: str, said: str | None) -> list[str]:
    if said is not None:
        return [each.strip().replace(".", "__") for each in said.split(",") if each.strip()]
    return [f"-{each}" for each in _TIMES if each in tables()[name].columns][:1]


def _fields(name: str, said: str | None, found: Sequence[Mapping[str, Any]]) -> list[str]:
    """The fields to show. Of documents with parts, what stands in them is a field, too.

    Raises QueryError for one that the table has not.
    """
    own = tables()[name].columns
    columns = [each for each in own if each != "scope" or "address" not in own]
    if said is None:
        named = _SHOWN[name].split() if name in _SHOWN else columns
        return [part for each in named for part in _parts(each, found)]
    fields = [each.strip() for each in said.split(",") if each.strip()]
    for each in fields:
        first, *rest = _path(each, columns)
        if first not in columns or (rest and own[first] != "JSON"):
            near = get_close_matches(each, columns)
            raise QueryError(
                f"{name} have no field {each!r} to show",
                cure=f"there are {', '.join(columns)}",
                field=each,
                near=near,
            )
    return fields


def _parts(column: str, found: Sequence[Mapping[str, Any]]) -> list[str]:
    """Of the parameters of several runs those that differ, each a field; else the column itself."""
    if column != "parameters" or not found:
        return [column]
    names = dict.fromkeys(name for row in found for name in row[column] or {})
    missing = object()

    def differs(name: str) -> bool:
        said = [(row[column] or {}).get(name, missing) for row in found]
        return len(found) == 1 or any(each != said[0] for each in said)

    return [f"params.{name}" for name in names if differs(name)]


def _path(field: str, columns: Sequence[str]) -> list[str]:
    """The column that a field is in, and the names that lead on in its document."""
    first, *rest = field.split(".", 1)
    if first == "params" and first not in columns:
        first = "parameters"
    return [first, *rest]


def _value(row: Mapping[str, Any], field: str) -> Any:
    first, *rest = _path(field, list(row))
    value = row[first]
    return _within(value, rest[0]) if rest else value


def _within(document: Any, path: str) -> Any:
    """What a document says under a name, which may be that of a part of a part."""
    if not isinstance(document, Mapping):
        return None
    if path in document:
        return document[path]
    above, _, below = path.partition(".")
    return _within(document.get(above), below) if below else None


def _chosen(found: Sequence[Mapping[str, Any]], fields: Sequence[str]) -> list[dict[str, Any]]:
    return [{field: _value(row, field) for field in fields} for row in found]


def _lines(
    name: str, fields: Sequence[str], found: Sequence[Mapping[str, Any]], count: int
) -> Iterator[str]:
    if not found:
        yield f"  {f'{count:,}' if count else 'no'} {name}"
        return
    rows = [[_cell(field, _value(row, field)) for field in fields] for row in found]
    yield from table([inert(field) for field in fields], rows)
    if count > len(found):
        yield f"  ({count - len(found):,} more; `--limit {count}` shows all)"


def _cell(field: str, value: Any) -> str:
    if value is None or value in ({}, []):
        return ""
    if isinstance(value, datetime):
        return time_text(value, seconds=field == "time")
    if field == "size":
        return size_text(value)
    if isinstance(value, str) and "." not in field:  # in a document "3" is not 3
        return inert(value)
    return value_text(value, short=True)
