"""What is at work is summed up as its end will sum it up."""

from __future__ import annotations

import math
from pathlib import Path

import molexp as me
from molexp.rows.live import live


def test_the_sums_are_those_of_the_end(tmp_path: Path) -> None:
    workspace = me.Workspace(tmp_path / "lab", durability="process")
    run = workspace.project("p").experiment("e").run(id="r")
    with run.start(capture=False) as ctx:
        for value in (3.0, math.nan, 1.0):
            ctx.metric("loss", value)
        ctx.logger.warning("look out")
        ctx.logger.info("never mind")
        files = [
            path.read_bytes()
            for path in (
                ctx.execution_dir / "metrics.jsonl",
                ctx.execution_dir / "logs/records.jsonl",
            )
        ]
    metrics, messages = live([*files, b"no line\n{torn"])
    end = run.metadata.execution_history[0].end
    assert end is not None
    assert metrics["loss"]["count"] == end.metrics["loss"].count == 3
    assert metrics["loss"]["min"] == end.metrics["loss"].min == 1.0
    assert (
        [each["text"] for each in messages] == [each.text for each in end.messages] == ["look out"]
    )
