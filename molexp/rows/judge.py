"""Documents that are not plainly right, judged by the records of the model."""

from __future__ import annotations

from molexp.errors import FormatError
from molexp.model.address import ScopeKind
from molexp.model.asset import parse_asset
from molexp.model.execution import LINES, End
from molexp.model.record import Edit
from molexp.model.scope import META, effective


def judged(source: str, raw: bytes, where: str) -> bytes:
    """What the record of a document says, in JSON; raises FormatError if it is none."""
    if source in ("asset", "data"):
        asset = parse_asset(raw, where)
        if source == "data" and asset.kind != "data":
            raise FormatError(
                f"{where} is an asset of the kind {asset.kind!r}, where data belongs",
                cure="restore it from a copy, or mend it by hand",
                path=where,
                place="kind",
            )
        return asset.to_json()
    if source == "end":
        return End.from_json(raw, where).to_json()
    if source in LINES:
        return LINES[source].from_json(raw, where).to_json()
    return META[ScopeKind(source)].from_json(raw, where).to_json()


def edited(
    kind: str, meta: bytes, edits: list[bytes], where: str
) -> tuple[bytes, list[FormatError]]:
    """A scope's record with its edits, and those of them that do not fit."""
    record = META[ScopeKind(kind)].from_json(meta, where)
    said, refused = effective(record, [Edit.from_json(each, where) for each in edits])
    return said.to_json(), refused
