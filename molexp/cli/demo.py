"""`molexp demo`: record a small study in a workspace of its own, check it, and show it."""

from __future__ import annotations

import argparse
import logging
import os
import secrets
import shlex
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import chain, count
from pathlib import Path

from molexp.cli.ls import run_dict, run_lines
from molexp.cli.show import trace_of
from molexp.cli.telling import study
from molexp.cli.telling.find import as_address
from molexp.cli.telling.gather import Problems, RunTold, below, run_told, scope_told
from molexp.cli.telling.text import as_json, inert, inert_lines
from molexp.cli.telling.wrong import problem_dict
from molexp.disk import door
from molexp.disk.beneath import Directory
from molexp.disk.trash import delete
from molexp.disk.tree import open_tree
from molexp.disk.walk import EntryType
from molexp.errors import (
    AlreadyExistsError,
    InvalidInputError,
    MolexpError,
    NotFoundError,
    StorageError,
)
from molexp.integrity.conformance import Violation, check_workspace
from molexp.model.address import Address
from molexp.workspace.run import Run
from molexp.workspace.workspace import Workspace


def add_to(parser: argparse.ArgumentParser) -> None:
    """Describe the command to its parser."""
    parser.add_argument(
        "path", nargs="?", metavar="PATH", help="a directory to make (default: molexp-demo)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")


def run(arguments: argparse.Namespace) -> int:
    """Record, check, show; 1 if the check finds anything."""
    target = _free_place() if arguments.path is None else Path(arguments.path)
    experiment = record_study(target)
    with open_tree(target) as tree:
        violations = check_workspace(tree)
        files = sum(found.type is EntryType.FILE for found in tree.walk())
    with Workspace.load(target) as workspace:
        problems: Problems = workspace.problems()
        site = workspace.site()
        meta = scope_told(site, experiment, problems)
        aliases = meta.aliases if meta is not None else {}
        told = [run_told(site, each, problems) for each in below(site, experiment, problems)]
        runs = sorted(filter(None, told), key=lambda each: each.moment)
        traces = list(_traces(workspace, runs))
    if arguments.json:
        said = {
            "workspace": str(workspace.root),
            "files": files,
            "violations": [
                {"rule": each.rule, "path": each.path, "message": each.message}
                for each in violations
            ],
            "problems": [problem_dict(each) for each in problems],
            "address": str(experiment),
            "runs": [run_dict(each, aliases) for each in runs],
            "traces": [{"address": str(each), "trace": trace} for each, trace in traces],
        }
        print(as_json(said))
    else:
        lines = [*_made(target, files, violations, problems), *run_lines(runs, aliases)]
        print("\n".join([*lines, *_failed(traces), *_next(target, experiment, traces)]))
    return 1 if violations or problems else 0


def record_study(target: Path) -> Address:
    """Record the study in a workspace where nothing lies yet; where its experiment lies in it.

    What fails on the way leaves nothing behind. Raises AlreadyExistsError, NotFoundError if there
    is no directory to make it in, and InvalidInputError for a path that nothing can have.
    """
    _check_free(target)
    half = f".molexp-demo-{os.getpid()}-{secrets.token_hex(8)}-tmp"
    with Directory.open(target.parent) as parent:
        try:
            with (
                Workspace(target.parent / half, name=target.name) as workspace,
                _nothing_printed(),
            ):
                address = as_address(study.record(workspace))
            door.rename(parent.fd, half, parent.fd, target.name)
        except BaseException as error:
            with suppress(MolexpError, OSError):  # the first error is the one to tell
                delete(parent, half)
            if isinstance(error, OSError) and not isinstance(error, MolexpError):
                raise _refused(target, error) from error
            raise
    return address


@contextmanager
def _nothing_printed() -> Iterator[None]:
    """Without any handler, `logging` prints warnings; the study's are kept, and shown later."""
    silent = logging.NullHandler()
    logging.getLogger().addHandler(silent)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(silent)


def _traces(workspace: Workspace, runs: list[RunTold]) -> Iterator[tuple[Address, str]]:
    """The stack traces of the runs that failed."""
    for each in runs:
        found = workspace.find(str(each.address))
        if isinstance(found, Run) and each.latest is not None:
            trace = trace_of(found, each.latest)
            if trace is not None:
                yield each.address, trace


def _check_free(target: Path) -> None:
    """Raise unless a directory can be made at ``target``, as far as a look can tell."""
    try:
        str(target).encode()  # what cannot be printed is refused before anything is made
        os.lstat(target)
    except FileNotFoundError as error:
        if target.parent.is_dir():
            return
        raise NotFoundError(
            f"{target.parent} is not there",
            cure="make that directory first, or name another place",
            kind="directory",
            key=str(target.parent),
        ) from error
    except OSError as error:
        raise _refused(target, error) from error
    except ValueError as error:
        raise InvalidInputError(
            f"nothing can be made at {str(target)!r}: the path holds what is no character",
            cure="name another place",
            argument="path",
            value=str(target),
        ) from error
    raise _taken(target)


def _refused(target: Path, error: OSError) -> MolexpError:
    """What the user is told when the system makes nothing at ``target``."""
    if StorageError.is_about(error):
        return StorageError.of(error, "make a workspace", str(target))
    if os.path.lexists(target):
        return _taken(target)
    return InvalidInputError(
        f"nothing can be made at {target}: {error.strerror or error}",
        cure="name another place",
        argument="path",
        value=str(target),
    )


def _taken(target: Path) -> AlreadyExistsError:
    has_name = target.name not in ("", "..")
    other = f"{target}-2" if has_name else "molexp-demo"
    return AlreadyExistsError(
        f"{target} is there already",
        cure=f"name another place, as in `molexp demo {shlex.quote(other)}`"
        + (", or move that one away" if has_name else ""),
        kind="directory",
        key=str(target),
        path=str(target),
    )


def _free_place() -> Path:
    """Where the demo goes if nobody says: beside those that were made before."""
    names = chain(["molexp-demo"], (f"molexp-demo-{number}" for number in count(2)))
    return next(path for path in map(Path, names) if not os.path.lexists(path))


def _made(
    target: Path, files: int, violations: list[Violation], problems: Problems
) -> Iterator[str]:
    yield f"recorded {inert(str(target))}, a workspace of {files} plain files"
    found = len(violations) + len(problems)
    yield f"checked  {files} files: {f'{found} things are wrong' if found else 'all is right'}"
    yield from (f"  {inert(each.path)}: {inert(each.message)}" for each in violations)
    yield from (f"  {inert(str(each))}" for each in problems)
    yield ""
    yield "A line is fitted to measurements of a spring by gradient descent."
    yield "How large may the learning rate be?"


def _failed(traces: list[tuple[Address, str]]) -> Iterator[str]:
    for address, trace in traces:
        yield ""
        yield f"{inert(address[-1])} failed, on purpose. What it left:"
        yield ""
        yield from (f"  {line}" for line in inert_lines(trace.rstrip("\n")))


def _next(target: Path, experiment: Address, traces: list[tuple[Address, str]]) -> Iterator[str]:
    yield ""
    yield "Now type"
    yield ""
    yield f"  cd {shlex.quote(str(target))}"
    yield f"  molexp ls {experiment}"
    yield f"  molexp show {experiment}/best"
    yield from (f"  molexp show {address} --trace" for address, _ in traces)
