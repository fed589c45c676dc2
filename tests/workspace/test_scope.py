from __future__ import annotations

from typing import Any

import pytest

import molexp as me
from molexp.errors import InvalidInputError, NotFoundError
from tests.recording.lab import broken_rules, hash_of, python


def test_edits_add_and_take_away_and_keep_their_history(run: me.Run) -> None:
    run.edit(tags={"keep": "yes", "old": True}, labels={"sample": "Pa16c"}, notes="first")
    run.edit(tags={"old": None}, notes="second", reason="because")
    assert run.record.tags == {"keep": "yes"}
    assert run.record.labels == {"sample": "Pa16c"}
    assert run.record.notes == "second"
    (edits,) = run.run_dir.glob("edits-*.jsonl")
    assert len([line for line in edits.read_text().splitlines() if line]) == 2
    assert "because" in edits.read_text()
    assert broken_rules(run.workspace.root) == []


def test_every_scope_can_be_edited(run: me.Run) -> None:
    scopes: list[Any] = [run, run.experiment, run.experiment.project, run.workspace]
    for scope in scopes:
        scope.edit(description=f"of {scope.address}")
        assert scope.record.description == f"of {scope.address}"
        assert scope.metadata is not None
    assert broken_rules(run.workspace.root) == []


@pytest.mark.parametrize(
    "said", [{"tags": {"a": 1}}, {"tags": ["a"]}, {"notes": 3}, {"labels": {3: "x"}}]
)
def test_an_edit_that_no_record_could_say_is_refused_before_it_is_written(
    run: me.Run, said: dict[str, Any]
) -> None:
    before = hash_of(run.run_dir)
    with pytest.raises(InvalidInputError):
        run.edit(**said)
    run.edit()
    assert hash_of(run.run_dir) == before


def test_edits_of_several_processes_are_all_there(run: me.Run) -> None:
    code = """
import sys, molexp as me
run = me.Workspace.load(sys.argv[1]).find("qm9/baseline/first")
for count in range(20):
    run.edit(tags={f"{sys.argv[2]}-{count}": True})
"""
    for number in range(2):
        python(code, run.workspace.root, number)
    run.edit(tags={"mine": True})
    assert len(run.record.tags) == 41


def test_a_handle_of_what_is_gone_says_so(run: me.Run) -> None:
    run.experiment.delete_run(run)
    for look in (
        lambda: run.record,
        lambda: run.status,
        lambda: run.metadata,
        lambda: run.edit(notes="x"),
        run.start,
        run.cancel,
    ):
        with pytest.raises(NotFoundError):
            look()
    assert run.assets.list() == []


def test_handles_are_equal_where_their_places_are(run: me.Run) -> None:
    again = run.experiment.get_run("first")
    assert again == run
    assert again is not None
    assert hash(again) == hash(run)
    assert run != run.experiment
    assert run != run.experiment.run(id="other")
