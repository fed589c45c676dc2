from __future__ import annotations

from pathlib import Path

import pytest

import molexp as me
from molexp.errors import NotFoundError
from tests.recording.lab import raising


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_text("x")
    return path


def _record(run: me.Run, source: Path) -> None:
    run.workspace.data_assets.import_asset("d", source)
    run.experiment.data_assets.import_asset("e", source)
    with raising(ZeroDivisionError), run.start(capture=False) as ctx:
        ctx.set_active_task("train")
        ctx.artifact.save("a.json", {"x": 1}, tags={"split": "test", "keep": True})
        ctx.log("l").append("1")
        ctx.checkpoint("c", data=1)
        ctx.set_result("r", 2)
        raise ZeroDivisionError


def test_every_kind_of_asset_is_produced_by_a_named_call(run: me.Run, source: Path) -> None:
    _record(run, source)
    found = {each.kind: each for each in run.workspace.assets.list(recursive=True)}
    assert {kind: type(each) for kind, each in found.items()} == {
        "data": me.DataAsset,
        "artifact": me.ArtifactAsset,
        "log": me.LogAsset,
        "checkpoint": me.CheckpointAsset,
        "error_trace": me.ErrorTraceAsset,
        "execution_state": me.ExecutionStateAsset,
        "output": me.OutputAsset,
    }
    for each in run.assets:
        assert each.producer is not None
        assert (each.producer.run, each.producer.execution) == (run.uid, 1)
        assert each.scope == "qm9/baseline/first"


def test_a_scope_lists_its_own_and_those_below_if_asked(run: me.Run, source: Path) -> None:
    _record(run, source)
    ws = run.workspace
    assert [each.name for each in ws.assets] == ["d"]
    assert [each.name for each in run.experiment.assets.list()] == ["e"]
    assert run.experiment.project.assets.list() == []
    assert len(ws.assets.list(recursive=True)) == 8
    assert len(run.experiment.assets.list(recursive=True)) == 7
    assert len(run.assets.list()) == 6


def test_assets_are_asked_for_by_what_is_said_of_them(run: me.Run, source: Path) -> None:
    _record(run, source)
    below = run.workspace.assets
    for said, wanted in (
        ({"kind": "artifact"}, ["a.json"]),
        ({"name": "a.json"}, ["a.json"]),
        ({"tag": "split=test"}, ["a.json"]),
        ({"tag": "split=train"}, []),
        ({"tag": "keep"}, ["a.json"]),
        ({"tag": "other"}, []),
        ({"kind": "artifact", "producer_task": "train"}, ["a.json"]),
        ({"producer_task": "test"}, []),
    ):
        assert [each.name for each in below.query(recursive=True, **said)] == wanted


def test_one_asset_is_got_by_its_name_or_its_id(run: me.Run, source: Path) -> None:
    _record(run, source)
    asset = run.assets.get("a.json")
    assert run.workspace.assets.get(asset.asset_id) == asset
    assert asset.read_json() == {"x": 1}
    with pytest.raises(NotFoundError, match=r"did you mean 'a\.json'"):
        run.assets.get("a.jsn")
    with pytest.raises(NotFoundError):
        run.assets.get("a.json", kind="log")


def test_an_asset_reads_from_where_its_scope_is_said_to_lie(run: me.Run, source: Path) -> None:
    _record(run, source)
    asset = run.assets.get("a.json")
    parsed = me.parse_asset(asset.to_json())
    moved = run.run_dir.with_name("moved")
    run.run_dir.rename(moved)
    assert asset.read_json(moved) == {"x": 1}
    assert asset.read_text(moved) == asset.read_bytes(moved).decode()
    assert asset.absolute_path(moved) == moved / "0001/artifacts/a.json"
    with pytest.raises(NotFoundError):
        asset.read_json()
    with pytest.raises(me.errors.InvalidInputError, match="does not know where it lies"):
        parsed.read_json()
