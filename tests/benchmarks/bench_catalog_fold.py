"""What folding 1,000 changed runs into a million assets costs, against copying what is there.

python -m tests.benchmarks.bench_catalog_fold [--runs 100000] [--assets 10] [--use WORKSPACE]

"Fold of 1,000 changed runs at a million assets: at most 2.5 times (`cp` of the generation + plain
read of those scopes)."

Before each fold the library changes other runs, in a process of its own; a fold, and what it is
held against, are processes too, whose start and imports are not counted. Edits add lines to the
runs' edits, restarts add executions.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path

from tests.benchmarks.catalog.own_process import OwnProcess, after, run_module
from tests.benchmarks.interleave import Bar, Contestant, interleave, report
from tests.benchmarks.lab.facts import Plan, some_addresses
from tests.benchmarks.lab.find import Labs, add_options, open_labs

BAR = Bar("fold", "cp and plain read", 2.5)
ROUNDS = 5
WAYS = ("edit", "restart")


def changer(lab: Path, addresses: Path, plan: Plan, changed: int, way: str) -> Callable[[], None]:
    """Changes other runs at each call, and leaves their addresses in a file."""
    turns = count()

    def change() -> None:
        chosen = some_addresses(plan, changed, next(turns))
        addresses.write_text("\n".join(chosen), encoding="utf-8")
        run_module("change", [lab, addresses, way])

    return change


def measure(labs: Labs, plan: Plan, changed: int, way: str) -> bool:
    """Some rounds of changes and folds; whether the bar holds."""
    lab = labs.lab(plan)
    addresses = labs.place / f"addresses-{way}"
    run_module("act_molexp", [lab, "rebuild"])
    change = changer(lab, addresses, plan, changed, way)
    contestants: dict[str, Contestant] = {
        BAR.name: after(change, OwnProcess("act_molexp", lab, "fold")),
        BAR.reference: OwnProcess("plain", "copy", lab, addresses, labs.place / "copy"),
    }
    change()
    samples = interleave(contestants, ROUNDS)
    title = f"{changed:,} changed runs ({way}) of {plan.runs:,} with {plan.assets} assets each"
    return report(title, samples, [BAR])


def main(words: Sequence[str] | None = None) -> bool:
    """Measure, print, and say whether the bar holds."""
    parser = argparse.ArgumentParser(
        prog="bench_catalog_fold", description="see the file's first lines"
    )
    add_options(parser, WAYS)
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--assets", type=int, default=10)
    parser.add_argument("--changed", type=int, default=1_000)
    options = parser.parse_args(words)
    plan = Plan(options.runs, options.assets, files=False)
    with open_labs(options) as labs:
        holds = [measure(labs, plan, options.changed, way) for way in options.only]
    return all(holds)


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
