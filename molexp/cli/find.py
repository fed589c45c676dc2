"""Find what a user means: the workspace around them, and the scope in it that they name."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

from molexp.disk import layout
from molexp.disk.beneath import Directory
from molexp.errors import InvalidInputError, InvalidNameError, MolexpError, NotFoundError
from molexp.model.address import Address, ScopeKind
from molexp.model.scope import WorkspaceMeta
from molexp.workspace.experiment import Experiment
from molexp.workspace.listing import not_there
from molexp.workspace.project import Project
from molexp.workspace.run import Run
from molexp.workspace.workspace import Workspace

AnyScope = Workspace | Project | Experiment | Run

_INNER = {ScopeKind.PROJECT, ScopeKind.EXPERIMENT, ScopeKind.RUN}


def add_workspace_to(parser: argparse.ArgumentParser) -> None:
    """Let a command be told which workspace is meant, and whether to speak JSON."""
    parser.add_argument(
        "-w",
        "--workspace",
        metavar="PATH",
        help="the workspace (default: the one around the current directory)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")


def add_address_to(parser: argparse.ArgumentParser) -> None:
    """Let a command be told which scope is meant."""
    parser.add_argument(
        "address",
        nargs="?",
        metavar="ADDRESS",
        help="project/experiment/run, fewer of these, or the path of a directory in a workspace "
        "(default: where you are)",
    )


def find_workspace(given: str | None) -> Workspace:
    """The workspace at a path; else the one around the current directory.

    Raises NotFoundError, and FormatError if it is damaged.
    """
    if given is not None:
        try:
            return Workspace.load(_path(given))
        except NotFoundError as error:
            raise NotFoundError(
                error.message,
                cure="check the path, or make one there: `molexp init PATH`",
                kind="workspace",
                key=given,
            ) from error
    root = root_around(_here())
    if root is None:
        raise NotFoundError(
            f"there is no workspace in {_here()}, nor in any directory above it",
            cure="go into one, name one by `-w PATH`, or make one: `molexp init lab`",
            kind="workspace",
            key=str(_here()),
        )
    return Workspace.load(root)


def find_scope(given: str | None, address: str | None) -> AnyScope:
    """The scope that is meant: by its address, by the path of a directory, or by where one is.

    An address comes before a path of the same spelling. In an experiment an alias names a run as
    well as its id does. Raises NotFoundError, and FormatError if a record on the way is damaged.
    """
    if address is None:
        return find_workspace(given) if given is not None else _scope_at(_here())
    try:
        return _named(find_workspace(given), address)
    except (NotFoundError, InvalidNameError) as error:
        path = _path(address)
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


def root_around(path: Path) -> Path | None:
    """The innermost directory that is a workspace, from ``path`` upwards; None if there is none."""
    real = Path(os.path.realpath(path))
    return next((each for each in (real, *real.parents) if _is_workspace(each)), None)


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


def _is_workspace(path: Path) -> bool:
    """Whether a directory says that it is one; a damaged one is one if it looks like one."""
    try:
        with Directory.open(path) as directory:
            if not directory.exists(layout.META):
                return False
            said = json.loads(directory.read(layout.META, WorkspaceMeta.max_bytes))
    except (MolexpError, ValueError, RecursionError):
        return any((path / name).is_dir() for name in (layout.PROJECTS, layout.CACHE))
    return isinstance(said, dict) and said.get("kind") == ScopeKind.WORKSPACE


def _here() -> Path:
    try:
        return Path.cwd()
    except OSError as error:
        raise NotFoundError(
            "the current directory is gone",
            cure="go to a directory that is there",
            kind="directory",
            key=".",
        ) from error


def _path(text: str) -> Path:
    """The path that a user wrote; raises InvalidInputError for one that nothing can have."""
    if "\0" in text:
        raise InvalidInputError(
            f"nothing can have the path {text!r}",
            cure="name another place",
            argument="path",
            value=text,
        )
    return Path(text)


def as_address(scope: Any) -> Address:
    """The address of a scope, as the floors below take it."""
    return Address.parse(scope.address)
