from __future__ import annotations

import pytest

import molexp as me
from molexp.errors import InvalidInputError, TransitionError
from molexp.recording import session
from molexp.recording.recorder import Recorder
from tests.recording.lab import in_child, lines


@pytest.fixture
def recorder(ctx: me.RunContext) -> Recorder:
    return session.join(ctx.execution_dir).recorder


def test_a_forked_child_gets_a_writing_of_its_own(recorder: Recorder) -> None:
    mine = recorder.unchecked()
    assert recorder.writing() is mine
    is_mine, forks, is_owner = in_child(
        lambda: [
            recorder.unchecked() is mine,
            recorder.writing().forks,
            recorder.writing().is_owner,
        ]
    )
    assert not is_mine
    assert forks == mine.forks + 1
    assert not is_owner


def test_what_is_said_of_an_asset_is_checked_before_it_is_made(recorder: Recorder) -> None:
    assert recorder.said() == {}
    assert recorder.said({"a": True}, {"n": 1})["tags"] == {"a": True}
    for tags, meta, consumed in (
        ({"a": 1}, None, ()),
        (None, {"f": object()}, ()),
        (None, None, [3]),
    ):
        with pytest.raises(InvalidInputError):
            recorder.said(tags, meta, consumed)  # type: ignore[arg-type]


def test_an_asset_is_used_once_by_a_task(
    ctx: me.RunContext, recorder: Recorder, run: me.Run
) -> None:
    asset = ctx.artifact.save("a", b"")
    for task in (None, None, "train", "train", "test"):
        ctx.set_active_task(task)
        recorder.use(asset)
    used = [line["input"].get("task") for line in lines(run) if "input" in line]
    assert used == [None, "train", "test"]


def test_tasks_of_two_runs_in_one_thread_are_told_apart(run: me.Run) -> None:
    other = run.experiment.run(id="second")
    with run.start(capture=False) as one, other.start(capture=False) as two:
        one.set_active_task("one")
        two.set_active_task("two")
        made = [each.artifact.save("a", b"").producer for each in (one, two)]
    assert [each.task for each in made if each is not None] == ["one", "two"]


def test_nothing_is_read_from_a_context_that_was_left(run: me.Run) -> None:
    with run.start(capture=False) as ctx:
        recorder = session.join(ctx.execution_dir).recorder
        assert recorder.reading() is recorder.unchecked()
    with pytest.raises(TransitionError, match=r"run\.get_result"):
        recorder.reading()
