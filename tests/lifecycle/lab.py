"""A workspace with one run that has no execution yet, made by the floors below."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from molexp.disk import layout
from molexp.disk.beneath import Directory
from molexp.disk.owner import System, asking
from molexp.disk.tree import open_tree
from molexp.integrity.conformance import check_workspace
from molexp.lifecycle.attempt import end_attempt, start_run
from molexp.lifecycle.site import Site, new_uid
from molexp.model.address import Address
from molexp.model.execution import End
from molexp.model.ids import Process
from molexp.model.scope import ExperimentMeta, ProjectMeta, RunMeta, ScopeMeta, WorkspaceMeta
from molexp.model.state import ExecutionState

RUN = "projects/qm9/experiments/baseline/runs/first"
ADDRESS = Address.parse("qm9/baseline/first")
EXPERIMENT = ADDRESS.parent
PROJECT = EXPERIMENT.parent
ELSEWHERE = Process("far", "another", "pid:[1]", "", pid=7, started=1)
"""A process of which nothing is known here."""

SUCCEEDED, FAILED = ExecutionState.SUCCEEDED, ExecutionState.FAILED
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


def add_run(path: Path, address: Address) -> Path:
    """Make one more run, and the scopes that it lies in; its directory."""
    project, experiment, run = address
    place = f"projects/{project}"
    if not (path / place).exists():
        put(path, place, ProjectMeta(uid=new_uid(), name=project, created_at=MOMENT))
    place += f"/experiments/{experiment}"
    if not (path / place).exists():
        put(path, place, ExperimentMeta(uid=new_uid(), name=experiment, created_at=MOMENT))
    place += f"/runs/{run}"
    put(path, place, RunMeta(uid=new_uid(), name=run, created_at=MOMENT))
    return path / place


def run_once(
    site: Site,
    address: Address = ADDRESS,
    files: Mapping[str, bytes] | None = None,
    status: ExecutionState = SUCCEEDED,
    **said: Any,
) -> End:
    """One more execution of a run, from its start to its end, that left these files."""
    attempt = start_run(site, address, again=True, **said)
    for name, data in (files or {}).items():
        above, _, last = name.rpartition("/")
        attempt.place.make(above, 0o755).close() if above else None
        Path(attempt.place.path, above, last).write_bytes(data)
    return end_attempt(site, attempt, status)


class Played(System):
    """The machine as a process elsewhere sees it."""

    @property
    def current(self) -> Process:
        """Who asks."""
        return ELSEWHERE


def start_elsewhere(lab: Path, address: Address = ADDRESS, **said: Any) -> int:
    """Start a run as a process of which nothing is known here; its number."""
    with asking(Played()):
        site = Site(Directory.open(lab), durability="process")
        attempt = start_run(site, address, again=True, **said)
        attempt.close()
        site.close()
    return attempt.number


def in_child(work: Callable[[], object]) -> int:
    """The pid of a process that has done this and was then killed."""
    child = os.fork()
    if not child:
        try:
            work()
        finally:
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    return child


def start_and_die(lab: Path, address: Address = ADDRESS, **said: Any) -> None:
    """Start a run in a process that is then killed."""
    in_child(lambda: start_run(open_site(lab), address, again=True, **said))
