"""Runs of an MLflow experiment, through its client, in a file store or in SQLite.

python -m tests.benchmarks.runs.with_mlflow WORKSPACE files|sqlite

The cheapest calls that do it: no fluent layer, all parameters in one batch, and both files, which
it copies from elsewhere, in one call; the artifact's source is written once, before the first run.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from importlib import import_module  # mlflow is in its own environment, not where mypy looks
from pathlib import Path

from tests.benchmarks.runs.worker import (
    ARTIFACT,
    EDIT,
    LOG_FILE,
    PAYLOAD,
    parameters,
    serve,
    write_lines,
)

QUIET = {
    "MLFLOW_ALLOW_FILE_STORE": "true",  # since 3.x the file store is refused without
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "GIT_PYTHON_REFRESH": "quiet",
}
"""No network, no advice; read when mlflow is imported."""


def make_maker(place: Path, store: str) -> Callable[[int], None]:
    """What makes a run in a new store of this kind."""
    client_class = import_module("mlflow").MlflowClient
    param = import_module("mlflow.entities").Param
    place.mkdir(parents=True)
    uri = f"sqlite:///{place}/mlflow.db" if store == "sqlite" else f"file://{place}/store"
    client = client_class(uri)
    experiment = client.create_experiment("w1", artifact_location=f"file://{place}/artifacts")
    source = place / "source"
    source.mkdir()
    (source / ARTIFACT).write_bytes(PAYLOAD)

    def make_run(number: int) -> None:
        run = client.create_run(experiment).info.run_id
        given = [param(key, str(value)) for key, value in parameters(number).items()]
        client.log_batch(run, params=given)
        write_lines(source / LOG_FILE)
        client.log_artifacts(run, str(source))
        client.set_tag(run, *EDIT)
        client.set_terminated(run, "FINISHED")

    return make_run


def main(workspace: str, store: str) -> None:
    """Serve runs in a new store."""
    os.environ.update(QUIET)
    logging.disable(logging.INFO)  # how it makes its tables
    make_run = make_maker(Path(workspace), store)
    serve(f"mlflow {import_module('mlflow').__version__}", make_run)


if __name__ == "__main__":
    main(*sys.argv[1:3])
