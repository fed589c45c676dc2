"""What the listings read: the good, with the bad beside it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from molexp.cli.telling.gather import Problems, below, count_below, data_told, run_told, scope_told
from molexp.model.address import Address
from molexp.model.scope import RunMeta
from molexp.model.state import ExecutionState
from molexp.workspace.workspace import Workspace

EXPERIMENT = Address.parse("springs/learning-rates")
RUNS = "projects/springs/experiments/learning-rates/runs"


def test_a_run_tells_its_executions_and_results(springs: Path) -> None:
    problems: Problems = []
    with Workspace.load(springs) as workspace:
        told = run_told(workspace.site(), EXPERIMENT / "lr-0.1", problems)
    assert told is not None
    assert (told.status, [each.number for each in told.executions]) == ("succeeded", [1])
    assert list(told.results) == ["loss", "slope"]
    assert told.latest is not None
    assert told.latest.took is not None
    assert problems == []


def test_results_are_those_of_the_newest_execution_that_has_them(copy: Path) -> None:
    with Workspace.load(copy) as workspace:
        run = workspace.find(f"{EXPERIMENT}/lr-0.1")
        with run.start(again=True) as ctx:  # type: ignore[union-attr]
            ctx.set_result("loss", 7.0)
        told = run_told(workspace.site(), EXPERIMENT / "lr-0.1", [])
        assert told is not None
        assert told.results["loss"] == 7.0
        assert told.results["slope"] == run.get_result("slope")  # type: ignore[union-attr]
        run.delete_execution(2)  # type: ignore[union-attr]
        told = run_told(workspace.site(), EXPERIMENT / "lr-0.1", [])
        assert told is not None
        assert [each.number for each in told.executions] == [1]


def test_a_live_execution_took_as_long_as_it_runs(copy: Path) -> None:
    with Workspace.load(copy) as workspace:
        run = workspace.find("springs/learning-rates").run("live")  # type: ignore[union-attr]
        assert run_told(workspace.site(), EXPERIMENT / "live", []).status == "pending"  # type: ignore[union-attr]
        with run.start():
            told = run_told(workspace.site(), EXPERIMENT / "live", [])
            assert told is not None
            assert told.status is ExecutionState.RUNNING
            assert told.latest is not None
            assert told.latest.took is not None
            assert told.latest.finished_at is None


def test_a_damaged_run_is_none_and_a_problem(copy: Path) -> None:
    (copy / RUNS / "lr-0.1/meta.json").write_text("{")
    problems: Problems = []
    with Workspace.load(copy) as workspace:
        site = workspace.site()
        found = [run_told(site, each, problems) for each in below(site, EXPERIMENT, problems)]
    assert [each is None for each in found] == [False, False, False, True, False]
    assert [problem.code for problem in problems] == ["format"]


@pytest.mark.parametrize("ended", [True, False])
def test_an_execution_without_a_start_is_told_by_its_end_or_unknown(
    copy: Path, ended: bool
) -> None:
    place = copy / RUNS / "lr-0.1/0001"
    place.chmod(0o755)
    (place / "ledger.jsonl").chmod(0o644)
    (place / "ledger.jsonl").write_text("garbage\n")
    if not ended:
        (place / "end.json").unlink()
    problems: Problems = []
    with Workspace.load(copy) as workspace:
        told = run_told(workspace.site(), EXPERIMENT / "lr-0.1", problems)
    assert told is not None
    assert told.status == ("succeeded" if ended else "unknown")
    assert told.latest is not None
    assert told.latest.took is None
    assert problems


def test_a_directory_with_an_impossible_name_hides_no_other(copy: Path) -> None:
    (copy / "projects/Springs (copy)").mkdir()
    (copy / "projects/notes.txt").touch()
    problems: Problems = []
    with Workspace.load(copy) as workspace:
        site = workspace.site()
        assert list(below(site, Address(), problems)) == [Address(("springs",))]
        assert count_below(site, EXPERIMENT) == 5
        assert list(below(site, EXPERIMENT / "lr-0.1", problems)) == []
    assert [problem.code for problem in problems] == ["invalid_name", "invalid_name"]


def test_data_that_cannot_be_read_hides_no_other(copy: Path, tmp_path: Path) -> None:
    with Workspace.load(copy) as workspace:
        (tmp_path / "more.txt").write_text("a")
        workspace.find("springs").data_assets.import_asset("more", tmp_path / "more.txt")
        site = workspace.site()
        record = copy / "projects/springs/data/measurements/v1/asset.json"
        record.chmod(0o644)
        record.write_text("{")
        problems: Problems = []
        found = data_told(site, Address(("springs",)), problems)
        assert [each.name for each in found] == ["more"]
        assert data_told(site, Address(("nothing",)), problems) == []
    assert [problem.code for problem in problems] == ["format", "not_found"]


def test_a_record_reads_with_its_edits(springs: Path) -> None:
    with Workspace.load(springs) as workspace:
        meta = scope_told(workspace.site(), EXPERIMENT / "lr-0.3", [])
        assert scope_told(workspace.site(), EXPERIMENT / "none", []) is None
    assert isinstance(meta, RunMeta)
    assert json.loads(meta.to_json())["tags"] == {"diverged": True}
