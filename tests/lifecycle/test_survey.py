"""A survey gives what is good and reports what is not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from molexp.disk.beneath import Directory
from molexp.errors import FormatError, MolexpError
from molexp.lifecycle.survey import ScopeSurvey, data, executions, scope_record, survey
from molexp.model.scope import ProjectMeta, WorkspaceMeta
from molexp.model.state import ExecutionState
from tests.users import User

TEMPLATE = Path(__file__).parents[2] / "workspace_template"
EXPERIMENT = "projects/qm9/experiments/baseline"
BEST = f"{EXPERIMENT}/runs/20260302-091300-tprqigxj"
BEST_RUN = "qm9/baseline/20260302-091300-tprqigxj"
JOINED = "ledger-f3e5efb48b-2211-80417-4321a8.jsonl"


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    shutil.copytree(TEMPLATE, tmp_path / "lab")
    return tmp_path / "lab"


def surveyed(lab: Path) -> tuple[dict[str, ScopeSurvey], list[MolexpError]]:
    """All scopes by address, and the problems."""
    problems: list[MolexpError] = []
    with Directory.open(lab) as root:
        return {str(scope.address): scope for scope in survey(root, problems)}, problems


def test_every_scope_is_given_after_the_one_that_holds_it(lab: Path) -> None:
    scopes, problems = surveyed(lab)
    assert problems == []
    assert list(scopes) == [
        "",
        "qm9",
        "qm9/baseline",
        "qm9/baseline/20260302-091300-tprqigxj",
        "qm9/baseline/20260302-095906-qrq2g7qy",
    ]
    assert [asset.name for asset in scopes[""].data] == ["qm9-sample"]


def test_edits_are_part_of_what_is_given(lab: Path) -> None:
    scopes, _ = surveyed(lab)
    assert scopes[""].meta.labels == {"group": "theory"}
    best = scopes["qm9/baseline/20260302-091300-tprqigxj"].meta.uid
    assert scopes["qm9/baseline"].meta.aliases == {"best": best}


def test_a_status_is_that_of_the_newest_execution(lab: Path) -> None:
    (lab / BEST / "0002/end.json").unlink()
    scopes, _ = surveyed(lab)
    run = scopes["qm9/baseline/20260302-091300-tprqigxj"]
    assert [each.status for each in run.executions] == ["failed", "running"]
    assert run.status is ExecutionState.RUNNING
    with open(lab / BEST / "0002/ledger.jsonl", "a") as ledger:
        ledger.write('{"paused":{"at":"2026-03-02T12:00:00Z"}}\n')
    scopes, _ = surveyed(lab)
    assert scopes["qm9/baseline/20260302-091300-tprqigxj"].status is ExecutionState.PAUSED
    shutil.rmtree(lab / BEST / "0001")
    shutil.rmtree(lab / BEST / "0002")
    scopes, _ = surveyed(lab)
    assert scopes["qm9/baseline/20260302-091300-tprqigxj"].status is ExecutionState.PENDING


def test_the_last_line_of_an_asset_is_the_asset(lab: Path) -> None:
    scopes, _ = surveyed(lab)
    first = scopes["qm9/baseline/20260302-091300-tprqigxj"].executions[0]
    assert [asset.size for asset in first.assets if asset.kind == "log"] == [48]


@pytest.mark.parametrize(
    "path",
    sorted(str(path.relative_to(TEMPLATE)) for path in TEMPLATE.rglob("*.json*") if path.is_file()),
)
@pytest.mark.parametrize("damage", [b"", b"{", b"\xff", b'{"format":2}', b"[" * 5000])
def test_one_damaged_file_hides_no_other(lab: Path, path: str, damage: bytes) -> None:
    before, _ = surveyed(lab)
    is_record = not any(part in path for part in ("artifacts", "checkpoints", "requests", "files"))
    (lab / path).write_bytes(damage + b"\n")
    after, problems = surveyed(lab)
    spoiled = {str(problem.details.get("path")) for problem in problems}
    lost = before.keys() - after.keys()
    assert len(lost) <= 1
    if path.endswith("meta.json"):
        assert len(lost) == 1
    else:
        assert lost == set()
    if is_record and path.endswith(".json"):
        assert any(path in place for place in spoiled)


def test_a_directory_that_is_no_scope_hides_no_other(lab: Path) -> None:
    before, _ = surveyed(lab)
    for odd in ("projects/Not A Slug", "projects/empty", f"{EXPERIMENT}/runs/.hidden"):
        (lab / odd).mkdir()
    (lab / "projects/file").write_text("")
    (lab / "projects/link").symlink_to("qm9")
    after, problems = surveyed(lab)
    assert after.keys() == before.keys()
    assert len(problems) == 5


@pytest.mark.parametrize(
    "odd", ["edits-x", "data/README", f"{BEST}/0003", f"{BEST}/0002/{JOINED}", "edits-h-u.jsonl"]
)
@pytest.mark.parametrize("kind", ["directory", "file", "link"])
def test_an_odd_entry_is_reported_and_hides_nothing(lab: Path, odd: str, kind: str) -> None:
    before, _ = surveyed(lab)
    place = lab / odd
    if kind == "directory":
        place.mkdir()
    elif kind == "file":
        place.write_bytes(b"garbage\n")
    else:
        place.symlink_to(lab / "meta.json")
    after, problems = surveyed(lab)
    if (kind, odd) == ("directory", "data/README"):  # data without versions
        assert problems == []
    else:
        (problem,) = problems
        assert str(lab / odd) in str(problem)
    if (kind, odd) == ("directory", f"{BEST}/0003"):
        assert after[BEST_RUN].executions.pop().status is ExecutionState.RUNNING
    assert after == before


def test_a_file_in_place_of_the_projects_is_reported(lab: Path) -> None:
    shutil.rmtree(lab / "projects")
    (lab / "projects").write_text("")
    scopes, (problem,) = surveyed(lab)
    assert list(scopes) == [""]
    assert len(scopes[""].data) == 1
    assert str(lab / "projects") in str(problem)


@pytest.mark.users
@pytest.mark.parametrize(
    "path",
    [
        f"{BEST}/meta.json",
        f"{BEST}/0001/ledger.jsonl",
        f"{BEST}/0002/end.json",
        f"{BEST}/0001",
        BEST,
        "data",
        "edits-lab-ws1-ada.jsonl",
        "data/qm9-sample/v1/asset.json",
    ],
)
def test_what_may_not_be_read_is_reported_and_hides_nothing_else(user: User, path: str) -> None:
    lab = user.directory / "lab"
    shutil.copytree(TEMPLATE, lab)
    mode = (lab / path).stat().st_mode

    def body() -> tuple[list[str], list[str], list[int]]:
        scopes, problems = surveyed(lab)
        run = scopes.get(BEST_RUN)
        numbers = [execution.number for execution in run.executions] if run else []
        return list(scopes), [problem.code for problem in problems], numbers

    whole, _, _ = user.run(body)
    (lab / path).chmod(0)
    scopes, codes, numbers = user.run(body)
    (lab / path).chmod(mode)
    assert codes == ([] if user.uid == 0 else ["storage"])
    if user.uid and path in (BEST, f"{BEST}/meta.json"):
        assert scopes == [address for address in whole if address != BEST_RUN]
    else:
        assert scopes == whole
        assert numbers == ([2] if user.uid and path == f"{BEST}/0001" else [1, 2])


@pytest.mark.parametrize("damage", ["directory", "garbage", "gone"])
def test_a_damaged_ledger_does_not_hide_the_end(lab: Path, damage: str) -> None:
    ledger = lab / BEST / "0002/ledger.jsonl"
    ledger.unlink()
    if damage == "directory":
        ledger.mkdir()
    elif damage == "garbage":
        ledger.write_bytes(b"\xff\n")
    scopes, problems = surveyed(lab)
    assert [each.status for each in scopes[BEST_RUN].executions] == ["failed", "succeeded"]
    assert len(problems) == 1


def test_a_joined_ledger_tells_of_assets_alone_and_after_its_owner(lab: Path) -> None:
    (lab / BEST / "0002/end.json").unlink()
    ledger = lab / BEST / "0002/ledger.jsonl"
    before, _ = surveyed(lab)
    start, *_ = ledger.read_text().splitlines(keepends=True)
    asset = next(line for line in ledger.read_text().splitlines() if line.startswith('{"asset"'))
    renamed = json.loads(asset)
    renamed["asset"]["name"] = "renamed"
    other = start.replace('"at":"2026', '"at":"2027')
    paused = '{"paused":{"at":"2026-03-02T12:00:00Z"}}\n'
    (lab / BEST / "0002" / JOINED).write_text(f"{other}{paused}{json.dumps(renamed)}\n")
    after, problems = surveyed(lab)
    old, new = before[BEST_RUN].executions[1], after[BEST_RUN].executions[1]
    assert new.start == old.start
    assert new.status is ExecutionState.RUNNING
    assert [each.name for each in new.assets] == ["renamed", *(a.name for a in old.assets[1:])]
    assert ["'start' does not belong" in str(problem) for problem in problems] == [True]


def test_a_torn_line_is_reported_once_the_execution_has_ended(lab: Path) -> None:
    with open(lab / BEST / "0002/ledger.jsonl", "a") as ledger:
        ledger.write('{"paused"')
    _, (problem,) = surveyed(lab)
    assert isinstance(problem, FormatError)
    assert "the last 9 bytes end no line" in str(problem)
    (lab / BEST / "0002/end.json").unlink()
    assert surveyed(lab)[1] == []


def test_a_start_that_was_cut_is_reported_before_there_is_an_end(lab: Path) -> None:
    ledger, end = lab / BEST / "0002/ledger.jsonl", lab / BEST / "0002/end.json"
    end.unlink()
    ledger.write_bytes(ledger.read_bytes()[:50])
    _, (problem,) = surveyed(lab)
    assert "does not begin with the start of an execution" in str(problem)
    ledger.write_bytes(b"")
    assert surveyed(lab)[1] == [], "only a power loss leaves that, and nobody ever worked there"


@pytest.mark.parametrize("path", [f"{BEST}/0002/ledger.jsonl", "edits-lab-ws1-ada.jsonl"])
def test_a_line_that_belongs_elsewhere_is_reported_and_not_used(lab: Path, path: str) -> None:
    before, _ = surveyed(lab)
    with open(lab / path, "a") as lines:
        lines.write('{"metric":{"at":"2026-03-02T12:00:00Z","key":"loss","value":1.0}}\n')
        lines.write('{"of_a_later_release":{}}\n')
    after, (problem,) = surveyed(lab)
    assert after == before
    assert "a line of 'metric' does not belong here" in str(problem)


def test_inputs_are_given_in_their_order(lab: Path) -> None:
    scopes, _ = surveyed(lab)
    before = scopes[BEST_RUN].executions[1].inputs
    (lab / BEST / "0002/end.json").unlink()
    with open(lab / BEST / "0002/ledger.jsonl", "a") as ledger:
        ledger.write('{"input":{"at":"2026-03-02T12:00:00Z","name":"lr","value":0.1}}\n')
    with open(lab / BEST / "0002" / JOINED, "a") as ledger:
        ledger.write('\n{"input":{"at":"2026-03-02T11:00:00Z","path":"/data/x"}}\n')
    scopes, problems = surveyed(lab)
    after = scopes[BEST_RUN].executions[1].inputs
    assert problems == []
    assert after[: len(before)] == before
    assert [(each.name, each.path) for each in after[len(before) :]] == [
        ("lr", None),
        (None, "/data/x"),
    ]


def test_a_log_has_the_size_and_digest_that_the_end_gives_it(lab: Path) -> None:
    run = lab / BEST / "0001"
    end = json.loads((run / "end.json").read_text())
    (entry,) = (each for each in end["manifest"] if each["path"].endswith(".log"))
    lines = (run / "ledger.jsonl").read_text().splitlines()
    open_log = next(line for line in lines if '"kind":"log"' in line)
    record = json.loads(open_log)["asset"]
    record.pop("size", None)
    record.pop("content_hash", None)
    kept = [line for line in lines if '"kind":"log"' not in line]
    (run / "ledger.jsonl").write_text("\n".join([*kept, json.dumps({"asset": record})]) + "\n")
    scopes, _ = surveyed(lab)
    (log,) = (each for each in scopes[BEST_RUN].executions[0].assets if each.kind == "log")
    assert (log.size, log.content_hash) == (entry["size"], entry["content_hash"])
    (run / "end.json").unlink()
    scopes, _ = surveyed(lab)
    (log,) = (each for each in scopes[BEST_RUN].executions[0].assets if each.kind == "log")
    assert (log.size, log.content_hash) == (None, None)


def test_an_asset_that_said_its_digest_keeps_it(lab: Path) -> None:
    scopes, _ = surveyed(lab)
    before = {each.asset_id: each for each in scopes[BEST_RUN].executions[1].assets}
    end = json.loads((lab / BEST / "0002/end.json").read_text())
    for entry in end["manifest"]:
        entry["content_hash"] = "sha256:" + "0" * 64
    (lab / BEST / "0002/end.json").write_text(json.dumps(end))
    scopes, _ = surveyed(lab)
    after = {each.asset_id: each for each in scopes[BEST_RUN].executions[1].assets}
    told = {uid for uid, each in before.items() if each.kind != "log"}
    assert told
    assert {uid: after[uid] for uid in told} == {uid: before[uid] for uid in told}


def test_deleted_executions_are_hidden_until_they_are_not(lab: Path) -> None:
    scopes, _ = surveyed(lab)
    first, second = (each.start.uid for each in scopes[BEST_RUN].executions if each.start)
    edits = lab / BEST / "edits-lab-ws1-ada.jsonl"
    said = '"at":"2027-01-0%dT00:00:00Z","writer":"w","by":"me","patch":{"deleted":{%s}}'
    line = f'\n{{"edit":{{{said}}}}}\n'
    with open(edits, "a") as file:
        file.write(line % (1, f'"{second}":"wrong"'))
    scopes, _ = surveyed(lab)
    assert [each.number for each in scopes[BEST_RUN].executions] == [1]
    assert scopes[BEST_RUN].status is ExecutionState.FAILED
    with Directory.open(lab / BEST) as run:
        assert [each.number for each in executions(run, [])] == [1, 2]
    with open(edits, "a") as file:
        file.write(line % (2, f'"{first}":true'))
    scopes, _ = surveyed(lab)
    assert scopes[BEST_RUN].executions == []
    assert scopes[BEST_RUN].status is ExecutionState.PENDING
    with open(edits, "a") as file:
        file.write(line % (3, f'"{first}":null,"{second}":null'))
    scopes, _ = surveyed(lab)
    assert [each.number for each in scopes[BEST_RUN].executions] == [1, 2]


def test_a_hold_is_no_execution(lab: Path) -> None:
    hold = lab / BEST / "0003"
    shutil.copytree(lab / BEST / "0001", hold)
    ledger = hold / "ledger.jsonl"
    first, *others = ledger.read_text().splitlines()
    start = json.loads(first)
    start["start"]["purpose"] = "hold"
    ledger.write_text("\n".join([json.dumps(start), *others]) + "\n")
    with Directory.open(lab / BEST) as run:
        assert [each.number for each in executions(run, [])] == [1, 2]


def test_a_scope_s_record_is_read_with_its_edits(lab: Path) -> None:
    problems: list[MolexpError] = []
    with Directory.open(lab) as root:
        meta = scope_record(root, WorkspaceMeta, problems)
        with pytest.raises(FormatError):
            scope_record(root, ProjectMeta, problems)
    assert meta.labels == {"group": "theory"}
    assert problems == []
    (lab / "edits-lab-ws1-ada.jsonl").write_bytes(b"\xff\n")
    with Directory.open(lab) as root:
        assert scope_record(root, WorkspaceMeta, problems).labels == {}
    assert len(problems) == 1


@pytest.mark.parametrize("damage", ["garbage", "gone", "link", "newer format"])
def test_one_damaged_version_hides_no_other(lab: Path, damage: str) -> None:
    data_dir = lab / "data/qm9-sample"
    shutil.copytree(data_dir / "v1", data_dir / "v2")
    record = data_dir / "v2/asset.json"
    text = record.read_text().replace('"version":1', '"version":2')
    record.unlink()
    if damage == "garbage":
        record.write_text("{")
    elif damage == "link":
        record.symlink_to("../v1/asset.json")
    elif damage == "newer format":
        record.write_text(text.replace('"format":1', '"format":2'))
    problems: list[MolexpError] = []
    with Directory.open(lab) as root:
        found = list(data(root, problems))
    assert [each.version for each in found] == [1]
    assert len(problems) == 1
    assert str(record) in str(problems[0])


def test_where_there_is_no_data_none_is_given(lab: Path) -> None:
    problems: list[MolexpError] = []
    with Directory.open(lab / EXPERIMENT) as directory:
        assert list(data(directory, problems)) == []
    assert problems == []
