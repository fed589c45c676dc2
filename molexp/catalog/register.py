"""The register of a database: which scopes it has rows of, under which numbers, as of when."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from molexp.catalog.engine import Connection, some
from molexp.rows.scopes import Parts, is_subtree, parts_of

if TYPE_CHECKING:
    from molexp.rows.gather import Gathered

COLUMNS = {
    "scope": "INTEGER",
    "address": "VARCHAR",
    "kind": "VARCHAR",
    "project": "VARCHAR",
    "experiment": "VARCHAR",
    "run": "VARCHAR",
    "uid": "VARCHAR",
    "signature": "BIGINT",
    "is_open": "BOOLEAN",
}
"""``is_open`` says that it has an execution without an end, so that everybody looks at it."""


class Entry(NamedTuple):
    """A scope in the register; without a signature it is read again whenever it is looked at."""

    scope: int
    signature: int | None


def entry(found: Gathered, *, is_sure: bool) -> tuple[object, ...]:
    """The row of a scope; unless ``is_sure``, it may have changed again since it was read."""
    names = (*found.address, None, None, None)[:3]
    signature = found.glance.signature if is_sure else None
    uid = found.meta["uid"] if found.meta is not None else None
    address, is_open = "/".join(found.address), bool(found.unended)
    return found.scope, address, found.kind, *names, uid, signature, is_open


def at(connection: Connection, target: str, prefixes: Iterable[str]) -> dict[Parts, Entry]:
    """The entries of the scopes that prefixes name, with all that lie below a ``/**``."""
    exact: list[str] = []
    subtrees: list[str] = []
    for prefix in prefixes:
        (subtrees if is_subtree(prefix) else exact).append("/".join(parts_of(prefix)))
    if "" in subtrees:
        return _entries(connection, f"FROM {target}.scopes", [])
    found = {}
    if exact:
        found = _entries(
            connection,
            f"FROM {target}.scopes SEMI JOIN {some(exact)} AS t (address) USING (address)",
            [],
        )
    for prefix in subtrees:
        found |= _entries(
            connection,
            f"FROM {target}.scopes WHERE address = $1 OR starts_with(address, $1 || '/')",
            [prefix],
        )
    return found


def open_ones(connection: Connection, target: str) -> list[str]:
    """The addresses of the scopes that have an execution without an end."""
    found = connection.execute(f"SELECT address FROM {target}.scopes WHERE is_open").fetchall()
    return [address for (address,) in found]


def extent(connection: Connection, target: str) -> tuple[int, int]:
    """The highest number of a scope, and how many scopes there are."""
    query = f"SELECT coalesce(max(scope), -1), count(*) FROM {target}.scopes"
    found = connection.execute(query).fetchall()
    highest, number = found[0]
    return highest, number


def _entries(connection: Connection, of: str, values: list[Any]) -> dict[Parts, Entry]:
    query = f"SELECT address, scope, signature {of}"
    return {
        tuple(address.split("/")) if address else (): Entry(scope, signature)
        for address, scope, signature in connection.execute(query, values).fetchall()
    }
