"""A look at a run tells what its files say, and refuses what would hide its owner."""

from __future__ import annotations

from pathlib import Path

import pytest

from molexp.disk.beneath import Directory
from molexp.errors import FormatError, NotFoundError
from molexp.lifecycle.attempt import end_attempt, start_run
from molexp.lifecycle.look import look_at, status_of
from molexp.model.execution import ExecutionState
from tests.lifecycle.lab import ADDRESS, RUN, make_lab, open_site


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


@pytest.mark.parametrize("text", ["", "{", '{"asset":{}}\n', '{"start":{"format":1}}\n', "\n\n"])
def test_a_ledger_that_does_not_begin_with_a_start_is_refused(lab: Path, text: str) -> None:
    (lab / RUN / "0001").mkdir()
    (lab / RUN / "0001/ledger.jsonl").write_text(text)
    with Directory.open(lab / RUN) as run, pytest.raises(FormatError, match=r"ledger\.jsonl"):
        look_at(run)
