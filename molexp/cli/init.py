"""`molexp init`: make a workspace."""

from __future__ import annotations

import argparse
import shlex

from molexp.cli.telling.text import as_json, inert
from molexp.errors import AlreadyExistsError, NotFoundError
from molexp.workspace.workspace import Workspace

_NEXT = """
Record a first run in it, in Python:

    import molexp as me

    lab = me.Workspace({path!r})
    run = lab.project("First").experiment("Try").run(parameters={{"lr": 0.1}})
    with run.start() as ctx:
        ctx.set_result("loss", 0.25)

and then type

    molexp ls -w {quoted} first/try
"""


def add_to(parser: argparse.ArgumentParser) -> None:
    """Describe the command to its parser."""
    parser.add_argument(
        "path", nargs="?", default=".", metavar="PATH", help="its directory (default: this one)"
    )
    parser.add_argument("--name", help="what to call it (default: the name of its directory)")
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")


def run(arguments: argparse.Namespace) -> int:
    """Make a workspace; one that is there stays as it is."""
    with Workspace(arguments.path, arguments.name) as workspace:
        made = not _is_there(workspace)
        name = workspace.materialize().record.name
    if arguments.name not in (None, name):
        raise AlreadyExistsError(
            f"{workspace.root} is a workspace already, and is called {name!r}",
            cure="leave `--name` out to use it: its name never changes",
            kind="workspace",
            key=name,
            path=str(workspace.root),
        )
    if arguments.json:
        print(as_json({"workspace": str(workspace.root), "name": name, "made": made}))
    elif made:
        print(f"made     {inert(str(workspace.root))}, a workspace called {inert(name)}")
        print(_NEXT.format(path=arguments.path, quoted=shlex.quote(arguments.path)), end="")
    else:
        print(f"there    {inert(str(workspace.root))}, a workspace called {inert(name)}")
    return 0


def _is_there(workspace: Workspace) -> bool:
    try:
        workspace.site()
    except NotFoundError:
        return False
    return True
