"""A survey gives what is good and reports what is not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from molexp.disk.beneath import Directory
from molexp.errors import FormatError, MolexpError
from molexp.lifecycle.survey import ScopeSurvey, survey
from molexp.model.execution import ExecutionState
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


@pytest.mark.parametrize("path", [f"{BEST}/0002/ledger.jsonl", "edits-lab-ws1-ada.jsonl"])
def test_a_line_that_belongs_elsewhere_is_reported_and_not_used(lab: Path, path: str) -> None:
    before, _ = surveyed(lab)
    with open(lab / path, "a") as lines:
        lines.write('{"metric":{"at":"2026-03-02T12:00:00Z","key":"loss","value":1.0}}\n')
        lines.write('{"of_a_later_release":{}}\n')
    after, (problem,) = surveyed(lab)
    assert after == before
    assert "a line of 'metric' does not belong here" in str(problem)
