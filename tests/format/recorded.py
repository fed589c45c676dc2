"""A workspace that molexp wrote itself: ``python -m tests.format.recorded ROOT OUTSIDE`` makes it.

Everything in it comes through ``import molexp as me``, as from anybody's script; it is a process of
its own, since it forks, prints and logs. ``OUTSIDE`` is an empty directory for what is imported.
"""

from __future__ import annotations

import logging
import math
import os
import subprocess
import sys
from pathlib import Path

import molexp as me

WORDS = b"bytes\n"


def main(root: Path, outside: Path) -> None:
    """Make it all."""
    script = outside / "train.py"
    script.write_text("print('trained')\n")
    with me.Workspace(root, name="Recorded") as workspace:
        project = workspace.project("QM9", description="recorded", tags={"kind": "test"})
        baseline = project.experiment(
            "Baseline", params={"lr": 0.1}, n_replicas=2, workflow_source=script
        )
        other = project.experiment("Other")
        bring(workspace, outside)
        record_all(baseline.run("full", parameters={"lr": math.inf}, tags={"a": "b"}), outside)
        attempts(baseline.run("attempts", replica=1))
        ask_and_delete(workspace, baseline)
        go_on_without_the_deleted(baseline.run("anew"))
        moved = baseline.run("moved")
        succeed(moved)
        moved.move_to(other)
        move_and_restore(workspace, baseline)
        baseline.alias("best", moved)
        workspace.edit(labels={"group": "theory"}, notes="recorded")


def bring(workspace: me.Workspace, outside: Path) -> None:
    """Import a tree twice, the second time changed; register another, and move a file in."""
    tree = outside / "tree"
    (tree / "below/empty").mkdir(parents=True)
    for name in ("one.csv", "below/two.csv", ".DS_Store"):
        (tree / name).write_bytes(name.encode())
    library = workspace.data_assets
    library.import_asset("tree", tree, meta={"nan": math.nan}, tags={"raw": True})
    (tree / "one.csv").write_bytes(b"changed")
    assert library.import_asset("tree", tree).version == 2
    library.register_in_place("elsewhere", tree)
    library.register_in_place("one", tree / "one.csv")
    (outside / "moved.txt").write_bytes(WORDS)
    workspace.project("QM9").data_assets.import_asset("moved", outside / "moved.txt", "move")


def record_all(run: me.Run, outside: Path) -> None:
    """One execution in which everything is used, another process joins and a third one prints."""
    tree = run.workspace.data_assets.get("tree")
    profile = me.Profile.make(name="laptop", values={"threads": 2, "clip": math.inf})
    inputs = {"tree": tree, "script": outside / "train.py", "seed": 7}
    with run.start(profile, inputs=inputs) as ctx:
        ctx.set_active_task("fit")
        sys.stdout.write("printed\n")
        sys.stderr.write("printed as an error\n")
        subprocess.run(["echo", "printed by a program"], check=True)
        logging.getLogger("recorded").warning("logged")
        ctx.logger.info("logged by the run")
        ctx.log("fit").append("step 1")
        ctx.log("fit/inner").append("ünïcode")
        for step, loss in enumerate((1.0, math.nan, math.inf)):
            ctx.metric("loss", loss, step=step)
        ctx.metrics.scalar("nothing", math.nan)
        model = ctx.artifact.save("model.json", {"w": [1.0, math.nan]}, tags={"final": True})
        ctx.artifact.save("model.json", {"w": [2.0]}, consumed=[tree])
        ctx.artifact.save("tree", outside / "tree")
        ctx.artifact.save("deep/in/file.txt", "text", meta={"note": "NaN"})
        with ctx.artifact.open("opened.bin") as file:
            file.write(WORDS)
        with ctx.artifact.directory("made") as made:
            (made / "x").mkdir()
            (made / "x/y.txt").write_bytes(WORDS)
        (ctx.work_dir / "scratch").write_bytes(WORDS)
        (ctx.work_dir / "link").symlink_to(outside)
        ctx.input("clip", value=[math.inf, "NaN"])
        ctx.checkpoint("state", {"step": 3, "w": [math.nan]})
        ctx.checkpoint("raw", WORDS, step=4)
        ctx.checkpoint_step(5, {"w": 1})
        ctx.set_result("loss", math.nan)
        ctx.set_result("loss", 0.5)
        ctx.find_asset("moved")
        in_a_child(ctx)
        ctx.publish(model, "project", name="model")
        ctx.publish(ctx.artifact.save("again.txt", "again"), "workspace")
        ctx.sync()


def in_a_child(ctx: me.RunContext) -> None:
    """A forked child uses the same context, as one who joined, and dies of what it likes."""
    sys.stdout.flush()
    child = os.fork()
    if child:
        assert os.waitpid(child, 0)[1] == 0
        return
    try:
        ctx.set_active_task("child")
        sys.stdout.write("printed by the child\n")
        sys.stdout.flush()
        ctx.logger.warning("logged by the child")
        ctx.log("fit").append("step 2")
        ctx.metric("loss", 2.0, step=3)
        ctx.artifact.save("child.txt", "of the child")
        with ctx.artifact.directory("child") as made:
            (made / "y.txt").write_bytes(WORDS)
        ctx.checkpoint("child", {"step": 9})
        ctx.set_result("child", 1)
        ctx.use(ctx.find_asset("tree"))
    except BaseException:  # noqa: BLE001 - the parent sees that something was wrong
        os._exit(1)
    os._exit(0)


def attempts(run: me.Run) -> None:
    """A run that fails, is suspended, succeeds, and is then run once more."""
    try:
        with run.start() as ctx:
            ctx.checkpoint("state", {"step": 1})
            ctx.artifact.open("half.txt").write(WORDS)
            raise ValueError("it failed")
    except ValueError:
        pass
    with run.start() as ctx:
        assert ctx.resumed_step == 1
        ctx.suspend(2, "time is up")
    with run.start({"threads": 3}) as ctx:
        assert ctx.resumed_step == 2
        ctx.artifact.save("done.txt", "done")
    with run.start(again=True, capture=False) as ctx:
        ctx.set_result("again", True)


def succeed(run: me.Run, again: bool = False) -> None:
    """Record a little of everything that lies at the top of an execution."""
    with run.start(again=again) as ctx:
        sys.stdout.write("printed\n")
        ctx.artifact.save("a.txt", "a")
        ctx.checkpoint("state", {"step": 1})
        ctx.metric("loss", 1.0)
        ctx.log("fit").append("a")
        (ctx.work_dir / "b").write_bytes(WORDS)
        for name in ("Twin", "twin"):
            (ctx.work_dir / name).write_bytes(WORDS)
        (ctx.work_dir / "link").symlink_to("b")
        in_a_child(ctx)


def ask_and_delete(workspace: me.Workspace, experiment: me.Experiment) -> None:
    """Executions that were deleted, one of them put back; and runs that were cancelled."""
    run = experiment.run("deleted")
    try:
        with run.start() as ctx:
            in_a_child(ctx)
            raise OSError("it failed")
    except OSError:
        pass
    succeed(run)
    succeed(run, again=True)
    uids = [each.execution_id for each in run.metadata.execution_history]
    for number in (1, 2, 3):
        run.delete_execution(number, reason="too early" if number == 1 else None)
    assert numbers(run) == []
    workspace.trash.restore(uids[1])
    assert numbers(run) == [2]
    succeed(run, again=True)

    cancelled = experiment.run("cancelled")
    cancelled.cancel("not needed")
    asked = experiment.run("asked")
    try:
        with asked.start() as ctx:
            asked.cancel("enough")
            ctx.check()
    except me.errors.CancelledError:
        pass


def go_on_without_the_deleted(run: me.Run) -> None:
    """What was deleted is nothing to resume from."""
    for number in (1, 2):
        try:
            with run.start() as ctx:
                if number == 1:
                    ctx.checkpoint("state", {"step": 1})
                raise OSError("it failed")
        except OSError:
            pass
    run.delete_execution(1)
    with run.start() as ctx:
        assert ctx.resumed_step is None
        assert ctx.checkpoint.latest() is None


def numbers(run: me.Run) -> list[int]:
    """Of its executions, as a reader is given them."""
    return [each.number for each in run.metadata.execution_history]


def move_and_restore(workspace: me.Workspace, experiment: me.Experiment) -> None:
    """Removed and put back, and removed for good."""
    run = experiment.run("restored")
    succeed(run)
    experiment.delete_run(run)
    workspace.trash.restore("restored")
    gone = experiment.run("gone")
    succeed(gone)
    experiment.delete_run(gone, reason="it was wrong")
    lost = workspace.project("Lost").experiment("Lost")
    lost.run("lost")
    workspace.delete_project("Lost")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
