"""The readers of the catalog's own tables: one scope, as its files tell it, to rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from molexp.disk import layout
from molexp.late import late
from molexp.rows.edits import order

if TYPE_CHECKING:
    from molexp.rows import plain, shapes
    from molexp.rows.gather import Attempt, Gathered
    from molexp.rows.shapes import Asset, Json
else:
    plain = late("molexp.rows.plain")
    shapes = late("molexp.rows.shapes")

Row = tuple[object, ...]

_SAID = ("uid", "name", "created_at", "description", "notes", "tags", "labels")
_OF_SCOPES = frozenset([*_SAID, "format", "kind"])
_OF_KINDS = ("value", "parent", "step", "type", "message", "origin", "refers_to")
_NONE = (None, None, None, None)
_EXACT = 2**53  # of the integers that a double says exactly
_NOTHING: tuple[object, ...] = (None, "", {}, [])
_SAYS_NOTHING = frozenset(["aliases", "deleted", "seeds"])
_NOT_FINITE = ("NaN", "Infinity", "-Infinity")


def projects(found: Gathered) -> Iterator[Row]:
    """A project."""
    if found.kind == "project" and found.meta is not None:
        yield (*_place(found), *_said(found.meta), _rest(found.meta, _OF_SCOPES))


def experiments(found: Gathered) -> Iterator[Row]:
    """An experiment."""
    meta = found.meta
    if found.kind != "experiment" or meta is None:
        return
    workflow = meta.get("workflow") or {}
    yield (
        *_place(found),
        *_said(meta),
        _json(meta.get("params")),
        workflow.get("path"),
        workflow.get("type"),
        workflow.get("git_commit"),
        _whole(meta.get("n_replicas", 1)),
        _rest(meta, _OF_SCOPES | {"params", "n_replicas"}),
    )


def runs(found: Gathered) -> Iterator[Row]:
    """A run; its status is that of its newest execution."""
    meta = found.meta
    if found.kind != "run" or meta is None:
        return
    newest = max(found.attempts, key=_number, default=None)
    start, end = (newest.start, newest.end) if newest is not None else (None, None)
    error = (end.error if end is not None else None) or {}
    yield (
        *_place(found),
        *_said(meta),
        _json(meta.get("parameters")),
        meta.get("replica"),
        "pending" if newest is None else newest.state,
        len(found.attempts),
        None if start is None else start.at,
        None if end is None else end.ended_at,
        error.get("type"),
        error.get("message"),
        _rest(meta, _OF_SCOPES | {"parameters", "replica"}),
    )


def executions(found: Gathered) -> Iterator[Row]:
    """The attempts at a run."""
    for each in found.attempts:
        yield (found.scope, each.number, each.uid, each.state, *_began(each), *_ended(each))


def _began(attempt: Attempt) -> Row:
    start, end = attempt.start, attempt.end
    ended_at = None if end is None else end.ended_at
    if start is None:
        return (None, ended_at, None, None, "power", None, "{}", None, None, None, None)
    code = start.snapshot.get("code") or {}
    return (
        start.at,
        ended_at,
        start.owner["host"],
        _whole(start.owner["pid"]),
        start.durability,
        start.profile,
        _json(start.config),
        start.config_hash,
        code.get("commit"),
        start.resumed_from,
        start.resumed_step,
    )


def _ended(attempt: Attempt) -> Row:
    end = attempt.end
    if end is None:
        return (None, None, None, None, None)
    error = end.error or {}
    said = (error.get("type"), error.get("message"), error.get("trace"))
    return (end.last_step, end.reason, *said)


def assets(found: Gathered) -> Iterator[Row]:
    """The data of a scope, what executions made, and these themselves."""
    for within, each in found.data:
        yield _asset(found, None, each, within, late=False)
    for attempt in found.attempts:
        below = layout.execution_name(attempt.number)
        for each, is_late in attempt.assets.values():
            yield _asset(found, attempt.number, each, below, late=is_late)
        if attempt.uid is not None and not _tells_itself(attempt):
            yield _state(found, attempt, below)


def _asset(found: Gathered, execution: int | None, asset: Asset, within: str, *, late: bool) -> Row:
    producer, path = asset.producer, asset.path
    return (
        found.scope,
        execution,
        asset.asset_id,
        asset.kind,
        asset.name,
        _whole(asset.version),
        None if path is None else f"{within}/{path}",
        asset.size,
        asset.mime,
        asset.content_hash,
        asset.created_at,
        producer.get("task") if producer is not None else None,
        _json(producer),
        _json(asset.tags),
        _json(asset.meta),
        late,
        _more(asset),
    )


def _more(asset: Asset) -> str:
    """The members that no column has, without those that are as they would be if left out."""
    others = (asset.value, asset.parent, asset.step, asset.unknown)
    if others == _NONE and not asset.type and not asset.message and type(asset) is shapes.Asset:
        return "{}"
    rest = {
        name: value
        for name in _OF_KINDS
        if (value := getattr(asset, name, None)) is not None and (value != "" or name == "value")
    }
    if asset.unknown:
        rest |= {name: value for name, value in asset.unknown.items() if value is not None}
    return plain.spelt(rest) if rest else "{}"


def _tells_itself(attempt: Attempt) -> bool:
    return any(each.kind == "execution_state" for each, _ in attempt.assets.values())


def _state(found: Gathered, attempt: Attempt, name: str) -> Row:
    """The execution itself, which others can refer to."""
    start, end = attempt.start, attempt.end
    at = start.at if start is not None else end and end.ended_at
    said = (at, None, "{}", "{}", "{}", False, "{}")
    return (found.scope, attempt.number, attempt.uid, "execution_state", name, 1, *_NONE, *said)


def inputs(found: Gathered) -> Iterator[Row]:
    """What executions used."""
    for attempt in found.attempts:
        for number, (each, is_late) in enumerate(attempt.inputs, 1):
            yield (
                found.scope,
                attempt.number,
                number,
                each.at,
                each.asset,
                each.name,
                None if each.value is None else plain.spelt(each.value),
                each.path,
                each.content_hash,
                each.task,
                is_late,
            )


def metrics(found: Gathered) -> Iterator[Row]:
    """One row for each metric of each execution; its series stays in the files."""
    for attempt in found.attempts:
        for key, each in attempt.metrics.items():
            numbers = (_number_of(each[name]) for name in ("first", "last", "min", "max"))
            yield (found.scope, attempt.number, key, *numbers, each["count"])


def messages(found: Gathered) -> Iterator[Row]:
    """Log records that warn or worse."""
    for attempt in found.attempts:
        for number, each in enumerate(attempt.messages, 1):
            said = (each["at"], each["level"], each["logger"], each["text"])
            yield (found.scope, attempt.number, number, *said)


def tags(found: Gathered) -> Iterator[Row]:
    """The tags and labels of scopes, and the tags of assets."""
    meta = found.meta or {}
    for is_label, name in enumerate(("tags", "labels")):
        for key, value in meta.get(name, {}).items():
            yield (found.scope, None, None, bool(is_label), key, _flat(value))
    for _, each in found.data:
        for key, value in each.tags.items():
            yield (found.scope, None, each.asset_id, False, key, _flat(value))
    for attempt in found.attempts:
        for each, _ in attempt.assets.values():
            for key, value in each.tags.items():
                yield (found.scope, attempt.number, each.asset_id, False, key, _flat(value))


def edits(found: Gathered) -> Iterator[Row]:
    """What was changed about a scope, in the order in which it counts."""
    in_order = sorted(found.edits, key=order)
    for number, each in enumerate(in_order, 1):
        said = (each.at, each.writer, each.by, plain.spelt(each.patch), each.reason)
        yield (found.scope, number, *said)


def params(found: Gathered) -> Iterator[Row]:
    """The parameters of a run, those within others under keys such as ``optimizer.lr``."""
    if found.kind == "run" and found.meta is not None:
        yield from _params(found.scope, "", found.meta.get("parameters", {}))


def _params(scope: int, above: str, values: Json) -> Iterator[Row]:
    for name, value in values.items():
        key = above + name
        kind = type(value)
        if kind is float or (kind is int and -_EXACT <= value <= _EXACT):
            yield (scope, key, value, "", "number")
        elif kind is int:
            yield (scope, key, _number_of(value), str(value), "number")
        elif kind is str and value in _NOT_FINITE:
            yield (scope, key, float(value), "", "number")
        elif kind is str:
            yield (scope, key, None, _unescaped(value), "text")
        elif kind is bool:
            yield (scope, key, None, _flat(value), "flag")
        elif value is None:
            yield (scope, key, None, "", "null")
        else:
            yield (scope, key, None, plain.spelt(value), "json")
            if kind is dict:
                yield from _params(scope, f"{key}.", value)


def _place(found: Gathered) -> Row:
    return (found.scope, "/".join(found.address), *found.address)


def _said(meta: Json) -> Row:
    return (
        meta["uid"],
        meta["name"],
        meta["created_at"],
        meta.get("description", ""),
        meta.get("notes", ""),
        _json(meta.get("tags")),
        _json(meta.get("labels")),
    )


def _number(attempt: Attempt) -> int:
    return attempt.number


def _json(value: Any) -> str:
    return plain.spelt(value) if value else "{}"


def _rest(document: Json, known: frozenset[str]) -> str:
    """The members that no column has, without those that are as they would be if left out."""
    unknown = document.keys() - known
    if not unknown:
        return "{}"
    rest = {
        name: value
        for name, value in document.items()
        if name in unknown
        and value is not None
        and (name not in _SAYS_NOTHING or value not in _NOTHING)
    }
    return plain.spelt(rest) if rest else "{}"


def _flat(value: str | bool) -> str:
    return value if type(value) is str else "true" if value else "false"


def _whole(value: int | None) -> int | None:
    """An integer, if a column holds it."""
    return value if value is None or value < 2**63 else None


def _number_of(value: Any) -> float | None:
    try:
        return float(value)
    except OverflowError:  # an integer that no float comes near
        return None


def _unescaped(text: str) -> str:
    return text[1:] if text.startswith("\\") and text.lstrip("\\").endswith(_NOT_FINITE) else text
