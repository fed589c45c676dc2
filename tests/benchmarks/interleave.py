"""Compare contestants within one run: interleaved rounds, medians, ratios, a bar and a verdict.

Machines drift and are shared, so an absolute time says little. Contestants take turns, each round
in the reverse order of the one before (A B, B A), and what counts is the ratio of their medians.
"""

from __future__ import annotations

import gc
import resource
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

REPETITIONS = 15


@dataclass(frozen=True)
class Sample:
    """What one round of one contestant took, in seconds; ``cpu`` is user and system together."""

    cpu: float
    wall: float


Contestant = Callable[[], Sample]
Clock = Literal["cpu", "wall"]
Samples = dict[str, list[Sample]]


def in_process(action: Callable[[], object]) -> Contestant:
    """A contestant that calls ``action`` here; it is called once before, so that it is warm."""
    warm = False

    def turn() -> Sample:
        nonlocal warm
        if not warm:
            action()
            warm = True
        was_enabled = gc.isenabled()
        gc.disable()
        try:
            wall, cpu = time.perf_counter(), time.process_time()
            action()
            return Sample(time.process_time() - cpu, time.perf_counter() - wall)
        finally:
            if was_enabled:
                gc.enable()

    return turn


def command(words: Sequence[str], environment: Mapping[str, str] | None = None) -> Contestant:
    """A contestant that runs a program; what it and its children used is counted."""

    def turn() -> Sample:
        before, wall = _children(), time.perf_counter()
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL, env=environment)
        return Sample(_children() - before, time.perf_counter() - wall)

    return turn


def _children() -> float:
    """What all children that ended have used; os.times would round it to 10 ms."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def interleave(contestants: Mapping[str, Contestant], repetitions: int = REPETITIONS) -> Samples:
    """Let the contestants take turns; one round first is not counted."""
    order = list(contestants)
    samples: Samples = {name: [] for name in order}
    for turn in range(repetitions + 1):
        for name in order if turn % 2 else reversed(order):
            sample = contestants[name]()
            if turn:
                samples[name].append(sample)
    return samples


@dataclass(frozen=True)
class Bar:
    """What is promised: ``name`` takes at most ``limit`` times what ``reference`` takes."""

    name: str
    reference: str
    limit: float
    clock: Clock = "cpu"

    def ratio(self, samples: Samples, clock: Clock | None = None) -> float:
        """The ratio of the medians."""
        return middle(samples[self.name], clock or self.clock) / middle(
            samples[self.reference], clock or self.clock
        )

    def holds(self, samples: Samples) -> bool:
        """Whether the promise is kept, by the clock that it names."""
        return self.ratio(samples) <= self.limit


def middle(samples: Sequence[Sample], clock: Clock) -> float:
    """The median by one clock."""
    return median(sample.cpu if clock == "cpu" else sample.wall for sample in samples)


def report(title: str, samples: Samples, bars: Sequence[Bar]) -> bool:
    """Print what was measured, and whether every bar holds; that is also returned."""
    rounds = len(next(iter(samples.values())))
    print(f"\n{title}: medians of {rounds} interleaved rounds")
    width = max(len(name) for name in samples)
    for name, taken in samples.items():
        cpu, wall = middle(taken, "cpu") * 1e3, middle(taken, "wall") * 1e3
        print(f"  {name:<{width}}  cpu {cpu:9.3f} ms   wall {wall:9.3f} ms")
    for bar in bars:
        cpu, wall = bar.ratio(samples, "cpu"), bar.ratio(samples, "wall")
        verdict = "holds" if bar.holds(samples) else "MISSED"
        print(
            f"  {bar.name} / {bar.reference}: cpu {cpu:.2f} x, wall {wall:.2f} x; "
            f"bar {bar.limit:g} x of {bar.clock}: {verdict}"
        )
    return all(bar.holds(samples) for bar in bars)
