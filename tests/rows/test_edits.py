"""A record with its edits says what the records themselves make of them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from molexp.errors import MolexpError
from molexp.model.record import Edit
from molexp.model.scope import RunMeta, effective
from molexp.rows import shapes
from molexp.rows.edits import edited, order

META: dict[str, Any] = {
    "format": 1,
    "kind": "run",
    "uid": "0" * 26,
    "name": "r",
    "created_at": "2026-01-01T00:00:00Z",
    "tags": {"a": "1"},
    "parameters": {"lr": 0.1},
}

PATCHES: list[dict[str, Any]] = [
    {"notes": "x"},
    {"description": None},
    {"tags": {"a": None, "b": True}},
    {"tags": {"b": 3}},
    {"tags": None},
    {"labels": {"s": "t"}},
    {"labels": "wrong"},
    {"aliases": {"best": "1" * 26}},
    {"deleted": {"2" * 26: "why"}},
    {"replica": 3},
    {"replica": -1},
    {"parameters": {"lr": 2}},
    {"name": "other"},
    {"unheard": 1},
    {},
]


def edit(second: int, writer: str, patch: dict[str, Any]) -> dict[str, Any]:
    """An edit, as its line says it."""
    at = f"2026-01-01T00:00:{second:02}Z"
    return {"at": at, "writer": writer, "by": "ada@here", "patch": patch}


def shape(said: dict[str, Any]) -> shapes.Edit:
    """The same, as the catalog takes it."""
    return shapes.Edit(**said)


@given(
    st.lists(
        st.builds(edit, st.integers(0, 3), st.sampled_from("ab"), st.sampled_from(PATCHES)),
        max_size=6,
    )
)
def test_it_says_what_the_records_say(edits: list[dict[str, Any]]) -> None:
    problems: list[MolexpError] = []
    found = edited("run", META, [shape(each) for each in edits], "there", problems)
    records = [Edit.from_json(json.dumps(each).encode(), "there") for each in edits]
    wanted, refused = effective(RunMeta.from_json(json.dumps(META).encode(), "there"), records)
    assert RunMeta.from_json(json.dumps(found).encode(), "there").to_json() == wanted.to_json()
    assert len(problems) == len(refused)


@pytest.mark.parametrize(
    ("first", "second"), [("00:00:01Z", "00:00:01.5Z"), ("00:00:09Z", "00:01:00Z")]
)
def test_edits_count_in_the_order_of_their_times(first: str, second: str) -> None:
    one, other = (
        shape({**edit(0, "a", {}), "at": f"2026-01-01T{each}"}) for each in (first, second)
    )
    assert order(one) < order(other)
