"""What was read for the catalog: as counts, and while it is being read."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Self, TextIO

from molexp.catalog.fold import Report
from molexp.cli.telling.wrong import problem_dict

QUIET = 2.0
"""How many seconds a reading takes before it is spoken of."""

_OFTEN = 0.2
_COUNTED = ("workspaces", "projects", "experiments", "runs", "executions", "assets")


def counts(report: Report) -> list[tuple[str, int]]:
    """What was read of each kind, the outermost first."""
    return [(name, getattr(report, name)) for name in _COUNTED]


def report_dict(report: Report) -> dict[str, Any]:
    """A report, as `--json` says it."""
    return {**dict(counts(report)), "errors": [problem_dict(each) for each in report.errors]}


class Progress:
    """One line on a terminal that says how far a reading is, once it takes a while.

    It is called with the number of scopes that were read, and used in a block, after which the line
    is gone. Where the stream is no terminal it says nothing.
    """

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._next = clock() + QUIET
        self._is_silent = not stream.isatty()
        self._said = ""

    def __call__(self, scopes: int) -> None:
        """Say how many scopes were read, if it is time."""
        if self._is_silent or self._clock() < self._next:
            return
        self._next = self._clock() + _OFTEN
        self._say(f"{scopes:,} projects, experiments and runs read")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._said:
            self._say("")

    def _say(self, text: str) -> None:
        blank = " " * (len(self._said) - len(text))
        back = "\r" if not text else ""
        print(f"\r{text}{blank}{back}", end="", file=self._stream, flush=True)
        self._said = text
