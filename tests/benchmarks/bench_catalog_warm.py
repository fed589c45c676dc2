"""What questions cost in a process that asks many, at a million assets, against `select 1`.

python -m tests.benchmarks.bench_catalog_warm [--runs 100000] [--assets 10] [--use WORKSPACE]

"Warm at 1,000,000 assets with an overlay of 200 scopes: `a == 3 and succeeded` at most 60 times
`select 1`, get of a run or an asset by id at most 12 times, the traces of one experiment's failed
runs at most 100 times."

`select 1` is asked of a connection of plain duckdb that is open already. The 200 runs are changed
by another process after the catalog was built, and so few that nobody folds them. Ids are those of
runs and assets from all over the workspace. Each turn asks a question some times.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from itertools import cycle
from typing import Any

import duckdb

from tests.benchmarks.catalog import face
from tests.benchmarks.catalog.own_process import run_module
from tests.benchmarks.interleave import Bar, Contestant, Sample, in_process, interleave, report
from tests.benchmarks.lab.facts import Plan, count_chosen, count_traces, experiment_address, run
from tests.benchmarks.lab.facts import some_addresses as addresses_of
from tests.benchmarks.lab.find import Labs, add_options, open_labs

REFERENCE = "select 1"
BARS = {
    "count": Bar("count", REFERENCE, 60),
    "list": Bar("list", REFERENCE, 60),
    "get run": Bar("get run", REFERENCE, 12),
    "get asset": Bar("get asset", REFERENCE, 12),
    "traces": Bar("traces", REFERENCE, 100),
}
"""The question of the first bar in two ways: listing makes a record of each, and is not judged."""

SHOWN = ("list",)
TIMES = {REFERENCE: 500, "count": 20, "list": 2, "get run": 50, "get asset": 50, "traces": 10}
"""How often a turn asks: so that it lasts some milliseconds."""

OVERLAY = 200
EXPERIMENT = experiment_address(0, 0)
IDS = 97


def times(action: Callable[[], object], number: int) -> Contestant:
    """A contestant that does it so often; the sample is for once."""

    def act() -> None:
        for _ in range(number):
            action()

    turn = in_process(act)

    def one() -> Sample:
        taken = turn()
        return Sample(taken.cpu / number, taken.wall / number)

    return one


def touch(labs: Labs, plan: Plan, scopes: int) -> None:
    """Have another process change some runs."""
    addresses = labs.place / "touched"
    addresses.write_text("\n".join(addresses_of(plan, scopes, 0)), encoding="utf-8")
    run_module("change", [labs.lab(plan), addresses, "edit"])


def questions(workspace: Any, plan: Plan) -> dict[str, Callable[[], object]]:
    """All that is asked, which is answered rightly once before it is measured."""
    numbers = range(0, plan.runs, max(1, plan.runs // IDS))
    uids = [run(plan, number).uids() for number in numbers]
    run_ids = cycle([each[0] for each in uids])
    asset_ids = cycle([each[2 + number % plan.assets] for number, each in enumerate(uids)])
    right = {
        "count": (face.count_chosen(workspace), count_chosen(plan)),
        "list": (len(set(face.list_chosen(workspace))), count_chosen(plan)),
        "get run": (face.uid_of(face.get(workspace, uids[0][0])), uids[0][0]),
        "get asset": (face.uid_of(face.get(workspace, uids[0][2])), uids[0][2]),
        "traces": (len(face.traces(workspace, EXPERIMENT)), count_traces(plan, EXPERIMENT)),
    }
    wrong = {name: pair for name, pair in right.items() if pair[0] != pair[1]}
    if wrong:
        raise SystemExit(f"answered, and right: {wrong}")
    return {
        "count": lambda: face.count_chosen(workspace),
        "list": lambda: face.list_chosen(workspace),
        "get run": lambda: face.get(workspace, next(run_ids)),
        "get asset": lambda: face.get(workspace, next(asset_ids)),
        "traces": lambda: face.traces(workspace, EXPERIMENT),
    }


def measure(labs: Labs, plan: Plan, options: argparse.Namespace) -> bool:
    """Build, change, ask; whether the bars hold."""
    lab = labs.lab(plan)
    run_module("act_molexp", [lab, "rebuild"])
    touch(labs, plan, options.overlay)
    connection = duckdb.connect()
    actions: dict[str, Callable[[], object]] = {
        REFERENCE: lambda: connection.execute("select 1").fetchall()
    }
    asked = questions(face.open_workspace(lab), plan)
    actions |= {name: asked[name] for name in options.only}
    samples = interleave({name: times(action, TIMES[name]) for name, action in actions.items()})
    bars = [bar for name, bar in BARS.items() if name in samples and name not in SHOWN]
    title = f"{plan.runs:,} runs with {plan.assets} assets each, {options.overlay} of them touched"
    return report(title, samples, bars)


def main(words: Sequence[str] | None = None) -> bool:
    """Measure, print, and say whether the bars hold."""
    parser = argparse.ArgumentParser(
        prog="bench_catalog_warm", description="see the file's first lines"
    )
    add_options(parser, tuple(BARS))
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--assets", type=int, default=10)
    parser.add_argument("--overlay", type=int, default=OVERLAY, help="runs that are touched")
    options = parser.parse_args(words)
    with open_labs(options) as labs:
        return measure(labs, Plan(options.runs, options.assets, files=False), options)


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
