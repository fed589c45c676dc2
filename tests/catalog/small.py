"""What the tests of the catalog share: a workspace, and questions about it."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import molexp as me
from molexp.catalog.view import View
from molexp.disk import layout


def make_lab(path: Path, **said: Any) -> me.Workspace:
    """A new workspace with one run, which has no execution."""
    workspace = me.Workspace(path, name="Lab", durability="process", **said)
    experiment = workspace.project("QM9").experiment("baseline", params={"lr": 0.1})
    experiment.run(id="first")
    return workspace


def open_view(workspace: me.Workspace, access: str = "private") -> View:
    """A view of it."""
    return View(workspace.root, layout.ACCESS[access])


def find_run(workspace: me.Workspace, address: str = "qm9/baseline/first") -> me.Run:
    """A run of it."""
    found = workspace.find(address)
    assert isinstance(found, me.Run)
    return found


def rows(view: View, query: str) -> list[tuple[Any, ...]]:
    """What a query gives."""
    found: list[tuple[Any, ...]] = view.ask(lambda connection: connection.execute(query).fetchall())
    return found


def addresses(view: View, table: str = "runs") -> list[str]:
    """The addresses that a table has."""
    return [address for (address,) in rows(view, f"SELECT address FROM {table} ORDER BY address")]


def wait_for_tick(place: Path) -> None:
    """Return when the clock of the file system shows another time than now."""
    first = _moment(place)
    while _moment(place) == first:
        time.sleep(0.001)


def _moment(place: Path) -> int:
    probe = place / "probe"
    probe.touch()
    found = probe.stat().st_ctime_ns
    probe.unlink()
    return found


@contextmanager
def slow_clock(seconds: int = 30) -> Iterator[None]:
    """Let the clock of the file system tick seldom, as that of some does, and hide sizes of names.

    A directory that gets another name then need not look another one.
    """
    real_stat, real_fstat = os.stat, os.fstat
    tick = seconds * 10**9

    def slow(found: os.stat_result) -> os.stat_result:
        times = {
            name: getattr(found, name) // tick * tick
            for name in ("st_atime_ns", "st_mtime_ns", "st_ctime_ns")
        }
        said = list(found[:10])
        if stat.S_ISDIR(found.st_mode):
            said[6] = 4096
        said[7:] = [each // 10**9 for each in times.values()]
        floats = {name.removesuffix("_ns"): each / 1e9 for name, each in times.items()}
        return os.stat_result(said, {**times, **floats})

    def lazy(function: Callable[..., os.stat_result]) -> Callable[..., os.stat_result]:
        return lambda *given, **named: slow(function(*given, **named))

    with patch.object(os, "stat", lazy(real_stat)), patch.object(os, "fstat", lazy(real_fstat)):
        yield
