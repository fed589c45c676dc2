"""The one door to DuckDB: connections, what they may use, and its errors in our words."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias
from weakref import WeakSet

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

_open: WeakSet[Any] = WeakSet()


def connect() -> Connection:
    """A database in memory, of which nothing is ever written to a disk by itself."""
    import _duckdb  # its core alone: the package around it takes three times as long to load

    connection = _duckdb.connect(":memory:")
    _open.add(connection)
    for name, value in _SETTINGS.items():
        connection.execute(f"SET {name} = {value}")
    return connection


def _keep_for_ever() -> None:
    """In a forked child, whose end would wait for threads of the engine that only its parent has.

    So no connection of the parent is ever destroyed there, not even when the interpreter ends.
    """
    inherited = list(_open)
    if inherited:
        import ctypes

        for each in inherited:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(each))
        _open.clear()


os.register_at_fork(after_in_child=_keep_for_ever)


@contextmanager
def translated(doing: str, cure: str) -> Iterator[None]:
    """What the engine raises in the block, as a CatalogError that says how it is cured."""
    import _duckdb

    try:
        yield
    except _duckdb.Error as error:
        said = str(error).partition("\n")[0]
        raise CatalogError(f"{doing}: {said}", cure=cure) from error


def may_be_damage(error: Exception) -> bool:
    """Whether the engine may have raised this for the bytes that it found, not for a question.

    That a checksum is wrong has no class of its own: then it is an Error, and nothing more exact.
    """
    import _duckdb

    troubles = (
        _duckdb.IOException,
        _duckdb.SerializationException,
        _duckdb.InternalError,
        _duckdb.FatalException,
    )
    return type(error) is _duckdb.Error or isinstance(error, troubles)


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
