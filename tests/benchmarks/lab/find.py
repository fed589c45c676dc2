"""The workspaces that a benchmark needs: given ones that are large enough, or new ones."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.benchmarks.bench_runs import fresh_place, usual_place
from tests.benchmarks.lab.__main__ import make_and_say
from tests.benchmarks.lab.facts import Plan


@dataclass
class Labs:
    """Where workspaces are made, and which are there already."""

    place: Path
    given: list[Path] = field(default_factory=list)

    def lab(self, plan: Plan) -> Path:
        """A workspace of as many runs and assets; one that was given is changed like any other."""
        for path in self.given:
            there = plan_of(path)
            if (there.runs, there.assets, there.seed) == (plan.runs, plan.assets, plan.seed):
                return path
        place = self.place / f"lab-{plan.runs}x{plan.assets}"
        if not place.exists():
            make_and_say(place, plan)
        return place


def plan_of(place: Path) -> Plan:
    """What a workspace says that it was made as."""
    return Plan.from_labels(json.loads((place / "meta.json").read_bytes())["labels"])


def add_options(parser: argparse.ArgumentParser, only: tuple[str, ...] = ()) -> None:
    """The options that all benchmarks of the catalog have; ``only`` some of these are measured."""
    parser.add_argument("--place", type=Path, default=usual_place(), help="where to write")
    parser.add_argument("--keep", action="store_true", help="leave there what was written")
    parser.add_argument(
        "--use",
        type=Path,
        action="append",
        default=[],
        metavar="WORKSPACE",
        help="made by tests.benchmarks.lab: taken where one of its size is needed, and changed",
    )
    if only:
        parser.add_argument("--only", nargs="+", choices=only, default=list(only))


@contextmanager
def open_labs(options: argparse.Namespace) -> Iterator[Labs]:
    """Workspaces for these options, in a fresh place."""
    with fresh_place(options.place, options.keep) as place:
        print(f"in {place}", flush=True)
        yield Labs(place, options.use)
