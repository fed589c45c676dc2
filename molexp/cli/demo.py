"""`molexp demo`: make a small workspace, check it, and show what is in it."""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shlex
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain, count
from pathlib import Path
from typing import Any

from molexp.disk import door, layout
from molexp.disk.beneath import Directory
from molexp.disk.trash import delete
from molexp.disk.tree import DirectoryTree, open_tree
from molexp.disk.walk import EntryType
from molexp.errors import (
    AlreadyExistsError,
    InvalidInputError,
    MolexpError,
    NotFoundError,
    StorageError,
)
from molexp.integrity.conformance import Violation, check_workspace
from molexp.lifecycle.survey import ExecutionSurvey, ScopeSurvey, survey
from molexp.model.asset import OutputAsset
from molexp.model.scope import ExperimentMeta, RunMeta, ScopeKind


def add_to(commands: Any) -> None:
    """Describe the command to the parser."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "demo", help="make a small workspace, check it and show it", description=__doc__
    )
    parser.add_argument("path", nargs="?", help="a directory to make (default: molexp-demo)")
    parser.add_argument("--json", action="store_true", help="print what was found as JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Make, check, show; 1 if the check finds anything."""
    target = _free_place() if arguments.path is None else Path(arguments.path)
    copy_template(target)
    with open_tree(target) as tree:
        violations = check_workspace(tree)
        files = sum(found.type is EntryType.FILE for found in tree.walk())
    problems: list[MolexpError] = []
    with Directory.open(target) as root:
        scopes = list(survey(root, problems))
    if arguments.json:
        print(json.dumps(_as_json(target, files, violations, problems, scopes), indent=2))
    else:
        print("\n".join(_as_text(target, files, violations, problems, scopes)))
    return 1 if violations or problems else 0


def template_path() -> Path:
    """The workspace that travels with the package."""
    package = Path(__file__).parents[1]
    installed = package / "workspace_template"
    return installed if installed.is_dir() else package.parent / "workspace_template"


def copy_template(target: Path) -> None:
    """Copy the template to where nothing lies yet; what fails on the way leaves nothing behind.

    Raises AlreadyExistsError, NotFoundError if there is no directory to make it in, and
    InvalidInputError for a path that nothing can have.
    """
    _check_free(target)
    half = f".molexp-demo-{os.getpid()}-{secrets.token_hex(8)}-tmp"
    with Directory.open(target.parent) as parent:
        try:
            door.mkdir(parent.fd, half, layout.ROOT_MODES["private"])
            with DirectoryTree(template_path()) as template, parent.enter(half) as root:
                _fill(root, template)
            door.rename(parent.fd, half, parent.fd, target.name)
        except BaseException as error:
            with suppress(MolexpError, OSError):  # the first error is the one to tell
                delete(parent, half)
            if isinstance(error, OSError) and not isinstance(error, MolexpError):
                raise _refused(target, error) from error
            raise


def _fill(root: Directory, template: DirectoryTree) -> None:
    """Copy each entry, and close what the template shows as ended."""
    modes = layout.ACCESS["private"]
    found = list(template.walk())
    closed = {
        os.path.dirname(entry.path) for entry in found if os.path.basename(entry.path) == layout.END
    }
    for entry in found:
        if entry.type is EntryType.DIRECTORY:
            root.make(entry.path, modes.directory).close()
            continue
        ended = any(_lies_in(entry.path, place) for place in closed)
        above, _, name = entry.path.rpartition("/")
        with root.enter(above) as directory, template.open(entry.path) as source:
            fd = door.create(directory.fd, name, modes.ended_file if ended else modes.file)
            try:
                door.write_all(fd, source.read())
            finally:
                os.close(fd)
    for entry in reversed(found):
        is_directory = entry.type is EntryType.DIRECTORY
        if is_directory and any(_lies_in(entry.path, place) for place in closed):
            with root.enter(entry.path) as directory:
                door.chmod(directory.fd, modes.ended_directory)


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


def _lies_in(path: str, place: str) -> bool:
    return path == place or path.startswith(f"{place}/")


def _as_text(
    target: Path,
    files: int,
    violations: list[Violation],
    problems: list[MolexpError],
    scopes: list[ScopeSurvey],
) -> Iterator[str]:
    yield f"made     {target}, a workspace of {files} plain files"
    found = len(violations) + len(problems)
    yield f"checked  {files} files: {f'{found} things are wrong' if found else 'all is right'}"
    yield from (f"  {violation.path}: {violation.message}" for violation in violations)
    yield from (f"  {problem}" for problem in problems)
    yield ""
    for scope in scopes:
        yield from _scope_lines(scope)
    yield ""
    yield "Next: look at the files, beginning with one run's ledger.jsonl and end.json."


def _scope_lines(scope: ScopeSurvey) -> Iterator[str]:
    indent = "  " * len(scope.address)
    kind = scope.address.kind
    said = {ScopeKind.RUN: scope.address[-1] if scope.address else ""}.get(kind, scope.meta.name)
    line = f"{indent}{kind} {said}"
    if isinstance(scope.meta, RunMeta):
        line += f"  {scope.status}  {_pairs(scope.meta.parameters)}"
    elif isinstance(scope.meta, ExperimentMeta):
        line += f"  {_pairs(scope.meta.params)}"
    yield line.rstrip()
    yield from (f"{indent}  data {asset.name} v{asset.version}" for asset in scope.data)
    for execution in scope.executions:
        yield f"{indent}  {execution.number:04d} {execution.status}: {_story(execution)}"


def _story(execution: ExecutionSurvey) -> str:
    if execution.end is not None and execution.end.error is not None:
        return f"{execution.end.error.type}: {execution.end.error.message}"
    results = {
        asset.name: asset.value for asset in execution.assets if isinstance(asset, OutputAsset)
    }
    number = len(execution.assets)
    return f"{number} asset{'' if number == 1 else 's'}  {_pairs(results)}".rstrip()


def _pairs(values: dict[str, Any]) -> str:
    return "  ".join(f"{name}={value}" for name, value in values.items())


def _as_json(
    target: Path,
    files: int,
    violations: list[Violation],
    problems: list[MolexpError],
    scopes: list[ScopeSurvey],
) -> dict[str, Any]:
    return {
        "path": str(target),
        "files": files,
        "violations": [
            {"rule": each.rule, "path": each.path, "message": each.message} for each in violations
        ],
        "problems": [str(problem) for problem in problems],
        "scopes": [
            {
                "address": str(scope.address),
                "kind": scope.address.kind,
                "name": scope.meta.name,
                "status": scope.status if scope.address.kind is ScopeKind.RUN else None,
                "executions": [
                    {"number": execution.number, "status": execution.status}
                    for execution in scope.executions
                ],
            }
            for scope in scopes
        ],
    }
