"""Floor 8: the commands, one file each; they print, and leave the work to the floors below."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from molexp.cli import demo
from molexp.errors import MolexpError

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMANDS = (demo,)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; its exit status is 0 if all went well, 1 if not, 2 for a wrong call."""
    parser = argparse.ArgumentParser(
        prog="molexp", description="Remember how research results were made."
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.add_to(commands)
    arguments = parser.parse_args(argv)
    try:
        status: int = arguments.run(arguments)
    except MolexpError as error:
        print(f"molexp: {error.message}\n  → {error.cure}", file=sys.stderr)
        return 1
    return status
