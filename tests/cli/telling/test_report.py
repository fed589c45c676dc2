"""Counts of what was read, and the line that says how far the reading is."""

from __future__ import annotations

import io

from molexp.catalog.fold import Report
from molexp.cli.telling.report import QUIET, Progress, counts, report_dict
from molexp.errors import NotFoundError


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class _Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_reading_is_spoken_of_once_it_takes_a_while_and_leaves_nothing() -> None:
    terminal, clock = _Terminal(), _Clock()
    with Progress(terminal, clock) as progress:
        progress(1)
        clock.now += QUIET - 0.01
        progress(2)
        assert terminal.getvalue() == ""
        clock.now += 0.01
        progress(1234)
        progress(1235)
        assert terminal.getvalue() == "\r1,234 projects, experiments and runs read"
        clock.now += 1
        progress(2000)
    *_, said, blank, end = terminal.getvalue().split("\r")
    assert said == "2,000 projects, experiments and runs read"
    assert (blank, end) == (" " * len(said), "")


def test_a_quick_reading_and_a_file_are_not_spoken_to() -> None:
    for stream, waits in ((_Terminal(), 0.0), (io.StringIO(), 10.0)):
        clock = _Clock()
        with Progress(stream, clock) as progress:
            clock.now += waits
            progress(1)
        assert stream.getvalue() == ""


def test_a_report_is_said_from_the_outside_in() -> None:
    missing = NotFoundError("x is gone", cure="look", kind="file", key="x", path="x")
    report = Report(workspaces=1, runs=3, errors=[missing])
    assert [name for name, number in counts(report) if number] == ["workspaces", "runs"]
    said = report_dict(report)
    assert (said["runs"], said["assets"]) == (3, 0)
    assert said["errors"][0]["path"] == "x"
