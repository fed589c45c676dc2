"""What one more log line and one more metric cost, against a bare write of the same line.

python -m tests.benchmarks.bench_lines [--place DIR]

"One more log line, one more metric: at most 8 times a bare write of the same line, at the 10th and
at the 100,000th."

The same line is the one that molexp wrote, byte for byte, written by `os.write` to a file opened
for appending. Around the 10th, a turn adds up the 10th to 29th line of many executions, each just
started; around the 100,000th, it appends to one execution that has as many already.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import molexp as me
from molexp.disk import layout
from tests.benchmarks.bench_runs import fresh_place, usual_place
from tests.benchmarks.interleave import Bar, Contestant, Sample, in_process, interleave, report

EARLY = 9
BATCH = 20
FRESH = 50
"""So many lines before, so many that are measured, in so many fresh executions a turn."""

LATE = 100_000
LINES = 2_000
"""So many lines before, and so many that are measured a turn."""

LIMIT = 8
BARS = (
    Bar("log line", "bare log line", LIMIT),
    Bar("metric", "bare metric", LIMIT),
)

LOG = "train"
TEXT = "epoch 7 loss 0.142857"

Append = Callable[[int], object]
Opening = Callable[[], AbstractContextManager[Append]]
"""Opens something to append to: what it gives appends the line with this number."""


class Laboratory:
    """One experiment, whose runs get log lines and metrics, and bare files beside it."""

    def __init__(self, place: Path) -> None:
        self.workspace = me.Workspace(place / "lab", durability="process")
        self.experiment = self.workspace.project("bench").experiment("lines")
        self._bare = place / "bare"
        self._bare.mkdir()
        self._files = 0

    @contextmanager
    def logging(self) -> Iterator[Append]:
        """A new execution that is logged to, by the whole call that users write."""
        with self.experiment.run(parameters={}).start(capture=False) as ctx:
            yield lambda _: ctx.log(LOG).append(TEXT)

    @contextmanager
    def measuring(self) -> Iterator[Append]:
        """A new execution that gets metrics."""
        with self.experiment.run(parameters={}).start(capture=False) as ctx:
            yield lambda number: ctx.metric("loss", 0.1, step=number)

    def bare(self, line: bytes) -> Opening:
        """Files that get this line."""

        @contextmanager
        def open_file() -> Iterator[Append]:
            self._files += 1
            path = self._bare / f"{self._files}.jsonl"
            file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            try:
                yield lambda _: os.write(file, line)
            finally:
                os.close(file)

        return open_file

    def learn(self) -> tuple[bytes, bytes]:
        """The lines that molexp writes: of a log, and of metrics."""
        run = self.experiment.run(parameters={})
        with run.start(capture=False) as ctx:
            for number in range(EARLY + 1):
                ctx.log(LOG).append(TEXT)
                ctx.metric("loss", 0.1, step=number)
        execution = Path(run.run_dir) / layout.execution_name(1)
        log = execution / layout.LOGS / f"{LOG}.log"
        return _last_line(log), _last_line(execution / layout.METRICS)


def _last_line(path: Path) -> bytes:
    return path.read_bytes().splitlines(keepends=True)[-1]


def early(opening: Opening) -> Contestant:
    """Measures a few lines near the beginning, of many that are opened."""

    def turn() -> Sample:
        cpu = wall = 0.0
        for _ in range(FRESH):
            with opening() as append:
                for number in range(EARLY):
                    append(number)
                took = _time(append)
                cpu, wall = cpu + took.cpu, wall + took.wall
        return Sample(cpu, wall)

    return turn


def _time(append: Append) -> Sample:
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        wall, cpu = time.perf_counter(), time.process_time()
        for number in range(EARLY, EARLY + BATCH):
            append(number)
        return Sample(time.process_time() - cpu, time.perf_counter() - wall)
    finally:
        if was_enabled:
            gc.enable()


def late(append: Append) -> Contestant:
    """Measures many lines, after as many as make the beginning long ago."""
    for number in range(LATE):
        append(number)

    def append_more() -> None:
        for number in range(LATE, LATE + LINES):
            append(number)

    return in_process(append_more)


def main(words: Sequence[str] | None = None) -> bool:
    """Measure, print, and say whether the bars hold."""
    parser = argparse.ArgumentParser(prog="bench_lines", description="see the file's first lines")
    parser.add_argument("--place", type=Path, default=usual_place(), help="where to write")
    with fresh_place(parser.parse_args(words).place) as place:
        print(f"in {place}")
        return measure(place)


def measure(place: Path) -> bool:
    """Both distances from the beginning; nothing is deleted."""
    laboratory = Laboratory(place)
    log_line, metric_line = laboratory.learn()
    openings: dict[str, Opening] = {
        "bare log line": laboratory.bare(log_line),
        "log line": laboratory.logging,
        "bare metric": laboratory.bare(metric_line),
        "metric": laboratory.measuring,
    }
    samples = interleave({name: early(opening) for name, opening in openings.items()})
    holds = report(f"lines 10 to {EARLY + BATCH} of {FRESH} executions", samples, BARS)

    with ExitStack() as stack:
        contestants = {
            name: late(stack.enter_context(opening())) for name, opening in openings.items()
        }
        samples = interleave(contestants)
    holds &= report(f"{LINES:,} lines after {LATE:,}", samples, BARS)
    laboratory.workspace.close()
    return holds


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
