"""Records: frozen, changed by ``evolve`` alone, and read so that damage has a file and a place."""

from __future__ import annotations

import json
import sys
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from math import inf, nan
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, ValidationError, create_model

from molexp.errors import FormatError, FormatVersionError, InvalidInputError
from molexp.model.codec import FORMAT
from molexp.model.record import (
    Count,
    Document,
    Edit,
    Free,
    FreeMapping,
    Number,
    Record,
    Tags,
    Uid,
    UtcTime,
    merge_patch,
)
from molexp.model.scope import ExperimentMeta, ProjectMeta, RunMeta, ScopeMeta

UID = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
PATH = "lab/meta.json"


class Inner(Record):
    size: Count = 0


class Sheet(Document):
    """One member of every type that records are made of."""

    uid: Uid = UID
    at: UtcTime = NOON
    name: str = "name"
    count: Count | None = None
    loss: Number | None = None
    tags: Tags = Field(default_factory=dict)
    value: Free = None
    params: FreeMapping = Field(default_factory=dict)
    inner: Inner | None = None
    many: tuple[Inner, ...] = ()


class Small(Record):
    max_bytes = 20

    name: str = ""


VALID: dict[str, Any] = json.loads(
    Sheet(
        count=3, loss=nan, tags={"a": True}, value=[inf], params={"lr": 0.1}, inner=Inner()
    ).to_json()
)


def read(**members: object) -> Sheet:
    """The valid sheet, with these members."""
    return Sheet.from_json(json.dumps({**VALID, **members}).encode(), PATH)


def refusal(data: bytes, kind: type[Record] = Sheet) -> FormatError:
    """How ``data`` is refused."""
    with pytest.raises(FormatError) as caught:
        kind.from_json(data, PATH)
    assert caught.value.details["path"] == PATH
    assert PATH in caught.value.message
    assert caught.value.cure
    return caught.value


def test_a_record_is_frozen() -> None:
    sheet = Sheet()
    with pytest.raises(ValidationError, match="frozen"):
        sheet.name = "other"  # type: ignore[misc]  # refused by the type checker, too
    assert sheet.name == "name"


def test_a_record_comes_back_as_itself() -> None:
    sheet = Sheet.make(
        name="Größe",
        at=datetime(2026, 1, 1, 2, tzinfo=timezone(timedelta(hours=2))),
        value={"n": "NaN", "t": (1, -inf)},
        params={"Infinity": [inf, "\\Infinity", 2**70, -0.0]},
        loss=-inf,
        many=(Inner(size=2),),
    )
    data = sheet.to_json()
    assert b"\n" not in data
    assert json.loads(data, parse_constant=pytest.fail)["at"] == "2026-01-01T00:00:00Z"
    again = Sheet.from_json(data, PATH)
    assert again == sheet
    assert again.to_json() == data
    assert again.value == {"n": "NaN", "t": [1, -inf]}


def test_evolve_changes_what_it_is_told_and_nothing_else() -> None:
    sheet = read(loss="NaN", later={"x": None})
    other = sheet.evolve(name="other", params={"a": (nan, "NaN")})
    assert (other.name, other.params["a"][1]) == ("other", "NaN")
    assert other.params["a"][0] != other.params["a"][0]
    assert sheet.name == "name"
    assert other.evolve(name=sheet.name, params=sheet.params).to_json() == sheet.to_json()


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"name": 3}, "name"),
        ({"count": -1}, "count"),
        ({"count": True}, "count"),
        ({"count": "3"}, "count"),
        ({"uid": UID.lower()}, "uid"),
        ({"at": datetime(2026, 1, 1)}, "at"),  # noqa: DTZ001 - it has no zone, and is refused
        ({"loss": "NaN"}, "loss"),
        ({"tags": {"a": 1}}, "tags"),
        ({"params": {"a": [object()]}}, "params"),
        ({"params": {"\ud800": 1}}, "params"),
        ({"params": [1]}, "params"),
        ({"inner": {"size": -1}}, "inner"),
        ({"format": FORMAT + 1}, "format"),
    ],
)
def test_evolve_and_make_validate_and_name_the_field(changes: dict[str, Any], place: str) -> None:
    for call in (read().evolve, Sheet.make):
        with pytest.raises(InvalidInputError) as caught:
            call(**changes)
        assert str(caught.value.details["argument"]).split("/")[0] == place
        assert place in caught.value.message


def test_evolve_refuses_a_field_that_is_not_there_and_names_a_near_one() -> None:
    with pytest.raises(InvalidInputError, match="did you mean 'count'") as caught:
        Sheet().evolve(cuont=1)
    assert caught.value.details["argument"] == "cuont"
    with pytest.raises(InvalidInputError, match="it has format, uid, at, name"):
        Sheet().evolve(zzz=1)
    with pytest.raises(InvalidInputError, match="later"):
        read(later=1).evolve(later=2)


def test_members_that_are_not_known_survive_reading_changing_and_writing() -> None:
    later = {"x": [1, None, {"y": None}], "big": 2**64, "text": "NaN", "back": "\\NaN"}
    sheet = read(later=later, model_dump=1, copy="c", **{"": 0, "a b": [], "__class__": "z"})
    assert dict(sheet.unknown) == {
        "later": later, "model_dump": 1, "copy": "c", "": 0, "a b": [], "__class__": "z"
    }  # fmt: skip
    written = json.loads(sheet.evolve(name="other").to_json())
    assert written == {**json.loads(sheet.to_json()), "name": "other"}
    assert written["later"] == later
    inner = read(inner={"size": 1, "colour": "red"}).inner
    assert inner is not None
    assert inner.unknown == {"colour": "red"}


def test_members_that_are_null_are_not_written() -> None:
    members = json.loads(read(later=None, value={"x": None}).to_json())
    assert "later" not in members
    assert members["value"] == {"x": None}


def test_what_cannot_be_written_is_refused_with_an_error_of_ours() -> None:
    for members in ({"name": "\ud800"}, {"tags": {"a": "\udcff"}}, {"later": object()}):
        sheet = Sheet.model_validate(members)
        with pytest.raises(InvalidInputError, match="Sheet cannot be written"):
            sheet.to_json()


def test_a_document_cut_anywhere_is_refused_with_the_place_of_the_cut() -> None:
    data = json.dumps(VALID, ensure_ascii=False).encode()
    assert Sheet.from_json(data + b"\n", PATH) == read()
    for size in range(len(data)):
        error = refusal(data[:size])
        assert str(error.details["place"]).startswith("line 1 column ")
        assert str(error.details["place"]) in error.message


@pytest.mark.parametrize(
    "data",
    [
        b"\xef\xbb\xbf" + json.dumps(VALID).encode(),
        json.dumps(VALID).encode().replace(b'"name"', b'"\xff"'),
        json.dumps(VALID).encode("utf-16"),
        json.dumps({**VALID, "later": "\ud800"}).encode(),
        json.dumps(VALID).encode() + b"{}",
        json.dumps(VALID).encode().replace(b"}", b",}"),
        b"[" * 100_000,
        b'{"later":' * 100_000,
        b'{"format":1,"later":' + b"[" * 300 + b"]" * 300 + b"}",
        b'{"format":1,"count":' + b"9" * 5000 + b"}",
        b"\0" * 4096,
    ],
)
def test_what_is_no_json_is_refused_with_line_and_column(data: bytes) -> None:
    assert str(refusal(data).details["place"]).startswith("line 1 column ")


@pytest.mark.parametrize("data", [b"[]", b"null", b'"x"', b"1"])
def test_json_that_is_no_object_is_refused(data: bytes) -> None:
    assert "object" in refusal(data).message


@pytest.mark.parametrize(
    ("member", "value", "place"),
    [
        ("count", "3", "count"),
        ("count", 3.0, "count"),
        ("count", True, "count"),
        ("count", -1, "count"),
        ("loss", "1.5", "loss"),
        ("loss", "nan", "loss"),
        ("loss", nan, "loss"),
        ("loss", -inf, "loss"),
        ("value", nan, "value"),
        ("params", {"a": [inf]}, "params"),
        ("params", [], "params"),
        ("params", None, "params"),
        ("value", json.loads("[" * 101 + "]" * 101), "value"),
        ("name", None, "name"),
        ("uid", "x", "uid"),
        ("uid", UID + "\n", "uid"),
        ("at", "2026-11-20T12:00:00", "at"),
        ("at", "2026-11-20", "at"),
        ("at", "yesterday", "at"),
        ("at", 1_700_000_000, "at"),
        ("at", "0001-01-01T00:00:00+14:00", "at"),
        ("at", "9999-12-31T23:59:59-14:00", "at"),
        ("inner", {"size": -1}, "inner/size"),
        ("inner", [], "inner"),
        ("many", [{"size": 1}, {"size": "1"}], "many/1/size"),
        ("format", "1", "format"),
        ("format", True, "format"),
        ("format", 0, "format"),
        ("format", None, "format"),
    ],
)
def test_a_damaged_member_is_refused_with_its_place(member: str, value: Any, place: str) -> None:
    error = refusal(json.dumps({**VALID, member: value}).encode())
    assert not isinstance(error, FormatVersionError)
    assert error.details["place"] == place
    assert place in error.message


def test_an_oversized_record_is_refused_before_it_is_parsed() -> None:
    assert Small.from_json(b'{"name":"xxxxxxxxx"}', PATH).name == "x" * 9
    assert "21 bytes" in refusal(b"x" * 21, Small).message


def test_a_newer_format_is_refused_with_the_command_to_run() -> None:
    for more in ({}, {"uid": 5, "name": [], "at": "soon"}):
        error = refusal(json.dumps({**VALID, **more, "format": FORMAT + 1}).encode())
        assert isinstance(error, FormatVersionError)
        assert (error.details["found"], error.details["supported"]) == (FORMAT + 1, FORMAT)
        assert "`pip install --upgrade molexp`" in str(error)


def test_a_damaged_member_called_format_is_damage_and_not_a_newer_format() -> None:
    error = refusal(json.dumps({**VALID, "tags": {"format": 7}}).encode())
    assert not isinstance(error, FormatVersionError)


def test_a_document_that_does_not_say_its_format_is_refused() -> None:
    data = json.dumps({name: value for name, value in VALID.items() if name != "format"}).encode()
    assert refusal(data).details["place"] == "format"


anything = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.dates()
    ).map(lambda leaf: str(leaf) if not isinstance(leaf, bool | int | float | None) else leaf),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(), inner)),
    max_leaves=6,
)


@given(st.sampled_from([*VALID, "many", "later"]), anything)
def test_any_value_anywhere_gives_a_record_or_a_typed_error(member: str, value: object) -> None:
    try:
        sheet = read(**{member: value})
    except FormatError:
        return
    written = sheet.to_json()
    assert Sheet.from_json(written, PATH).to_json() == written


@given(st.data())
def test_bytes_changed_anywhere_give_a_record_or_a_typed_error(data: st.DataObject) -> None:
    whole = json.dumps(VALID).encode()
    start = data.draw(st.integers(0, len(whole)))
    size = data.draw(st.integers(0, 4))
    damaged = whole[:start] + data.draw(st.binary(max_size=4)) + whole[start + size :]
    with suppress(FormatError):
        Sheet.from_json(damaged, PATH)


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [  # the appendix of RFC 7386
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"a": "foo"}, "bar", "bar"),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_a_patch_merges_as_the_rfc_says_and_changes_neither(
    target: Any, patch: Any, result: Any
) -> None:
    before = json.dumps([target, patch])
    assert merge_patch(target, patch) == result
    assert json.dumps([target, patch]) == before


def test_an_edit_keeps_the_nulls_that_remove() -> None:
    edit = Edit(at=NOON, writer="w", by="me", patch={"tags": {"a": None}, "notes": None})
    again = Edit.from_json(edit.to_json(), PATH)
    assert again.patch == {"tags": {"a": None}, "notes": None}


def test_threads_may_use_a_record_for_the_first_time_together() -> None:
    threads, data = 4, b'{"format":1,"part":{"size":2}}'
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for number in range(40):
            part = create_model(f"Part{number}", __base__=Record, size=(Count, ...))
            whole = create_model(f"Whole{number}", __base__=Document, part=(part, ...))
            assert not whole.__pydantic_complete__, "it is built before its first use"
            gate = threading.Barrier(threads)

            def first_use(whole: type[Document] = whole, gate: threading.Barrier = gate) -> bool:
                gate.wait()
                record = whole.from_json(data, PATH)
                return type(record) is whole and record.to_json() == data

            with ThreadPoolExecutor(threads) as pool:
                used = [pool.submit(first_use) for _ in range(threads)]
            assert [future.result() for future in used] == [True] * threads
    finally:
        sys.setswitchinterval(before)


def test_an_error_does_not_repeat_what_the_file_says() -> None:
    error = refusal(json.dumps({**VALID, "name": ["hunter" + str(2)]}).encode())
    assert "hunter2" not in str(error)
    assert "hunter2" not in repr(error.details)


@pytest.mark.parametrize(
    "value", [float("nan"), 10**5000, "\ud800", {1: 2}], ids=["nan", "long", "surrogate", "key"]
)
def test_a_patch_that_could_not_be_read_again_is_refused(value: object) -> None:
    for patch in ({"notes": value}, {"tags": {"deep": [value]}}):
        with pytest.raises(InvalidInputError):
            Edit.make(at=NOON, writer="w", by="ada", patch=patch)


def test_make_refuses_a_name_that_is_no_field() -> None:
    with pytest.raises(InvalidInputError, match="did you mean 'name'"):
        Sheet.make(nmae="x")


def test_a_document_that_does_not_say_its_kind_is_refused() -> None:
    data = json.dumps({"format": 1, "kind": "project", "uid": "0" * 26, "name": "a",
                       "created_at": "2026-11-20T20:15:12Z"})  # fmt: skip
    assert ProjectMeta.from_json(data.encode(), PATH).name == "a"
    with pytest.raises(FormatError, match="of which kind"):
        ProjectMeta.from_json(data.replace('"kind": "project", ', "").encode(), PATH)


def test_an_error_does_not_quote_what_may_be_a_secret() -> None:
    data = json.dumps({"format": 1, "name": ["hunter" + str(2)]}).encode()
    with pytest.raises(FormatError) as caught:
        Sheet.from_json(data, PATH)
    chain = "".join(traceback.format_exception(caught.value))
    assert "hunter2" not in chain


@pytest.mark.parametrize("kind", [ProjectMeta, ExperimentMeta, RunMeta])
def test_a_field_is_checked_by_itself_as_it_is_in_its_record(kind: type[ScopeMeta]) -> None:
    rest: dict[str, Any] = json.loads(
        kind.make(format=1, uid="0" * 26, name="x", created_at=datetime.now(UTC)).to_json()
    )
    rest["kind"] = kind.model_fields["kind"].default
    values: list[Any] = [1, -1, "x", "0" * 26, True, None, [], [1], [2**64], {}, {"a": "b"}]
    values += [{"a": 1}, {"a": "0" * 26}, {"path": "x"}, {"path": 1}, {"object": "x"}]
    for name in kind.model_fields.keys() - kind.identity:
        for value in values:
            place = ""
            try:
                kind.from_json(json.dumps({**rest, name: value}).encode(), "here")
            except FormatError as error:
                place = str(error.details["place"])
            assert kind.problem(name, json.dumps(value)) == place, (name, value)


def test_what_is_printed_is_what_somebody_said_as_people_read_it() -> None:
    at = datetime(2026, 11, 22, 1, 2, 3, tzinfo=UTC)
    many = tuple(Inner(size=size) for size in range(1, 6))
    sheet = Sheet.make(at=at, loss=nan, many=many, params={"lr": 0.1}, inner=Inner())
    assert repr(sheet) == (
        "Sheet(at=2026-11-22T01:02:03Z, loss=nan, params={'lr': 0.1}, inner=Inner(), "
        "many=(Inner(size=1), Inner(size=2), … 3 more))"
    )
    assert repr(Sheet.make(many=many[:2])) == "Sheet(many=(Inner(size=1), Inner(size=2)))"
    assert repr(read(later=[1])).endswith("inner=Inner(), later=[1])"), "what is not known, too"
    assert repr(RunMeta.make(format=1, kind="run", uid=UID, name="r", created_at=at)) == (
        f"RunMeta(uid='{UID}', name='r', created_at=2026-11-22T01:02:03Z)"
    )
