"""Contestants that run once, in a process of their own, and measure only what counts of it.

The process prepares, calls :func:`measured`, and prints what that gives as its last line. Its
imports and its opening are not counted; its peak of memory is that of the whole process, and never
less than that of whoever started it, which Linux hands on.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from tests.benchmarks.interleave import Contestant, Sample


def measured(action: Callable[[], object]) -> None:
    """Call ``action`` and print what it took; children that ended count as well."""
    cpu, wall = _used(), time.perf_counter()
    answer = action()
    took = {"cpu": _used() - cpu, "wall": time.perf_counter() - wall}
    whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    peak = max(resource.getrusage(each).ru_maxrss for each in whose)
    print(json.dumps({**took, "peak": peak * 1024, "answer": answer}))


def _used() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


class OwnProcess:
    """Runs ``tests.benchmarks.catalog.<module>``, each time anew; keeps what each run told."""

    def __init__(self, module: str, *arguments: object) -> None:
        self.told: list[dict[str, Any]] = []
        self._module = module
        self._arguments = [str(argument) for argument in arguments]

    def __call__(self) -> Sample:
        """One turn."""
        last = run_module(self._module, self._arguments).splitlines()[-1]
        self.told.append(json.loads(last))
        return Sample(self.told[-1]["cpu"], self.told[-1]["wall"])

    @property
    def peak(self) -> int:
        """The most memory that any of the processes held, in bytes."""
        return max(int(told["peak"]) for told in self.told)


def after(prepare: Callable[[], object], contestant: Contestant) -> Contestant:
    """A contestant whose every turn is prepared, which is not counted."""

    def turn() -> Sample:
        prepare()
        return contestant()

    return turn


def run_module(module: str, arguments: Sequence[object] = (), python: str = sys.executable) -> str:
    """Run one of this package's modules to its end; what it printed."""
    words = [python, "-m", f"tests.benchmarks.catalog.{module}", *map(str, arguments)]
    done = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout
