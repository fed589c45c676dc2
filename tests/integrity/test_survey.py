"""A survey gives what is good and reports what is not."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from molexp.disk.beneath import Directory
from molexp.errors import MolexpError
from molexp.integrity.survey import ScopeSurvey, survey
from molexp.model.execution import ExecutionState

TEMPLATE = Path(__file__).parents[2] / "workspace_template"
EXPERIMENT = "projects/qm9/experiments/baseline"
BEST = f"{EXPERIMENT}/runs/20260302-091300-tprqigxj"


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
