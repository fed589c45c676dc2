"""`molexp problems`: what cannot be read in a workspace, and what lies there twice."""

from __future__ import annotations

import argparse
from typing import Any

from molexp.cli.find import add_workspace_to, find_workspace
from molexp.cli.text import as_json, count_text, inert
from molexp.errors import MolexpError


def add_to(commands: Any) -> None:
    """Describe the command to the parser."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "problems", help="name damaged records and twins", description=__doc__
    )
    add_workspace_to(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Read every record; 1 if anything is wrong."""
    with find_workspace(arguments.workspace) as workspace:
        found = workspace.problems()
    if arguments.json:
        said = [problem_dict(each) for each in found]
        print(as_json({"workspace": str(workspace.root), "problems": said}))
    elif not found:
        print("nothing: every record can be read")
    else:
        for each in found:
            print(f"{inert(each.message)}\n  → {inert(each.cure)}")
        print(f"\n{count_text(len(found), 'problem')}; all else can be read")
    return 1 if found else 0


def problem_dict(problem: MolexpError) -> dict[str, Any]:
    """An error, as `--json` says it."""
    return {
        "code": problem.code,
        "message": problem.message,
        "cure": problem.cure,
        "path": problem.details.get("path"),
        "place": problem.details.get("place"),
    }
