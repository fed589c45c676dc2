"""A view shows the present: what was folded, and over it all that may have changed since."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

import molexp as me
from molexp.catalog import register
from molexp.catalog.load import Rows
from molexp.catalog.present import Present
from molexp.catalog.view import View
from molexp.disk import layout
from molexp.errors import CatalogError
from molexp.rows import gather as gathering
from tests.catalog import truth
from tests.catalog.small import addresses, find_run, open_view, rows, slow_clock, wait_for_tick


def test_a_scope_that_came_back_as_it_was_is_shown_again(
    lab: me.Workspace, view: View, tmp_path: Path
) -> None:
    lab.project("QM9").experiment("other")
    wait_for_tick(tmp_path)
    view.fold()
    assert "qm9/other" in addresses(view, "experiments")
    lab.project("QM9").delete_experiment("other")
    assert "qm9/other" not in addresses(view, "experiments")
    lab.trash.restore("other")
    assert "qm9/other" in addresses(view, "experiments")
    assert open_view(lab).ask(
        lambda c: c.execute("SELECT count(*) FROM experiments").fetchall()
    ) == [(2,)]


def test_a_run_that_moved_twice_is_where_it_was(
    lab: me.Workspace, view: View, tmp_path: Path
) -> None:
    other = lab.project("QM9").experiment("other")
    baseline = lab.project("QM9").experiment("baseline")
    wait_for_tick(tmp_path)
    view.fold()
    run = find_run(lab)
    for experiment in (other, baseline, other, baseline):
        run.move_to(experiment)
        assert addresses(view) == [run.address]


def test_a_start_is_seen_within_the_tick_of_the_look_before(lab: me.Workspace, view: View) -> None:
    with slow_clock():
        find_run(lab).edit(notes="first")
        assert rows(view, "SELECT executions FROM runs") == [(0,)]
        with find_run(lab).start(capture=False) as ctx:
            assert rows(view, "SELECT executions, status FROM runs") == [(1, "running")]
            ctx.set_result("loss", 0.5)
            assert rows(view, "SELECT name FROM assets WHERE kind = 'output'") == [("loss",)]
        assert rows(view, "SELECT executions, status FROM runs") == [(1, "succeeded")]


def test_data_is_seen_within_the_tick_of_the_look_before(
    lab: me.Workspace, view: View, tmp_path: Path
) -> None:
    source = tmp_path / "table.csv"
    with slow_clock():
        for version in range(1, 4):
            source.write_text(f"{version}\n")
            find_run(lab).data_assets.import_asset("table", source)
            assert rows(view, "SELECT max(version) FROM assets WHERE kind = 'data'") == [(version,)]


def test_a_forked_child_has_a_connection_of_its_own(lab: me.Workspace, view: View) -> None:
    assert len(addresses(view)) == 1
    receiving, sending = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.write(sending, str(len(addresses(view))).encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    os.close(sending)
    with open(receiving, "rb") as answer:
        assert answer.read() == b"1"
    assert len(addresses(view)) == 1


def test_a_generation_that_vanishes_under_a_reader_is_done_without(
    lab: me.Workspace, view: View
) -> None:
    view.fold()
    assert len(addresses(view)) == 1
    shutil.rmtree(lab.root / ".molexp")
    lab.project("QM9").experiment("baseline").run(id="second")
    assert len(addresses(view)) == 2


def test_a_generation_that_is_damaged_is_left_alone(lab: me.Workspace, view: View) -> None:
    view.fold()
    [path] = (lab.root / layout.CATALOG).iterdir()
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 3] + b"\xff" * (len(whole) // 3))
    fresh = open_view(lab)
    assert len(addresses(fresh)) == 1
    fresh.close()


@pytest.mark.parametrize("huge", [2**63, 10**30])
def test_a_number_that_no_column_holds_hides_nothing(
    lab: me.Workspace, view: View, huge: int
) -> None:
    lab.project("QM9").experiment("huge", n_replicas=huge)
    found = rows(view, "SELECT experiment, n_replicas FROM experiments ORDER BY 1")
    assert found == [("baseline", 1), ("huge", None)]
    assert not view.rebuild().errors


def test_a_sync_says_what_lies_where_journals_belong(lab: me.Workspace, view: View) -> None:
    shutil.rmtree(lab.root / layout.JOURNAL)
    (lab.root / layout.JOURNAL).write_text("no directory")
    with pytest.raises(CatalogError, match="move away what is no directory"):
        view.sync()
    assert addresses(view) == ["qm9/baseline/first"]


def broken_off(real: Callable[..., Any], at: int) -> Callable[..., Any]:
    """A function whose caller is interrupted at one of its calls."""
    calls = count(1)

    def act(*given: Any, **named: Any) -> Any:
        if next(calls) == at:
            raise KeyboardInterrupt
        return real(*given, **named)

    return act


STEPS: dict[str, Any] = {"gather": gathering, "insert": Rows, "put": Present, "at": register}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("is_folded", [False, True])
def test_who_is_broken_off_in_the_middle_leaves_nothing_half_done(
    lab: me.Workspace, view: View, step: str, is_folded: bool
) -> None:
    if is_folded:
        view.rebuild()
    addresses(view)
    for number in range(1, 4):
        lab.project("QM9").experiment("baseline").run(id=f"new-{number}")
        find_run(lab).edit(notes=f"{number}")
        broken = broken_off(getattr(STEPS[step], step), number)
        with patch.object(STEPS[step], step, broken), suppress(KeyboardInterrupt):
            addresses(view)
        assert truth.differences(view.ask(truth.shown), truth.from_files(Path(lab.root))) == []
