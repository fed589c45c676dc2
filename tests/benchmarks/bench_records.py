"""What reading and validating 10,000 records costs, against reading them and `json.loads`.

python -m tests.benchmarks.bench_records
"""

from __future__ import annotations

import json
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from molexp.disk import layout
from molexp.disk.beneath import Directory
from molexp.disk.record import read
from molexp.model.scope import RunMeta
from tests.benchmarks.interleave import Bar, Contestant, in_process, interleave, report

RUNS = 10_000

BARS = (Bar("read and validated", "read and json.loads", 1.3),)


def fill(place: Path) -> None:
    """The records of runs with ten parameters each, in a directory each."""
    for number in range(RUNS):
        meta = RunMeta(
            uid=f"01ARYZ6S41{number:016d}",
            name=f"run-{number}",
            created_at=datetime(2026, 11, 20, 20, 15, 12, tzinfo=UTC),
            parameters={f"parameter_{key}": number / (key + 1) for key in range(10)},
        )
        run = place / f"run-{number}"
        run.mkdir()
        (run / layout.META).write_bytes(meta.to_json())


def contestants(place: Path) -> dict[str, Contestant]:
    """Both read every record once and keep none."""
    directory = Directory.open(place)
    names = [f"run-{number}/{layout.META}" for number in range(RUNS)]
    paths = [str(place / name) for name in names]

    def plain() -> None:
        for path in paths:
            with open(path, "rb") as file:
                json.loads(file.read())

    def validated() -> None:
        for name in names:
            read(directory, name, RunMeta)

    return {
        "read and json.loads": in_process(plain),
        "read and validated": in_process(validated),
    }


def main() -> bool:
    """Measure, print, and say whether the bar holds."""
    with tempfile.TemporaryDirectory() as place:
        fill(Path(place))
        samples = interleave(contestants(Path(place)))
    return report(f"{RUNS:,} records", samples, BARS)


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
