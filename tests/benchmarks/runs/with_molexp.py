"""Runs of a molexp experiment.

python -m tests.benchmarks.runs.with_molexp WORKSPACE process|power capture|bare
"""

from __future__ import annotations

import sys

import molexp as me
from tests.benchmarks.runs.worker import (
    ARTIFACT,
    EDIT,
    LINES,
    LOG,
    PAYLOAD,
    parameters,
    serve,
)


def main(workspace: str, durability: str, capture: str) -> None:
    """Serve runs in a new workspace."""
    laboratory = me.Workspace(workspace, durability="power" if durability == "power" else "process")
    experiment = laboratory.project("bench").experiment("w1")
    captured = capture == "capture"

    def make_run(number: int) -> None:
        run = experiment.run(parameters=parameters(number))
        with run.start(capture=captured) as ctx:
            ctx.artifact.save(ARTIFACT, PAYLOAD)
            log = ctx.log(LOG)
            for line in LINES:
                log.append(line)
            run.edit(tags=dict([EDIT]))

    serve(f"molexp {me.__version__}", make_run)
    laboratory.close()


if __name__ == "__main__":
    main(*sys.argv[1:4])
