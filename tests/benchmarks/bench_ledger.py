"""What a line of a ledger costs, from a record to its acknowledgement, against a bare write.

python -m tests.benchmarks.bench_ledger
"""

from __future__ import annotations

import os
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from molexp.disk.beneath import Directory
from molexp.disk.ledger import Appender
from molexp.model.asset import ArtifactAsset
from molexp.model.codec import join_line
from tests.benchmarks.interleave import Bar, Contestant, in_process, interleave, report

LINES = 5_000

BARS = (
    Bar("record to acknowledged", "bare write", 10),
    Bar("ready bytes", "bare write", 2),
)


def make_asset(number: int) -> ArtifactAsset:
    """An artifact as a run saves it."""
    return ArtifactAsset(
        asset_id="01ARYZ6S410000000000000000",
        name="metrics.json",
        created_at=datetime(2026, 11, 20, 20, 15, 12, number, tzinfo=UTC),
        path="artifacts/metrics.json",
        size=4096,
        mime="application/json",
        content_hash="sha256:" + "0123456789abcdef" * 4,
    )


def contestants(place: Path) -> dict[str, Contestant]:
    """The same bytes, thrice: written bare, appended ready-made, and made from a new record."""
    line = join_line("asset", make_asset(1).to_json())
    bare = os.open(place / "bare", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    directory = Directory.open(place)
    ready = Appender(directory, "ready.jsonl", 0o644)
    made = Appender(directory, "made.jsonl", 0o644)

    def write_bare() -> None:
        for _ in range(LINES):
            os.write(bare, line)

    def append_ready() -> None:
        for _ in range(LINES):
            ready.append(line)

    def append_record() -> None:
        for number in range(LINES):
            made.append(join_line("asset", make_asset(number).to_json()))

    return {
        "bare write": in_process(write_bare),
        "ready bytes": in_process(append_ready),
        "record to acknowledged": in_process(append_record),
    }


def main() -> bool:
    """Measure, print, and say whether the bars hold."""
    with tempfile.TemporaryDirectory() as place:
        samples = interleave(contestants(Path(place)))
    return report(f"{LINES:,} lines", samples, BARS)


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
