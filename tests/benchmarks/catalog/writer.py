"""One of many processes that record runs, where and as long as it is told to.

python -m tests.benchmarks.catalog.writer NAME RATE

It reads lines: `on WORKSPACE` lets it record runs in an experiment of its own there, at most RATE
of them a second or, if that is 0, as fast as it can; `off` makes it stop and say how many it made,
and what errors it met.
"""

from __future__ import annotations

import json
import select
import sys
import time
from typing import Any

import molexp as me

PARAMETERS = {"a": 11, "lr": 0.001, "batch_size": 64, "optimizer": "adamw"}
"""No run of these is among those that readers ask for."""


def record(experiment: Any) -> None:
    """A run with two assets."""
    with experiment.run(parameters=PARAMETERS).start(capture=False) as ctx:
        ctx.artifact.save("result-00.bin", b"8 bytes.")
        ctx.set_result("energy", 0.5)


def is_told() -> bool:
    """Whether there is something to read."""
    return bool(select.select([sys.stdin], [], [], 0)[0])


def write(place: str, name: str, rate: float) -> dict[str, Any]:
    """Record runs until something is said; how that went."""
    workspace = me.Workspace(place, durability="process")
    experiment = workspace.project("P0").experiment(name)
    began, made, errors = time.perf_counter(), 0, []
    while not is_told():
        try:
            record(experiment)
            made += 1
        except Exception as error:  # noqa: BLE001  # whatever it is, it is what is counted
            errors.append(repr(error)[:500])
        if rate:
            time.sleep(max(0.0, began + (made + len(errors)) / rate - time.perf_counter()))
    workspace.close()
    return {"runs": made, "errors": errors}


def main(name: str, rate: str) -> None:
    """Do as told until nothing more is said."""
    while line := sys.stdin.readline():
        command, _, place = line.strip().partition(" ")
        if command == "on":
            print(json.dumps(write(place, name, float(rate))), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:3])
