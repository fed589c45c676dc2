"""Executions: the records of how one starts, goes and ends, and what sha256sum takes of them."""

from __future__ import annotations

import json
import subprocess
from datetime import UTC, datetime
from math import inf, nan
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from molexp.errors import FormatError, FormatVersionError, InvalidInputError
from molexp.model.codec import MAX_MANIFEST_BYTES, MAX_RECORD_BYTES
from molexp.model.digest import of_bytes, total
from molexp.model.execution import (
    LINES,
    MAX_MESSAGES,
    CapturedFile,
    CodeSnapshot,
    End,
    EnvironmentSnapshot,
    FileEntry,
    Manifest,
    Message,
    Metric,
    MetricSummary,
    Owner,
    Request,
    Snapshot,
    Start,
    checksums,
    digests,
    in_order,
)
from molexp.model.ids import Process
from molexp.model.record import Record
from molexp.model.state import TERMINAL, ExecutionState

UID = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
OWNER = Owner(host="h", boot_id="b", pid_namespace="n", pid=1, started=0)
DIGEST = of_bytes(b"")
FULL = Snapshot(
    code=CodeSnapshot(
        source="git",
        commit="0" * 40,
        branch="main",
        tag="v1",
        remote="https://example.org/lab.git",
        dirty=True,
        patch=DIGEST,
        files=(
            CapturedFile(path="new.py", size=1, mtime_ns=1, object=DIGEST),
            CapturedFile(path="huge.bin", size=2**40, mtime_ns=1, left_out="larger than 10 MiB"),
        ),
    ),
    environment=EnvironmentSnapshot(
        python="3.11.7",
        platform="Linux",
        argv=("train.py", "--lr", "NaN"),
        packages=DIGEST,
        lock_files={"uv.lock": DIGEST, "format": DIGEST},
        variables={"OMP_NUM_THREADS": "1"},
        hardware={"cores": 2, "load": float("inf")},
    ),
    problems=("no remote",),
)
entries = st.builds(
    FileEntry,
    path=st.text(min_size=1),
    size=st.integers(0, 2**63 - 1),
    mtime_ns=st.integers(-(2**63), 2**63 - 1),
    content_hash=st.sampled_from([DIGEST, None]),
)
unique_entries = st.lists(entries, unique_by=lambda entry: entry.path)


def start(**members: object) -> dict[str, Any]:
    """The first line of a ledger."""
    owner = json.loads(OWNER.to_json())
    said = {"format": 1, "uid": UID, "run": UID, "owner": owner, "writer": "w"}
    return {**said, "at": "2026-11-20T12:00:00Z", **members}


def test_a_start_says_of_which_format_the_ledger_is() -> None:
    record = Start.from_json(json.dumps(start()).encode(), "ledger.jsonl")
    assert Start.from_json(record.to_json(), "ledger.jsonl") == record
    assert json.loads(record.to_json())["format"] == 1
    with pytest.raises(FormatVersionError, match="format 2"):
        Start.from_json(json.dumps(start(format=2, owner=None)).encode(), "ledger.jsonl")
    without = start()
    del without["format"]
    with pytest.raises(FormatError) as caught:
        Start.from_json(json.dumps(without).encode(), "ledger.jsonl")
    assert caught.value.details == {"path": "ledger.jsonl", "place": "format"}


@pytest.mark.parametrize(
    ("members", "place"),
    [
        ({"owner": {**start()["owner"], "pid": 0}}, "owner/pid"),
        ({"durability": "none"}, "durability"),
        ({"config_hash": "0" * 64}, "config_hash"),
        ({"config": {"lr": inf}}, "config"),
        ({"snapshot": {"code": {"source": "svn"}}}, "snapshot/code/source"),
        ({"snapshot": {"environment": {"python": "3", "platform": "x", "argv": "a b"}}},
         "snapshot/environment/argv"),
    ],
)  # fmt: skip
def test_a_damaged_start_is_refused_with_its_place(members: dict[str, Any], place: str) -> None:
    with pytest.raises(FormatError) as caught:
        Start.from_json(json.dumps(start(**members)).encode(), "ledger.jsonl")
    assert caught.value.details["place"] == place


def end(**members: object) -> End:
    """An end with these members."""
    return End.make(**{"uid": UID, "status": "failed", "ended_at": NOON, **members})


@pytest.mark.parametrize("state", list(ExecutionState))
def test_an_end_has_a_state_in_which_an_execution_ends(state: ExecutionState) -> None:
    if state in TERMINAL:
        again = End.from_json(end(status=state).to_json(), "end.json")
        assert again.status is state
        return
    with pytest.raises(InvalidInputError):
        end(status=state)
    data = end().to_json().replace(b'"failed"', f'"{state}"'.encode())
    with pytest.raises(FormatError) as caught:
        End.from_json(data, "end.json")
    assert caught.value.details["place"] == "status"


def test_an_end_lists_its_files_in_order_each_once() -> None:
    one, two = FileEntry(path="a", size=1, mtime_ns=1), FileEntry(path="b", size=1, mtime_ns=1)
    whole = end(manifest=(one, two))
    assert End.from_json(whole.to_json(), "end.json") == whole
    for wrong in ((two, one), (one, one), (one, two, one)):
        with pytest.raises(InvalidInputError) as caught:
            end(manifest=wrong)
        assert caught.value.details["argument"] == "manifest"
        assert "paths ascend, each comes once" in caught.value.message
        members = json.loads(whole.to_json())
        members["manifest"] = [json.loads(entry.to_json()) for entry in wrong]
        with pytest.raises(FormatError) as damaged:
            End.from_json(json.dumps(members).encode(), "end.json")
        assert damaged.value.details["place"] == "manifest"


def test_an_end_repeats_a_thousand_messages_and_no_more() -> None:
    message = Message(at=NOON, level="WARNING", logger="l", text="t")
    assert len(end(messages=(message,) * MAX_MESSAGES).messages) == MAX_MESSAGES == 1000
    with pytest.raises(InvalidInputError, match="messages"):
        end(messages=(message,) * (MAX_MESSAGES + 1))


def test_only_an_end_may_be_as_large_as_a_manifest_of_millions() -> None:
    assert End.max_bytes == MAX_MANIFEST_BYTES
    assert {kind.max_bytes for kind in LINES.values()} == {MAX_RECORD_BYTES}
    assert Request.max_bytes == MAX_RECORD_BYTES


@pytest.mark.parametrize("value", [nan, inf, -inf, 0.1, -0.0, 5e-324, 1e308, 3])
def test_a_metric_comes_back_exactly(value: float) -> None:
    metric = Metric(at=NOON, key="loss", value=value, step=0)
    written = metric.to_json()
    json.loads(written, parse_constant=pytest.fail)
    assert repr(Metric.from_json(written, "metrics.jsonl").value) == repr(float(value))
    summary = MetricSummary(first=value, last=value, min=value, max=value, count=1)
    whole = end(metrics={"loss": summary, "format": summary})
    again = End.from_json(whole.to_json(), "end.json").metrics
    assert repr(again) == repr(whole.metrics)


def test_damage_in_what_is_called_format_is_no_newer_format() -> None:
    data = json.dumps({**json.loads(end().to_json()), "metrics": {"format": 5}}).encode()
    with pytest.raises(FormatError) as caught:
        End.from_json(data, "end.json")
    assert not isinstance(caught.value, FormatVersionError)
    assert caught.value.details["place"] == "metrics/format"


@pytest.mark.parametrize("verb", ["cancel", "pause", "resume", "kill", ""])
def test_a_request_asks_for_what_an_owner_can_do(verb: str) -> None:
    members = {"uid": UID, "verb": verb, "execution": UID, "at": NOON, "writer": "w", "by": "me"}
    if verb in ("cancel", "pause", "resume"):
        request = Request.make(**members)
        assert Request.from_json(request.to_json(), "r.json") == request
        return
    with pytest.raises(InvalidInputError, match=r"Request\.verb"):
        Request.make(**members)


def test_each_line_of_a_ledger_has_its_record() -> None:
    assert set(LINES) == {"start", "input", "paused", "resumed", "metric", "message", "edit"}
    assert all(issubclass(kind, Record) for kind in LINES.values())


def test_an_owner_is_the_record_of_a_process_and_reads_like_a_sentence() -> None:
    process = Process("h", "b", "n", "t", 1, 0)
    owner = Owner.of(process)
    assert owner.process == process
    assert Owner.from_json(process.to_json(), "journal") == owner
    assert json.loads(process.to_json()) == json.loads(owner.to_json())
    assert str(owner) == str(process) == "process 1 on h"


def test_a_snapshot_comes_back_whole() -> None:
    again = Snapshot.from_json(FULL.to_json(), "ledger.jsonl")
    assert again == FULL
    assert again.environment is not None
    assert again.environment.hardware["load"] == float("inf")


def test_nothing_captured_takes_next_to_no_room() -> None:
    assert Snapshot().to_json() == b'{"problems":[]}'
    assert Snapshot.from_json(b"{}", "ledger.jsonl") == Snapshot()


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"code": {"source": "svn"}}, "code/source"),
        ({"code": {"source": "git", "patch": "0" * 64}}, "code/patch"),
        ({"code": {"source": "git", "dirty": 1}}, "code/dirty"),
        ({"code": {"source": "git", "files": [{"path": "a", "size": -1, "mtime_ns": 0}]}},
         "code/files/0/size"),
        ({"code": {"source": "git", "files": [
            {"path": "a", "size": 1, "mtime_ns": 0, "object": "sha256:0"}]}},
         "code/files/0/object"),
        ({"environment": {"platform": "x"}}, "environment/python"),
        ({"environment": {"python": "3", "platform": "x", "variables": {"A": 1}}},
         "environment/variables/A"),
        ({"environment": {"python": "3", "platform": "x", "lock_files": {"format": 2}}},
         "environment/lock_files/format"),
        ({"problems": "none"}, "problems"),
    ],
)  # fmt: skip
def test_damage_is_refused_with_its_place(change: dict[str, Any], place: str) -> None:
    data = json.dumps({**json.loads(FULL.to_json()), **change}).encode()
    with pytest.raises(FormatError) as caught:
        Snapshot.from_json(data, "ledger.jsonl")
    assert type(caught.value) is FormatError
    assert caught.value.details == {"path": "ledger.jsonl", "place": place}


@given(unique_entries)
def test_entries_in_order_are_a_manifest_whatever_order_they_came_in(
    found: list[FileEntry],
) -> None:
    ordered = in_order(found)
    assert TypeAdapter(Manifest).validate_python(ordered) == ordered
    assert in_order(reversed(found)) == ordered
    assert [entry.path for entry in ordered] == sorted(entry.path for entry in found)
    assert [entry.path.encode() for entry in ordered] == sorted(
        entry.path.encode() for entry in found
    ), "the order of the text is that of its bytes"


@pytest.mark.parametrize("paths", ["ba", "aa", "aba", "abb", "aB"])
def test_paths_out_of_order_or_twice_are_no_manifest(paths: str) -> None:
    found = tuple(FileEntry(path=path, size=0, mtime_ns=0) for path in paths)
    with pytest.raises(ValidationError, match="paths ascend, each comes once"):
        TypeAdapter(Manifest).validate_python(found)


@given(unique_entries)
def test_only_files_that_were_read_have_a_digest(found: list[FileEntry]) -> None:
    got = digests(found)
    assert got == {entry.path: DIGEST for entry in found if entry.content_hash is not None}
    assert total(got) == of_bytes(checksums(found).encode())
    assert checksums(found) == checksums(in_order(found))


def test_times_before_1970_are_kept_and_what_64_bits_cannot_hold_is_refused() -> None:
    for moment in (-(2**63), -1, 0, 2**63 - 1):
        entry = FileEntry(path="a", size=2**63 - 1, mtime_ns=moment)
        assert FileEntry.from_json(entry.to_json(), "end.json") == entry
    for size, moment in ((2**63, 0), (0, 2**63), (0, -(2**63) - 1)):
        with pytest.raises(ValidationError):
            FileEntry(path="a", size=size, mtime_ns=moment)


def test_sha256sum_takes_the_text_of_real_files(tmp_path: Path) -> None:
    found = []
    for name in ("z", "work/a\\b", "work/new\nline", "artifacts/größe.txt"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(name)
        found.append(
            FileEntry(
                path=name,
                size=path.stat().st_size,
                mtime_ns=path.stat().st_mtime_ns,
                content_hash=of_bytes(path.read_bytes()),
            )
        )
    unread = FileEntry(path="never read", size=1, mtime_ns=0)
    done = subprocess.run(
        ["sha256sum", "--strict", "-c", "-"],
        cwd=tmp_path,
        input=checksums([*found, unread]).encode(),
        capture_output=True,
        check=True,
    )
    assert done.stdout.count(b": OK\n") == len(found)
