from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import molexp as me
from molexp.disk import door
from molexp.errors import InvalidInputError, InvalidNameError, NotFoundError
from tests.recording.lab import broken_rules, files, in_child, make_run, raising


def _fail(run: me.Run, *names: str, **said: Any) -> list[me.CheckpointAsset]:
    made: list[me.CheckpointAsset] = []
    with raising(ZeroDivisionError), run.start(capture=False, **said) as ctx:
        made += [ctx.checkpoint(name, data={"step": len(name)}) for name in names]
        raise ZeroDivisionError
    return made


def test_a_checkpoint_gives_its_data_back(ctx: me.RunContext) -> None:
    ckpt = ctx.checkpoint("epoch-1", data={"step": 1, "loss": float("inf")}, tags={"best": True})
    assert ckpt.load()["data"] == {"step": 1, "loss": float("inf")}
    assert ckpt.read_json()["data"]["step"] == 1
    assert (ckpt.name, ckpt.kind, ckpt.step, ckpt.version) == ("epoch-1", "checkpoint", 1, 1)
    assert ckpt.ckpt_id == ckpt.asset_id
    assert ckpt.parent_ckpt_id is None
    assert ckpt.tags == {"best": True}
    assert ctx.checkpoint.latest() == ckpt


def test_checkpoints_chain(ctx: me.RunContext) -> None:
    first, second, third = (ctx.checkpoint("same", data=n) for n in range(3))
    assert second.parent_ckpt_id == first.ckpt_id
    assert third.parent_ckpt_id == second.ckpt_id
    assert [each.version for each in (first, second, third)] == [1, 2, 3]
    assert [each.load()["data"] for each in (first, second, third)] == [0, 1, 2]


def test_bytes_and_files_are_checkpoints_too(ctx: me.RunContext, tmp_path: Path) -> None:
    weights = tmp_path / "w.pt"
    weights.write_bytes(b"weights")
    assert ctx.checkpoint("a", data=b"raw").load() == b"raw"
    assert ctx.checkpoint("b", data=memoryview(b"raw")).read_bytes() == b"raw"
    asset = ctx.checkpoint("c", data=weights, step=7)
    assert asset.path == "checkpoints/c.pt"
    assert (asset.read_bytes(), asset.step) == (b"weights", 7)
    assert weights.exists()


def test_a_checkpoint_is_called_after_its_step(ctx: me.RunContext) -> None:
    ckpt = ctx.checkpoint_step(40, data={"w": [1]})
    assert (ckpt.name, ckpt.step, ckpt.load()["data"]) == ("step-40", 40, {"w": [1]})


@pytest.mark.parametrize("name", ["", "a/", "../a", "/a", "a/../b", "con", "a\0", "x" * 240])
def test_a_bad_name_makes_no_checkpoint(run: me.Run, name: str) -> None:
    with run.start(capture=False) as ctx, pytest.raises(InvalidNameError):
        ctx.checkpoint(name, data=1)
    assert files(run.run_dir / "0001") == {"ledger.jsonl", "end.json"}


@pytest.mark.parametrize("step", [-1, True, "1", 1.5, 1 << 63])
def test_a_step_that_counts_nothing_is_refused(run: me.Run, step: Any) -> None:
    with run.start(capture=False) as ctx, pytest.raises(InvalidInputError):
        ctx.checkpoint("a", data=1, step=step)
    assert files(run.run_dir / "0001") == {"ledger.jsonl", "end.json"}


def test_bad_data_makes_no_checkpoint(run: me.Run, tmp_path: Path) -> None:
    with run.start(capture=False) as ctx:
        for bad in (object(), {1: 2}, tmp_path):
            with pytest.raises(InvalidInputError):
                ctx.checkpoint("a", data=bad)
        with pytest.raises(NotFoundError):
            ctx.checkpoint("a", data=tmp_path / "not-there")
        assert ctx.checkpoint.latest() is None
    assert files(run.run_dir / "0001") == {"ledger.jsonl", "end.json"}


def test_a_checkpoint_commits_what_was_written_before_it(tmp_path: Path) -> None:
    run = make_run(tmp_path / "lab", durability="power")
    syncs: list[str] = []

    def gate(operation: str, function: Any, arguments: tuple[Any, ...]) -> Any:
        syncs.extend([operation] if operation.startswith("sync") else [])
        return function(*arguments)

    with run.start(capture=False) as ctx, door.gated(gate):
        ctx.artifact.save("a", b"a")
        assert syncs == []
        ctx.checkpoint("c", data=1)
        assert syncs


def test_the_chain_goes_over_executions_that_did_not_succeed(run: me.Run) -> None:
    (*_, last) = _fail(run, "a", "bb")
    with run.start(capture=False) as ctx:
        latest = ctx.checkpoint.latest()
        assert latest is not None
        assert latest.ckpt_id == last.ckpt_id
        assert latest.load()["data"] == {"step": 2}
        assert ctx.resumed_step == 2
        assert ctx.checkpoint("ccc", data=None).parent_ckpt_id == last.ckpt_id


def test_a_run_that_succeeded_begins_anew(run: me.Run) -> None:
    with run.start(capture=False) as ctx:
        ctx.checkpoint("a", data={"step": 1})
    with run.start(capture=False, again=True) as ctx:
        assert ctx.checkpoint.latest() is None
        assert ctx.resumed_step is None


def test_checkpoints_of_a_deleted_execution_are_not_gone_on_from(run: me.Run) -> None:
    (kept,) = _fail(run, "a")
    _fail(run, "bb")
    run.delete_execution(2)
    with run.start(capture=False) as ctx:
        latest = ctx.checkpoint.latest()
        assert latest is not None
        assert (latest.ckpt_id, ctx.resumed_step) == (kept.ckpt_id, 1)


def test_the_newest_checkpoint_of_any_process_is_the_latest(run: me.Run) -> None:
    with run.start(capture=False) as ctx:
        ctx.checkpoint("mine", data=1)
        theirs = in_child(lambda: ctx.checkpoint("theirs", data=2).ckpt_id)
        latest = ctx.checkpoint.latest()
        assert latest is not None
        assert latest.ckpt_id == theirs
        assert ctx.checkpoint("next", data=3).parent_ckpt_id == theirs
    assert broken_rules(run.workspace.root) == []
