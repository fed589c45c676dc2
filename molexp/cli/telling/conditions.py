"""Conditions as users type them: words that a shell lets through, as lookups of a query.

``params.lr__lt=0.01`` needs no quotes, and ``'params.lr<0.01'`` says the same.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence

from molexp.catalog.asking.compile import LOOKUPS, PLACES
from molexp.errors import QueryError
from molexp.rows.tables import Table, tables

_WORD = re.compile(r"([^=!<>]+?)(!=|<=|>=|==|=|<|>)(.*)", re.DOTALL)
_SIGNS = {
    "=": "",
    "==": "",
    "!=": "__ne",
    "<": "__lt",
    "<=": "__le",
    ">": "__gt",
    ">=": "__ge",
}
_PARAMS = "params"


def is_condition(word: str) -> bool:
    """Whether a word says what something must be."""
    return _WORD.fullmatch(word) is not None


def lookups(table: Table, words: Sequence[str]) -> Iterator[tuple[str, object]]:
    """The lookups that words mean for a table: their names as in Python, and their values.

    A value is read as JSON where a parameter or a number is asked for, and else as a text; behind
    ``__in`` stand several, with commas between them. Raises QueryError for what is no condition.
    """
    for word in words:
        match = _WORD.fullmatch(word)
        if match is None:
            raise QueryError(
                f"{word!r} says nothing that could be so or not",
                cure="say FIELD=VALUE, as in `status=failed` or `params.lr__lt=0.01`",
                field=word,
                near=[],
            )
        field, sign, text = match.groups()
        name = field.strip().replace(".", "__")
        *before, last = name.split("__")
        if _SIGNS[sign] and before and last in LOOKUPS:
            raise QueryError(
                f"{word!r} compares twice, by `__{last}` and by `{sign}`",
                cure=f"say `{field.removesuffix(f'__{last}')}{sign}{text}`",
                field=field,
                near=[],
            )
        is_text = _is_text(table, name)
        value: object = value_of(text, is_text=is_text)
        if last == "in" and before:
            value = [value_of(each, is_text=is_text) for each in text.split(",")]
        yield name + _SIGNS[sign], value


def value_of(text: str, *, is_text: bool = False) -> object:
    """A value as JSON says it, if it is one that has no parts; else the text as it stands.

    With ``is_text`` only ``null`` and what stands in quotes are read: an id may look like a number.

    >>> value_of("0.01"), value_of("adam"), value_of('"3"'), value_of("null")
    (0.01, 'adam', '3', None)
    """
    value: object
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    if isinstance(value, list | dict) or (is_text and not isinstance(value, str | None)):
        return text
    return value


def _is_text(table: Table, name: str) -> bool:
    """Whether only a text, a time or nothing at all can be what a lookup of this name asks for."""
    first, *rest = name.split("__")
    column = table.columns.get(first)
    if first in table.relations and rest and rest[0] not in LOOKUPS:
        column = tables()[table.relations[first].table].columns.get(rest[0])
    elif first == _PARAMS and column is None:
        return False
    elif column is None or first in PLACES:
        return True
    return column is None or column.startswith(("VARCHAR", "TIMESTAMP"))
