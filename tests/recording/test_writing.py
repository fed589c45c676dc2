from __future__ import annotations

from threading import Thread

import pytest

import molexp as me
from molexp.errors import InvalidNameError, TransitionError
from molexp.recording import session
from molexp.recording.writing import Writing, ended
from tests.recording.lab import files, in_child


@pytest.fixture
def writing(ctx: me.RunContext) -> Writing:
    return session.join(ctx.execution_dir).recorder.writing()


def test_the_owner_has_files_without_its_name_and_others_have_their_own(
    ctx: me.RunContext, writing: Writing
) -> None:
    assert writing.is_owner
    assert writing.path_of_lines("logs/a.b.log") == "logs/a.b.log"

    def child() -> list[object]:
        joined = session.join(ctx.execution_dir).recorder.writing()
        return [joined.is_owner, joined.path_of_lines("logs/a.b.log"), joined.site.writer]

    is_owner, path, writer = in_child(child)
    assert not is_owner
    assert path == f"logs/a.b-{writer}.log"


def test_an_owner_is_alone_until_somebody_joins(ctx: me.RunContext, writing: Writing) -> None:
    assert writing.is_alone
    in_child(lambda: ctx.log("a").append("x"))
    assert not writing.is_alone


def test_directories_and_files_are_made_when_they_are_first_used(
    run: me.Run, writing: Writing
) -> None:
    assert files(run.run_dir / "0001") == {"ledger.jsonl"}
    assert writing.inside("a/b") is writing.inside("a/b")
    first = writing.lines("a/b/c.jsonl")
    assert writing.lines("a/b/c.jsonl") is first
    writing.append(first, b"{}\n")
    assert (run.run_dir / "0001/a/b/c.jsonl").read_text() == "{}\n"


def test_a_file_is_registered_once_and_before_its_first_line(writing: Writing) -> None:
    told: list[str] = []
    for _ in range(2):
        writing.append(writing.lines("logs/x.log", told.append), b"x\n")
    assert told == ["logs/x.log"]


def test_a_registration_that_is_refused_is_made_up_for(writing: Writing) -> None:
    told: list[str] = []

    def refuse(path: str) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        writing.lines("logs/x.log", refuse)
    writing.append(writing.lines("logs/x.log", told.append), b"x\n")
    assert told == ["logs/x.log"]


def test_twins_are_refused_in_every_folder(writing: Writing) -> None:
    writing.know("logs", "a/B/c")
    writing.know("logs", "a/B/d")
    writing.know("artifacts", "A/b")
    for twin in ("A/x", "a/b/e", "a/B/C"):
        with pytest.raises(InvalidNameError):
            writing.know("logs", twin)


def test_an_end_waits_for_what_was_begun_and_refuses_what_comes_then(writing: Writing) -> None:
    order: list[str] = []

    def stop() -> None:
        writing.stop()
        order.append("stopped")

    stopper = Thread(target=stop)
    with writing.at_work():
        stopper.start()
        while writing.over is None:
            pass
        with pytest.raises(TransitionError), writing.at_work():
            pytest.fail("it was let in")
        order.append("done")
    stopper.join()
    assert order == ["done", "stopped"]
    file = writing.files.get("x")
    assert file is None
    writing.go_on()
    with writing.at_work():
        pass


def test_all_who_would_end_it_are_told_when_nobody_is_at_work(writing: Writing) -> None:
    for _ in range(2):  # an end that was refused is tried again
        with writing.at_work():
            stoppers = [Thread(target=writing.stop) for _ in range(3)]
            for stopper in stoppers:
                stopper.start()
            for stopper in stoppers:
                stopper.join(0.05)
            assert all(stopper.is_alive() for stopper in stoppers)
        for stopper in stoppers:
            stopper.join(10)
        assert not any(stopper.is_alive() for stopper in stoppers)
        writing.go_on()


def test_the_error_of_what_has_ended_says_how_and_what_to_do() -> None:
    error = ended("lab/run", "failed")
    assert "lab/run has ended (failed)" in str(error)
    assert "start the run again" in error.cure
