"""Runs as jobs of a signac project: state point, files of the job, its document.

python -m tests.benchmarks.runs.with_signac WORKSPACE
"""

from __future__ import annotations

import sys
from importlib import import_module  # signac is in its own environment, not where mypy looks
from typing import Any

from tests.benchmarks.runs.worker import (
    ARTIFACT,
    EDIT,
    LOG_FILE,
    PAYLOAD,
    parameters,
    serve,
    write_lines,
)


def make_run(project: Any, number: int) -> None:
    """A job; its document is written twice, for an edit and an end are two moments."""
    job = project.open_job(parameters(number)).init()
    with open(job.fn(ARTIFACT), "wb") as artifact:
        artifact.write(PAYLOAD)
    write_lines(job.fn(LOG_FILE))
    key, value = EDIT
    job.doc[key] = value
    job.doc["status"] = "succeeded"


def main(workspace: str) -> None:
    """Serve runs in a new project."""
    signac = import_module("signac")
    project = signac.init_project(workspace)
    serve(f"signac {signac.__version__}", lambda number: make_run(project, number))


if __name__ == "__main__":
    main(sys.argv[1])
