"""What is taken without a record is never taken that a record refuses, and says the same."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from molexp.errors import FormatError
from molexp.model.address import ScopeKind
from molexp.model.asset import parse_asset
from molexp.model.execution import LINES, End, FileEntry
from molexp.model.record import Record
from molexp.model.scope import META
from molexp.rows import plain
from molexp.rows.plain import document, scope
from molexp.rows.shapes import SCOPES
from tests.rows.documents import DOCUMENTS, KINDS, mutated, spelt


def record(kind: str, raw: bytes) -> Record:
    """What the model makes of a document; raises FormatError."""
    if kind in ("asset", "data"):
        found = parse_asset(raw, "there")
        if kind == "data" and found.kind != "data":
            raise FormatError("no data", cure="", path="there", place="kind")
        return found
    if kind == "end":
        return End.from_json(raw, "there")
    if kind in LINES:
        return LINES[kind].from_json(raw, "there")
    return META[ScopeKind(kind)].from_json(raw, "there")


def told(kind: str, raw: bytes) -> Any:
    """What the catalog takes a document for, as JSON; raises FormatError."""
    if kind in SCOPES:
        return scope(kind, raw, "there")
    found = document(kind, raw, "there")
    usual = {each.name: each.default for each in msgspec.structs.fields(found)}
    said = {name: getattr(found, name) for name in usual if name != "unknown"}
    unusual = {name: value for name, value in said.items() if value != usual[name]}
    return {**json.loads(msgspec.json.encode(unusual)), **(found.unknown or {})}


def known(found: Record) -> Any:
    """A record, of whose files nobody asks what a later release says of them."""
    if not isinstance(found, End):
        return json.loads(found.to_json())
    names = FileEntry.model_fields
    entries = [FileEntry(**{n: getattr(each, n) for n in names}) for each in found.manifest]
    return json.loads(found.evolve(manifest=tuple(entries)).to_json())


def check(kind: str, raw: bytes) -> None:
    """Compare what the two make of a document."""
    try:
        wanted = record(kind, raw)
    except FormatError:
        with pytest.raises(FormatError):
            told(kind, raw)
    else:
        found = json.dumps(told(kind, raw)).encode()
        assert known(record(kind, found)) == known(wanted)


@pytest.mark.parametrize("kind", KINDS)
def test_every_real_document_is_taken_as_it_is(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain, "judge", None)
    for each in DOCUMENTS[kind]:
        check(kind, json.dumps(each).encode())


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_what_a_record_refuses_is_refused_and_what_it_takes_says_the_same(
    kind: str, data: st.DataObject
) -> None:
    found: Any = data.draw(mutated(kind))
    check(kind, data.draw(spelt(found)))


@pytest.mark.parametrize("one", ["asset", "start"])
@pytest.mark.parametrize("other", ["asset", "start", "input", "paused", "resumed", "edit"])
def test_a_line_says_one_thing(one: str, other: str) -> None:
    raw = json.dumps({each: DOCUMENTS[each][0] for each in (one, other)}).encode()
    if one == other:
        [(kind, _)] = plain.lines(raw)
        assert kind == one
    else:
        with pytest.raises(plain.NOT_PLAIN):
            plain.lines(raw)
