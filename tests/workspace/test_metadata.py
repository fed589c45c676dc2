from __future__ import annotations

import molexp as me
from tests.recording.lab import raising


def test_the_metadata_of_a_run_tells_of_every_attempt(run: me.Run) -> None:
    empty = run.metadata
    assert empty.latest is None
    assert empty.execution_history == ()
    assert (empty.error, empty.finished_at, empty.last_step, empty.profile) == (None,) * 4
    assert empty.config == {}
    with raising(ValueError, match="first"), run.start(capture=False) as ctx:
        ctx.checkpoint("a", data={"step": 5})
        raise ValueError("first")
    with run.start({"a": 1}, capture=False) as second:
        ctx_running = run.metadata
        second.metric("loss", 0.5)
    assert ctx_running.finished_at is None
    assert ctx_running.status == "running"
    meta = run.metadata
    failed, done = meta.execution_history
    assert (failed.number, failed.status, failed.last_step) == (1, "failed", 5)
    assert failed.error is not None
    assert failed.error.message == "first"
    assert (done.execution_id, done.status) == (second.execution_id, "succeeded")
    assert done.metrics["loss"].last == 0.5
    assert meta.error is None
    assert meta.config == {"a": 1}
    assert meta.config_hash is not None
    assert meta.finished_at == done.finished_at
    assert meta.started_at == done.started_at
    assert meta.parameter_space == meta.parameters == {"lr": 0.1}
    assert done.owner.pid > 0


def test_an_attempt_is_printed_in_a_line(run: me.Run) -> None:
    with run.start(capture=False):
        [running] = run.metadata.execution_history
    [done] = run.metadata.execution_history
    began, ended = (f"{at:%Y-%m-%dT%H:%M:%SZ}" for at in (done.started_at, done.finished_at))
    said = f"ExecutionInfo(number=1, status='running', started_at={began})"
    assert repr(running) == said
    assert repr(done) == said.replace("running", "succeeded")[:-1] + f", finished_at={ended})"
