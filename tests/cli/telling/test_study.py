"""The demo's study: a real one, written as a user writes one."""

from __future__ import annotations

import ast
import hashlib
from pathlib import Path

import pytest

from molexp.cli.telling import study
from molexp.workspace.experiment import Experiment
from molexp.workspace.workspace import Workspace


@pytest.fixture
def experiment(springs: Path) -> Experiment:
    found = Workspace.load(springs).find("springs/learning-rates")
    assert isinstance(found, Experiment)
    return found


def test_each_rate_has_a_run_and_the_largest_failed(experiment: Experiment) -> None:
    status = {run.parameters["lr"]: run.status for run in experiment.list_runs()}
    assert list(status) == list(study.RATES)
    assert [rate for rate, state in status.items() if state == "failed"] == [max(study.RATES)]
    assert set(status.values()) == {"succeeded", "failed"}


def test_the_best_run_has_found_the_line(experiment: Experiment) -> None:
    best = experiment.get_run("best")
    assert best is not None
    fit = best.assets.get("fit.json").read_json()
    points = study.read(study.MEASURED.read_text())
    count = len(points)
    middle = sum(x for x, _ in points) / count
    height = sum(y for _, y in points) / count
    slope = sum((x - middle) * (y - height) for x, y in points) / sum(
        (x - middle) ** 2 for x, _ in points
    )
    assert fit["slope"] == pytest.approx(slope, rel=0.03)
    others = [run.get_result("loss", 1e9) for run in experiment.list_runs()]
    assert best.get_result("loss") == min(others) == fit["loss"]


def test_each_run_leaves_metrics_checkpoints_a_log_and_what_it_used(experiment: Experiment) -> None:
    for run in experiment.list_runs():
        latest = run.metadata.latest
        assert latest is not None
        if run.status == "failed":
            assert run.assets.list("error_trace")
            assert latest.end is not None
            assert [each.text for each in latest.end.messages] == ["the first step went uphill"]
            continue
        assert latest.metrics["loss"].count == study.STEPS
        assert [each.name for each in run.assets.list("checkpoint")] == [
            "step-40",
            "step-80",
            "step-120",
        ]
        assert run.log("training").count("\n") == 3
        (data,) = experiment.project.data_assets
        made = run.assets.get("fit.json").producer
        assert made is not None
        assert made.consumed == (data.asset_id,)


def test_the_bytes_of_the_study_are_kept(experiment: Experiment) -> None:
    source = experiment.record.workflow
    assert source is not None
    data = Path(study.__file__).read_bytes()
    assert source.object == f"sha256:{hashlib.sha256(data).hexdigest()}"


def test_it_uses_public_names_alone() -> None:
    tree = ast.parse(Path(study.__file__).read_text(encoding="utf-8"))
    imported = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {
        name
        for node in imported
        for name in (
            [node.module] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]
        )
    }
    assert {name for name in names if name and name.startswith("molexp")} == {"molexp"}


def test_recording_it_again_records_nothing_twice(tmp_path: Path) -> None:
    with Workspace(tmp_path / "lab") as workspace:
        study.record(workspace)
        with pytest.raises(Exception, match="succeeded"):
            study.record(workspace)
        assert len(list((tmp_path / "lab").rglob("end.json"))) == len(study.RATES)
