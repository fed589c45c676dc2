from __future__ import annotations

import asyncio
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

import molexp as me
from molexp.disk import door
from molexp.errors import (
    CancelledError,
    InvalidInputError,
    MolexpError,
    NotFoundError,
    StorageError,
    TransitionError,
)
from tests.recording.lab import broken_rules, files, lines, make_run


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


def test_the_block_of_a_run_records_one_execution(run: me.Run) -> None:
    assert run.status == "pending"
    with run.start(capture=False) as ctx:
        assert run.status == "running"
        assert ctx.run_dir == run.run_dir
        assert ctx.execution_dir == run.run_dir / "0001"
        assert dict(ctx.params) == {"lr": 0.1}
        assert isinstance(ctx.logger, logging.Logger)
        assert ctx.resumed_step is None
    assert run.status == "succeeded"
    (only,) = run.metadata.execution_history
    assert only.execution_id == ctx.execution_id
    assert only.finished_at is not None
    assert only.started_at <= only.finished_at


def test_a_run_is_its_own_block(run: me.Run) -> None:
    with run as ctx:
        ctx.set_result("x", 1)
    assert run.get_result("x") == 1
    assert run.status == "succeeded"


def test_an_async_block_records_as_well(run: me.Run) -> None:
    async def main() -> None:
        async with run.start(capture=False) as ctx:
            await asyncio.sleep(0)
            ctx.set_result("x", 1)
        async with run.experiment.run(id="second") as ctx:
            ctx.set_result("x", 2)

    asyncio.run(main())
    assert run.get_result("x") == 1
    assert run.experiment.run(id="second").get_result("x") == 2


def test_a_task_that_asyncio_cancels_is_cancelled(run: me.Run) -> None:
    async def work() -> None:
        async with run.start(capture=False):
            await asyncio.sleep(60)

    async def main() -> None:
        task = asyncio.create_task(work())
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert run.status == "cancelled"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ValueError("bad"), "failed"),
        (SystemExit(0), "succeeded"),
        (SystemExit(None), "succeeded"),
        (SystemExit(1), "failed"),
        (SystemExit("why"), "failed"),
        (KeyboardInterrupt(), "cancelled"),
        (asyncio.CancelledError(), "cancelled"),
        (CancelledError("asked", cure="-", reason="late"), "cancelled"),
        (GeneratorExit(), "failed"),
        (BaseExceptionGroup("all", [asyncio.CancelledError()]), "cancelled"),
        (
            BaseExceptionGroup(
                "some", [asyncio.CancelledError(), ExceptionGroup("x", [OSError()])]
            ),
            "failed",
        ),
        (Unprintable(), "failed"),
        (StorageError("disk", cure="-"), "failed"),
        (RecursionError(), "failed"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else str(value),
)
def test_how_the_block_is_left_is_how_the_execution_ends(
    run: me.Run, error: BaseException, status: str
) -> None:
    with pytest.raises(type(error)) as raised, run.start(capture=False):
        raise error
    assert raised.value is error
    assert run.status == status
    kinds = [each.kind for each in run.assets.list()]
    assert ("error_trace" in kinds) is (status == "failed")
    assert broken_rules(run.workspace.root) == []


def test_an_error_is_told_with_its_type_its_message_and_its_trace(run: me.Run) -> None:
    with pytest.raises(ValueError, match="too hot"), run.start(capture=False):
        raise ValueError("too hot: 451 °C")
    error = run.metadata.error
    assert error is not None
    assert (error.type, error.message) == ("ValueError", "too hot: 451 °C")
    (trace,) = run.assets.list("error_trace")
    assert isinstance(trace, me.ErrorTraceAsset)
    assert trace.asset_id == error.trace
    assert "test_context.py" in trace.read_text()
    assert "ValueError: too hot" in trace.read_text()


def test_an_error_that_cannot_be_shown_is_told_all_the_same(run: me.Run) -> None:
    with pytest.raises(Unprintable), run.start(capture=False):
        raise Unprintable
    assert run.metadata.error is not None
    assert run.metadata.error.type.endswith("Unprintable")
    assert run.assets.get("error").kind == "error_trace"


def test_a_group_of_errors_is_told_whole(run: me.Run) -> None:
    with pytest.raises(ExceptionGroup), run.start(capture=False):
        raise ExceptionGroup("both", [ValueError("one"), TypeError("two")])
    trace = run.assets.get("error").read_text()
    assert "ValueError: one" in trace
    assert "TypeError: two" in trace


def test_a_generator_that_is_given_up_ends_its_execution(run: me.Run) -> None:
    def steps() -> Any:
        with run.start(capture=False) as ctx:
            yield ctx
            yield ctx

    generator = steps()
    next(generator).set_result("x", 1)
    generator.close()
    assert run.status == "failed"
    assert run.get_result("x") == 1


def test_results_are_values_and_the_next_execution_reads_them(run: me.Run) -> None:
    with run.start(capture=False) as ctx:
        asset = ctx.set_result("final_loss", 0.1)
        assert (asset.kind, asset.value, asset.load(), asset.path) == ("output", 0.1, 0.1, None)
        ctx.set_result("final_loss", float("nan"))
        ctx.set_result("nested", {"a": [1, None, "x"]})
        assert ctx.get_result("nested") == {"a": [1, None, "x"]}
        assert ctx.get_result("other", "default") == "default"
        assert ctx.set_result("final_loss", 0.2).asset_id == asset.asset_id
    assert run.get_result("final_loss") == 0.2
    assert len(run.assets.list("output")) == 2
    with run.start(capture=False, again=True) as ctx:
        assert ctx.get_result("final_loss") == 0.2
        assert run.get_result("final_loss") == 0.2
    assert broken_rules(run.workspace.root) == []


@pytest.mark.parametrize("value", [object(), {1: 2}, {1}, b"x", "\ud800", Path("x")])
def test_a_result_that_json_cannot_say_is_refused(ctx: me.RunContext, value: Any) -> None:
    with pytest.raises(InvalidInputError, match="final"):
        ctx.set_result("final", value)
    assert ctx.get_result("final") is None


@pytest.mark.parametrize("name", ["", 3, None, "\ud800"])
def test_a_result_is_named_by_a_text(run: me.Run, name: Any) -> None:
    with run.start(capture=False) as ctx, pytest.raises(InvalidInputError):
        ctx.set_result(name, 1)
    assert len(lines(run)) == 1


def test_inputs_are_written_down(run: me.Run, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("in")
    with run.start(capture=False, inputs={"seed": 3, "file": tmp_path / "in.txt"}) as ctx:
        ctx.set_active_task("prepare")
        ctx.input("folder", path=tmp_path)
        ctx.input("nothing")
    inputs = [line["input"] for line in lines(run) if "input" in line]
    assert [each["name"] for each in inputs] == ["seed", "file", "folder", "nothing"]
    assert inputs[0]["value"] == 3
    assert inputs[1]["path"] == str(tmp_path / "in.txt")
    assert inputs[1]["content_hash"].startswith("sha256:")
    assert inputs[2]["task"] == "prepare"
    assert broken_rules(run.workspace.root) == []


def test_an_input_that_is_not_there_starts_nothing(run: me.Run, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        run.start(capture=False, inputs={"file": tmp_path / "not-there"})
    with pytest.raises(InvalidInputError):
        run.start(capture=False, inputs={"x": object()})
    assert run.status == "pending"
    assert files(run.run_dir) == {"meta.json"}


def test_a_bad_input_that_shows_late_ends_the_execution(run: me.Run) -> None:
    with pytest.raises(MolexpError):
        run.start(capture=False, inputs={3: 1})  # type: ignore[dict-item]
    assert run.status in ("failed", "pending")
    with run.start(capture=False):
        pass


def test_what_is_done_after_a_task_is_named_is_of_that_task(run: me.Run) -> None:
    with run.start(capture=False) as ctx:
        ctx.set_active_task("train")
        asset = ctx.artifact.save("a", b"")
        seen: list[str | None] = []

        def work() -> None:
            other = ctx.artifact.save("b", b"")
            seen.append(other.producer.task if other.producer else None)
            ctx.set_active_task("of the thread")
            other = ctx.artifact.save("c", b"")
            seen.append(other.producer.task if other.producer else None)

        thread = Thread(target=work)
        thread.start()
        thread.join()
        ctx.set_active_task(None)
        assert ctx.artifact.save("d", b"").producer is None
    assert asset.producer is not None
    assert asset.producer.task == "train"
    assert seen == ["train", "of the thread"]
    assert [each.name for each in run.assets.query(producer_task="train")] == ["a", "b"]


def test_what_programs_write_lies_in_the_work_directory_and_is_listed(run: me.Run) -> None:
    with run.start(capture=False) as ctx:
        (ctx.work_dir / "deep").mkdir()
        (ctx.work_dir / "deep" / "out.txt").write_text("out")
        assert ctx.work_dir == ctx.execution_dir / "work"
    end = run.metadata.execution_history[0].end
    assert end is not None
    assert "work/deep/out.txt" in [each.path for each in end.manifest]
    assert broken_rules(run.workspace.root) == []


def test_the_configuration_is_that_of_the_profile(run: me.Run) -> None:
    with run.start(capture=False) as ctx:
        assert ctx.config.name is None
        assert ctx.config == {}
    profile = me.Profile(name="fast", values={"epochs": 3, "nested": {"a": [1]}})
    with run.start(profile, again=True, capture=False) as ctx:
        assert ctx.config.name == "fast"
        assert ctx.config["epochs"] == 3
    meta = run.metadata
    assert (meta.profile, meta.config) == ("fast", {"epochs": 3, "nested": {"a": [1]}})
    with run.start({"epochs": 3, "nested": {"a": [1]}}, again=True, capture=False) as ctx:
        assert ctx.config.name is None
        assert ctx.config == {"epochs": 3, "nested": {"a": [1]}}
    assert run.metadata.config_hash == meta.config_hash


@pytest.mark.parametrize("config", [3, "fast", [1], {"f": object()}, {1: 2}])
def test_a_bad_configuration_starts_nothing(run: me.Run, config: Any) -> None:
    with pytest.raises(InvalidInputError):
        run.start(config, capture=False)
    assert run.status == "pending"


def test_the_data_directory_of_a_name_or_a_fallback(run: me.Run, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "a.txt").write_text("a")
    run.experiment.data_assets.import_asset("folder", source)
    run.experiment.data_assets.import_asset("file", source / "a.txt")
    with run.start(capture=False) as ctx:
        assert (ctx.get_data_dir("folder") / "a.txt").read_text() == "a"
        assert (ctx.get_data_dir("file") / "a.txt").read_text() == "a"
        assert ctx.get_data_dir("other", fallback=source) == source
        with pytest.raises(NotFoundError):
            ctx.get_data_dir("other")
        with pytest.raises(NotFoundError):
            ctx.get_data_dir("other", fallback=tmp_path / "not-there")
    assert len([line for line in lines(run) if "input" in line]) == 3


def test_published_assets_are_found_by_other_runs(run: me.Run) -> None:
    with run.start(capture=False) as ctx:
        asset = ctx.artifact.save("weights/best.bin", b"w", tags={"a": "b"}, meta={"n": 1})
        data = ctx.publish(asset, scope="experiment")
        assert (data.name, data.kind, data.refers_to) == ("best.bin", "data", asset.asset_id)
        assert ctx.publish(asset, scope="experiment").asset_id == data.asset_id
        assert ctx.publish(asset, "workspace", name="shared").scope == ""
    with run.experiment.run(id="second").start(capture=False) as other:
        found = other.find_asset("best.bin")
        assert found.read_bytes() == b"w"
        assert (found.tags, found.meta, found.content_hash) == (
            {"a": "b"},
            {"n": 1},
            asset.content_hash,
        )
    elsewhere = run.workspace.project("other").experiment("e").run(id="r")
    with elsewhere.start(capture=False) as other:
        assert other.find_asset("shared").read_bytes() == b"w"
        with pytest.raises(NotFoundError):
            other.find_asset("best.bin")
    assert broken_rules(run.workspace.root) == []


def test_only_what_this_run_made_is_published_and_only_to_a_scope_of_it(run: me.Run) -> None:
    with run.start(capture=False) as ctx:
        mine = ctx.artifact.save("a", b"")
    with run.experiment.run(id="second").start(capture=False) as other:
        with pytest.raises(InvalidInputError, match="not made by this run"):
            other.publish(mine)
        own = other.artifact.save("a", b"")
        for scope in ("run", "everywhere", "", None):
            with pytest.raises(InvalidInputError, match=r"scope|published"):
                other.publish(own, scope=scope)  # type: ignore[arg-type]
        with pytest.raises(InvalidInputError):
            other.publish(own, name="../x")
    assert not (run.workspace.root / "data").exists()
    assert run.experiment.data_assets.list_assets() == []


def test_suspending_ends_on_purpose_and_the_next_start_goes_on(run: me.Run) -> None:
    with run.start(capture=False) as ctx:
        ctx.checkpoint_step(10, data={"w": 1})
        ctx.suspend(at_step=12, reason="wall time")
        with pytest.raises(TransitionError):
            ctx.log("a").append("too late")
    assert run.status == "suspended"
    assert run.metadata.last_step == 12
    assert run.metadata.execution_history[0].reason == "wall time"
    with run.start(capture=False) as ctx:
        assert ctx.resumed_step == 12
        latest = ctx.checkpoint.latest()
        assert latest is not None
        assert latest.load()["data"] == {"w": 1}
    assert run.status == "succeeded"


def test_suspending_without_a_step_tells_that_of_the_last_checkpoint(run: me.Run) -> None:
    with run.start(capture=False) as ctx:
        ctx.checkpoint("a", data={"step": 4})
        ctx.suspend()
    assert run.metadata.last_step == 4
    with run.start(capture=False) as ctx:
        assert ctx.resumed_step == 4


@pytest.mark.parametrize("step", [-1, "x", 1.5, 1 << 70])
def test_suspending_at_no_step_is_refused_and_the_run_goes_on(run: me.Run, step: Any) -> None:
    with run.start(capture=False) as ctx:
        with pytest.raises(InvalidInputError):
            ctx.suspend(at_step=step)
        assert run.status == "running"
        ctx.log("a").append("goes on")
    assert run.status == "succeeded"
    assert run.log("a") == "goes on\n"
    assert broken_rules(run.workspace.root) == []


@pytest.mark.parametrize("status", ["running", "paused", "pending", "unknown", "done", ""])
def test_an_execution_ends_in_no_other_state_than_those_of_ends(run: me.Run, status: str) -> None:
    with run.start(capture=False) as ctx:
        with pytest.raises(InvalidInputError, match="succeeded"):
            ctx.end(status)
        ctx.end("failed", reason="by hand")
    assert run.status == "failed"
    assert run.metadata.execution_history[0].reason == "by hand"


def test_ending_twice_is_refused_and_leaving_the_block_is_not(run: me.Run) -> None:
    with run.start(capture=False) as ctx:
        ctx.end()
        with pytest.raises(TransitionError, match="succeeded"):
            ctx.end()


def test_threads_that_still_write_when_the_run_ends_are_refused_and_spoil_nothing(
    run: me.Run,
) -> None:
    refused: list[BaseException] = []
    acknowledged: list[str] = []
    ctx = run.start(capture=False)

    def work(number: int) -> None:
        for count in range(10_000):
            try:
                ctx.artifact.save(f"a{number}", b"x" * 10)
                acknowledged.append(f"a{number}")
                ctx.log(f"l{number}").append("x")
                acknowledged.append(f"l{number}")
                ctx.metric("m", count)
                ctx.set_result(f"r{number}", count)
            except BaseException as error:  # noqa: BLE001 - the test looks at all of them
                refused.append(error)
                return

    threads = [Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    while len(acknowledged) < 100:
        pass
    ctx.end()
    for thread in threads:
        thread.join()
    assert {type(error) for error in refused} == {TransitionError}
    assert len(refused) == 4
    assert broken_rules(run.workspace.root) == []
    made = [each.name for each in run.assets.list("artifact")]
    for number in range(4):
        assert made.count(f"a{number}") == acknowledged.count(f"a{number}")
        assert run.log(f"l{number}").count("x") == acknowledged.count(f"l{number}")


def test_a_workspace_is_not_closed_beneath_a_run_that_is_recorded(run: me.Run) -> None:
    with run.start(capture=False) as ctx:
        with pytest.raises(me.errors.ConflictError, match="leave the block"):
            run.workspace.close()
        ctx.artifact.save("a", b"a")
    run.workspace.close()
    assert run.assets.get("a").read_bytes() == b"a"


def test_a_closed_context_says_who_has_ended_and_does_nothing(run: me.Run) -> None:
    with run.start(capture=False) as ctx:
        ctx.set_result("x", 1)
        ctx.log("a").append("1")
        asset = ctx.artifact.save("a.txt", "a")
    before = files(run.run_dir)
    assert asset.read_text() == "a"
    assert dict(ctx.params) == {"lr": 0.1}
    assert ctx.run_dir == run.run_dir
    for use in (
        lambda: ctx.get_result("x"),
        lambda: ctx.log("a").tail(),
        lambda: ctx.log("a").read(),
        ctx.checkpoint.latest,
        lambda: ctx.find_asset("a.txt"),
        lambda: ctx.get_data_dir("a.txt"),
        lambda: ctx.work_dir,
        ctx.check,
        ctx.sync,
        lambda: ctx.set_result("y", 1),
        lambda: ctx.metric("m", 1),
        lambda: ctx.input("i", 1),
        lambda: ctx.publish(asset),
        ctx.suspend,
        lambda: ctx.checkpoint("c", data=1),
        ctx.end,
    ):
        with pytest.raises(TransitionError, match=r"has ended|was left"):
            use()
    ctx.logger.warning("to nobody")
    assert files(run.run_dir) == before


def test_an_open_directory_of_an_execution_gives_its_context(run: me.Run) -> None:
    with run.start(capture=False) as ctx:
        assert me.RunContext.open(run.run_dir) is ctx
        assert me.RunContext.open(ctx.execution_dir) is ctx
        assert me.RunContext.open() is ctx
    done = me.RunContext.open(run.run_dir)
    assert done.execution_id == ctx.execution_id
    with pytest.raises(TransitionError, match="has ended"):
        done.artifact.save("a", b"")
    with pytest.raises(NotFoundError, match="MOLEXP_EXECUTION"):
        me.RunContext.open()


def test_what_is_no_run_cannot_be_opened(run: me.Run, tmp_path: Path) -> None:
    for path in (tmp_path, run.experiment.experiment_dir, run.run_dir / "0001", tmp_path / "no"):
        with pytest.raises(NotFoundError):
            me.RunContext.open(path)


def test_a_refused_end_is_made_good_by_ending_again(tmp_path: Path) -> None:
    run = make_run(tmp_path / "lab")
    ctx = run.start(capture=False)
    ctx.log("a").append("before")

    def gate(operation: str, function: Any, arguments: tuple[Any, ...]) -> Any:
        if operation == "link":
            raise OSError(28, "No space left on device")
        return function(*arguments)

    with door.gated(gate), pytest.raises(StorageError):
        ctx.end()
    ctx.log("a").append("between")
    ctx.artifact.save("b", b"b")
    ctx.end()
    assert run.status == "succeeded"
    assert run.log("a") == "before\nbetween\n"
    assert len(run.assets.list("log")) == 1
    assert broken_rules(tmp_path / "lab") == []


@pytest.mark.parametrize("is_begun", [False, True])
@pytest.mark.parametrize(
    "write",
    [
        lambda ctx: ctx.artifact.save("a.txt", "x"),
        lambda ctx: ctx.artifact.open("a.bin", "wb").__enter__(),
        lambda ctx: ctx.artifact.directory("tiles").__enter__(),
        lambda ctx: ctx.checkpoint("c", data={"step": 1}),
        lambda ctx: ctx.log("new").append("x"),
    ],
)
def test_what_was_removed_under_its_writer_is_told_with_its_path(
    run: me.Run, is_begun: bool, write: Callable[[me.RunContext], object]
) -> None:
    ctx = run.start(capture=False)
    if is_begun:
        ctx.artifact.save("before.txt", "x")
        ctx.checkpoint("before", data={})
        ctx.log("before").append("x")
    shutil.rmtree(run.run_dir)
    with pytest.raises(NotFoundError, match=str(run.run_dir)):
        write(ctx)
    with pytest.raises(NotFoundError, match=str(run.run_dir)):
        ctx.end()
    assert "MOLEXP_EXECUTION" not in os.environ
    with pytest.raises(TransitionError, match="removed by somebody else"):
        ctx.artifact.save("later.txt", "x")
