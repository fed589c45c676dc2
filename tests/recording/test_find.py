from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import molexp as me
from molexp.errors import NotFoundError
from tests.recording.lab import broken_rules, in_child, lines


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source.txt"
    path.write_text("workspace")
    return path


def test_the_nearest_of_a_name_is_found(run: me.Run, source: Path) -> None:
    scopes: tuple[Any, ...] = (run.workspace, run.experiment.project, run.experiment)
    for scope, text in zip(scopes, ("workspace", "project", "experiment"), strict=True):
        source.write_text(text)
        with run.start(capture=False, again=True) as ctx:
            scope.data_assets.import_asset("data", source)
            assert ctx.find_asset("data").read_text() == text
    with run.start(capture=False, again=True) as ctx:
        ctx.artifact.save("data", "of the run")
    with run.start(capture=False, again=True) as ctx:
        assert ctx.find_asset("data").read_text() == "of the run"
        ctx.artifact.save("data", "of this execution")
        assert ctx.find_asset("data").read_text() == "of this execution"
        ctx.artifact.save("data", "newer")
        assert ctx.find_asset("data").read_text() == "newer"


def test_the_newest_version_of_data_is_found(run: me.Run, source: Path) -> None:
    run.workspace.data_assets.import_asset("data", source)
    source.write_text("second")
    run.workspace.data_assets.import_asset("data", source)
    with run.start(capture=False) as ctx:
        found = ctx.find_asset("data")
        assert (found.version, found.read_text()) == (2, "second")


def test_using_what_was_found_is_written_down_once(run: me.Run, source: Path) -> None:
    data = run.workspace.data_assets.import_asset("data", source)
    with run.start(capture=False) as ctx:
        for _ in range(3):
            assert ctx.find_asset("data") == data
        own = ctx.artifact.save("own", b"")
        assert ctx.find_asset("own") == own
    assert [line["input"]["asset"] for line in lines(run) if "input" in line] == [data.asset_id]


def test_an_unknown_name_is_told_with_what_is_near_and_where_it_was_looked_for(
    run: me.Run, source: Path
) -> None:
    run.workspace.data_assets.import_asset("training_data", source)
    with run.start(capture=False) as ctx:
        with pytest.raises(NotFoundError, match="did you mean 'training_data'") as raised:
            ctx.find_asset("trainingdata")
        for place in (
            "run qm9/baseline/first",
            "experiment qm9/baseline",
            "project qm9",
            "workspace",
        ):
            assert place in str(raised.value)
        assert raised.value.details["near"] == ["training_data"]
        with pytest.raises(NotFoundError, match="import_asset"):
            ctx.find_asset("zzz")
    assert len(lines(run)) == 1


def test_what_another_process_made_is_found(run: me.Run) -> None:
    with run.start(capture=False) as ctx:
        ctx.artifact.save("a", "mine")
        in_child(lambda: ctx.artifact.save("a", "theirs").version)
        assert ctx.find_asset("a").read_text() == "theirs"


def test_what_a_deleted_execution_left_is_not_found(run: me.Run) -> None:
    with run.start(capture=False) as ctx:
        ctx.artifact.save("a", "1")
        ctx.set_result("r", 1)
    with run.start(capture=False, again=True) as ctx:
        pass
    run.delete_execution(1)
    with run.start(capture=False, again=True) as ctx:
        with pytest.raises(NotFoundError):
            ctx.find_asset("a")
        assert ctx.get_result("r") is None


def test_published_data_is_found_wherever_its_run_was_moved(run: me.Run) -> None:
    with run.start(capture=False) as ctx:
        asset = ctx.artifact.save("weights", b"w")
        ctx.publish(asset, "workspace")
    other = run.experiment.project.experiment("other")
    run.move_to(other)
    with other.run(id="reader").start(capture=False) as ctx:
        assert ctx.find_asset("weights").read_bytes() == b"w"
        assert ctx.find_asset("weights").scope == ""
    assert broken_rules(run.workspace.root) == []


def test_published_data_whose_run_is_gone_says_so_when_it_is_read(run: me.Run) -> None:
    with run.start(capture=False) as ctx:
        ctx.publish(ctx.artifact.save("weights", b"w"))
    reader = run.experiment.run(id="reader")
    run.experiment.delete_run(run, force=True)
    with reader.start(capture=False) as ctx:
        found = ctx.find_asset("weights")
        with pytest.raises(NotFoundError):
            found.read_bytes()
    run.workspace.trash.restore("first")
    assert reader.experiment.data_assets.get("weights").read_bytes() == b"w"
