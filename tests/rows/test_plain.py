"""What is taken without a record is never taken that a record refuses, and says the same."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from molexp.errors import FormatError
from molexp.model.address import ScopeKind
from molexp.model.asset import parse_asset
from molexp.model.execution import LINES, End
from molexp.model.record import Record
from molexp.model.scope import META
from molexp.rows.plain import document
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


def check(kind: str, raw: bytes) -> None:
    """Compare what the two make of a document."""
    try:
        wanted = record(kind, raw)
    except FormatError:
        with pytest.raises(FormatError):
            document(kind, raw, "there")
    else:
        found = json.dumps(document(kind, raw, "there")).encode()
        assert record(kind, found).to_json() == wanted.to_json()


@pytest.mark.parametrize("kind", KINDS)
def test_every_real_document_is_taken_as_it_is(kind: str) -> None:
    for each in DOCUMENTS[kind]:
        raw = json.dumps(each).encode()
        check(kind, raw)
        assert document(kind, raw, "there") == each


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_what_a_record_refuses_is_refused_and_what_it_takes_says_the_same(
    kind: str, data: st.DataObject
) -> None:
    found: Any = data.draw(mutated(kind))
    check(kind, data.draw(spelt(found)))
