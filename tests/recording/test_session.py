from __future__ import annotations

import os
from pathlib import Path

import pytest

import molexp as me
from molexp.errors import ConflictError, NotFoundError, TransitionError
from molexp.recording import session
from molexp.recording.session import VARIABLE
from tests.recording.lab import broken_rules, in_child, lines


def test_a_run_that_is_at_work_is_not_started_again(run: me.Run) -> None:
    with run.start(capture=False), pytest.raises(ConflictError, match=f"process {os.getpid()}"):
        run.start(capture=False)
    assert [each.status for each in run.metadata.execution_history] == ["succeeded"]


def test_a_run_that_succeeded_is_started_again_only_on_purpose(run: me.Run) -> None:
    with run.start(capture=False):
        pass
    with pytest.raises(TransitionError, match=r"start\(again=True\)"):
        run.start(capture=False)
    with run.start(capture=False, again=True) as ctx:
        assert ctx.execution_dir.name == "0002"


def test_processes_that_are_started_find_the_execution_while_it_lasts(run: me.Run) -> None:
    assert VARIABLE not in os.environ
    other = run.experiment.run(id="second")
    with run.start(capture=False) as ctx:
        assert os.environ[VARIABLE] == str(ctx.execution_dir)
        with other.start(capture=False):
            assert os.environ[VARIABLE] == str(ctx.execution_dir)
        assert os.environ[VARIABLE] == str(ctx.execution_dir)
    assert VARIABLE not in os.environ


def test_the_number_of_an_execution_is_the_one_that_is_meant(run: me.Run) -> None:
    for _ in range(2):
        with run.start(capture=False, again=True):
            pass
    assert session.join(run.run_dir / "0001").recorder.number == 1
    assert session.join(run.run_dir).recorder.number == 2
    with pytest.raises(NotFoundError):
        session.join(run.run_dir / "0003")


def test_a_process_has_joined_an_execution_once_however_often_it_opens_it(run: me.Run) -> None:
    with run.start(capture=False) as ctx:

        def child() -> list[bool]:
            one = me.RunContext.open(ctx.execution_dir)
            again = me.RunContext.open(run.run_dir)
            with one:
                one.log("a").append("1")
            after = me.RunContext.open()
            after.log("a").append("2")
            return [one is again, after is one]

        assert in_child(child) == [True, False]
    assert run.log("a").split() == ["1", "2"]
    assert len(run.assets.list("log")) == 1
    assert broken_rules(run.workspace.root) == []


def test_somebody_elses_end_is_told_to_the_owner(run: me.Run) -> None:
    ctx = run.start(capture=False)
    end = run.run_dir / "0001" / "end.json"
    with run.experiment.run(id="second").start(capture=False) as other:
        pass
    theirs = (other.execution_dir / "end.json").read_text()
    end.write_text(theirs.replace(other.execution_id, ctx.execution_id))
    with pytest.raises(ConflictError, match="ended by somebody else"):
        ctx.end("failed")
    with pytest.raises(TransitionError):
        ctx.end()
    with pytest.raises(TransitionError):
        ctx.log("a").append("x")


def test_secrets_in_a_message_are_not_kept(run: me.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "hunter2-hunter2-hunter2"
    monkeypatch.setenv("MY_API_TOKEN", secret)
    with pytest.raises(ValueError, match="hunter2"), run.start(capture=False):
        raise ValueError(f"https://me:{secret}@example.org refused")
    for path in run.run_dir.rglob("*"):
        assert path.is_dir() or secret not in path.read_text()


def test_an_execution_says_which_it_goes_on_from(run: me.Run) -> None:
    with run.start(capture=False) as ctx:
        ckpt = ctx.checkpoint("a", data={"step": 3})
        ctx.suspend()
    with run.start(capture=False):
        pass
    start = lines(run, 2, "ledger.jsonl")[0]["start"]
    assert (start["resumed_from"], start["resumed_step"]) == (ckpt.ckpt_id, 3)


def test_changing_the_directory_changes_nothing(
    run: me.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    with monkeypatch.context() as patch:
        patch.chdir(tmp_path)
        local = me.Workspace("relative").project("p").experiment("e").run(id="r")
        with local.start(capture=False) as ctx:
            patch.chdir(tmp_path / "elsewhere")
            asset = ctx.artifact.save("a.txt", "a")
            assert asset.absolute_path() == tmp_path / "relative" / (
                "projects/p/experiments/e/runs/r/0001/artifacts/a.txt"
            )
            assert ctx.work_dir.is_dir()
            in_child(lambda: ctx.log("a").append("x"))
            assert os.environ[VARIABLE].startswith(str(tmp_path / "relative"))
        assert local.log("a") == "x\n"
    assert broken_rules(tmp_path / "relative") == []
