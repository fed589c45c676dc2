"""What a catalog cannot do without, as a plain script does it: list, open, read, parse, copy.

python -m tests.benchmarks.catalog.plain load WORKSPACE
python -m tests.benchmarks.catalog.plain copy WORKSPACE ADDRESSES TARGET

`load` lists the directories of all scopes and executions, and opens, reads and parses every file
of them that says something of their state: whole lines of those of lines. `copy` has `cp` copy the
newest generation to TARGET, and reads such files of the runs whose addresses the file ADDRESSES
says, a line each; it parses none.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any

from tests.benchmarks.catalog import face
from tests.benchmarks.catalog.own_process import measured

_BELOW = ("projects", "experiments", "runs")

Read = Callable[[str], Any]


def read(path: str) -> bytes:
    """The bytes of a file."""
    with open(path, "rb") as file:
        return file.read()


def parse(path: str) -> Any:
    """The values in a file."""
    data = read(path)
    if path.endswith(".jsonl"):
        return [json.loads(line) for line in data.splitlines() if line]
    return json.loads(data)


def load(root: str, using: Read) -> int:
    """Read the records of every scope; how many runs there are."""
    return sum(_scope(path, depth, using) for path, depth in _scopes(root, 0))


def _scopes(path: str, depth: int) -> Iterator[tuple[str, int]]:
    yield path, depth
    if depth < len(_BELOW):
        below = f"{path}/{_BELOW[depth]}"
        for name in os.listdir(below):
            yield from _scopes(f"{below}/{name}", depth + 1)


def _scope(path: str, depth: int, using: Read) -> bool:
    """Read a scope's own records; whether it is a run."""
    for name in os.listdir(path):
        if name == "meta.json" or name.startswith("edits-"):
            using(f"{path}/{name}")
        elif name.isdigit():
            _execution(f"{path}/{name}", using)
    return depth == len(_BELOW)


def _execution(path: str, using: Read) -> None:
    """What it said of its metrics stands in its end, once it has one."""
    names = os.listdir(path)
    wanted = ("ledger", "end.json") if "end.json" in names else ("ledger", "metrics")
    for name in names:
        if name.startswith(wanted):
            using(f"{path}/{name}")


def copy(root: str, runs: list[str], target: str) -> int:
    """Copy the newest generation, and read the records of some runs; how many these are."""
    subprocess.run(["cp", face.newest_generation(root), target], check=True)
    return sum(_scope(run, len(_BELOW), read) for run in runs)


def _path_of(root: str, address: str) -> str:
    return "/".join([root, *chain(*zip(_BELOW, address.split("/"), strict=True))])


def main(what: str, root: str, *more: str) -> None:
    """Do it once; a copy is removed again, for it may be large."""
    if what == "load":
        measured(lambda: load(root, parse))
        return
    addresses, target = more
    with open(addresses, encoding="utf-8") as file:
        runs = [_path_of(root, address) for address in file.read().split()]
    measured(lambda: copy(root, runs, target))
    os.unlink(target)


if __name__ == "__main__":
    main(*sys.argv[1:])
