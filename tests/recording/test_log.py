from __future__ import annotations

from threading import Thread
from typing import Any

import pytest

import molexp as me
from molexp.errors import InvalidInputError, InvalidNameError, TransitionError
from tests.recording.lab import broken_rules, files, in_child, raising


def test_a_log_is_one_object_per_name(ctx: me.RunContext) -> None:
    assert ctx.log("train") is ctx.log("train")
    assert ctx.log("train") is not ctx.log("test")


def test_lines_are_there_once_they_are_appended(ctx: me.RunContext, run: me.Run) -> None:
    log = ctx.log("train")
    for epoch in range(20):
        log.append(f"epoch {epoch}")
    path = ctx.execution_dir / "logs" / "train.log"
    assert path.read_text() == "".join(f"epoch {epoch}\n" for epoch in range(20))
    assert log.tail(5) == [f"epoch {epoch}" for epoch in range(15, 20)]
    assert log.tail() == [f"epoch {epoch}" for epoch in range(10, 20)]
    assert log.tail(0) == log.tail(-1) == []
    assert len(log.tail(100)) == 20
    assert run.log("train") == log.read() == path.read_text()


def test_a_log_is_one_asset_whose_size_and_digest_the_end_says(run: me.Run) -> None:
    with run.start(capture=False) as ctx:
        ctx.log("train").append("one")
        ctx.log("train").append("two")
        (live,) = run.assets.list("log")
        assert live.content_hash is None
    (asset,) = run.assets.list("log")
    assert (asset.name, asset.size, asset.load()) == ("train", 8, "one\ntwo\n")
    assert asset.content_hash is not None


def test_a_log_that_nobody_wrote_to_leaves_nothing(run: me.Run) -> None:
    with run.start(capture=False) as ctx:
        assert ctx.log("train").tail() == []
        assert ctx.log("train").read() == ""
    assert files(run.run_dir / "0001") == {"ledger.jsonl", "end.json"}


@pytest.mark.parametrize("text", ["", "two\nlines", "täglich", "half \ud800", "\0", "x" * 100_000])
def test_any_text_can_be_logged(ctx: me.RunContext, text: str) -> None:
    ctx.log("a").append(text)
    assert ctx.log("a").read() == text.encode("utf-8", "backslashreplace").decode() + "\n"


@pytest.mark.parametrize("text", [3, None, b"x"])
def test_what_is_no_text_is_refused_with_a_hint(ctx: me.RunContext, text: Any) -> None:
    with pytest.raises(InvalidInputError, match=r"append\(str\(value\)\)"):
        ctx.log("a").append(text)


@pytest.mark.parametrize("name", ["../x", "", "a//b", "/x", "aux", "a\\b", "..", "a\nb"])
def test_a_bad_name_is_no_log(ctx: me.RunContext, name: str) -> None:
    with pytest.raises(InvalidNameError):
        ctx.log(name)


def test_a_twin_of_a_log_or_of_a_folder_of_logs_is_refused(run: me.Run) -> None:
    with run.start(capture=False) as ctx:
        ctx.log("Train/a").append("1")
        for twin in ("train/b", "Train/A"):
            with pytest.raises(InvalidNameError, match="differs only in case"):
                ctx.log(twin).append("2")
        ctx.log("Train/b").append("3")
    assert broken_rules(run.workspace.root) == []


def test_the_story_of_an_execution_comes_before_what_it_printed(run: me.Run) -> None:
    with raising(ZeroDivisionError), run.start(capture=False) as ctx:
        ctx.artifact.save("a.txt", "a")
        ctx.input("lr", 0.1)
        ctx.log("run").append("printed")
        assert "started by process" in ctx.log("run").tail(10)[0]
        assert ctx.log("run").tail(1) == ["printed"]
        raise ZeroDivisionError
    told = run.log().splitlines()
    wanted = ["started by", "artifact a.txt", "used lr", "log run", "error_trace error", "printed"]
    assert len(told) == len(wanted)
    assert all(word in line for word, line in zip(wanted, told, strict=True))


def test_a_log_of_several_writers_is_read_as_one(run: me.Run) -> None:
    with run.start(capture=False) as ctx:
        ctx.log("train").append("of the owner")
        in_child(lambda: ctx.log("train").append("of the child"))
        assert ctx.log("train").tail(5) == ["of the owner", "of the child"]
        # A log of another name that begins alike is another log.
        ctx.log("train-2").append("another")
        assert "another" not in ctx.log("train").read()
    assert run.log("train") == "of the owner\nof the child\n"
    assert sorted(each.name for each in run.assets.list("log")) == ["train", "train", "train-2"]
    assert broken_rules(run.workspace.root) == []


def test_threads_write_whole_lines(run: me.Run) -> None:
    with run.start(capture=False) as ctx:

        def write(number: int) -> None:
            for line in range(100):
                ctx.log("train").append(f"{number}:{line}")

        threads = [Thread(target=write, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    found = run.log("train").splitlines()
    assert sorted(found) == sorted(f"{n}:{line}" for n in range(8) for line in range(100))
    assert len(run.assets.list("log")) == 1


def test_nothing_is_appended_after_the_end_and_all_can_be_read(run: me.Run) -> None:
    with run.start(capture=False) as ctx:
        ctx.log("a").append("1")
    for log in (ctx.log("a"), me.RunContext.open(run.run_dir).log("a")):
        with pytest.raises(TransitionError):
            log.append("2")
    assert me.RunContext.open(run.run_dir).log("a").tail() == ["1"]
    assert run.log("a") == "1\n"
    assert run.log("never") == ""
    assert run.log("a", execution=7) == ""
