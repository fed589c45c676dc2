"""A workspace with one run that has no execution yet, made by the floors below."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from molexp.disk import layout
from molexp.disk.beneath import Directory
from molexp.disk.tree import open_tree
from molexp.integrity.conformance import check_workspace
from molexp.lifecycle.site import Site, new_uid
from molexp.model.scope import (
    Address,
    ExperimentMeta,
    ProjectMeta,
    RunMeta,
    ScopeMeta,
    WorkspaceMeta,
)

RUN = "projects/qm9/experiments/baseline/runs/first"
ADDRESS = Address.parse("qm9/baseline/first")
MOMENT = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def make_lab(path: Path) -> Path:
    """Fill a new directory; its path."""
    path.mkdir(exist_ok=True)
    put(path, "", WorkspaceMeta(uid=new_uid(), name="Lab", created_at=MOMENT))
    put(path, "projects/qm9", ProjectMeta(uid=new_uid(), name="QM9", created_at=MOMENT))
    experiment = ExperimentMeta(uid=new_uid(), name="Baseline", created_at=MOMENT)
    put(path, "projects/qm9/experiments/baseline", experiment)
    put(path, RUN, RunMeta(uid=new_uid(), name="first", created_at=MOMENT, parameters={"lr": 0.1}))
    return path


def put(root: Path, place: str, meta: ScopeMeta) -> None:
    """Make a scope."""
    (root / place).mkdir(parents=True, exist_ok=True)
    (root / place / layout.META).write_bytes(meta.to_json())


def open_site(path: Path) -> Site:
    """The lab, open to write in."""
    return Site(Directory.open(path))


def broken_rules(path: Path) -> list[str]:
    """Which rules of the format the lab breaks."""
    with open_tree(path) as tree:
        return [str(violation) for violation in check_workspace(tree)]
