"""Every call of the catalog that is measured stands here, once, and nothing else does.

So a contestant says what it measures, and a changed spelling is changed in one place. Nothing is
imported but molexp, for a fresh process pays for each import.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import molexp as me

GENERATIONS = ".molexp/catalog"


def open_workspace(place: str | os.PathLike[str]) -> Any:
    """The workspace, as a reader opens it."""
    return me.Workspace(place)


def count_chosen(workspace: Any) -> int:
    """``a == 3 and succeeded``: how many."""
    return int(_chosen(workspace).count())


def list_chosen(workspace: Any) -> list[str]:
    """``a == 3 and succeeded``: their addresses."""
    found: list[str] = _chosen(workspace).addresses()
    return found


def _chosen(workspace: Any) -> Any:
    return workspace.catalog.runs().filter(params__a=3, status="succeeded")


def get(workspace: Any, uid: str) -> Any:
    """The run or asset of a uid; its own uid is asked for by :func:`uid_of`."""
    return workspace.catalog.get(uid)


def uid_of(found: Any) -> str:
    """The uid of what was found."""
    return str(getattr(found, "asset_id", None) or found.uid)


def traces(workspace: Any, experiment: str) -> list[Any]:
    """The traces of one experiment's failed runs."""
    chosen = workspace.catalog.assets().filter(
        kind="error_trace", run__status="failed", experiment=experiment
    )
    return list(chosen)


def fold(workspace: Any) -> None:
    """What is not folded yet becomes a generation, now."""
    workspace.catalog.fold()


def rebuild(workspace: Any) -> int:
    """A generation from nothing but files; how many runs it found."""
    return int(workspace.catalog.rebuild().runs)


def newest_generation(place: str | os.PathLike[str]) -> Path:
    """The file that readers take."""
    numbered = [
        (int(path.name.split("-")[1]), path)
        for path in (Path(place) / GENERATIONS).glob("catalog-*-*.duckdb")
    ]
    return max(numbered)[1]
