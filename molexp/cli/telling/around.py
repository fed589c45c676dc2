"""Find the workspace that a user means: the one that they name, or the one around them."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

from molexp.disk import layout
from molexp.disk.beneath import Directory
from molexp.errors import InvalidInputError, MolexpError, NotFoundError
from molexp.model.address import ScopeKind
from molexp.model.codec import MAX_RECORD_BYTES
from molexp.workspace.workspace import Workspace


def add_workspace_to(parser: argparse.ArgumentParser) -> None:
    """Let a command be told which workspace is meant, and whether to speak JSON."""
    parser.add_argument(
        "-w",
        "--workspace",
        metavar="PATH",
        help="the workspace (default: the one around the current directory)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")


def find_workspace(given: str | None) -> Workspace:
    """The workspace at a path; else the one around the current directory.

    Raises NotFoundError, and FormatError if it is damaged.
    """
    if given is not None:
        try:
            return Workspace.load(path_of(given))
        except NotFoundError as error:
            raise NotFoundError(
                error.message,
                cure="check the path, or make one there: `molexp init PATH`",
                kind="workspace",
                key=given,
            ) from error
    root = root_around(here())
    if root is None:
        raise NotFoundError(
            f"there is no workspace in {here()}, nor in any directory above it",
            cure="go into one, name one by `-w PATH`, or make one: `molexp init lab`",
            kind="workspace",
            key=str(here()),
        )
    return Workspace.load(root)


def root_around(path: Path) -> Path | None:
    """The innermost directory that is a workspace, from ``path`` upwards; None if there is none."""
    real = Path(os.path.realpath(path))
    return next((each for each in (real, *real.parents) if _is_workspace(each)), None)


def here() -> Path:
    """The current directory; raises NotFoundError if it is gone."""
    try:
        return Path.cwd()
    except OSError as error:
        raise NotFoundError(
            "the current directory is gone",
            cure="go to a directory that is there",
            kind="directory",
            key=".",
        ) from error


def path_of(text: str) -> Path:
    """The path that a user wrote; raises InvalidInputError for one that nothing can have."""
    if "\0" in text:
        raise InvalidInputError(
            f"nothing can have the path {text!r}",
            cure="name another place",
            argument="path",
            value=text,
        )
    return Path(text)


def _is_workspace(path: Path) -> bool:
    """Whether a directory says that it is one; a damaged one is one if it looks like one."""
    try:
        with Directory.open(path) as directory:
            if not directory.exists(layout.META):
                return False
            said = json.loads(directory.read(layout.META, MAX_RECORD_BYTES))
    except (MolexpError, ValueError, RecursionError):
        return any((path / name).is_dir() for name in (layout.PROJECTS, layout.CACHE))
    return isinstance(said, dict) and said.get("kind") == ScopeKind.WORKSPACE
