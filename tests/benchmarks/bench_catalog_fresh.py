"""What a fresh process pays for an answer, against signac on the same runs.

python -m tests.benchmarks.bench_catalog_fresh [--runs 1000 10000 100000] [--environments DIR]

"Fresh process, open and `a == 3 and succeeded`: at most signac's own CPU at 1,000 runs, half of it
at 10,000; at 100,000 a 40th of signac's without and a 15th with its own cache, and 1.5 times our
own at 1,000."

Everything is counted, from the start of the interpreter to its end. All contestants answer once
before, and must say the same; so molexp's catalog is there, as is the cache that signac was told
to make. Each question is asked in two ways: how many, and where they are.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.bench_runs import find_environment
from tests.benchmarks.catalog.own_process import run_module
from tests.benchmarks.interleave import Bar, Contestant, command, interleave, report
from tests.benchmarks.lab import signac_project
from tests.benchmarks.lab.__main__ import make_and_say
from tests.benchmarks.lab.facts import Plan, count_chosen
from tests.benchmarks.lab.find import Labs, add_options, open_labs

LIMITS = {
    100_000: {"signac": 1 / 40, "signac, cache": 1 / 15},
    10_000: {"signac": 0.5},
    0: {"signac": 1.0},
}
"""From so many runs on, against whom at most how much."""

GROWTH_LIMIT = 1.5
SMALL = 1_000

ROUNDS = {1_000: 15, 10_000: 7, 100_000: 3}
"""So many turns up to so many runs: signac's become long."""

WAYS = ("count", "list")
ENTRANTS = ("molexp", "signac", "signac, cache")


@dataclass(frozen=True)
class Entrant:
    """Whoever is asked: a module of the catalog's benchmarks, its interpreter, its data."""

    module: str
    python: str
    place: Path

    def answer(self, way: str) -> str:
        """What it says."""
        return run_module(self.module, [self.place, way], self.python)

    def contestant(self, way: str) -> Contestant:
        """Asks it in a fresh process."""
        module = f"tests.benchmarks.catalog.{self.module}"
        return command([self.python, "-m", module, str(self.place), way])


def enter(labs: Labs, plan: Plan, only: Sequence[str], signac: str | None) -> dict[str, Entrant]:
    """All who are asked at one size, with the same runs."""
    entrants = {}
    if "molexp" in only:
        entrants["molexp"] = Entrant("ask_molexp", sys.executable, labs.lab(plan))
    for name in ("signac", "signac, cache"):
        if name not in only or signac is None:
            continue
        place = labs.place / f"signac-{plan.runs}"
        if not place.exists():
            make_and_say(place, plan, signac_project.make)
        if name == "signac, cache":
            place = _with_cache(place, signac)
        entrants[name] = Entrant("ask_signac", signac, place)
    return entrants


def _with_cache(bare: Path, signac: str) -> Path:
    """The same jobs, which are linked to, in a project that has a cache."""
    place = bare.with_name(f"{bare.name}-cache")
    shutil.copytree(bare / ".signac", place / ".signac")
    (place / "workspace").symlink_to(bare / "workspace")
    run_module("ask_signac", [place, "cache"], signac)
    return place


def check(entrants: Mapping[str, Entrant], plan: Plan) -> None:
    """Everybody is asked once; whoever answers wrongly is not worth measuring."""
    right = count_chosen(plan)
    for name, entrant in entrants.items():
        counted, listed = int(entrant.answer("count")), entrant.answer("list").split()
        if (counted, len(set(listed))) != (right, right):
            raise SystemExit(f"{name} finds {counted} and {len(listed)}, not {right}")


def measure(labs: Labs, runs: int, options: argparse.Namespace, signac: str | None) -> bool:
    """One size: both ways of asking; whether the bars hold."""
    plan, holds = Plan(runs), True
    entrants = enter(labs, plan, options.only, signac)
    check(entrants, plan)
    rounds = next((ROUNDS[size] for size in sorted(ROUNDS) if runs <= size), 3)
    limits = next(LIMITS[size] for size in LIMITS if runs >= size)
    for way in WAYS:
        contestants = {name: entrant.contestant(way) for name, entrant in entrants.items()}
        samples = interleave(contestants, options.rounds or rounds)
        bars = [
            Bar("molexp", name, limit)
            for name, limit in limits.items()
            if "molexp" in samples and name in samples
        ]
        holds &= report(f"{way}, {runs:,} runs", samples, bars)
    return holds


def measure_growth(labs: Labs, runs: int) -> bool:
    """Ourselves at the smallest and at the greatest size."""
    sizes = {f"molexp at {size:,}": Plan(size) for size in (SMALL, runs)}
    small, large = sizes
    holds = True
    for way in WAYS:
        samples = interleave(
            {
                name: Entrant("ask_molexp", sys.executable, labs.lab(plan)).contestant(way)
                for name, plan in sizes.items()
            }
        )
        holds &= report(f"{way}, growth", samples, [Bar(large, small, GROWTH_LIMIT)])
    return holds


def main(words: Sequence[str] | None = None) -> bool:
    """Measure, print, and say whether the bars hold."""
    parser = argparse.ArgumentParser(
        prog="bench_catalog_fresh", description="see the file's first lines"
    )
    add_options(parser, ENTRANTS)
    parser.add_argument("--runs", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--rounds", type=int, help="instead of the usual number")
    parser.add_argument("--environments", type=Path, help="holds signac's, or gets it")
    options = parser.parse_args(words)
    with open_labs(options) as labs:
        signac = None
        if {*options.only} - {"molexp"}:
            signac = find_environment("signac", options.environments or labs.place)
        holds = [measure(labs, runs, options, signac) for runs in options.runs]
        if "molexp" in options.only and SMALL in options.runs and max(options.runs) > SMALL:
            holds.append(measure_growth(labs, max(options.runs)))
        return all(holds)


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
