"""What is wrong in a workspace, as commands say it: each with its file and with what to do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from molexp.cli.telling.text import inert
from molexp.errors import MolexpError


def problem_dict(problem: MolexpError) -> dict[str, Any]:
    """An error, as `--json` says it."""
    return {
        "code": problem.code,
        "message": problem.message,
        "cure": problem.cure,
        "path": problem.details.get("path"),
        "place": problem.details.get("place"),
    }


def problem_lines(problems: Iterable[MolexpError]) -> Iterator[str]:
    """Errors, two lines each: what is wrong, with the path if it has one, and the cure."""
    for each in problems:
        path = str(each.details.get("path") or "")
        said = each.message if path in each.message else f"{path}: {each.message}"
        yield inert(said)
        yield f"  → {inert(each.cure)}"
