"""Scopes: the record as its edits leave it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from molexp.errors import FormatError
from molexp.model.address import ScopeKind
from molexp.model.record import Edit
from molexp.model.scope import (
    META,
    ExperimentMeta,
    ProjectMeta,
    RunMeta,
    ScopeMeta,
    WorkspaceMeta,
    effective,
)

UID = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
OTHER = "01ARZ3NDEKTSV4RRFFQ69G5FAW"
NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def run_meta(**members: object) -> RunMeta:
    """A run's record with these members, as it is read."""
    document = {"format": 1, "kind": "run", "uid": UID, "name": "r", "created_at": str(NOON)}
    return RunMeta.from_json(json.dumps({**document, **members}).encode(), "meta.json")


def edit(minute: int = 0, writer: str = "w", **patch: Any) -> Edit:
    """An edit of some minute after noon."""
    return Edit(at=NOON + timedelta(minutes=minute), writer=writer, by="me", patch=patch)


def test_there_is_a_record_for_each_kind_of_scope() -> None:
    assert list(META) == list(ScopeKind)
    for kind, record in META.items():
        meta = record.make(uid=UID, name="n", created_at=NOON)
        assert meta.kind is kind
        assert json.loads(meta.to_json())["kind"] == kind
        assert record.from_json(meta.to_json(), "meta.json") == meta


@pytest.mark.parametrize("kind", list(ScopeKind))
def test_a_record_of_another_kind_of_scope_is_refused(kind: ScopeKind) -> None:
    data = META[kind].make(uid=UID, name="n", created_at=NOON).to_json()
    others: set[type[ScopeMeta]] = {WorkspaceMeta, ProjectMeta, ExperimentMeta, RunMeta}
    for other in others - {META[kind]}:
        with pytest.raises(FormatError) as caught:
            other.from_json(data, "meta.json")
        assert caught.value.details["place"] == "kind"


def test_edits_apply_in_the_order_of_time_then_writer_then_line() -> None:
    edits = [
        edit(2, "a", notes="third", description="2a"),
        edit(1, "b", notes="second", labels={"from": "b"}),
        edit(1, "a", notes="first", labels={"from": "a", "first": True}),
        edit(2, "b", notes="fourth"),
        edit(2, "b", notes="fifth"),
    ]
    for order in (edits, [edits[n] for n in (3, 1, 4, 0, 2)]):
        meta, refused = effective(run_meta(), order)
        assert (meta.notes, meta.description, refused) == ("fifth", "2a", [])
        assert meta.labels == {"from": "b", "first": True}
    assert effective(run_meta(), [edit(notes="1"), edit(notes="2")])[0].notes == "2"
    assert effective(run_meta(), [edit(notes="2"), edit(notes="1")])[0].notes == "1"


def test_edits_add_and_remove_single_members_of_a_set() -> None:
    first = run_meta(tags={"a": "1", "b": "2"}, description="d")
    meta, refused = effective(first, [edit(tags={"b": None, "c": True}, description=None)])
    assert refused == []
    assert meta.tags == {"a": "1", "c": True}
    assert meta.description == ""
    assert first.tags == {"a": "1", "b": "2"}
    assert effective(first, []) == (first, [])


@pytest.mark.parametrize(
    "bad",
    [{"tags": {"a": 1}}, {"tags": "x"}, {"notes": []}, {"aliases": {"best": "no uid"}},
     {"notes": "x", "tags": [1]}, {"notes": 1.5}, {"replica": -1}, {"workflow": "x.py"}],
)  # fmt: skip
def test_an_edit_that_does_not_fit_is_reported_and_hides_no_other(bad: dict[str, Any]) -> None:
    good = [edit(0, tags={"a": "1"}), edit(2, notes="after", aliases={"best": OTHER})]
    meta, refused = effective(run_meta(), [*good, edit(1, **bad)])
    assert (meta.tags, meta.notes, meta.aliases) == ({"a": "1"}, "after", {"best": OTHER})
    assert [type(error) for error in refused] == [FormatError]
    assert "2026-11-20 12:01" in refused[0].message
    assert str(refused[0].details["place"]).split("/")[0] in bad


@pytest.mark.parametrize("kind", list(ScopeKind))
def test_no_edit_changes_what_a_scope_is(kind: ScopeKind) -> None:
    meta = META[kind].make(uid=UID, name="n", created_at=NOON)
    attack = edit(
        format=2, kind="run", uid=OTHER, name="x", created_at="2000-01-01T00:00:00Z",
        access="group", params={"a": 1}, parameters={"a": 1}, notes="the rest applies",
    )  # fmt: skip
    assert effective(meta, [attack]) == (meta.evolve(notes="the rest applies"), [])


def test_members_of_an_edit_that_are_not_known_are_no_edits() -> None:
    meta, refused = effective(run_meta(later=1), [edit(later=2, colour="red", max_bytes=1)])
    assert refused == []
    assert meta == run_meta(later=1)


def test_parameters_survive_any_edit() -> None:
    first = run_meta(parameters={"a": "NaN", "b": ["\\NaN", "-Infinity"], "c": 2**70, "d": None})
    meta, _ = effective(first, [edit(notes=str(n)) for n in range(5)])
    assert repr(meta.parameters) == repr(first.parameters)
    assert repr(meta.parameters["a"]) == "nan"


patches = st.dictionaries(
    st.sampled_from(["notes", "tags", "labels", "uid", "name", "replica", "later"]),
    st.one_of(
        st.none(), st.text(max_size=3), st.integers(-1, 1), st.dictionaries(
            st.sampled_from("ab"), st.one_of(st.none(), st.booleans(), st.text(max_size=2))
        )
    ),
    max_size=3,
)  # fmt: skip


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from("vw"), patches), max_size=5))
def test_any_edits_leave_a_record_that_can_be_written(
    edits: list[tuple[int, str, dict[str, Any]]],
) -> None:
    first: ScopeMeta = run_meta()
    meta, refused = effective(first, [edit(at, by, **patch) for at, by, patch in edits])
    assert RunMeta.from_json(meta.to_json(), "meta.json") == meta
    assert (meta.uid, meta.name, meta.created_at) == (first.uid, first.name, first.created_at)
    assert len(refused) <= len(edits)
