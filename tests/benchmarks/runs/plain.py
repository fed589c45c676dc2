"""The same files as molexp writes, by a plain script: no library, no checks, no checksums.

python -m tests.benchmarks.runs.plain WORKSPACE
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
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


def _line(record: dict[str, object]) -> bytes:
    return json.dumps(record).encode() + b"\n"


def _now() -> str:
    return datetime.now(UTC).isoformat()


def make_run(place: Path, number: int) -> None:
    """Five files in four directories, and one file more for the edit."""
    run = place / f"run-{number:06d}"
    execution = run / "0001"
    run.mkdir()
    meta = {"format": 1, "kind": "run", "created_at": _now(), "parameters": parameters(number)}
    (run / "meta.json").write_bytes(_line(meta))
    execution.mkdir()
    with open(execution / "ledger.jsonl", "ab", buffering=0) as ledger:
        ledger.write(_line({"type": "start", "at": _now()}))
        (execution / "artifacts").mkdir()
        (execution / "artifacts" / ARTIFACT).write_bytes(PAYLOAD)
        ledger.write(_line({"type": "asset", "kind": "artifact", "name": ARTIFACT, "at": _now()}))
        (execution / "logs").mkdir()
        write_lines(execution / "logs" / LOG_FILE)
        ledger.write(_line({"type": "asset", "kind": "log", "name": LOG_FILE, "at": _now()}))
    with open(run / "edits.jsonl", "ab", buffering=0) as edits:
        edits.write(_line({"type": "edit", "tags": dict([EDIT]), "at": _now()}))
    (execution / "end.json").write_bytes(_line({"status": "succeeded", "at": _now()}))


def main(workspace: str) -> None:
    """Serve runs in a new directory."""
    place = Path(workspace) / "runs"
    place.mkdir(parents=True)
    serve("plain Python", lambda number: make_run(place, number))


if __name__ == "__main__":
    main(sys.argv[1])
