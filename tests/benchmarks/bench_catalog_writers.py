"""What a reader waits for beside writers, against the same writers in another workspace.

python -m tests.benchmarks.bench_catalog_writers [--runs 10000] [--writers 8] [--rate 0]

"Query p99 beside 8 writers: at most 1.5 times the p99 while the same writers write into another
workspace; errors 0."

One process asks "a == 3 and succeeded" again and again while the others record runs, in turns here
and there (A B, B A). Both workspaces are made alike, and before each turn all is folded, so that no
turn pays for the one before. Time is wall time: it is the waiting that counts. `--rate` is how many
runs a second a writer makes at most; 0 is as many as it can, which keeps the machine busy.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from tests.benchmarks.catalog import face
from tests.benchmarks.lab.__main__ import make_and_say
from tests.benchmarks.lab.facts import Plan, count_chosen
from tests.benchmarks.lab.find import Labs, add_options, open_labs

LIMIT = 1.5
SAME, OTHER = "same", "other"
ENOUGH = 200
"""Of fewer answers the p99 is hardly more than the worst one."""

TURNS = (SAME, OTHER, OTHER, SAME, SAME, OTHER)


class Writer:
    """A process that records runs while it is told to; leaving it as a context ends it."""

    def __init__(self, name: str, rate: float) -> None:
        module = "tests.benchmarks.catalog.writer"
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, name, str(rate)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def say(self, line: str) -> None:
        """Tell it what to do."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        """What it did."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("a writer died; what it said is above")
        answer: dict[str, Any] = json.loads(line)
        return answer


@dataclass
class Heard:
    """What the turns of one kind came to."""

    waits: list[float] = field(default_factory=list)
    written: int = 0
    errors: list[str] = field(default_factory=list)

    @property
    def p99(self) -> float:
        """What 99 of 100 questions waited at most."""
        return sorted(self.waits)[int(len(self.waits) * 0.99)]


def ask(question: Callable[[], int], right: int, seconds: float, heard: Heard) -> None:
    """Ask for some time; whatever is raised or wrong is an error."""
    end = time.perf_counter() + seconds
    while (began := time.perf_counter()) < end:
        try:
            found = question()
        except Exception as error:  # noqa: BLE001  # whatever it is, it is what is counted
            heard.errors.append(repr(error)[:500])
            continue
        heard.waits.append(time.perf_counter() - began)
        if found != right:
            heard.errors.append(f"{found} found, not {right}")


def measure(places: dict[str, Path], plan: Plan, options: argparse.Namespace) -> dict[str, Heard]:
    """All turns; the first of each kind is short, and not counted."""
    heard: defaultdict[str, Heard] = defaultdict(Heard)
    workspace = face.open_workspace(places[SAME])
    right = count_chosen(plan)
    with ExitStack() as stack:
        writers = [
            stack.enter_context(Writer(f"writer-{number}", options.rate))
            for number in range(options.writers)
        ]
        for number, kind in enumerate([OTHER, SAME, *TURNS * options.repeat]):
            is_warm = number > 1
            face.fold(workspace)
            into = heard[kind] if is_warm else Heard()
            for writer in writers:
                writer.say(f"on {places[kind]}")
            time.sleep(1)
            seconds = options.seconds if is_warm else 2
            ask(lambda: face.count_chosen(workspace), right, seconds, into)
            for writer in writers:
                writer.say("off")
            for answer in [writer.answer() for writer in writers]:
                into.written += answer["runs"]
                into.errors += answer["errors"]
    return dict(heard)


def tell(heard: dict[str, Heard], options: argparse.Namespace) -> bool:
    """Print what was heard; whether the bars hold."""
    print(f"\n{options.writers} writers beside one reader, of {options.runs:,} runs")
    for kind, told in heard.items():
        print(
            f"  writers in the {kind} workspace: {len(told.waits):,} answers, "
            f"median {median(told.waits) * 1e3:.2f} ms, p99 {told.p99 * 1e3:.2f} ms, "
            f"{told.written:,} runs written, {len(told.errors)} errors"
        )
    if min(len(told.waits) for told in heard.values()) < ENOUGH:
        print(f"  fewer than {ENOUGH} answers: say --seconds or --repeat for a p99 worth the name")
    ratio = heard[SAME].p99 / heard[OTHER].p99
    errors = [error for told in heard.values() for error in told.errors]
    holds, is_clean = ratio <= LIMIT, not errors
    print(f"  p99 ratio {ratio:.2f} x; bar {LIMIT:g} x: {'holds' if holds else 'MISSED'}")
    print(f"  errors {len(errors)}; bar 0: {'holds' if is_clean else 'MISSED'}")
    for error in list(dict.fromkeys(errors))[:10]:
        print(f"    {error}")
    return holds and is_clean


def main(words: Sequence[str] | None = None) -> bool:
    """Measure, print, and say whether the bars hold."""
    parser = argparse.ArgumentParser(
        prog="bench_catalog_writers", description="see the file's first lines"
    )
    add_options(parser)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--writers", type=int, default=8)
    parser.add_argument("--rate", type=float, default=0, help="runs a second and writer; 0: all")
    parser.add_argument("--seconds", type=float, default=10, help="of each turn")
    parser.add_argument("--repeat", type=int, default=1, help="of the six turns")
    options = parser.parse_args(words)
    with open_labs(options) as labs:
        return tell(measure(_two(labs, Plan(options.runs)), Plan(options.runs), options), options)


def _two(labs: Labs, plan: Plan) -> dict[str, Path]:
    """Two workspaces, both new: what is written into them stays."""
    places = {kind: labs.place / kind for kind in (SAME, OTHER)}
    for place in places.values():
        make_and_say(place, plan)
    return places


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
