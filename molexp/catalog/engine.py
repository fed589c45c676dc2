"""The one door to DuckDB: connections, what they may use, and its errors in our words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

from molexp.errors import CatalogError
from molexp.late import late

if TYPE_CHECKING:
    import _duckdb
else:
    _duckdb = late("_duckdb")  # its core: the package around it takes three times as long to load

Connection: TypeAlias = "_duckdb.DuckDBPyConnection"

STORAGE = "v1.2.0"
"""As what generations are written, so that all releases that we use read the same out of them.

The texts of later ones are compressed in a way (DICT_FSST) in which the releases 1.4.0 to 1.4.3 do
not find what is NULL.
"""

_SETTINGS: dict[str, str | bool | int | float | list[str]] = {
    "memory_limit": "256MB",
    "preserve_insertion_order": "true",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "default_null_order": "nulls_last",
}

_LOCKS = (  # besides the settings
    "SET allow_community_extensions = false",
    "SET python_enable_replacements = false",
    "SET enable_external_access = false",
    "SET disabled_filesystems = 'LocalFileSystem'",
    "SET lock_configuration = true",
    "BEGIN TRANSACTION READ ONLY",  # of what is in memory as well
)


def connect(spill: str = "", threads: int = 1) -> Connection:
    """A database in memory; nothing of it is written to a disk by itself but in ``spill``.

    What does not fit into memory goes there, into a directory that is gone with the connection.
    Small questions are answered sooner by one thread.
    """
    settings = {**_SETTINGS, "temp_directory": spill, "threads": threads}
    connection = _duckdb.connect(":memory:", config=settings)
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def refusals() -> type[Exception]:
    """Whatever the engine raises."""
    return _duckdb.Error


def lock(connection: Connection) -> None:
    """Let a database only be read from now on, and no file, network or extension be reached.

    Nothing undoes it, so that the database is of no use to anybody after that. What is attached
    stays readable.
    """
    for each in _LOCKS:
        connection.execute(each)


def leak(connection: Connection) -> None:
    """Never let go of a connection: a forked child that did would wait for its parent's threads."""
    import ctypes  # heavy, and for forked children alone

    ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))


@contextmanager
def translated(doing: str, cure: str) -> Iterator[None]:
    """What the engine raises in the block, as a CatalogError that says how it is cured."""
    try:
        yield
    except refusals() as error:
        said = str(error).partition("\n")[0]
        raise CatalogError(f"{doing}: {said}", cure=cure) from error


def may_be_damage(error: Exception) -> bool:
    """Whether the engine may have raised this for the bytes that it found, not for a question.

    That a checksum is wrong has no class of its own: then it is an Error, and nothing more exact.
    """
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
    spelt = "'" + text.replace("'", "''") + "'"
    return spelt.replace("\0", "' || chr(0) || '")  # no statement holds it


def some(values: Sequence[object]) -> str:
    """Integers or texts as what stands behind an ``IN``, however many; at least one.

    >>> some(["a", "b"])
    "(SELECT unnest(['a', 'b']))"
    """
    each = (literal(value) if isinstance(value, str) else str(value) for value in values)
    return f"(SELECT unnest([{', '.join(each)}]))"


def listed(values: Sequence[Any]) -> str:
    """Integers as the inside of an ``IN (…)``; of none, one that nothing is."""
    return ", ".join(map(str, map(int, values))) or "NULL"
