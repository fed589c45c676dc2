"""Documents as the catalog takes them: those right beyond doubt, and those that were judged.

Making a record of each of a million documents would cost more than all the rest of a rebuild. What
has a shape is taken as it is; of everything else the record itself says whether it is one, and
what it says.
"""

from __future__ import annotations

import json
import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from msgspec import UNSET

from molexp.late import late
from molexp.rows.shapes import (
    DIGEST,
    SCOPES,
    SHAPES,
    TIME,
    UID,
    Asset,
    End,
    Entry,
    Json,
    Line,
    LiveLine,
    Measured,
    Message,
    Part,
    Shape,
)

if TYPE_CHECKING:
    from molexp.rows import judge
else:
    judge = late("molexp.rows.judge")

T = TypeVar("T", bound=Part)

Said = tuple[str, Any]
"""What a line records, and the document, which has the shape of such."""

_MAX_DEPTH = 90  # a record takes a few levels more, and says so
_MOST_BYTES = 1 << 24

_END = "\x1f"  # of a text among others: no plain text has it
_UIDS = re.compile(f"(?:{UID}{_END})*").fullmatch
_DIGESTS = re.compile(f"(?:{DIGEST}{_END})*").fullmatch
_TIMES = re.compile(f"(?:{TIME}{_END})*").fullmatch

_line = msgspec.json.Decoder(Line).decode
_live_line = msgspec.json.Decoder(LiveLine).decode
_any = msgspec.json.Decoder().decode
_shape = {source: msgspec.json.Decoder(each).decode for source, each in SHAPES.items()}
_spell = msgspec.json.Encoder().encode
_NAMES = Line.__struct_fields__
_NO_OTHERS = (UNSET,) * (len(_NAMES) - 1)

NOT_PLAIN = (msgspec.DecodeError, ValueError, RecursionError)
"""What is raised about a document that is not right beyond doubt."""


def is_plain_text(raw: bytes) -> bool:
    """Whether JSON says in it what it seems to say: half a character can only be escaped."""
    if b"\\u" in raw or len(raw) > _MOST_BYTES:
        return False
    if raw.isascii():
        return True
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def lines(data: bytes) -> list[Said]:
    """What whole lines say, but empty ones; raises NOT_PLAIN if one may be wrong."""
    if not is_plain_text(data):
        raise ValueError("not plain text")
    found: list[Said] = []
    assets: list[Asset] = []
    for each in data.split(b"\n"):
        if not each:
            continue
        line = _line(each)
        asset, others = line.asset, (line.start, line.input, line.paused, line.resumed, line.edit)
        if asset is not UNSET and others == _NO_OTHERS:  # the usual one
            assets.append(asset)
            found.append(("asset", asset))
            continue
        said = [(name, it) for name in _NAMES if (it := getattr(line, name)) is not UNSET]
        if len(said) != 1 or not _is_right(said[0][1], data):
            raise ValueError("not plainly a line")
        found += said
    if assets and not _are_right(assets, data):
        raise ValueError("not plainly assets")
    return found


def live_line(line: bytes) -> Measured | Message | None:
    """What a line of metrics or log records says, if it is right beyond doubt."""
    if not is_plain_text(line):
        return None
    try:
        found = _live_line(line)
    except NOT_PLAIN:
        return None
    if found.message is UNSET:
        return found.metric if found.metric is not UNSET else None
    return found.message if found.metric is UNSET else None


def spelt(value: Any) -> str:
    """A value as JSON, as columns hold it."""
    return _spell(value).decode()


def document(source: str, raw: bytes, where: str) -> Shape:
    """The document of a kind; raises FormatError if the records do not take it."""
    if is_plain_text(raw):
        try:
            found = _shape[source](raw)
            if _are_right([found], raw) if isinstance(found, Asset) else _is_right(found, raw):
                return found
        except NOT_PLAIN:
            pass
    return judged(source, raw, where)


def judged(source: str, raw: bytes, where: str) -> Shape:
    """The same by the record of that kind, which is asked about whatever is odd."""
    said: Json = json.loads(judge.judged(source, raw, where))
    shape = SHAPES[source]
    known = {name: said.pop(name) for name in shape.__struct_fields__ if name in said}
    if "manifest" in known:
        known["manifest"] = [made(Entry, each) for each in known["manifest"]]
    return shape(**known, unknown=MappingProxyType(said))


def made(part: type[T], said: Json) -> T:
    """What a record says, as the part of a document that it is; it knows no other members."""
    return part(**{name: said[name] for name in part.__struct_fields__ if name in said})


def scope(kind: str, raw: bytes, where: str) -> Json:
    """The record of a scope; raises FormatError if the records do not take it."""
    if is_plain_text(raw):
        try:
            found: Json = _any(raw)
            msgspec.convert(found, SCOPES[kind])
            if _is_shallow(raw) or _is_shallow_in(found):
                return found
        except NOT_PLAIN:
            pass
    return json.loads(judge.judged(kind, raw, where))  # type: ignore[no-any-return]


def _are_right(assets: list[Asset], raw: bytes) -> bool:
    """Whether assets are right beyond doubt: their texts of a fixed form are looked at together."""
    uids = "".join([each.asset_id + _END for each in assets])
    times = "".join([each.created_at + _END for each in assets])
    hashes = [each.content_hash for each in assets if each.content_hash is not None]
    digests = "".join([each + _END for each in hashes])
    if not (_UIDS(uids) and _TIMES(times) and _DIGESTS(digests)):
        return False
    is_shallow = _is_shallow(raw)
    return all(
        _is_right(each, raw) for each in assets if each.producer is not None or not is_shallow
    )


def _is_right(found: Shape, raw: bytes) -> bool:
    """Whether what stands within a document is right; raises NOT_PLAIN if it is not."""
    if found.parts is not None:
        msgspec.convert(found, found.parts, from_attributes=True)
    if type(found) is End:
        paths = [each.path for each in found.manifest]
        return paths == sorted(set(paths))
    return _is_shallow(raw) or _is_shallow_in([getattr(found, name) for name in found.free])


def _is_shallow(raw: bytes) -> bool:
    """Whether nothing in it can be nested deeper than any record takes: so the usual file is."""
    return raw.count(b"{") + raw.count(b"[") < _MAX_DEPTH


def _is_shallow_in(value: Any, depth: int = 0) -> bool:
    """The same of one value."""
    if depth == _MAX_DEPTH:
        return False
    for each in value.values() if type(value) is dict else value:
        kind = type(each)
        if (kind is dict or kind is list) and each and not _is_shallow_in(each, depth + 1):
            return False
    return True
