"""The same runs as a signac project, files as signac 2 writes them.

A run is a job: its parameters are the state point, its status stands in the job's document.
"""

from __future__ import annotations

import json
import os
from hashlib import md5
from pathlib import Path

from tests.benchmarks.lab.facts import Plan, runs

_CONFIG = "schema_version = 2\n"


def make(root: Path, plan: Plan) -> None:
    """Make a project where nothing is."""
    workspace = root / "workspace"
    (root / ".signac").mkdir(parents=True)
    (root / ".signac" / "config").write_text(_CONFIG)
    workspace.mkdir()
    place = os.open(workspace, os.O_RDONLY | os.O_DIRECTORY)
    for facts in runs(plan):
        hashed = json.dumps(facts.parameters, sort_keys=True).encode()
        job = md5(hashed, usedforsecurity=False).hexdigest()
        os.mkdir(job, dir_fd=place)
        _put(place, f"{job}/signac_statepoint.json", facts.parameters)
        _put(place, f"{job}/signac_job_document.json", {"status": facts.status})
    os.close(place)


def _put(place: int, name: str, said: object) -> None:
    file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644, dir_fd=place)
    os.write(file, json.dumps(said).encode())
    os.close(file)
