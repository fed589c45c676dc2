"""What the tests of queries share: a workspace with every kind of asset, and a view of it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Protocol, cast

import molexp as me
from molexp.catalog.asking.query import Query, Source
from molexp.catalog.view import View
from molexp.disk import layout

RATES = [0.001, 0.01, 0.1, 1, math.nan, "auto", None, True]


def record(path: Path) -> me.Workspace:
    """Two projects with an experiment of the same name each, runs of all endings, and data."""
    workspace = me.Workspace(path, name="Lab", durability="process")
    (path.parent / "xyz.txt").write_text("H 0 0 0")
    (path.parent / "elsewhere.txt").write_text("far")
    workspace.data_assets.import_asset("molecules", path.parent / "xyz.txt", tags={"keep": "yes"})
    qm9 = workspace.project("QM9", description="small ones", tags={"big": True})
    qm9.data_assets.register_in_place("far", path.parent / "elsewhere.txt")
    baseline = qm9.experiment("baseline", params={"lr": 0.1})
    for number, rate in enumerate(RATES):
        parameters = {"lr": rate, "optimizer": {"name": "adam", "lr": number / 10}, "n": number}
        _play(baseline.run(id=f"run-{number}", parameters=parameters), number)
    other = workspace.project("water").experiment(
        "baseline", workflow_source=__file__, seeds=[1, 2]
    )
    with other.run(id="run-0", parameters={"lr": 0.5}, tags={"keep": True}).start(capture=False):
        pass
    baseline.run(id="never", parameters={"seed": 2**62 + 1, "big": 10**30})
    return workspace


def _play(run: me.Run, number: int) -> None:
    if number == 1:
        run.edit(tags={"keep": "yes", "late": "false"}, labels={"best": True}, notes="it's odd")
    try:
        with run.start({"depth": {"of": [1, math.inf]}}, capture=number == 0) as ctx:
            _leave(ctx, number)
            if number in (2, 5):
                raise ValueError(f"no luck with {number}")
    except ValueError:
        pass
    if number == 2:
        with run.start(capture=False) as ctx:
            ctx.metric("loss", 0.25)
            ctx.set_result("energy", 1.5)


def _leave(ctx: me.RunContext, number: int) -> None:
    ctx.set_active_task("train")
    ctx.input("molecules", value=[1, "NaN", math.nan])
    saved = ctx.artifact.save("weights.json", {"w": [number]}, tags={"keep": "yes", "flag": True})
    with ctx.artifact.directory("figures") as directory:
        Path(directory, "one.txt").write_text("1")
    ctx.log("notes").append(f"number {number}")
    ctx.metric("loss", 1.0)
    ctx.metric("loss", math.nan if number == 1 else 0.5 / (number + 1))
    if number < 3:
        ctx.checkpoint("state", data={"step": number})
        ctx.checkpoint_step(number, data={"step": number})
        ctx.set_result("answer", ["", {}, [], None, math.nan][number])
        ctx.set_result("empty", "")
    if number == 0:
        ctx.logger.warning("look out")
        ctx.publish(saved, scope="experiment")


class Viewed(Source, Protocol):
    """A source that is closed after use."""

    def close(self) -> None:
        """Let go of it all."""


def ask(source: Source, table: str) -> Query:
    """A query of a table."""
    return Query(source, table)


def view(workspace: me.Workspace) -> Viewed:
    """A view of a workspace."""
    return cast(Viewed, View(workspace.root, layout.ACCESS["private"]))
