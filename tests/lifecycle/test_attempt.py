"""Executions: one owner at a time, one end each, and everything that they leave keeps the rules."""

from __future__ import annotations

import os
import signal
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from molexp.disk import layout, owner
from molexp.errors import CancelledError, ConflictError, NotFoundError, TransitionError
from molexp.lifecycle.attempt import (
    DIED,
    PENDING_CANCELLED,
    end_attempt,
    reap,
    start_run,
)
from molexp.lifecycle.look import look_at, status_of
from molexp.lifecycle.site import Site, now
from molexp.model.codec import join_line
from molexp.model.execution import End, ExecutionState
from molexp.model.scope import Address
from tests.lifecycle.lab import ADDRESS, RUN, broken_rules, make_lab, open_site
from tests.users import User

FORK = get_context("fork")


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    return make_lab(tmp_path / "lab")


@pytest.fixture
def site(lab: Path) -> Iterator[Site]:
    made = open_site(lab)
    yield made
    made.close()


def statuses(site: Site) -> list[str]:
    """Of all executions, as the files tell it."""
    with site.root.enter(RUN) as run:
        return [each.end.status if each.end else "running" for each in look_at(run).executions]


def in_child(work: Callable[[], None]) -> int:
    """The pid of a process that has done this and was then killed."""
    child = os.fork()
    if not child:
        try:
            work()
        finally:
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    return child


def test_a_started_run_has_an_owner_from_the_first(site: Site, lab: Path) -> None:
    attempt = start_run(site, ADDRESS, profile="laptop")
    assert (attempt.number, attempt.start.owner) == (1, owner.current())
    with site.root.enter(RUN) as run:
        looked = look_at(run)
        assert status_of(site, run, looked) is ExecutionState.RUNNING
    assert looked.numbered[0].start == attempt.start
    assert attempt.start.profile == "laptop"
    assert broken_rules(lab) == []
    attempt.close()


def test_what_ended_keeps_the_rules_and_is_closed(site: Site, lab: Path) -> None:
    attempt = start_run(site, ADDRESS)
    (lab / RUN / "0001/work").mkdir()
    (lab / RUN / "0001/work/out.txt").write_text("42")
    end = end_attempt(site, attempt, ExecutionState.SUCCEEDED, last_step=3)
    assert [entry.path for entry in end.manifest] == ["ledger.jsonl", "work/out.txt"]
    assert broken_rules(lab) == []
    assert statuses(site) == ["succeeded"]
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (lab / RUN).rglob("*")}
    assert modes == {
        "meta.json": modes["meta.json"],
        "0001": 0o555,
        "end.json": 0o444,
        "ledger.jsonl": 0o444,
        "work": 0o555,
        "out.txt": 0o444,
    }


def test_a_second_start_waits_for_the_first_to_end(site: Site) -> None:
    attempt = start_run(site, ADDRESS)
    with pytest.raises(ConflictError, match=f"process {os.getpid()}") as caught:
        start_run(site, ADDRESS)
    assert "reap(confirm=True)" in caught.value.cure
    end_attempt(site, attempt, ExecutionState.FAILED)
    end_attempt(site, start_run(site, ADDRESS), ExecutionState.SUCCEEDED)
    assert statuses(site) == ["failed", "succeeded"]


def test_a_run_that_succeeded_is_run_again_on_demand_alone(site: Site) -> None:
    end_attempt(site, start_run(site, ADDRESS), ExecutionState.SUCCEEDED)
    with pytest.raises(TransitionError, match="has succeeded"):
        start_run(site, ADDRESS)
    assert start_run(site, ADDRESS, again=True).number == 2


def test_what_a_dead_owner_left_is_ended_by_the_next_start(lab: Path) -> None:
    def start_and_die() -> None:
        start_run(open_site(lab), ADDRESS)

    in_child(start_and_die)
    site = open_site(lab)
    attempt = start_run(site, ADDRESS)
    assert attempt.number == 2
    assert statuses(site) == ["failed", "running"]
    with site.root.enter(RUN) as run:
        first = look_at(run).numbered[0].end
    assert first is not None
    assert first.reason == DIED
    assert broken_rules(lab) == []
    site.close()


def test_a_live_owner_is_never_reaped(site: Site) -> None:
    start_run(site, ADDRESS)
    with site.root.enter(RUN) as run:
        found = look_at(run).numbered[0]
        with pytest.raises(ConflictError):
            reap(site, run, ADDRESS, found)
    assert statuses(site) == ["running"]


def test_an_owner_that_lost_the_race_for_the_end_changes_nothing(site: Site, lab: Path) -> None:
    attempt = start_run(site, ADDRESS)
    end = End(uid=attempt.start.uid, status=ExecutionState.CANCELLED, ended_at=now())
    (lab / RUN / "0001/end.json").write_bytes(end.to_json())
    with pytest.raises(ConflictError, match="ended by somebody else"):
        end_attempt(site, attempt, ExecutionState.SUCCEEDED)
    assert statuses(site) == ["cancelled"]


def test_a_run_that_is_not_there_is_not_started(site: Site, lab: Path) -> None:
    with pytest.raises(NotFoundError):
        start_run(site, Address.parse("qm9/baseline/other"))
    (lab / RUN / "meta.json").unlink()
    with pytest.raises(NotFoundError):
        start_run(site, ADDRESS)
    assert not (lab / RUN / "0001").exists()


def test_without_links_the_end_lies_in_a_directory(site: Site, lab: Path) -> None:
    attempt = start_run(site, ADDRESS, links=False)
    end_attempt(site, attempt, ExecutionState.SUCCEEDED)
    assert (lab / RUN / "0001/end/end.json").is_file()
    assert broken_rules(lab) == []
    assert statuses(site) == ["succeeded"]


def test_a_cancel_that_came_first_is_not_overtaken(site: Site, lab: Path) -> None:
    born = start_run(site, ADDRESS)
    with site.root.enter(RUN) as run:
        before = look_at(run)
    assert before.numbered[0].end is None
    end_attempt(site, born, ExecutionState.CANCELLED, reason=PENDING_CANCELLED)
    again = start_run(site, ADDRESS)
    assert again.number == 2, "a cancel before the first look is history"


def _start_often(lab: Path, times: int, pipe: Connection) -> None:
    site = open_site(lab)
    won: list[int] = []
    while len(won) < times:
        try:
            attempt = start_run(site, ADDRESS, again=True)
        except (ConflictError, CancelledError):
            time.sleep(0.001)
            continue
        attempt.ledger.append(join_line("paused", b'{"at":"2026-03-02T09:00:00Z"}'))
        won.append(attempt.number)
        end_attempt(site, attempt, ExecutionState.FAILED)
    site.close()
    pipe.send(won)
    pipe.close()


def test_eight_processes_start_one_run_in_turn(lab: Path) -> None:
    pipes, children = [], []
    for _ in range(8):
        mine, theirs = FORK.Pipe(duplex=False)
        child = FORK.Process(target=_start_often, args=(lab, 5, theirs))
        child.start()
        theirs.close()
        pipes.append(mine)
        children.append(child)
    won = sorted(number for pipe in pipes for number in pipe.recv())
    for child in children:
        child.join()
    assert won == list(range(1, 41))
    assert broken_rules(lab) == []


@pytest.mark.users
def test_an_ended_execution_is_closed_for_everybody_but_root(user: User) -> None:
    def record() -> list[str]:
        lab = make_lab(user.directory / "lab")
        site = open_site(lab)
        attempt = start_run(site, ADDRESS)
        end_attempt(site, attempt, ExecutionState.SUCCEEDED)
        place = lab / RUN / "0001"
        changes: dict[str, Callable[[], object]] = {
            "a new file": (place / "new").touch,
            "a line": partial(os.truncate, place / layout.LEDGER, 5),
            "the end": (place / layout.END).unlink,
        }
        done = []
        for name, change in changes.items():
            with suppress(PermissionError):
                change()
                done.append(name)
        site.close()
        return done

    changed = user.run(record)
    assert changed == ([] if user.name != "root" else ["a new file", "a line", "the end"])
