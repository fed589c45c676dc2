"""What is asked of an owner is found by it, and where there is none it is done or refused."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import pytest

from molexp.disk import door, layout
from molexp.errors import CancelledError, ConflictError, FormatError, NotFoundError, TransitionError
from molexp.lifecycle.attempt import PENDING_CANCELLED, end_attempt, start_run
from molexp.lifecycle.look import look_at, status_of
from molexp.lifecycle.requests import CANCELLED_DEAD, Verb, ask, requests
from molexp.lifecycle.site import Site
from molexp.model.address import Address
from molexp.model.codec import join_line
from molexp.model.execution import Request
from molexp.model.state import ExecutionState
from tests.disk import before, fork_each, meet
from tests.lifecycle.lab import (
    ADDRESS,
    FAILED,
    RUN,
    SUCCEEDED,
    broken_rules,
    open_site,
    run_once,
    start_and_die,
    start_elsewhere,
)

CANCELLED = ExecutionState.CANCELLED


def asked(site: Site, number: int, uid: str) -> list[str]:
    with site.root.enter(RUN) as run:
        return [each.verb for each in requests(run, number, uid)]


def state(site: Site) -> ExecutionState:
    with site.root.enter(RUN) as run:
        return status_of(site, run, look_at(run))


def test_the_owner_finds_what_was_asked_of_it_in_order(site: Site, lab: Path) -> None:
    attempt = start_run(site, ADDRESS)
    uid = attempt.start.uid
    assert ask(site, ADDRESS, "pause", "lunch") is None
    assert ask(site, ADDRESS, "cancel") is None
    assert asked(site, 1, uid) == ["pause", "cancel"]
    with site.root.enter(RUN) as run:
        first = requests(run, 1, uid)[0]
    assert (first.reason, first.by, first.execution) == ("lunch", site.person, uid)
    assert asked(site, 1, "0" * 26) == asked(site, 2, uid) == []
    assert broken_rules(lab) == []
    attempt.close()


def test_every_request_of_one_verb_is_kept(site: Site) -> None:
    attempt = start_run(site, ADDRESS)
    for _ in range(3):
        ask(site, ADDRESS, "cancel")
    assert asked(site, 1, attempt.start.uid) == ["cancel"] * 3
    attempt.close()


def test_a_pending_run_is_cancelled_at_once_and_may_be_started_later(site: Site, lab: Path) -> None:
    assert ask(site, ADDRESS, "cancel") is CANCELLED
    assert state(site) is CANCELLED
    with site.root.enter(RUN) as run:
        (born,) = look_at(run).executions
    assert born.end is not None
    assert born.end.reason == PENDING_CANCELLED
    assert broken_rules(lab) == []
    run_once(site)
    assert state(site) is SUCCEEDED


@pytest.mark.parametrize("verb", ["pause", "resume"])
def test_a_pending_run_is_neither_paused_nor_resumed(site: Site, lab: Path, verb: Verb) -> None:
    with pytest.raises(TransitionError):
        ask(site, ADDRESS, verb)
    assert state(site) is ExecutionState.PENDING
    assert not (lab / RUN / "0001").exists()


@pytest.mark.parametrize("verb", ["pause", "resume", "cancel"])
@pytest.mark.parametrize("status", [SUCCEEDED, FAILED, CANCELLED, ExecutionState.SUSPENDED])
def test_what_ended_is_asked_nothing(
    site: Site, lab: Path, verb: Verb, status: ExecutionState
) -> None:
    run_once(site, status=status)
    with pytest.raises(TransitionError, match="start the run again"):
        ask(site, ADDRESS, verb)
    assert not (lab / RUN / layout.REQUESTS).exists()


@pytest.mark.parametrize(
    ("line", "verb", "allowed"),
    [
        ("paused", "resume", True),
        ("paused", "cancel", True),
        ("paused", "pause", False),
        ("resumed", "pause", True),
        ("resumed", "resume", False),
    ],
)
def test_only_what_may_follow_is_asked(site: Site, line: str, verb: Verb, allowed: bool) -> None:
    attempt = start_run(site, ADDRESS)
    attempt.ledger.append(join_line("paused", b'{"at":"2026-03-02T09:00:00Z"}'))
    if line == "resumed":
        attempt.ledger.append(join_line("resumed", b'{"at":"2026-03-02T09:00:01Z"}'))
    if allowed:
        assert ask(site, ADDRESS, verb) is None
    else:
        with pytest.raises(TransitionError):
            ask(site, ADDRESS, verb)
    assert asked(site, 1, attempt.start.uid) == [verb] * allowed
    attempt.close()


def test_a_dead_owner_s_execution_is_cancelled_by_whoever_asks(site: Site, lab: Path) -> None:
    start_and_die(lab)
    for verb in ("pause", "resume"):
        with pytest.raises(TransitionError):
            ask(site, ADDRESS, verb)
    assert ask(site, ADDRESS, "cancel") is CANCELLED
    with site.root.enter(RUN) as run:
        (found,) = look_at(run).executions
    assert found.end is not None
    assert found.end.reason == CANCELLED_DEAD
    assert broken_rules(lab) == []


def test_a_silent_owner_elsewhere_may_hear_it_yet(site: Site, lab: Path) -> None:
    start_elsewhere(lab)
    os.utime(lab / RUN / "0001/ledger.jsonl", (1, 1))
    assert state(site) is ExecutionState.UNKNOWN
    with site.root.enter(RUN) as run:
        uid = look_at(run).executions[0].start.uid
    assert ask(site, ADDRESS, "pause") is None
    assert ask(site, ADDRESS, "cancel") is None
    assert asked(site, 1, uid) == ["pause", "cancel"]


def test_a_silent_owner_that_was_paused_may_be_asked_to_go_on(site: Site, lab: Path) -> None:
    start_elsewhere(lab)
    ledger = lab / RUN / "0001/ledger.jsonl"
    with open(ledger, "a") as lines:
        lines.write('{"paused":{"at":"2026-03-02T09:00:00Z"}}\n')
    os.utime(ledger, (1, 1))
    assert ask(site, ADDRESS, "resume") is None
    with pytest.raises(TransitionError):
        ask(site, ADDRESS, "pause")


def test_a_run_that_is_being_moved_is_not_cancelled(site: Site) -> None:
    hold = start_run(site, ADDRESS, purpose="hold")
    with pytest.raises(ConflictError, match="moves it since"):
        ask(site, ADDRESS, "cancel")
    end_attempt(site, hold, SUCCEEDED)
    assert ask(site, ADDRESS, "cancel") is CANCELLED


def test_a_dead_mover_is_not_in_the_way_of_a_cancel(site: Site, lab: Path) -> None:
    start_and_die(lab, purpose="hold")
    assert ask(site, ADDRESS, "cancel") is CANCELLED
    assert broken_rules(lab) == []


def test_of_a_run_that_is_not_there_nothing_is_asked(site: Site) -> None:
    with pytest.raises(NotFoundError):
        ask(site, Address.parse("qm9/baseline/gone"), "cancel")


def test_whoever_asks_learns_that_the_end_came_first(site: Site, lab: Path) -> None:
    """Whenever the end comes, the request is either refused or there before it."""
    refused = 0
    for at in range(1, 12):
        attempt = start_run(site, ADDRESS, again=True)
        gate = before(at, partial(_end_in_another, lab, attempt.number))
        with door.gated(gate):
            try:
                ask(site, ADDRESS, "cancel")
            except TransitionError:
                refused += 1
                assert attempt.place.exists(layout.END), at
            else:
                verbs = asked(site, attempt.number, attempt.start.uid)
                assert verbs == ["cancel"]
        if attempt.place.exists(layout.END):
            attempt.close()
        else:
            end_attempt(site, attempt, FAILED)
    assert refused > 2


def _end_in_another(lab: Path, number: int) -> None:
    """What a reaper would leave, made with plain calls, for a gate lets nothing else pass."""
    place = lab / RUN / layout.execution_name(number)
    with open(place / layout.LEDGER) as ledger:
        uid = ledger.readline().split('"uid":"')[1][:26]
    end = {"format": 1, "uid": uid, "status": "failed", "ended_at": "2026-03-02T09:00:00Z"}
    text = str(end).replace("'", '"')
    (place / layout.END).write_text(text)


def test_a_cancel_and_a_start_at_once_leave_one_of_them_told(lab: Path, tmp_path: Path) -> None:
    def work(number: int) -> str:
        site = open_site(lab)
        meet(tmp_path / "met", str(number), 8)
        try:
            if number % 2:
                return str(ask(site, ADDRESS, "cancel"))
            start_run(site, ADDRESS).close()
        except (ConflictError, CancelledError, TransitionError) as error:
            return type(error).__name__
        return "started"

    said = fork_each([partial(work, number) for number in range(8)])
    assert None not in said
    site = open_site(lab)
    with site.root.enter(RUN) as run:
        found = look_at(run).executions
    born = [each for each in found if each.end and each.end.reason == PENDING_CANCELLED]
    assert len(found) - len(born) == said.count("started")
    assert len(born) <= said.count("cancelled")
    assert broken_rules(lab) == []
    site.close()


@pytest.mark.parametrize("planted", ["garbage", "link", "directory", "other format", "odd name"])
def test_what_cannot_be_read_hides_no_request(site: Site, lab: Path, planted: str) -> None:
    attempt = start_run(site, ADDRESS)
    ask(site, ADDRESS, "pause")
    place = lab / RUN / layout.REQUESTS / f"0001-{'0' * 26}-cancel.json"
    if planted == "garbage":
        place.write_bytes(b"\xff{")
    elif planted == "link":
        (lab / "x").write_bytes(next(place.parent.iterdir()).read_bytes())
        place.symlink_to(lab / "x")
    elif planted == "directory":
        place.mkdir()
    elif planted == "other format":
        place.write_bytes(b'{"format":2}')
    else:
        place.with_name("0001-\udcff").write_bytes(b"{}")
    assert asked(site, 1, attempt.start.uid) == ["pause"]
    attempt.close()


def test_a_link_in_place_of_the_requests_is_not_followed(site: Site, lab: Path) -> None:
    attempt = start_run(site, ADDRESS)
    outside = lab.parent / "outside"
    outside.mkdir()
    forged = Request(
        uid="0" * 26,
        verb="cancel",
        execution=attempt.start.uid,
        at=attempt.start.at,
        writer="w",
        by="me",
    )
    (outside / f"0001-{'0' * 26}-cancel.json").write_bytes(forged.to_json())
    (lab / RUN / layout.REQUESTS).symlink_to(outside)
    assert asked(site, 1, attempt.start.uid) == []
    with pytest.raises(FormatError, match="follows no links"):
        ask(site, ADDRESS, "cancel")
    assert len(list(outside.iterdir())) == 1
    attempt.close()
