"""`molexp problems`: what cannot be read in a workspace, and what lies there twice."""

from __future__ import annotations

import argparse

from molexp.cli.telling.around import add_workspace_to, find_workspace
from molexp.cli.telling.text import as_json, count_text
from molexp.cli.telling.wrong import problem_dict, problem_lines


def add_to(parser: argparse.ArgumentParser) -> None:
    """Describe the command to its parser."""
    add_workspace_to(parser)


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
        print("\n".join(problem_lines(found)))
        print(f"\n{count_text(len(found), 'problem')}; all else can be read")
    return 1 if found else 0
