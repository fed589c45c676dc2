"""What a rebuild costs, against a plain loop over the same files, and the memory it takes.

python -m tests.benchmarks.bench_catalog_rebuild [--runs 100000] [--only 2 10] [--use WORKSPACE]

"Rebuild: own CPU at most 1.8 times a plain loop that lists the same directories and opens, reads
and `json.loads` the same files, median of five, at 2 and at 10 assets a run; peak RSS at most
400 MiB."

Each turn is a process of its own, whose start and imports are not counted, but in its memory.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from tests.benchmarks.catalog.own_process import OwnProcess
from tests.benchmarks.interleave import Bar, interleave, middle, report
from tests.benchmarks.lab.facts import Plan
from tests.benchmarks.lab.find import Labs, add_options, open_labs

BAR = Bar("rebuild", "plain loop", 1.8)
PEAK_LIMIT = 400 * 1024 * 1024
ROUNDS = 5
WITH_FILES = 2  # assets a run; with more, the bytes of assets are left out: nobody here reads them


def measure(labs: Labs, plan: Plan, contestants: Sequence[str]) -> bool:
    """One size; whether the bars hold."""
    place = labs.lab(plan)
    processes = {
        "plain loop": OwnProcess("plain", "load", place),
        "rebuild": OwnProcess("act_molexp", place, "rebuild"),
    }
    chosen = {name: processes[name] for name in contestants}
    samples = interleave(chosen, ROUNDS)
    title = f"{plan.runs:,} runs with {plan.assets} assets each"
    holds = report(title, samples, [BAR] if BAR.name in chosen else [])
    for name, process in chosen.items():
        found = {told["answer"] for told in process.told}
        if found != {plan.runs}:
            raise SystemExit(f"{name} found {found} runs, not {plan.runs}")
        each, peak = middle(samples[name], "cpu") / plan.runs, process.peak
        print(f"  {name}: {each * 1e6:.0f} µs cpu a run, peak {peak / 2**20:.0f} MiB")
    if BAR.name in chosen:
        small = chosen[BAR.name].peak <= PEAK_LIMIT
        verdict = "holds" if small else "MISSED"
        print(f"  memory of rebuild: bar {PEAK_LIMIT / 2**20:.0f} MiB: {verdict}")
        holds &= small
    return holds


def main(words: Sequence[str] | None = None) -> bool:
    """Measure, print, and say whether the bars hold."""
    parser = argparse.ArgumentParser(
        prog="bench_catalog_rebuild", description="see the file's first lines"
    )
    add_options(parser, ("2", "10"))
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--contestants", nargs="+", default=["plain loop", "rebuild"])
    options = parser.parse_args(words)
    with open_labs(options) as labs:
        plans = [
            Plan(options.runs, assets, files=assets <= WITH_FILES)
            for assets in map(int, options.only)
        ]
        holds = [measure(labs, plan, options.contestants) for plan in plans]
    return all(holds)


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
