"""`molexp sync`: find what was changed by hand: edited, copied in, moved, deleted."""

from __future__ import annotations

import argparse
import sys

from molexp.cli.telling.around import add_workspace_to, find_workspace
from molexp.cli.telling.report import counts, report_dict
from molexp.cli.telling.text import as_json, count_text
from molexp.cli.telling.wrong import problem_lines


def add_to(parser: argparse.ArgumentParser) -> None:
    """Describe the command to its parser."""
    add_workspace_to(parser)


def run(arguments: argparse.Namespace) -> int:
    """Look at every file's size and times, and read what is new to the catalog.

    1 if any of that could not be read.
    """
    with find_workspace(arguments.workspace) as workspace:
        report = workspace.sync()
    if arguments.json:
        print(as_json({"workspace": str(workspace.root), **report_dict(report)}))
    else:
        read = [
            count_text(number, name.removesuffix("s")) for name, number in counts(report) if number
        ]
        print(f"read  {', '.join(read)}" if read else "nothing had changed")
        for line in problem_lines(report.errors):
            print(line, file=sys.stderr)
    return 1 if report.errors else 0
