from __future__ import annotations

from pathlib import Path

import pytest

import molexp as me
from molexp.errors import AlreadyExistsError, ConflictError, InvalidInputError, TransitionError
from tests.recording.lab import broken_rules, make_run


def test_statuses_are_equal_to_their_texts(run: me.Run) -> None:
    assert run.status == "pending"
    assert run.status in {"pending", "running"}
    assert f"{run.status}" == "pending"
    with run.start(capture=False):
        assert isinstance(run.status, me.ExecutionState)
    assert run.status == "succeeded"
    assert run.metadata.status == "succeeded"


def test_a_pending_run_is_cancelled_and_can_be_started(run: me.Run) -> None:
    assert run.cancel() == "cancelled"
    assert run.status == "cancelled"
    assert run.metadata.execution_history[0].finished_at is not None
    for ask in (run.cancel, run.pause, run.resume):
        with pytest.raises(TransitionError):
            ask()
    with run.start(capture=False):
        pass
    assert run.status == "succeeded"
    assert broken_rules(run.workspace.root) == []


def test_what_does_not_run_is_neither_paused_nor_resumed(run: me.Run) -> None:
    for ask in (run.pause, run.resume):
        with pytest.raises(TransitionError):
            ask()
    assert run.status == "pending"
    assert not (run.run_dir / "requests").exists()


def test_a_run_moves_to_another_experiment_and_its_handle_follows(run: me.Run) -> None:
    with run.start(capture=False) as ctx:
        ctx.artifact.save("a", b"a")
        other = run.experiment.project.experiment("other")
        with pytest.raises(ConflictError):
            run.move_to(other)
    before, uid = run.experiment, run.uid
    assert run.move_to(other) is run
    assert run.address == "qm9/other/first"
    assert (run.experiment, run.uid) == (other, uid)
    assert run.assets.get("a").read_bytes() == b"a"
    assert before.list_runs() == []
    before.run(id="first")
    again = before.get_run("first")
    assert again is not None
    with pytest.raises(AlreadyExistsError):
        again.move_to(other)
    assert again.status == "pending"
    assert broken_rules(run.workspace.root) == []


def test_a_run_does_not_move_to_another_workspace(run: me.Run, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="another workspace"):
        run.move_to(make_run(tmp_path / "second").experiment)


def test_a_deleted_execution_is_hidden_until_it_is_restored(run: me.Run) -> None:
    for number in (1, 2):
        with run.start(capture=False, again=True) as ctx:
            ctx.artifact.save("a", str(number))
            ctx.set_result("x", number)
    run.delete_execution(2, reason="wrong")
    assert [each.number for each in run.metadata.execution_history] == [1]
    assert run.get_result("x") == 1
    assert [each.load() for each in run.assets.list("artifact")] == ["1"]
    with run.start(capture=False, again=True) as ctx:
        assert ctx.execution_dir.name == "0003"
        with pytest.raises(ConflictError):
            run.delete_execution(3)
    (uid,) = {each.of for each in run.workspace.trash.list()}
    assert uid is not None
    run.workspace.trash.restore(uid)
    assert [each.number for each in run.metadata.execution_history] == [1, 2, 3]
    assert broken_rules(run.workspace.root) == []


def test_a_handle_leads_up_to_its_workspace(run: me.Run, tmp_path: Path) -> None:
    assert run.experiment.project.workspace.root == tmp_path / "lab"
    assert run.run_dir == tmp_path / "lab/projects/qm9/experiments/baseline/runs/first"
    assert (run.id, run.name) == ("first", "first")
    assert "first" in repr(run)


def test_the_log_of_a_run_is_that_of_its_newest_execution(run: me.Run) -> None:
    for number in (1, 2):
        with run.start(capture=False, again=True) as ctx:
            ctx.log("a").append(str(number))
    assert run.log("a") == "2\n"
    assert run.log("a", execution=1) == "1\n"


def test_a_result_that_nobody_left_is_the_default(run: me.Run) -> None:
    assert run.get_result("x") is None
    assert run.get_result("x", 3) == 3
