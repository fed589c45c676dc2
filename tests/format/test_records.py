"""The rules of docs/format/records.md for all records, scopes and edits."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from molexp.errors import FormatError, FormatVersionError, InvalidInputError
from molexp.model.address import ScopeKind
from molexp.model.codec import MAX_MANIFEST_BYTES, MAX_RECORD_BYTES, Json, decode, encode
from molexp.model.execution import End, Input, Metric
from molexp.model.record import Edit, merge_patch
from molexp.model.scope import META, ExperimentMeta, ProjectMeta, RunMeta, effective
from tests.format.lab import (
    BEST,
    CANCELLED,
    DATA,
    DIVERGED,
    EDITS,
    EXPERIMENT,
    FAILED,
    PROJECT,
    SUCCEEDED,
    Lab,
    Refusals,
)

PROJECT_META = f"{PROJECT}/meta.json"
RUN_META = f"{BEST}/meta.json"
WRITER = "f3e5efb48b-2210-80417-4321a8"
AT = "2026-03-02T12:00:00Z"


@pytest.mark.rule("RECORD-1")
@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data[:-1],
        lambda data: data + b"}",
        lambda data: b"\xef\xbb\xbf" + data,
        lambda data: b"[" + data + b"]",
        lambda data: data.replace(b"QM9", b"\xff\xff"),
        lambda data: data.decode().encode("utf-16"),
        lambda data: data[:-1] + b',"name":"QM9"}',
        lambda data: b"",
    ],
)
def test_a_record_is_one_json_object_in_utf_8(
    lab: Lab, refused: Refusals, spoil: Callable[[bytes], bytes]
) -> None:
    data = lab.at(PROJECT_META).read_bytes()
    lab.write(PROJECT_META, b" \n" + data + b"\n")
    assert lab.check() == []
    lab.write(PROJECT_META, spoil(data))
    refused.in_lab(lab, PROJECT_META)


@pytest.mark.rule("RECORD-2")
def test_a_record_has_a_greatest_size(lab: Lab, refused: Refusals) -> None:
    assert (MAX_RECORD_BYTES, End.max_bytes, MAX_MANIFEST_BYTES) == (1 << 24, 1 << 30, 1 << 30)
    data = lab.at(PROJECT_META).read_bytes()
    lab.write(PROJECT_META, data.ljust(MAX_RECORD_BYTES))
    assert lab.check() == []
    lab.write(PROJECT_META, data.ljust(MAX_RECORD_BYTES + 1))
    refused.in_lab(lab, PROJECT_META)
    with refused.by(FormatError, "at most 16,777,216"):
        ProjectMeta.from_json(data.ljust(MAX_RECORD_BYTES + 1), "meta.json")


@pytest.mark.rule("RECORD-3")
@pytest.mark.parametrize(
    "path", ["meta.json", RUN_META, f"{DATA}/asset.json", f"{FAILED}/end.json"]
)
@pytest.mark.parametrize("value", [..., None, "1", True, 1.5, 0])
def test_a_document_says_its_format(lab: Lab, refused: Refusals, path: str, value: object) -> None:
    lab.change(path, format=value)
    refused.in_lab(lab, path)


@pytest.mark.rule("RECORD-3")
def test_the_start_of_an_execution_says_its_format(lab: Lab, refused: Refusals) -> None:
    lab.change_line(f"{FAILED}/ledger.jsonl", 0, lambda start: start.pop("format"))
    refused.in_lab(lab, f"{FAILED}/ledger.jsonl")


@pytest.mark.rule("RECORD-4")
@pytest.mark.parametrize("path", ["meta.json", f"{DATA}/asset.json", f"{FAILED}/end.json"])
def test_a_newer_format_is_refused_with_what_to_do(lab: Lab, refused: Refusals, path: str) -> None:
    lab.change(path, format=2)
    assert "format 2" in refused.in_lab(lab, path).message
    with refused.by(FormatVersionError, "pip install --upgrade molexp") as info:
        META[ScopeKind.PROJECT].from_json(b'{"format": 2, "new": true}', path)
    assert info.value.details["found"] == 2


@pytest.mark.rule("RECORD-5")
@pytest.mark.parametrize(
    ("path", "members"),
    [
        (PROJECT_META, {"name": 9}),
        (PROJECT_META, {"name": ...}),
        (PROJECT_META, {"kind": ...}),
        (PROJECT_META, {"kind": "experiment"}),
        (PROJECT_META, {"tags": {"a": 1}}),
        (f"{EXPERIMENT}/meta.json", {"seeds": [2**63]}),
        (f"{EXPERIMENT}/meta.json", {"n_replicas": 1.0}),
        (f"{EXPERIMENT}/meta.json", {"n_replicas": True}),
        (f"{EXPERIMENT}/meta.json", {"n_replicas": "1"}),
        (f"{DATA}/asset.json", {"kind": "artifact"}),
        (f"{DATA}/asset.json", {"size": -1}),
        (f"{FAILED}/end.json", {"status": "done"}),
        (f"{FAILED}/end.json", {"manifest": ...}),
    ],
)
def test_members_have_the_types_that_the_schemas_say(
    lab: Lab, refused: Refusals, path: str, members: dict[str, Any]
) -> None:
    if members == {"manifest": ...}:
        members = {"manifest": [{"path": "error.txt", "size": 1}]}
    lab.change(path, **members)
    refused.in_lab(lab, path)


@pytest.mark.rule("RECORD-6")
def test_unknown_members_survive_and_excuse_nothing(lab: Lab, refused: Refusals) -> None:
    lab.change(PROJECT_META, budget={"hours": 3}, later=[1.5, None])
    assert lab.check() == []
    meta = ProjectMeta.from_json(lab.at(PROJECT_META).read_bytes(), PROJECT_META)
    said = json.loads(meta.evolve(notes="read").to_json())
    assert (said["budget"], said["later"]) == ({"hours": 3}, [1.5, None])
    lab.change(PROJECT_META, name=7)
    with refused.by(FormatError, "name"):
        ProjectMeta.from_json(lab.at(PROJECT_META).read_bytes(), PROJECT_META)


@pytest.mark.rule("RECORD-7")
def test_null_is_as_if_left_out_where_it_is_allowed(lab: Lab, refused: Refusals) -> None:
    lab.change(RUN_META, workflow=None)
    lab.change(f"{DATA}/asset.json", origin=None, producer=None)
    assert lab.check() == []
    meta = RunMeta.from_json(lab.at(RUN_META).read_bytes(), RUN_META)
    assert b"workflow" not in meta.to_json()
    lab.change(RUN_META, notes=None)
    with refused.by(FormatError, "notes"):
        RunMeta.from_json(lab.at(RUN_META).read_bytes(), RUN_META)


@pytest.mark.rule("RECORD-8")
@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity"])
def test_floats_that_are_not_finite_are_strings(lab: Lab, refused: Refusals, word: str) -> None:
    line = f'{{"at": "{AT}", "key": "loss", "value": "{word}"}}'
    metric = Metric.from_json(line.encode(), "metrics.jsonl")
    assert repr(metric.value) == repr(float(word))
    assert json.loads(metric.to_json())["value"] == word
    lab.write(
        RUN_META, lab.at(RUN_META).read_bytes().replace(b'"lr":0.1', b'"lr":%b' % word.encode())
    )
    refused.in_lab(lab, RUN_META)
    with refused.by(FormatError, "not finite"):
        Metric.from_json(line.replace(f'"{word}"', word).encode(), "metrics.jsonl")
    with refused.by(FormatError, "not finite"):
        Metric.from_json(line.replace(f'"{word}"', "1e400").encode(), "metrics.jsonl")


@pytest.mark.rule("RECORD-9")
@pytest.mark.parametrize(
    ("value", "written"),
    [
        (math.inf, "Infinity"),
        (-math.inf, "-Infinity"),
        ("NaN", "\\NaN"),
        ("\\-Infinity", "\\\\-Infinity"),
        ("not NaN", "not NaN"),
        ("\\n", "\\n"),
        ({"NaN": [1, "Infinity"]}, {"NaN": [1, "\\Infinity"]}),
    ],
)
def test_free_values_come_back_as_themselves(refused: Refusals, value: Json, written: Json) -> None:
    assert encode(value) == written
    assert decode(copy.deepcopy(written)) == value
    record = Input.make(at=datetime(2026, 3, 2, tzinfo=UTC), name="x", value=value)
    assert json.loads(record.to_json())["value"] == written
    assert Input.from_json(record.to_json(), "ledger.jsonl").value == value
    refused.unequal(math.inf, decode("\\Infinity"))
    with refused.by(ValueError, "written as a string"):
        decode(math.inf)


@pytest.mark.rule("RECORD-10")
@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ("[" * 100 + "]" * 100, "[" * 101 + "]" * 101),
        ('{"a":' * 100 + "1" + "}" * 100, '{"a":' * 101 + "1" + "}" * 101),
        ("9" * 4300, "9" * 4301),
        ('"\\ud83d\\ude00"', '"\\ud83d"'),
    ],
)
def test_free_values_have_limits(refused: Refusals, good: str, bad: str) -> None:
    line = '{{"at":"2026-03-02T12:00:00Z","name":"x","value":{}}}'
    record = Input.from_json(line.format(good).encode(), "ledger.jsonl")
    assert Input.from_json(record.to_json(), "ledger.jsonl") == record
    with refused.by(FormatError):
        Input.from_json(line.format(bad).encode(), "ledger.jsonl")
    patch = f'{{"at":"{AT}","writer":"{WRITER}","by":"ada","patch":{{"params":{bad}}}}}'
    with refused.by(FormatError):
        Edit.from_json(patch.encode(), EDITS)


@pytest.mark.rule("RECORD-10")
def test_what_is_nested_too_deep_to_read_is_reported(lab: Lab, refused: Refusals) -> None:
    data = lab.at(PROJECT_META).read_bytes()
    lab.write(PROJECT_META, data[:-1] + b',"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}")
    refused.in_lab(lab, PROJECT_META)
    lab.append(f"{CANCELLED}/metrics.jsonl", b'{"metric":' + b"[" * 100_000 + b"}\n")
    refused.in_lab(lab, f"{CANCELLED}/metrics.jsonl")


@pytest.mark.rule("RECORD-11")
@pytest.mark.parametrize(
    "wrong", ["2026-03-02T09:00:00", "2026-03-02", "1772442780", "yesterday", "2026-03-02T09:00Z"]
)
def test_times_have_a_zone(lab: Lab, refused: Refusals, wrong: str) -> None:
    lab.change(PROJECT_META, created_at="2026-03-02T10:30:00.25+01:30")
    assert lab.check() == []
    meta = ProjectMeta.from_json(lab.at(PROJECT_META).read_bytes(), PROJECT_META)
    assert json.loads(meta.to_json())["created_at"] == "2026-03-02T09:00:00.250000Z"
    lab.change(PROJECT_META, created_at=wrong)
    assert {violation.path for violation in lab.check()} >= {PROJECT_META}
    with refused.by(FormatError, "created_at"):
        ProjectMeta.from_json(lab.at(PROJECT_META).read_bytes(), PROJECT_META)


@pytest.mark.rule("RECORD-12")
def test_one_damaged_record_hides_no_other(lab: Lab, refused: Refusals) -> None:
    lab.write(PROJECT_META, b"{")
    lab.write(f"{FAILED}/end.json", b"[]")
    lab.write(f"{DIVERGED}/meta.json", b"")
    lab.append(f"{SUCCEEDED}/metrics.jsonl", b"{]\n")
    lab.change(f"{DATA}/asset.json", size="large")
    reported = {violation.path for violation in lab.check()}
    damaged = {PROJECT_META, f"{FAILED}/end.json", f"{DIVERGED}/meta.json"}
    damaged |= {f"{SUCCEEDED}/metrics.jsonl", f"{DATA}/asset.json"}
    assert damaged <= reported
    refused.unequal(set(), reported)


@pytest.mark.rule("META-1")
def test_the_meta_of_a_scope_is_that_of_its_place(lab: Lab, refused: Refusals) -> None:
    for kind, path in zip(
        ScopeKind, ("", f"{PROJECT}/", f"{EXPERIMENT}/", f"{BEST}/"), strict=True
    ):
        data = lab.at(f"{path}meta.json").read_bytes()
        assert META[kind].from_json(data, path).kind is kind
        for other in set(ScopeKind) - {kind}:
            with refused.by(FormatError, "kind"):
                META[other].from_json(data, path)


def _edit(at: str, patch: dict[str, Any], writer: str = WRITER) -> Edit:
    said = {"at": at, "writer": writer, "by": "ada@lab-ws1", "patch": patch}
    return Edit.from_json(json.dumps(said).encode(), EDITS)


@pytest.fixture
def meta() -> ExperimentMeta:
    """An experiment to edit."""
    return ExperimentMeta.make(
        uid="01KJPX50B00000000000000000",
        name="Baseline",
        created_at=datetime(2026, 3, 2, tzinfo=UTC),
        tags={"a": "1", "b": "2"},
        n_replicas=2,
    )


@pytest.mark.rule("EDIT-1")
def test_edits_are_applied_by_time_then_writer_then_line(
    refused: Refusals, meta: ExperimentMeta
) -> None:
    other = WRITER.replace("f3", "a0")
    edits = [
        _edit("2026-03-02T12:00:01Z", {"notes": "last", "description": "by f3"}),
        _edit("2026-03-02T13:00:00+01:00", {"notes": "first"}),
        _edit("2026-03-02T12:00:01Z", {"notes": "by a0", "description": "by a0"}, other),
        _edit("2026-03-02T12:00:01Z", {"labels": {"x": "1"}}),
        _edit("2026-03-02T12:00:01Z", {"labels": {"x": "2"}}),
    ]
    now, problems = effective(meta, edits)
    assert problems == []
    assert (now.notes, now.description, now.labels) == ("last", "by f3", {"x": "2"})
    in_file_order = {"notes": edits[2].patch["notes"]}
    refused.unequal(now.notes, in_file_order["notes"])


@pytest.mark.rule("EDIT-2")
def test_a_patch_merges_and_null_removes(refused: Refusals, meta: ExperimentMeta) -> None:
    patch = {"tags": {"b": None, "c": True}, "n_replicas": None}
    now, problems = effective(meta, [_edit(AT, patch)])
    assert problems == []
    assert (now.tags, now.n_replicas) == ({"a": "1", "c": True}, 1)
    assert merge_patch({"a": [1, 2]}, {"a": [3]}) == {"a": [3]}
    refused.unequal(now.tags, {**meta.tags, **patch["tags"]})  # type: ignore[dict-item]


@pytest.mark.rule("EDIT-3")
def test_members_that_nobody_knows_are_no_edit(refused: Refusals, meta: ExperimentMeta) -> None:
    now, problems = effective(meta, [_edit(AT, {"colour": "red", "notes": "seen"})])
    assert (problems, now) == ([], meta.evolve(notes="seen"))
    with refused.by(InvalidInputError, "no field 'colour'"):
        meta.evolve(colour="red")


@pytest.mark.rule("EDIT-4")
@pytest.mark.parametrize("name", sorted(ExperimentMeta.identity))
def test_no_edit_changes_an_identity(
    lab: Lab, refused: Refusals, meta: ExperimentMeta, name: str
) -> None:
    edit = _edit(AT, {name: None, "notes": "seen"})
    assert effective(meta, [edit]) == (meta.evolve(notes="seen"), [])
    lab.append(f"{EXPERIMENT}/{EDITS}", b'\n{"edit":%b}\n' % edit.to_json())
    refused.in_lab(lab, f"{EXPERIMENT}/{EDITS}")


@pytest.mark.rule("EDIT-5")
def test_an_edit_that_does_not_fit_is_passed_over(
    lab: Lab, refused: Refusals, meta: ExperimentMeta
) -> None:
    edits = [_edit(AT, {"n_replicas": 0, "notes": "no"}), _edit(AT, {"tags": {"a": "9"}})]
    now, problems = effective(meta, edits)
    assert (now.notes, now.tags["a"], len(problems)) == ("", "9", 1)
    lab.append(f"{EXPERIMENT}/{EDITS}", b'\n{"edit":%b}\n' % edits[0].to_json())
    refused.in_lab(lab, f"{EXPERIMENT}/meta.json")


def test_the_template_shows_a_value_that_is_not_finite(lab: Lab) -> None:
    assert lab.read(f"{CANCELLED}/end.json")["metrics"]["loss"]["last"] == "Infinity"
