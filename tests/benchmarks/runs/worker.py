"""What every contestant does for a run, and how it is told to: no imports but Python's own.

A contestant is a process that stays: it says `{"library": …}` when it is ready, and for each line
`runs <count>` that it reads it makes so many more runs and says what these took.
"""

from __future__ import annotations

import json
import os
import random
import resource
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

PAYLOAD = random.Random(4096).randbytes(4096)
ARTIFACT = "metrics.bin"

LINES = tuple(f"epoch {epoch} loss {1 / epoch:.6f}" for epoch in range(1, 11))
LOG = "train"
LOG_FILE = "train.log"

EDIT = ("keep", "yes")


def parameters(number: int) -> dict[str, float | int | str]:
    """The ten parameters of a run; one of them is its number, so that no two runs are alike."""
    return {
        "lr": 0.001,
        "batch_size": 64,
        "optimizer": "adamw",
        "weight_decay": 0.01,
        "epochs": 10,
        "model": "schnet",
        "cutoff": 5.0,
        "layers": 6,
        "features": 128,
        "seed": number,
    }


def write_lines(path: str | Path) -> None:
    """The log, where a library leaves it to its user: one file, every line written at once."""
    with open(path, "wb", buffering=0) as log:
        for line in LINES:
            log.write(f"{line}\n".encode())


def serve(library: str, make_run: Callable[[int], None]) -> None:
    """Make runs, numbered on and on, as long as they are asked for on stdin."""
    made = 0
    answers = _take_stdout()
    _answer(answers, {"library": library, "python": sys.version.split()[0]})
    for count in _requests():
        cpu, wall = _used(), time.perf_counter()
        for number in range(made, made + count):
            make_run(number)
        made += count
        _answer(answers, {"cpu": _used() - cpu, "wall": time.perf_counter() - wall})


def _take_stdout() -> int:
    """The pipe to the driver, out of reach of whoever prints or redirects what is printed."""
    pipe = os.dup(1)
    os.dup2(2, 1)
    return pipe


def _answer(pipe: int, answer: dict[str, float] | dict[str, str]) -> None:
    os.write(pipe, json.dumps(answer).encode() + b"\n")


def _requests() -> Iterator[int]:
    for line in sys.stdin:
        command, count = line.split()
        if command != "runs":
            raise SystemExit(f"not a command: {line!r}")
        yield int(count)


def _used() -> float:
    """User and system time of this process, all its threads, and the children that ended."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime
