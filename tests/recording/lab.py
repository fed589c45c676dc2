"""What the tests of recorded runs share: a workspace, its files, and other processes in it."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

import molexp as me
from molexp.disk.tree import open_tree
from molexp.integrity.conformance import check_workspace
from molexp.testing.trial import Ending, run_in_child

ROOT = Path(__file__).parents[2]


def make_run(path: Path, **said: Any) -> me.Run:
    """A new run of a new experiment of the workspace at ``path``."""
    workspace = me.Workspace(path, name="Lab", **said)
    experiment = workspace.project("QM9").experiment("baseline", params={"lr": 0.1})
    return experiment.run(id="first")


def broken_rules(path: Path) -> list[str]:
    """Which rules of the format a workspace breaks."""
    with open_tree(path) as tree:
        return [str(violation) for violation in check_workspace(tree)]


def files(path: Path) -> set[str]:
    """The paths of all files beneath a directory."""
    return {each.relative_to(path).as_posix() for each in path.rglob("*") if each.is_file()}


def lines(run: me.Run, number: int = 1, name: str = "ledger*.jsonl") -> list[dict[str, Any]]:
    """The lines of an execution's ledgers, of all who wrote, as JSON has them."""
    place = run.run_dir / f"{number:04d}"
    return [
        json.loads(line)
        for path in sorted(place.glob(name))
        for line in path.read_text().splitlines()
        if line
    ]


def hash_of(path: Path) -> str:
    """One digest of all that lies beneath a directory: names, types, modes and bytes."""
    total = hashlib.sha256()
    for each in sorted(path.rglob("*")):
        status = each.lstat()
        total.update(f"{each.relative_to(path)}\0{status.st_mode}\0".encode("utf-8", "replace"))
        if each.is_symlink():
            total.update(os.fsencode(os.readlink(each)))
        elif each.is_file():
            total.update(each.read_bytes())
    return total.hexdigest()


def raising(
    kind: type[BaseException], match: str | None = None
) -> AbstractContextManager[object, bool]:
    """A block of several steps, the last of which raises."""
    return pytest.raises(kind, match=match)


def in_child(work: Callable[[], Any]) -> Any:
    """What ``work`` gives, a JSON value, in a forked child; what it raises fails the test."""
    ending = run_in_child(lambda say: say(work()))
    assert ending.raised == "", ending.raised
    assert len(ending.said) == 1, ending
    return ending.said[0]


def killed(work: Callable[[Callable[[Any], None]], None]) -> Ending:
    """The acks of a forked child that kills itself."""
    ending = run_in_child(work)
    assert ending.killed, ending
    return ending


def python(code: str, *arguments: object, check: bool = True) -> str:
    """What another Python process prints that runs ``code``."""
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done.stdout
