"""Floor 8: the commands, one file each; they print, and leave the work to the floors below."""

from __future__ import annotations

import argparse
import io
import os
import sys
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

from molexp import __version__
from molexp.cli.telling.text import inert
from molexp.errors import MolexpError

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMANDS = {
    "init": "make a workspace",
    "demo": "record a small study, check it and show it",
    "ls": "list projects, experiments, runs and data",
    "show": "tell all about one run, or what holds runs",
    "query": "find runs, assets, messages and more by what they are",
    "sql": "ask the catalog in SQL",
    "reap": "end what dead processes left open",
    "problems": "name damaged records and twins",
    "sync": "find what was changed by hand",
    "rebuild": "make the catalog anew from the files",
}
"""The commands, each a module here, and what they do. Only the one that is called is loaded."""

STOPPED = 130
"""The exit status after Ctrl-C, as shells have it."""


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
    except KeyboardInterrupt:
        print("molexp: stopped", file=sys.stderr)
        return STOPPED


def _run(argv: Sequence[str] | None) -> int:
    words = _joined(sys.argv[1:] if argv is None else argv)
    called = next((word for word in words if not word.startswith("-")), "")
    command: Any = import_module(f"molexp.cli.{called}") if called in COMMANDS else None
    parser = argparse.ArgumentParser(
        prog="molexp", description="Remember how research results were made."
    )
    parser.add_argument("--version", action="version", version=f"molexp {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, does in COMMANDS.items():
        if name == called:
            command.add_to(commands.add_parser(name, help=does, description=command.__doc__))
        else:
            commands.add_parser(name, help=does)
    arguments, behind = parser.parse_known_args(words)  # it exits unless a command was called
    strange = [word for word in behind if word.startswith("-") or "words" not in arguments]
    if strange:
        parser.error(f"unrecognized arguments: {' '.join(strange)}")
    if behind:  # argparse takes words for one argument only as far as the next option
        arguments.words += behind
    try:
        status: int = command.run(arguments)
    except MolexpError as error:
        print(f"molexp: {inert(error.message)}\n  → {inert(error.cure)}", file=sys.stderr)
        return 1
    return status


def _joined(words: Sequence[str]) -> list[str]:
    """``--order -name`` as one word: argparse takes what begins with a dash for an option."""
    joined: list[str] = []
    for word in words:
        if joined and joined[-1] == "--order":
            joined[-1] = f"--order={word}"
        else:
            joined.append(word)
    return joined


def _drop_output() -> None:
    """Lead the output nowhere: what its buffer still holds would fail once more at the end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, sys.stdout.fileno())
    finally:
        os.close(nowhere)
