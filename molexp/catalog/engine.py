"""The one door to DuckDB: connections, what they may use, and its errors in our words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

from molexp.errors import CatalogError

if TYPE_CHECKING:
    from _duckdb import DuckDBPyConnection

Connection: TypeAlias = "DuckDBPyConnection"

STORAGE = "v1.4.0"
"""Generations are written so that every release from this one on can read them."""

_SETTINGS = {
    "threads": 2,
    "memory_limit": "'256MB'",
    "preserve_insertion_order": "true",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "TimeZone": "'UTC'",
    "default_null_order": "'nulls_last'",
}


def connect() -> Connection:
    """A database in memory, of which nothing is ever written to a disk by itself."""
    import _duckdb  # its core alone: the package around it takes three times as long to load

    connection = _duckdb.connect(":memory:")
    for name, value in _SETTINGS.items():
        connection.execute(f"SET {name} = {value}")
    return connection


def leak(connection: Connection) -> None:
    """Never let go of a connection: a forked child that did would wait for its parent's threads."""
    import ctypes  # heavy, and for forked children alone

    ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))


@contextmanager
def translated(doing: str, cure: str) -> Iterator[None]:
    """What the engine raises in the block, as a CatalogError that says how it is cured."""
    import _duckdb

    try:
        yield
    except _duckdb.Error as error:
        said = str(error).partition("\n")[0]
        raise CatalogError(f"{doing}: {said}", cure=cure) from error


def quoted(name: str) -> str:
    """A name as SQL spells it, whatever it holds."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text as SQL spells it.

    >>> literal("it's")
    "'it''s'"
    """
    return "'" + text.replace("'", "''") + "'"


def listed(values: Sequence[Any]) -> str:
    """Integers as the inside of an ``IN (…)``; of none, one that nothing is."""
    return ", ".join(map(str, map(int, values))) or "NULL"
