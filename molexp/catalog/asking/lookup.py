"""One record by its identity or address: the catalog says where, and the files there say what."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from molexp.catalog.asking.compile import table_of
from molexp.catalog.asking.query import Query, Raw, Source, asked, to_records
from molexp.errors import ConflictError, InvalidInputError, MolexpError, NotFoundError
from molexp.model.ids import is_ulid

Place = tuple[str, str]
"""A table, and the address of a scope that has rows in it."""

_DEPTHS = ("projects", "experiments", "runs")
_TIMES = 3  # to look again, where something moved between the question and the look


def get(source: Source, key: object) -> Any:
    """The one record with a uid, an asset_id, an address, or the id of a run.

    An execution's uid gives the asset that it is. Raises NotFoundError naming what is near, and
    ConflictError naming both places if two have it.
    """
    text = getattr(key, "address", key)
    if not isinstance(text, str) or not text:
        raise InvalidInputError(
            f"nothing has the id {key!r}",
            cure="give a uid, an asset_id, or an address: project/experiment/run",
            argument="id",
        )
    uid = text if is_ulid(text) else None
    hits: list[Hit] = []
    for _time in range(_TIMES):
        places = _with_uid(source, text) if uid else _at(source, text)
        hits = [hit for place in places for hit in _hits(source, place, uid)]
        if hits or not places:
            break
    if not hits:
        raise _not_there(source, text)
    if len(hits) > 1:
        named = sorted(raw[-2] or "the workspace" for _, raw in hits)
        raise ConflictError(
            f"{' and '.join(named)} both have {text}",
            cure="give the whole address; where one is a copy of the other, remove one of them",
            holder=named[0],
            since="unknown",
        )
    [(table, raw)] = hits
    return asked(source, lambda p: to_records(source, p, table, [raw])[0])


def _with_uid(source: Source, uid: str) -> list[Place]:
    """Where an identity is; an execution is told as the asset that it is."""
    places = asked(source, lambda p: [(name, p.address_of(scope)) for name, scope in p.locate(uid)])
    is_asset = any(name == "assets" for name, _ in places)
    return [place for place in places if not (is_asset and place[0] == "executions")]


def _at(source: Source, address: str) -> list[Place]:
    """The scope at an address, or all runs of that id."""
    depth = address.count("/")
    places = [(_DEPTHS[depth], address)] if depth < len(_DEPTHS) else []
    if depth or any(hit for place in places for hit in _hits(source, place, None)):
        return places
    return [("runs", each) for each in Query(source, "runs").filter(id=address).addresses()]


Hit = tuple[str, Raw]


def _hits(source: Source, place: Place, uid: str | None) -> Iterator[Hit]:
    """The rows of a scope in a table; of those, the ones with an identity."""
    name, address = place
    table = table_of(name)
    try:
        found = source.read(address)
    except MolexpError:
        return  # nothing is there, any more
    at = [*table.columns].index(table.uid) if table.uid is not None else 0
    times = [n for n, kind in enumerate(table.columns.values()) if kind.startswith("TIMESTAMP")]
    for row in table.reader(found):
        if uid is None or row[at] == uid:
            raw: list[Any] = [*row, address, found.meta and found.meta["uid"]]
            for each in times:
                if raw[each] is not None:
                    raw[each] = _given_out(raw[each])
            yield name, tuple(raw)


def _given_out(said: object) -> datetime:
    """A time of a row as the engine gives it out: that of UTC, and no zone named.

    >>> _given_out("2026-03-02T10:00:00+01:00"), _given_out(datetime(2026, 3, 2, 9))
    (datetime.datetime(2026, 3, 2, 9, 0), datetime.datetime(2026, 3, 2, 9, 0))
    """
    moment = datetime.fromisoformat(str(said))
    return moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)


def _not_there(source: Source, key: str) -> NotFoundError:
    near: list[str] = []
    if not is_ulid(key):
        name = _DEPTHS[min(key.count("/"), 2)]
        like = "jaro_winkler_similarity(address, ?)"
        sql = f"SELECT address FROM {name} WHERE {like} > 0.8 ORDER BY {like} DESC LIMIT 3"
        found = asked(source, lambda p: p.execute(sql, [key, key]).fetchall())
        near = [address for (address,) in found]
    hint = f"did you mean {' or '.join(map(repr, near))}?"
    return NotFoundError(
        f"nothing has the id or address {key!r}",
        cure=hint if near else "if it was put there by hand, run `molexp sync`; see the trash, too",
        kind="record",
        key=key,
        near=near,
    )
