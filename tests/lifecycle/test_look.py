"""A look at a run tells what its files say, and refuses what would hide its owner."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

from molexp.disk import layout
from molexp.disk.beneath import Directory
from molexp.errors import FormatError, MolexpError, NotFoundError
from molexp.lifecycle.attempt import end_attempt, start_run
from molexp.lifecycle.look import SILENT_BEATS, look_at, state_of, status_of
from molexp.lifecycle.scopes import edit
from molexp.lifecycle.site import Site
from molexp.model.state import ExecutionState
from tests.lifecycle.lab import (
    ADDRESS,
    RUN,
    make_lab,
    open_site,
    run_once,
    start_and_die,
    start_elsewhere,
)
from tests.users import User


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    return make_lab(tmp_path / "lab")


def test_a_run_without_executions_is_pending(lab: Path) -> None:
    site = open_site(lab)
    with site.root.enter(RUN) as run:
        looked = look_at(run)
        assert status_of(site, run, looked) is ExecutionState.PENDING
    assert (looked.newest, looked.executions) == (None, ())
    site.close()


def test_a_hold_has_a_number_and_is_no_execution(lab: Path) -> None:
    site = open_site(lab)
    end_attempt(site, start_run(site, ADDRESS), ExecutionState.SUCCEEDED)
    hold = start_run(site, ADDRESS, again=True, purpose="hold")
    with Directory.open(lab / RUN) as run:
        looked = look_at(run)
        assert status_of(site, run, looked) is ExecutionState.SUCCEEDED
    assert looked.newest is not None
    assert looked.newest.number == 2
    assert [each.number for each in looked.executions] == [1]
    hold.close()
    site.close()


def test_a_place_without_a_record_is_no_run(lab: Path) -> None:
    with Directory.open(lab / "projects") as directory, pytest.raises(NotFoundError):
        look_at(directory)


@pytest.mark.parametrize("text", ["{", '{"asset":{}}\n', '{"start":{"format":1}}\n', "\n\n"])
def test_a_ledger_that_does_not_begin_with_a_start_is_refused(lab: Path, text: str) -> None:
    (lab / RUN / "0001").mkdir()
    (lab / RUN / "0001/ledger.jsonl").write_text(text)
    with Directory.open(lab / RUN) as run, pytest.raises(FormatError, match=r"ledger\.jsonl"):
        look_at(run)


def said(lab: Path, name: str) -> None:
    """One more change of state, as an owner writes it."""
    with open(lab / RUN / "0001/ledger.jsonl", "a") as ledger:
        ledger.write(f'{{"{name}":{{"at":"2026-03-02T09:00:00Z"}}}}\n')


def state(site: Site) -> ExecutionState:
    """What the run reads as."""
    with site.root.enter(RUN) as run:
        looked = look_at(run)
        assert state_of(site, run, looked.numbered[-1]) is status_of(site, run, looked)
        return status_of(site, run, looked)


def heard_of(lab: Path, seconds_ago: float) -> None:
    """Let the last beat be so long ago, by the file system's clock."""
    with Directory.open(lab) as root:
        moment = Site(root).aside.moment() - seconds_ago
    os.utime(lab / RUN / "0001/ledger.jsonl", (moment, moment))


def test_a_pause_is_read_until_the_owner_goes_on(site: Site, lab: Path) -> None:
    start_run(site, ADDRESS).close()
    assert state(site) is ExecutionState.RUNNING
    for name, expected in (
        ("paused", ExecutionState.PAUSED),
        ("resumed", ExecutionState.RUNNING),
        ("paused", ExecutionState.PAUSED),
    ):
        said(lab, name)
        assert state(site) is expected


@pytest.mark.parametrize(
    "line",
    [
        '{"asset":{"name":"paused"}}',
        '{"input":{"name":"x","value":{"paused":{}}}}',
        '{"resumed":{"at":"torn',
        '[{"paused":{}}]',
    ],
)
def test_only_a_line_of_its_own_is_a_change_of_state(site: Site, lab: Path, line: str) -> None:
    start_run(site, ADDRESS).close()
    for before in ("resumed", "paused"):
        said(lab, before)
        expected = state(site)
        with open(lab / RUN / "0001/ledger.jsonl", "a") as ledger:
            ledger.write(line + "\n")
        assert state(site) is expected


def test_an_owner_that_is_proven_dead_has_failed_however_recent(site: Site, lab: Path) -> None:
    start_and_die(lab)
    assert state(site) is ExecutionState.FAILED
    said(lab, "paused")
    assert state(site) is ExecutionState.FAILED


def test_an_owner_that_lives_here_runs_however_silent(site: Site, lab: Path) -> None:
    start_run(site, ADDRESS).close()
    heard_of(lab, 10_000_000)
    assert state(site) is ExecutionState.RUNNING


@pytest.mark.parametrize(
    ("beats", "expected"),
    [
        (0, "running"),
        (SILENT_BEATS - 1, "running"),
        (SILENT_BEATS + 0.5, "unknown"),
        (9e5, "unknown"),
    ],
)
def test_of_whom_nothing_is_known_is_unknown_after_six_silent_beats(
    site: Site, lab: Path, beats: float, expected: str
) -> None:
    start_elsewhere(lab)
    heard_of(lab, beats * site.beat)
    assert state(site) == expected
    said(lab, "paused")
    heard_of(lab, beats * site.beat)
    assert state(site) == ("paused" if expected == "running" else "unknown")


@pytest.mark.parametrize("hours", [-48, -1, 1, 48])
def test_a_reader_whose_clock_is_wrong_judges_by_the_file_system_s(
    site: Site, lab: Path, hours: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    start_elsewhere(lab)
    real = time.time
    with monkeypatch.context() as wrong:
        wrong.setattr(time, "time", lambda: real() + hours * 3600)
        heard_of(lab, 1)
        assert state(site) is ExecutionState.RUNNING
        heard_of(lab, 7 * site.beat)
        assert state(site) is ExecutionState.UNKNOWN


def test_a_beat_from_the_future_is_a_beat(site: Site, lab: Path) -> None:
    start_elsewhere(lab)
    heard_of(lab, -7200)
    assert state(site) is ExecutionState.RUNNING


@pytest.mark.users
def test_who_may_only_read_judges_all_the_same(user: User) -> None:
    lab = make_lab(user.directory / "lab")
    start_elsewhere(lab)
    heard_of(lab, 10_000)
    shutil.rmtree(lab / layout.CACHE)

    def body() -> ExecutionState:
        site = Site(Directory.open(lab))
        found = state(site)
        site.close()
        return found

    assert user.run(body) is ExecutionState.UNKNOWN


def test_deleted_executions_are_not_looked_at(site: Site, lab: Path) -> None:
    first = run_once(site, status=ExecutionState.FAILED)
    run_once(site)
    edit(site, ADDRESS, {"deleted": {first.uid: True}})
    with site.root.enter(RUN) as run:
        looked = look_at(run)
    assert [each.number for each in looked.executions] == [2]
    assert [each.number for each in looked.numbered] == [1, 2]


@pytest.mark.parametrize(
    "odd", ["1", "01", "00001", "0000", "12a4", "-001", "\u0660\u0660\u0660\u0661"]
)
def test_what_is_no_number_is_not_looked_at(site: Site, lab: Path, odd: str) -> None:
    (lab / RUN / odd).mkdir()
    run_once(site)
    with site.root.enter(RUN) as run:
        assert [each.number for each in look_at(run).numbered] == [1]


@pytest.mark.parametrize("kind", ["file", "link", "torn start"])
def test_what_took_the_place_of_an_execution_keeps_the_run_from_being_started(
    site: Site, lab: Path, kind: str
) -> None:
    place = lab / RUN / "0001"
    if kind == "file":
        place.touch()
    elif kind == "link":
        place.symlink_to(lab)
    else:
        place.mkdir()
        (place / "ledger.jsonl").write_bytes(b'{"start":{"format":1')
    with pytest.raises(MolexpError, match="0001"):
        start_run(site, ADDRESS)
    assert not (lab / RUN / "0002").exists()


@pytest.mark.parametrize("left", ["nothing", "an empty ledger"])
def test_a_start_that_a_power_loss_took_leaves_a_number_and_no_owner(lab: Path, left: str) -> None:
    (lab / RUN / "0001").mkdir()
    if left == "an empty ledger":
        (lab / RUN / "0001/ledger.jsonl").touch()
    site = open_site(lab)
    with site.root.enter(RUN) as run:
        assert look_at(run).numbered == ()
    end_attempt(site, start_run(site, ADDRESS), ExecutionState.SUCCEEDED)
    with site.root.enter(RUN) as run:
        assert [each.number for each in look_at(run).executions] == [2]
    site.close()
