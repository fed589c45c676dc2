"""`molexp reap`: end what owners that died left open."""

from __future__ import annotations

import argparse
import sys

from molexp.cli.telling.around import add_workspace_to
from molexp.cli.telling.find import add_address_to, as_address, find_scope
from molexp.cli.telling.gather import Problems, run_told
from molexp.cli.telling.text import as_json, count_text, inert
from molexp.cli.telling.wrong import problem_dict
from molexp.lifecycle.reaping import reap_below, runs_below
from molexp.lifecycle.site import Site
from molexp.model.address import Address
from molexp.model.state import ExecutionState

_OPEN = (ExecutionState.RUNNING, ExecutionState.PAUSED, ExecutionState.UNKNOWN)


def add_to(parser: argparse.ArgumentParser) -> None:
    """Describe the command to its parser."""
    add_address_to(parser)
    parser.add_argument(
        "--confirm",
        action="store_true",
        help="say that silent runs of which nothing is known, as on another machine, are over",
    )
    add_workspace_to(parser)


def run(arguments: argparse.Namespace) -> int:
    """End what is over, and say what is not; 1 if anything could not be looked at."""
    problems: Problems = []
    scope = find_scope(arguments.workspace, arguments.address)
    with scope.workspace as workspace:
        site, address = workspace.site(), as_address(scope)
        reaped = reap_below(site, address, problems, confirm=arguments.confirm)
        still = _still_open(site, address)
    if arguments.json:
        ended = [
            {
                "address": str(each.address),
                "execution": each.number,
                "status": each.status.value,
                "reason": each.reason,
            }
            for each in reaped
        ]
        left = [{"address": str(each), "status": state.value} for each, state in still]
        wrong = [problem_dict(each) for each in problems]
        said = {"reaped": ended, "open": left, "problems": wrong}
        print(as_json({"workspace": str(workspace.root), **said}))
    else:
        for each in reaped:
            place = inert(f"{each.address}/{each.number:04d}")
            print(f"{place}  {each.status}: {inert(each.reason)}")
        print(f"{count_text(len(reaped), 'execution') if reaped else 'nothing'} ended")
        for open_run, state in still:
            print(f"{inert(str(open_run))}  {state}")
        if any(state is ExecutionState.UNKNOWN for _, state in still):
            print("If you know that those which read unknown are over, say `molexp reap --confirm`")
    for problem in problems:
        print(f"molexp: {inert(problem.message)}\n  → {inert(problem.cure)}", file=sys.stderr)
    return 1 if problems else 0


def _still_open(site: Site, address: Address) -> list[tuple[Address, ExecutionState]]:
    """The runs of a scope that have not ended, and what is known of them."""
    found = (run_told(site, each, []) for each in runs_below(site, address))
    return [(each.address, each.status) for each in found if each and each.status in _OPEN]
