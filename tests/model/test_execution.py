"""Executions: one table of transitions, and the records of how one starts, goes and ends."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from math import inf, nan
from typing import Any

import pytest

from molexp.errors import FormatError, FormatVersionError, InvalidInputError, TransitionError
from molexp.model.execution import (
    LINES,
    MAX_MESSAGES,
    TERMINAL,
    TRANSITIONS,
    End,
    ExecutionState,
    Message,
    Metric,
    MetricSummary,
    Owner,
    Request,
    Start,
    check_transition,
)
from molexp.model.manifest import FileEntry
from molexp.model.record import MAX_MANIFEST_BYTES, MAX_RECORD_BYTES, Record

UID = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
OWNER = Owner(host="h", boot_id="b", pid_namespace="n", pid=1, started=0)

# The states and what may follow, as the design says it and not as the code does.
ENDS = "succeeded failed cancelled suspended"
MAY_BECOME = {
    "pending": "running cancelled",
    "running": f"paused {ENDS}",
    "paused": f"running {ENDS}",
    "suspended": "",
    "succeeded": "",
    "failed": "",
    "cancelled": "",
    "unknown": "",
}


@pytest.mark.parametrize("wanted", MAY_BECOME)
@pytest.mark.parametrize("current", MAY_BECOME)
def test_a_state_becomes_those_that_the_design_allows_and_no_other(
    current: str, wanted: str
) -> None:
    one, other = ExecutionState(current), ExecutionState(wanted)
    allowed = MAY_BECOME[current].split()
    if wanted in allowed:
        check_transition(one, other)
        return
    with pytest.raises(TransitionError) as caught:
        check_transition(one, other)
    assert caught.value.details == {
        "current": current, "wanted": wanted, "allowed": sorted(allowed)
    }  # fmt: skip
    assert f"that is {current} cannot become {wanted}" in caught.value.message
    assert all(state in caught.value.cure for state in allowed)


def test_the_states_are_those_of_the_design() -> None:
    assert [str(state) for state in ExecutionState] == [
        "pending", "running", "paused", "suspended", "succeeded", "failed", "cancelled", "unknown"
    ]  # fmt: skip
    assert {str(state) for state in TERMINAL} == set(ENDS.split())
    assert set(TRANSITIONS) == set(ExecutionState) - {ExecutionState.UNKNOWN}


@pytest.mark.parametrize("state", list(ExecutionState))
def test_a_state_equals_its_string_and_knows_whether_it_is_an_end(state: ExecutionState) -> None:
    assert state == state.value
    assert {state.value: 1}[state] == 1
    assert f"{state}" == str(state) == state.value
    assert json.dumps(state) == f'"{state.value}"'
    assert state.is_terminal == (state in ENDS.split())


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


def test_an_owner_reads_like_a_sentence() -> None:
    assert str(OWNER) == "process 1 on h"
