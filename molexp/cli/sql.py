"""`molexp sql`: ask the catalog in SQL, which only reads: see docs/reference/tables.md."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from molexp.cli.telling.around import add_workspace_to, find_workspace
from molexp.cli.telling.text import as_json, inert, table, time_text, value_text

_TIMEOUT = 60.0


def add_to(parser: argparse.ArgumentParser) -> None:
    """Describe the command to its parser."""
    parser.add_argument(
        "statement",
        metavar="STATEMENT",
        help='one SELECT, in quotes, as in "select status, count(*) from runs group by status"; '
        "- reads it from the standard input",
    )
    parser.add_argument(
        "--timeout",
        type=float,
        default=_TIMEOUT,
        metavar="SECONDS",
        help=f"stop it after so long (default: {_TIMEOUT:g})",
    )
    add_workspace_to(parser)


def run(arguments: argparse.Namespace) -> int:
    """Ask, and print all rows."""
    statement = arguments.statement
    if statement == "-":
        statement = sys.stdin.read()
    with find_workspace(arguments.workspace) as workspace:
        found = workspace.catalog.sql(statement, timeout=arguments.timeout)
    if arguments.json:
        rows = [[_plain(value) for value in row] for row in found.rows]
        said = {"workspace": str(workspace.root), "columns": list(found.columns), "rows": rows}
        print(as_json(said))
    else:
        print("\n".join(_lines(found.columns, found.rows)))
    return 0


def _lines(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> Iterator[str]:
    if not rows:
        yield "  no rows"
        return
    cells = [[_cell(value) for value in row] for row in rows]
    yield from table([inert(name) for name in columns], cells)


def _cell(value: Any) -> str:
    if isinstance(value, datetime):
        return time_text(value, seconds=True)
    plain = _plain(value)
    return inert(plain) if isinstance(plain, str) else value_text(plain)


def _plain(value: Any) -> Any:
    """A value of the engine as JSON can say it: what JSON lacks becomes a text."""
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, bytes):
        return value.hex()
    if value is None or isinstance(value, bool | int | float | str | datetime):
        return value
    return str(value)
