"""A scope's record with its edits applied: the usual ones here, all others by the records."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

from molexp.errors import MolexpError
from molexp.late import late

if TYPE_CHECKING:
    from molexp.rows import judge, shapes
    from molexp.rows.shapes import Edit, Json
else:
    judge = late("molexp.rows.judge")
    shapes = late("molexp.rows.shapes")

_FIXED = frozenset(
    ["format", "kind", "uid", "name", "created_at", "access", "params", "parameters"]
)


def edited(
    kind: str, meta: Json, edits: list[Edit], where: str, problems: list[MolexpError]
) -> Json:
    """The record as it reads now; edits that do not fit join ``problems``, and change nothing."""
    said = dict(meta)
    try:
        for each in sorted(edits, key=order):
            _apply(kind, said, each.patch)
    except _DoubtError:
        raw = [json.dumps(_told(each)).encode() for each in edits]
        text, refused = judge.edited(kind, json.dumps(meta).encode(), raw, where)
        problems += refused
        return json.loads(text)  # type: ignore[no-any-return]
    return said


class _DoubtError(Exception):
    """An edit that is not plainly right."""


def order(edit: Edit) -> tuple[datetime, str]:
    """Edits count in the order of their time, then of who wrote them, then of their lines."""
    return datetime.fromisoformat(edit.at), edit.writer


def _told(edit: Edit) -> Json:
    return {name: getattr(edit, name) for name in ("at", "writer", "by", "patch", "reason")}


def _apply(kind: str, said: Json, patch: Json) -> None:
    for name, change in patch.items():
        if name in _FIXED or name not in shapes.SCOPES[kind].__struct_fields__:
            continue  # no edit changes it
        if name in ("description", "notes") and type(change) is str:
            said[name] = change
        elif name in ("tags", "labels", "deleted") and type(change) is dict:
            said[name] = _merged(said.get(name, {}), change)
        else:
            raise _DoubtError


def _merged(held: Json, change: Json) -> dict[str, Any]:
    merged = dict(held)
    for key, value in change.items():
        if value is None:
            merged.pop(key, None)
        elif type(value) in (str, bool):
            merged[key] = value
        else:
            raise _DoubtError
    return merged
