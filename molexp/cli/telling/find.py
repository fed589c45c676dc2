"""Find the scope that a user means, in the workspace around them or in the one that they name."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from molexp.cli.telling.around import find_workspace, here, path_of, root_around
from molexp.disk import layout
from molexp.errors import InvalidInputError, InvalidNameError, NotFoundError
from molexp.model.address import Address, ScopeKind
from molexp.workspace.experiment import Experiment
from molexp.workspace.listing import not_there
from molexp.workspace.project import Project
from molexp.workspace.run import Run
from molexp.workspace.workspace import Workspace

AnyScope = Workspace | Project | Experiment | Run

_INNER = {ScopeKind.PROJECT, ScopeKind.EXPERIMENT, ScopeKind.RUN}


def add_address_to(parser: argparse.ArgumentParser) -> None:
    """Let a command be told which scope is meant."""
    parser.add_argument(
        "address",
        nargs="?",
        metavar="ADDRESS",
        help="project/experiment/run, fewer of these, or the path of a directory in a workspace "
        "(default: where you are)",
    )


def find_scope(given: str | None, address: str | None) -> AnyScope:
    """The scope that is meant: by its address, by the path of a directory, or by where one is.

    An address comes before a path of the same spelling. In an experiment an alias names a run as
    well as its id does. Raises NotFoundError, and FormatError if a record on the way is damaged.
    """
    if address is None:
        return find_workspace(given) if given is not None else _scope_at(here())
    try:
        return _named(find_workspace(given), address)
    except (NotFoundError, InvalidNameError) as error:
        path = path_of(address)
        root = root_around(path) if path.is_dir() else None
        if root is None:
            raise
        if given is not None and not root.samefile(given):
            raise InvalidInputError(
                f"{address} lies in the workspace {root}, and not in {given}",
                cure="leave `-w` out, or name something in it",
                argument="address",
            ) from error
        return _scope_at(path)


def _named(workspace: Workspace, address: str) -> AnyScope:
    *outer, last = address.rstrip("/").split("/", 2)
    if len(outer) < 2:
        return workspace.find(address.rstrip("/"))
    experiment = workspace.find("/".join(outer))
    run = experiment.get_run(last) if isinstance(experiment, Experiment) else None
    if run is None:
        known = [each.id for each in experiment.list_runs()]  # type: ignore[union-attr]
        raise not_there(experiment, ScopeKind.RUN, last, known)
    return run


def _scope_at(path: Path) -> AnyScope:
    """The innermost scope around a directory in a workspace."""
    root = root_around(path)
    if root is None:
        raise NotFoundError(
            f"{path} lies in no workspace",
            cure="go into one, name one by `-w PATH`, or make one: `molexp init lab`",
            kind="workspace",
            key=str(path),
        )
    workspace = Workspace.load(root)
    steps = Path(os.path.realpath(path)).relative_to(root).parts
    for depth in range(min(len(steps), 2 * len(_INNER)), 0, -1):
        try:
            address = layout.address_of("/".join(steps[:depth]))
            if address:
                return workspace.find(str(address))
        except (NotFoundError, InvalidNameError):
            continue  # what lies there is no scope, and a scope around it is meant
    return workspace


def as_address(scope: Any) -> Address:
    """The address of a scope, as the floors below take it."""
    return Address.parse(scope.address)
