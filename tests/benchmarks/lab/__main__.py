"""Make a workspace of any size, for a benchmark or to look at, or a signac project of its runs.

python -m tests.benchmarks.lab PLACE [--runs 1000] [--assets 2] [--seed 1] [--without-files]
                                     [--signac] [--check]

A run with 2 assets is 4 files and 3 directories or a little more, and takes about 18 KB in memory
(`/dev/shm`) for records and bytes of hardly 4 KB; with 10 assets it is 12 files, or 4 if the bytes
of assets are left out. `--check` then holds the workspace against docs/format; it reads it whole,
several ms a run.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from molexp.disk.tree import open_tree
from molexp.integrity.conformance import check_workspace
from tests.benchmarks.lab import signac_project, write
from tests.benchmarks.lab.facts import Plan


def main(words: Sequence[str] | None = None) -> int:
    """Make it; the exit code is 1 if it was to be checked and breaks a rule."""
    parser = argparse.ArgumentParser(prog="lab", description="see the file's first lines")
    parser.add_argument("place", type=Path)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--assets", type=int, default=2, help="of each run")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--without-files", action="store_true", help="leave out artifacts' bytes")
    parser.add_argument("--signac", action="store_true", help="make signac's project instead")
    parser.add_argument("--check", action="store_true", help="against docs/format")
    options = parser.parse_args(words)
    plan = Plan(options.runs, options.assets, options.seed, files=not options.without_files)
    make = signac_project.make if options.signac else write.make
    make_and_say(options.place, plan, make)
    return _check(options.place) if options.check else 0


def make_and_say(place: Path, plan: Plan, make: Callable[[Path, Plan], None] = write.make) -> None:
    """Make it, and print how long that took and how much room it takes."""
    began, free = time.perf_counter(), shutil.disk_usage(place.parent).free
    make(place, plan)
    took, now = time.perf_counter() - began, shutil.disk_usage(place.parent).free
    said = f"{plan.runs:,} runs with {plan.assets} assets each"
    if not plan.files:
        said += " whose bytes are left out"
    print(f"{place}: {said}, made in {took:.1f} s, {(free - now) / 1e6:,.0f} MB", flush=True)


def _check(place: Path) -> int:
    with open_tree(place) as tree:
        found = check_workspace(tree)
    for violation in found[:20]:
        print(violation)
    print(f"{len(found):,} violations of docs/format")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
