"""Floor 8: the commands, one file each; they print, and leave the work to the floors below."""

from __future__ import annotations

import argparse
import io
import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from molexp import __version__
from molexp.cli import demo, init, ls, problems, reap, show
from molexp.cli.text import inert
from molexp.errors import MolexpError

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMANDS = (init, demo, ls, show, reap, problems)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; its exit status is 0 if all went well, 1 if not, 2 for a wrong call."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # what the terminal cannot show is spelt out
            stream.reconfigure(errors="backslashreplace")
    try:
        try:
            return _run(argv)
        finally:
            print(end="", flush=True)  # here, for at the interpreter's end it can only be ignored
    except OSError as error:
        with suppress(OSError):
            if not isinstance(error, BrokenPipeError):  # whoever closed the pipe has seen enough
                place = error.filename or "the output"
                print(f"molexp: {place}: {error.strerror or error}", file=sys.stderr)
            _drop_output()
        return 1


def _run(argv: Sequence[str] | None) -> int:
    parser = argparse.ArgumentParser(
        prog="molexp", description="Remember how research results were made."
    )
    parser.add_argument("--version", action="version", version=f"molexp {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.add_to(commands)
    arguments = parser.parse_args(argv)
    try:
        status: int = arguments.run(arguments)
    except MolexpError as error:
        print(f"molexp: {inert(error.message)}\n  → {inert(error.cure)}", file=sys.stderr)
        return 1
    return status


def _drop_output() -> None:
    """Lead the output nowhere: what its buffer still holds would fail once more at the end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, sys.stdout.fileno())
    finally:
        os.close(nowhere)
