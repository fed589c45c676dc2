"""`molexp rebuild`: make the catalog anew from the files alone, and say what is in it."""

from __future__ import annotations

import argparse
import sys

from molexp.cli.telling.around import add_workspace_to, find_workspace
from molexp.cli.telling.report import Progress, counts, report_dict
from molexp.cli.telling.text import as_json, fields
from molexp.cli.telling.wrong import problem_lines


def add_to(parser: argparse.ArgumentParser) -> None:
    """Describe the command to its parser."""
    add_workspace_to(parser)


def run(arguments: argparse.Namespace) -> int:
    """Read every record; 1 if any could not be read."""
    with find_workspace(arguments.workspace) as workspace, Progress(sys.stderr) as progress:
        report = workspace.catalog.rebuild(progress)
    if arguments.json:
        print(as_json({"workspace": str(workspace.root), **report_dict(report)}))
    else:
        said = [*counts(report), ("errors", len(report.errors))]
        print("\n".join(fields([(name, f"{number:,}") for name, number in said])))
        for line in problem_lines(report.errors):
            print(line, file=sys.stderr)
    return 1 if report.errors else 0
