"""The rules of docs/format/ledger.md."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from molexp.disk import door, layout
from molexp.disk.beneath import Directory
from molexp.disk.ledger import Appender, LineReader, entries
from molexp.disk.walk import walk
from molexp.errors import FormatError, StorageError, TransitionError
from molexp.lifecycle.manifest import measure
from molexp.lifecycle.survey import ScopeSurvey, survey
from molexp.model.codec import MAX_RECORD_BYTES, join_line, split_line
from molexp.model.digest import of_bytes
from molexp.model.execution import End, Start
from molexp.model.state import TERMINAL, TRANSITIONS, ExecutionState, check_transition
from tests.format.lab import (
    BEST,
    CANCELLED,
    DATA,
    DIVERGED,
    EDITS,
    EXPERIMENT,
    FAILED,
    SUCCEEDED,
    Lab,
    Refusals,
)
from tests.format.seal import seal
from tests.format.test_assets import line_of

LEDGER = f"{CANCELLED}/ledger.jsonl"
OTHER = "f3e5efb48b-4513-1283999-abcdef"
METRIC = b'{"metric":{"at":"2026-03-02T12:00:00Z","key":"loss","value":1.0}}\n'


def read_all(root: Path, name: str = "ledger.jsonl") -> tuple[list[str], list[FormatError], int]:
    """The lines' names, the problems, and how many bytes are torn."""
    with Directory.open(root) as directory:
        lines = LineReader(directory, name)
        return [entry.name for entry in entries(lines)], lines.problems, lines.torn


def survey_lab(lab: Lab) -> list[ScopeSurvey]:
    """What a reader is given of the lab."""
    with Directory.open(lab.root) as root:
        return list(survey(root, []))


@pytest.mark.rule("LINE-1")
@pytest.mark.parametrize(
    "line", ["{}", "[]", "null", '{"metric":1,"metric":2}', '{"metric":{}, "b":1}', '{"Metric":{}}']
)
def test_a_line_is_an_object_with_one_member(lab: Lab, refused: Refusals, line: str) -> None:
    assert split_line(b' { "metric" : {"a": 1} } ') == ("metric", b'{"a": 1} ')
    assert join_line("touch", b'"qm9"') == b'{"touch":"qm9"}\n'
    lab.append(f"{CANCELLED}/metrics.jsonl", f"{line}\n")
    refused.in_lab(lab, f"{CANCELLED}/metrics.jsonl")


@pytest.mark.rule("LINE-2")
def test_a_torn_line_spoils_no_other(refused: Refusals, tmp_path: Path) -> None:
    def fall_short(operation: str, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        if operation == "write":
            return function(arguments[0], arguments[1][:20])
        return function(*arguments)

    with Directory.open(tmp_path) as directory:
        appender = Appender(directory, "metrics.jsonl", 0o644)
        appender.append(METRIC)
        with door.gated(fall_short), refused.by(StorageError, "only 20 of"):
            appender.append(METRIC)
        appender.append(METRIC)
        appender.close()
        again = Appender(directory, "metrics.jsonl", 0o644)
        again.append(METRIC)
        again.close()
    names, problems, torn = read_all(tmp_path, "metrics.jsonl")
    assert (names, len(problems), torn) == (["metric"] * 3, 1, 0)
    data = METRIC + METRIC[:20] + METRIC
    (tmp_path / "ledger.jsonl").write_bytes(data)
    refused.unequal(["metric"] * 2, read_all(tmp_path)[0])


@pytest.mark.rule("LINE-3")
def test_lines_of_shared_files_begin_with_a_newline(refused: Refusals, tmp_path: Path) -> None:
    with Directory.open(tmp_path) as directory:
        one = Appender(directory, EDITS, 0o644, shared=True)
        other = Appender(directory, EDITS, 0o644, shared=True)
        one.append(METRIC)
        os.write(other.fd, b"\n" + METRIC[:30])  # killed in the middle of it
        one.append(METRIC)
        other.close()
        one.close()
    names, problems, _ = read_all(tmp_path, EDITS)
    assert (names, len(problems)) == (["metric"] * 2, 1)
    (tmp_path / EDITS).write_bytes(METRIC + METRIC[:30] + METRIC)
    refused.unequal(["metric"] * 2, read_all(tmp_path, EDITS)[0])


@pytest.mark.rule("LINE-4")
def test_what_ends_without_a_newline_is_no_line(
    lab: Lab, refused: Refusals, tmp_path: Path
) -> None:
    (tmp_path / "ledger.jsonl").write_bytes(METRIC + METRIC[:-1])
    names, problems, torn = read_all(tmp_path)
    assert (names, problems, torn) == (["metric"], [], len(METRIC) - 1)
    lab.append(LEDGER, b'{"paused":')
    refused.in_lab(lab, LEDGER)
    lab.remove(f"{CANCELLED}/end.json")
    assert lab.check() == []


@pytest.mark.rule("LINE-5")
def test_a_line_has_a_greatest_size(lab: Lab, refused: Refusals) -> None:
    lab.append(f"{CANCELLED}/metrics.jsonl", b" " * (MAX_RECORD_BYTES + 1) + METRIC + METRIC)
    refused.in_lab(lab, f"{CANCELLED}/metrics.jsonl")
    names, problems, _ = read_all(lab.at(CANCELLED), "metrics.jsonl")
    assert (len(names), len(problems)) == (7, 1)


@pytest.mark.rule("LINE-6")
def test_lines_have_their_files(lab: Lab, refused: Refusals) -> None:
    lab.remove(f"{CANCELLED}/end.json")
    lab.append(LEDGER, b'{"telemetry":{"watts":3}}\n')
    assert lab.check() == []
    lab.append(LEDGER, METRIC)
    refused.in_lab(lab, LEDGER)


@pytest.mark.rule("LEDGER-1")
def test_the_first_line_alone_is_the_start(lab: Lab, refused: Refusals) -> None:
    start, *rest = lab.at(LEDGER).read_text().splitlines(keepends=True)
    for text in ("".join(rest), "".join([*rest, start]), start + start + "".join(rest), ""):
        lab.write(LEDGER, text)
        refused.in_lab(lab, LEDGER)
    lab.remove(LEDGER)
    refused.in_lab(lab, LEDGER)


@pytest.mark.rule("LEDGER-2")
def test_a_later_line_of_an_asset_replaces_the_earlier(lab: Lab, refused: Refusals) -> None:
    lab.remove(f"{CANCELLED}/end.json")
    lines = lab.at(LEDGER).read_text().splitlines(keepends=True)
    log = line_of(lab, CANCELLED, "log")
    gone = lines[log].replace("logs/fit.log", "logs/gone.log")
    lab.write(LEDGER, "".join([*lines[:log], gone, *lines[log:]]))
    assert lab.check() == []
    lab.write(LEDGER, "".join([*lines, gone]))
    found = [(violation.rule, violation.path) for violation in lab.check()]
    assert found == [("WRITE-3", LEDGER)]
    refused.unequal([], found)


@pytest.mark.rule("LEDGER-3")
def test_the_config_hash_is_the_fingerprint_of_the_config(lab: Lab, refused: Refusals) -> None:
    lab.change_line(LEDGER, 0, lambda start: start["config"].update(threads=2.0))
    refused.in_lab(lab, LEDGER)


@pytest.mark.rule("LEDGER-4")
def test_a_joined_writer_has_a_ledger_without_a_start(lab: Lab, refused: Refusals) -> None:
    start = lab.at(LEDGER).read_text().splitlines(keepends=True)[0]
    joined = f"{CANCELLED}/ledger-{OTHER}.jsonl"
    lab.write(f"{CANCELLED}/artifacts/late.txt", b"")
    asset = {
        "asset_id": "01KJPX50B00000000000000000",
        "kind": "artifact",
        "name": "late.txt",
        "created_at": "2026-03-02T12:00:00Z",
        "path": "artifacts/late.txt",
    }
    lab.write(joined, json.dumps({"asset": asset}) + "\n")
    assert lab.check() == []
    lab.append(joined, start)
    refused.in_lab(lab, CANCELLED)


@pytest.mark.rule("LEDGER-4")
@pytest.mark.parametrize("file", ["ledger-{}.jsonl", "metrics-{}.jsonl", "logs/records-{}.jsonl"])
def test_joined_writers_have_files_of_lines_under_their_ids(
    lab: Lab, refused: Refusals, file: str
) -> None:
    lab.write(f"{CANCELLED}/{file.format(OTHER)}", b"")
    assert lab.check() == []
    lab.append(f"{CANCELLED}/{file.format(OTHER)}", b'{"edit":{}}\n')
    assert [violation.rule for violation in lab.check()] == ["LINE-6"]
    lab.remove(f"{CANCELLED}/{file.format(OTHER)}")
    lab.write(f"{CANCELLED}/{file.format('child')}", b"")
    found = [violation.rule for violation in lab.check()]
    assert {"LAYOUT-3", "END-4"} & {*found}
    refused.unequal([], found)


@pytest.mark.rule("EXEC-1")
def test_states_follow_the_table(lab: Lab, refused: Refusals) -> None:
    for state, followers in TRANSITIONS.items():
        for wanted in ExecutionState:
            if wanted in followers:
                check_transition(state, wanted)
            else:
                with refused.by(TransitionError):
                    check_transition(state, wanted)
    lab.append(LEDGER, b'{"resumed":{"at":"2026-03-02T12:00:00Z"}}\n')
    refused.in_lab(lab, CANCELLED)


@pytest.mark.rule("EXEC-2")
def test_only_the_newest_execution_may_have_no_end(lab: Lab, refused: Refusals) -> None:
    lab.remove(f"{SUCCEEDED}/end.json")
    assert lab.check() == []
    lab.remove(f"{FAILED}/end.json")
    refused.in_lab(lab, FAILED)


@pytest.mark.rule("EXEC-3")
def test_an_execution_belongs_to_the_run_that_it_was_started_for(
    lab: Lab, refused: Refusals
) -> None:
    lab.remove(SUCCEEDED)
    lab.at(CANCELLED).rename(lab.at(SUCCEEDED))
    refused.in_lab(lab, SUCCEEDED)


@pytest.mark.rule("EXEC-4")
def test_a_hold_takes_a_number_and_is_no_execution(lab: Lab, refused: Refusals) -> None:
    def hold(start: dict[str, Any]) -> None:
        start["purpose"] = "hold"

    lab.change_line(f"{SUCCEEDED}/ledger.jsonl", 0, hold)
    run = next(scope for scope in survey_lab(lab) if layout.scope_path(scope.address) == BEST)
    assert [(each.number, each.status) for each in run.executions] == [(1, "failed")]
    assert run.status == "failed"
    lab.remove(FAILED)
    violations = [violation.rule for violation in lab.check()]
    assert "LAYOUT-5" in violations, "a hold keeps its number"
    start = json.loads(lab.at(LEDGER).read_text().splitlines()[0])["start"]
    with refused.by(FormatError, "purpose"):
        Start.from_json(json.dumps({**start, "purpose": "lock"}).encode(), "ledger.jsonl")


def delete(lab: Lab, run: str, *uids: str) -> None:
    """Let an edit say that executions of a run were deleted."""
    patch = {"deleted": dict.fromkeys(uids, "too early")}
    said = {"at": "2026-03-02T12:00:00Z", "writer": OTHER, "by": "ada", "patch": patch}
    lab.append(f"{run}/{EDITS}", "\n" + json.dumps({"edit": said}) + "\n")


def uid_of(lab: Lab, execution: str) -> str:
    """The uid in the start of an execution."""
    with open(lab.at(f"{execution}/ledger.jsonl")) as ledger:
        return str(json.loads(next(ledger))["start"]["uid"])


@pytest.mark.rule("EXEC-5")
def test_a_deleted_execution_keeps_its_number_ledger_and_end(lab: Lab, refused: Refusals) -> None:
    before = seal(lab.root)
    joined = f"{FAILED}/ledger-{OTHER}.jsonl"
    lab.write(joined, b"")
    delete(lab, BEST, uid_of(lab, FAILED))
    assert lab.check() == [], "what was deleted may still be there"
    for name in os.listdir(lab.at(FAILED)):
        if name not in ("ledger.jsonl", "end.json"):
            lab.remove(f"{FAILED}/{name}")
    assert lab.check() == []
    assert seal(lab.root) == before
    run = next(scope for scope in survey_lab(lab) if layout.scope_path(scope.address) == BEST)
    assert [each.number for each in run.executions] == [2]
    lab.remove(f"{FAILED}/end.json")
    refused.in_lab(lab, FAILED)
    lab.remove(FAILED)
    assert "LAYOUT-5" in [violation.rule for violation in lab.check()], "it keeps its number"


@pytest.mark.rule("EXEC-5")
def test_what_is_left_of_a_deleted_execution_is_what_it_was(lab: Lab, refused: Refusals) -> None:
    lab.remove(f"{FAILED}/logs")
    found = lab.check()
    assert {violation.rule for violation in found} == {"WRITE-3"}
    refused.unequal([], found)
    delete(lab, BEST, uid_of(lab, FAILED))
    lab.append(f"{FAILED}/error.txt", b"more")
    lab.write(f"{FAILED}/work/new", b"")
    assert {violation.rule for violation in lab.check()} == {"ASSET-6", "END-4", "END-5"}


@pytest.mark.rule("EXEC-5")
def test_executions_of_the_run_alone_are_deleted(lab: Lab, refused: Refusals) -> None:
    delete(lab, BEST, uid_of(lab, CANCELLED))
    refused.in_lab(lab, BEST)

    def hold(start: dict[str, Any]) -> None:
        start["purpose"] = "hold"

    lab.remove(f"{BEST}/{EDITS}")
    delete(lab, BEST, uid_of(lab, FAILED))
    lab.change_line(f"{FAILED}/ledger.jsonl", 0, hold)
    refused.in_lab(lab, BEST)


@pytest.mark.rule("END-7")
def test_without_links_an_end_lies_in_a_directory(lab: Lab, refused: Refusals) -> None:
    lab.at(f"{SUCCEEDED}/end").mkdir()
    lab.at(f"{SUCCEEDED}/end.json").rename(lab.at(f"{SUCCEEDED}/end/end.json"))
    refused.in_lab(lab, SUCCEEDED)

    def without_links(start: dict[str, Any]) -> None:
        start["links"] = False

    lab.change_line(f"{SUCCEEDED}/ledger.jsonl", 0, without_links)
    assert "END-7" not in {violation.rule for violation in lab.check()}
    ended = [each.status for scope in survey_lab(lab) for each in scope.executions]
    assert ended == ["failed", "succeeded", "cancelled"]


@pytest.mark.rule("END-1")
@pytest.mark.parametrize("status", sorted(set(ExecutionState) - TERMINAL))
def test_an_end_says_a_state_in_which_executions_end(
    lab: Lab, refused: Refusals, status: str
) -> None:
    lab.change(f"{CANCELLED}/end.json", status="suspended")
    assert lab.check() == []
    lab.change(f"{CANCELLED}/end.json", status=status)
    with refused.by(FormatError, "status"):
        End.from_json(lab.at(f"{CANCELLED}/end.json").read_bytes(), "end.json")


@pytest.mark.rule("END-2")
def test_an_end_has_the_uid_of_the_start(lab: Lab, refused: Refusals) -> None:
    lab.change(f"{CANCELLED}/end.json", uid="01KJPX50B00000000000000000")
    refused.in_lab(lab, f"{CANCELLED}/end.json")


@pytest.mark.rule("END-3")
def test_a_manifest_ascends_and_leads_straight_down(lab: Lab, refused: Refusals) -> None:
    path = f"{CANCELLED}/end.json"
    end = lab.read(path)
    for manifest in (end["manifest"][::-1], end["manifest"][:1] * 2):
        with refused.by(FormatError, "paths ascend, each comes once"):
            End.from_json(json.dumps({**end, "manifest": manifest}).encode(), path)
    first = {**end["manifest"][0], "path": "../0001/ledger.jsonl"}
    lab.change(path, manifest=[first, *end["manifest"]])
    refused.in_lab(lab, path)


@pytest.mark.rule("END-4")
def test_a_manifest_lists_every_file(lab: Lab, refused: Refusals) -> None:
    lab.write(f"{CANCELLED}/logs/fit-{OTHER}.log", b"a joined writer's\n")
    lab.write(f"{CANCELLED}/work/.nfs01", b"")
    assert lab.check() == []
    lab.write(f"{CANCELLED}/work/new.txt", b"")
    refused.in_lab(lab, f"{CANCELLED}/work/new.txt")


@pytest.mark.rule("END-4")
def test_what_a_joined_writer_names_may_be_late(lab: Lab, refused: Refusals) -> None:
    asset = {
        "asset_id": "01KJPX50B00000000000000000",
        "kind": "artifact",
        "name": "late",
        "created_at": "2026-03-02T12:00:00Z",
        "path": "artifacts/late",
    }
    lab.write(f"{CANCELLED}/artifacts/late/in/it.txt", b"")
    lab.write(f"{CANCELLED}/ledger-{OTHER}.jsonl", json.dumps({"asset": asset}) + "\n")
    assert lab.check() == []
    end = lab.read(f"{CANCELLED}/end.json")
    part = {"path": "artifacts/late/in/it.txt", "size": 2, "mtime_ns": 1}
    part["content_hash"] = of_bytes(b"be")
    lab.change(f"{CANCELLED}/end.json", manifest=[part, *end["manifest"]])
    lab.write(f"{CANCELLED}/artifacts/late/in/it.txt", b"begun, and now done")
    assert lab.check() == []
    lab.write(f"{CANCELLED}/artifacts/later.txt", b"")
    refused.in_lab(lab, f"{CANCELLED}/artifacts/later.txt")


@pytest.mark.rule("END-4")
def test_a_file_whose_path_is_not_utf_8_is_in_no_manifest(lab: Lab, refused: Refusals) -> None:
    with open(os.path.join(os.fsencode(lab.at(SUCCEEDED)), b"work", b"\xff"), "wb"):
        pass
    refused.in_lab(lab, f"{SUCCEEDED}/work/\\udcff")
    with Directory.open(lab.at(SUCCEEDED)) as place:
        measured = measure(place, list(walk(place)))
    assert [each.path for each in measured] == [
        each["path"] for each in lab.read(f"{SUCCEEDED}/end.json")["manifest"]
    ]


@pytest.mark.rule("END-5")
@pytest.mark.parametrize("file", ["ledger.jsonl", "metrics.jsonl", "logs/fit.log"])
def test_after_the_end_nothing_changes(lab: Lab, refused: Refusals, file: str) -> None:
    lab.append(f"{CANCELLED}/{file}", b"\n")
    refused.in_lab(lab, f"{CANCELLED}/{file}")


@pytest.mark.rule("END-5")
@pytest.mark.parametrize(
    "file",
    ["ledger-{}.jsonl", "metrics-{}.jsonl", "logs/records-{}.jsonl", "logs/run-{}.log"],
)
def test_late_files_grow_and_still_begin_with_what_they_were(
    lab: Lab, refused: Refusals, file: str
) -> None:
    path, end = file.format(OTHER), lab.read(f"{CANCELLED}/end.json")
    entry = {"path": path, "size": 2, "mtime_ns": 1, "content_hash": of_bytes(b"\n\n")}
    manifest = sorted([*end["manifest"], entry], key=lambda each: each["path"])
    lab.change(f"{CANCELLED}/end.json", manifest=manifest)
    for data in (b"\n\n", b"\n\n\n\n"):
        lab.write(f"{CANCELLED}/{path}", data)
        assert lab.check() == []
    for data in (b"\n", b"{}\n\n", b""):
        lab.write(f"{CANCELLED}/{path}", data)
        refused.in_lab(lab, f"{CANCELLED}/{path}")


@pytest.mark.rule("END-5")
def test_a_file_that_was_never_read_has_a_size_alone(lab: Lab, refused: Refusals) -> None:
    path = f"{CANCELLED}/end.json"
    manifest = [{**entry, "content_hash": None} for entry in lab.read(path)["manifest"]]
    lab.change(path, manifest=manifest)
    assert lab.check() == []
    lab.change(path, manifest=[{**entry, "size": 0} for entry in manifest])
    refused.in_lab(lab, LEDGER)


@pytest.mark.rule("END-6")
def test_the_trace_of_an_error_is_an_error_trace(lab: Lab, refused: Refusals) -> None:
    data = lab.read(f"{DATA}/asset.json")["asset_id"]
    for trace in (data, "01KJPX50B00000000000000000"):
        error = {"type": "OSError", "message": "full", "trace": trace}
        lab.change(f"{FAILED}/end.json", error=error)
        refused.in_lab(lab, f"{FAILED}/end.json")


def test_a_run_without_executions_conforms(lab: Lab) -> None:
    lab.remove(f"{DIVERGED}/0001")
    lab.remove(f"{DIVERGED}/requests")
    assert lab.check() == []
    assert {BEST, DIVERGED} == {
        path.relative_to(lab.root).as_posix() for path in lab.at(f"{EXPERIMENT}/runs").iterdir()
    }
