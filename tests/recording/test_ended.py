"""An execution that has ended is never changed again, by whoever asks, root included."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import molexp as me
from molexp.errors import MolexpError, TransitionError
from tests.recording.lab import broken_rules, hash_of, make_run, python
from tests.users import User


def _recorded(path: Path) -> tuple[me.Run, me.RunContext]:
    run = make_run(path / "lab", durability="process")
    with run.start(capture=False) as ctx:
        ctx.artifact.save("a.txt", "a")
        ctx.log("train").append("1")
        ctx.metric("loss", 1.0)
        ctx.checkpoint("c", data={"step": 1})
        (ctx.work_dir / "out").write_text("out")
        with ctx.artifact.directory("d") as place:
            (place / "x").write_text("x")
    return run, ctx


def _mutators(ctx: me.RunContext, asset: me.Asset, tmp: Path) -> dict[str, Callable[[], Any]]:
    """Every public call of a context that writes."""
    return {
        "save": lambda: ctx.artifact.save("a.txt", "b"),
        "save a path": lambda: ctx.artifact.save("b.txt", tmp),
        "open": lambda: ctx.artifact.open("a.txt"),
        "directory": lambda: ctx.artifact.directory("d").__enter__(),
        "log": lambda: ctx.log("train").append("2"),
        "another log": lambda: ctx.log("new").append("2"),
        "metric": lambda: ctx.metric("loss", 2.0),
        "scalar": lambda: ctx.metrics.scalar("loss", 2.0),
        "checkpoint": lambda: ctx.checkpoint("c", data=2),
        "checkpoint_step": lambda: ctx.checkpoint_step(3),
        "set_result": lambda: ctx.set_result("x", 1),
        "input": lambda: ctx.input("x", 1),
        "find_asset": lambda: ctx.find_asset("a.txt"),
        "publish": lambda: ctx.publish(asset),
        "work_dir": lambda: ctx.work_dir,
        "get_data_dir": lambda: ctx.get_data_dir("x", fallback=tmp),
        "suspend": ctx.suspend,
        "end": ctx.end,
        "end as failed": lambda: ctx.end("failed"),
        "sync": ctx.sync,
        "check": ctx.check,
    }


def _try_all(path: Path) -> list[str]:
    """What could be changed, as whoever runs this."""
    run, ctx = _recorded(path)
    asset = run.assets.get("a.txt")
    place = run.run_dir / "0001"
    before = hash_of(place)
    changed = []
    for which, context in (("its own", ctx), ("one that joined", me.RunContext.open(place))):
        for name, mutate in _mutators(context, asset, path).items():
            try:
                mutate()
                changed.append(f"{name} of {which} was taken")
            except TransitionError:
                pass
            if hash_of(place) != before:
                changed.append(f"{name} of {which} changed it")
        with context:
            pass
        context.set_active_task("x")
        context.logger.warning("to nobody")
    for ask in (run.cancel, run.pause, run.resume):
        try:
            ask()
            changed.append(f"{ask.__name__} was taken")
        except TransitionError:
            pass
    if hash_of(place) != before or (run.run_dir / "requests").exists():
        changed.append("a request changed it")
    run.reap(confirm=True)
    if hash_of(place) != before:
        changed.append("reaping changed it")
    return changed


@pytest.mark.users
def test_an_ended_execution_cannot_be_changed_through_the_api(user: User) -> None:
    assert user.run(lambda: _try_all(user.directory)) == []


def _move_on(path: Path) -> str:
    """All that may still be done to a run whose execution has ended."""
    run, _ = _recorded(path)
    before = hash_of(run.run_dir / "0001")
    run.edit(tags={"keep": "yes"}, labels={"sample": "Pa16c"}, notes="n")
    run.experiment.alias("best", run)
    with run.start(again=True, capture=False) as ctx:
        ctx.set_result("x", 1)
    other = run.experiment.project.experiment("other")
    run.move_to(other)
    assert run.experiment == other
    assert hash_of(run.run_dir / "0001") == before
    other.delete_run(run)
    assert other.get_run("first") is None
    run.workspace.trash.restore("first")
    assert hash_of(run.run_dir / "0001") == before
    run.delete_execution(2)
    assert [each.number for each in run.metadata.execution_history] == [1]
    assert broken_rules(path / "lab") == []
    return hash_of(run.run_dir / "0001")


@pytest.mark.users
def test_the_run_of_an_ended_execution_is_edited_retried_moved_trashed_and_restored(
    user: User,
) -> None:
    assert user.run(lambda: _move_on(user.directory))


MODES = """
import os, sys
from pathlib import Path
os.umask(int(sys.argv[2], 8))
from tests.recording.lab import make_run
run = make_run(Path(sys.argv[1]), durability="process")
with run.start(capture=False) as ctx:
    ctx.artifact.save("a.txt", "a")
    ctx.log("train").append("1")
    (ctx.work_dir / "deep").mkdir()
    (ctx.work_dir / "deep" / "out").write_text("out")
"""


@pytest.mark.parametrize("umask", ["022", "077", "000"])
def test_all_that_an_ended_execution_holds_is_read_only(tmp_path: Path, umask: str) -> None:
    python(MODES, tmp_path / "lab", umask)
    place = tmp_path / "lab" / "projects/qm9/experiments/baseline/runs/first/0001"
    for each in (place, *place.rglob("*")):
        assert each.stat().st_mode & 0o777 == (0o555 if each.is_dir() else 0o444), each


def _read_only(path: Path) -> list[str]:
    run, _ = _recorded(path)
    root = run.workspace.root
    run.workspace.close()
    for each in sorted(root.rglob("*"), reverse=True):
        each.chmod(each.stat().st_mode & ~0o222)
    root.chmod(0o500)
    try:
        workspace = me.Workspace.load(root)
        found = workspace.find("qm9/baseline/first")
        assert isinstance(found, me.Run)
        told = [
            *[each.id for each in workspace.list_projects()],
            found.status,
            found.assets.get("a.txt").read_text(),
            found.log("train"),
            str(found.metadata.last_step),
            str(len(workspace.assets.list(recursive=True)) > 3),
            str(workspace.problems()),
            str(workspace.data_assets.list_assets()),
            str(workspace.trash.list()),
        ]
        if os.geteuid():
            for write in (
                found.start,
                lambda: found.edit(notes="x"),
                lambda: workspace.project("n"),
            ):
                try:
                    write()
                    told.append("it could be written")
                except MolexpError:
                    pass
        return told
    finally:
        root.chmod(0o700)


@pytest.mark.users
def test_a_workspace_that_nobody_may_write_is_listed_and_read(user: User) -> None:
    told = user.run(lambda: _read_only(user.directory))
    assert told == ["qm9", "succeeded", "a", "1\n", "1", "True", "[]", "[]", "[]"]
