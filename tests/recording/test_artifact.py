from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

import molexp as me
from molexp.errors import InvalidInputError, InvalidNameError, NotFoundError, TransitionError
from tests.recording.lab import broken_rules, files, in_child, lines, raising


class Model(BaseModel):
    loss: float
    name: str = "m"


@pytest.mark.parametrize(
    ("name", "content", "wanted"),
    [
        ("a.bin", b"\x00\xff", b"\x00\xff"),
        ("a.bin", bytearray(b"ab"), b"ab"),
        ("a.bin", memoryview(b"abc")[1:], b"bc"),
        ("a.txt", "grüß\n", "grüß\n".encode()),
        ("a.txt", "", b""),
    ],
)
def test_bytes_and_text_are_saved_as_they_are(
    ctx: me.RunContext, name: str, content: Any, wanted: bytes
) -> None:
    asset = ctx.artifact.save(name, content)
    assert asset.read_bytes() == asset.absolute_path().read_bytes() == wanted
    assert asset.size == len(wanted)


@pytest.mark.parametrize("content", [{"loss": 0.1}, [1, "two", None], 3.5, None, {"x": [{}]}])
def test_json_values_are_saved_as_json(ctx: me.RunContext, content: Any) -> None:
    asset = ctx.artifact.save("a", content)
    assert asset.load() == content
    assert asset.mime == "application/json"
    assert json.loads(asset.read_text()) == content


def test_numbers_that_are_not_finite_come_back_as_they_were(ctx: me.RunContext) -> None:
    asset = ctx.artifact.save("a.json", {"loss": float("nan"), "best": float("-inf")})
    json.loads(asset.read_text(), parse_constant=pytest.fail)
    found = asset.read_json()
    assert found["loss"] != found["loss"]
    assert found["best"] == float("-inf")


def test_a_pydantic_model_is_saved_as_its_json(ctx: me.RunContext) -> None:
    assert ctx.artifact.save("a.json", Model(loss=0.25)).read_json() == {"loss": 0.25, "name": "m"}


def test_a_file_and_a_folder_are_copied_and_stay_where_they_were(
    ctx: me.RunContext, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    (source / "deep").mkdir(parents=True)
    (source / "deep" / "a.txt").write_text("a")
    (source / "b.txt").write_text("b")
    file = ctx.artifact.save("file.txt", source / "b.txt")
    folder = ctx.artifact.save("folder", source)
    assert file.read_text() == "b"
    assert (folder.absolute_path() / "deep" / "a.txt").read_text() == "a"
    assert folder.size == 2
    assert files(source) == {"deep/a.txt", "b.txt"}


def test_an_artifact_says_what_was_said_of_it(ctx: me.RunContext) -> None:
    data = ctx.artifact.save("data.txt", "x")
    ctx.set_active_task("evaluate")
    asset = ctx.artifact.save(
        "metrics.json", {}, tags={"split": "test", "final": True}, meta={"n": 3}, consumed=[data]
    )
    assert asset.tags == {"split": "test", "final": True}
    assert asset.meta == {"n": 3}
    assert asset.producer is not None
    assert (asset.producer.task, asset.producer.consumed) == ("evaluate", (data.asset_id,))
    assert asset.kind == "artifact"
    assert asset.name == "metrics.json"
    assert asset.mime == "application/json"
    assert ctx.artifact.save("x.bin", b"", mime="chemical/x-xyz").mime == "chemical/x-xyz"


def test_a_name_that_is_saved_again_gets_the_next_version(ctx: me.RunContext) -> None:
    first = ctx.artifact.save("a.tar.gz", b"1")
    second = ctx.artifact.save("a.tar.gz", b"2")
    assert (first.version, second.version) == (1, 2)
    assert (first.path, second.path) == ("artifacts/a.tar.gz", "artifacts/a.tar.v2.gz")
    assert (first.read_bytes(), second.read_bytes()) == (b"1", b"2")
    assert ctx.find_asset("a.tar.gz").read_bytes() == b"2"


def test_a_version_that_a_name_took_already_is_passed_over(ctx: me.RunContext) -> None:
    ctx.artifact.save("a.v2.txt", "mine")
    ctx.artifact.save("a.txt", "1")
    third = ctx.artifact.save("a.txt", "3")
    assert (third.version, third.path) == (3, "artifacts/a.v3.txt")
    assert ctx.find_asset("a.v2.txt").read_text() == "mine"


def test_a_name_may_have_subfolders(ctx: me.RunContext) -> None:
    asset = ctx.artifact.save("plots/loss/curve.svg", "<svg/>")
    assert asset.absolute_path() == ctx.execution_dir / "artifacts/plots/loss/curve.svg"
    assert asset.mime == "image/svg+xml"


def test_a_file_that_is_written_to_becomes_an_artifact_when_it_is_closed(run: me.Run) -> None:
    with run.start(capture=False) as ctx:
        with ctx.artifact.open("big.bin", "wb", tags={"a": "b"}) as file:
            for _ in range(100):
                file.write(b"0123456789" * 100)
            assert getattr(file, "asset", ...) is None
            assert run.assets.list("artifact") == []
        assert file.asset is not None
        assert file.asset.size == 100_000
        assert file.asset.tags == {"a": "b"}
    assert run.assets.get("big.bin").read_bytes() == b"0123456789" * 10_000
    assert broken_rules(run.workspace.root) == []


def test_text_is_written_in_the_encoding_that_is_said(ctx: me.RunContext) -> None:
    with ctx.artifact.open("a.txt", "w") as plain:
        plain.write("grün\n")
    with ctx.artifact.open("b.txt", "w", encoding="latin-1") as latin:
        latin.write("grün\n")
    assert plain.asset is not None
    assert latin.asset is not None
    assert plain.asset.read_bytes() == "grün\n".encode()
    assert latin.asset.read_bytes() == "grün\n".encode("latin-1")


def test_formats_that_seek_back_are_followed(run: me.Run) -> None:
    with (
        run.start(capture=False) as ctx,
        ctx.artifact.open("a.zip") as file,
        zipfile.ZipFile(file, "w") as archive,
    ):
        archive.writestr("x", "content" * 1000)
        file.flush()
    with zipfile.ZipFile(run.assets.get("a.zip").absolute_path()) as archive:
        assert archive.read("x") == b"content" * 1000
    assert broken_rules(run.workspace.root) == []


@pytest.mark.parametrize("mode", ["wb", "w"])
def test_a_file_whose_block_raises_is_no_artifact(run: me.Run, mode: Any) -> None:
    with (
        run.start(capture=False) as ctx,
        raising(ZeroDivisionError),
        ctx.artifact.open("a.txt", mode) as file,
    ):
        file.write(b"half" if mode == "wb" else "half")
        raise ZeroDivisionError
    assert run.assets.list("artifact") == []
    assert files(run.run_dir / "0001") == {"ledger.jsonl", "end.json"}


def test_a_file_left_open_is_closed_at_the_end_and_none_of_a_run_that_failed(run: me.Run) -> None:
    with run.start(capture=False) as ctx:
        ctx.artifact.open("kept.txt", "w").write("kept")
    assert run.assets.get("kept.txt").read_text() == "kept"
    with raising(ZeroDivisionError), run.start(again=True, capture=False) as ctx:
        ctx.artifact.open("half.txt", "w").write("half")
        raise ZeroDivisionError
    assert [each.name for each in run.assets.list("artifact")] == ["kept.txt"]
    assert broken_rules(run.workspace.root) == []


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        ("rb", {}),
        ("r+", {}),
        ("a", {}),
        ("w", {"encoding": "no-such"}),
        ("wb", {"tag": {"a": "b"}}),
    ],
)
def test_what_cannot_be_opened_leaves_nothing_behind(
    run: me.Run, mode: Any, said: dict[str, Any]
) -> None:
    with run.start(capture=False) as ctx, pytest.raises(InvalidInputError):
        ctx.artifact.open("a.txt", mode, **said)
    assert files(run.run_dir / "0001") == {"ledger.jsonl", "end.json"}


def test_a_directory_is_one_asset_however_many_files_it_has(run: me.Run) -> None:
    with run.start(capture=False) as ctx, ctx.artifact.directory("tiles") as tiles:
        for number in range(300):
            (tiles / f"{number}.txt").write_text(str(number))
        (tiles / "deep").mkdir()
        (tiles / "deep" / "x").write_bytes(b"x")
    (asset,) = run.assets.list("artifact")
    assert asset.size == sum(len(str(number)) for number in range(300)) + 1
    assert asset.absolute_path().is_dir()
    assert (asset.absolute_path() / "deep" / "x").read_bytes() == b"x"
    assert len([line for line in lines(run) if "asset" in line]) == 1
    assert broken_rules(run.workspace.root) == []
    with pytest.raises(InvalidInputError, match="directory"):
        asset.read_bytes()


def test_a_directory_whose_block_raises_is_taken_away(run: me.Run) -> None:
    with run.start(capture=False) as ctx:
        with raising(ZeroDivisionError), ctx.artifact.directory("tiles") as tiles:
            (tiles / "a").write_text("a")
            raise ZeroDivisionError
        with ctx.artifact.directory("tiles") as tiles:
            (tiles / "b").write_text("b")
    assert files(run.run_dir / "0001" / "artifacts") == {"tiles.v2/b"} or files(
        run.run_dir / "0001" / "artifacts"
    ) == {"tiles/b"}
    assert broken_rules(run.workspace.root) == []


@pytest.mark.parametrize("content", [object(), {1: 2}, {"a": {1}}, "\ud800", 1j, [b"x"]])
def test_what_json_cannot_say_is_refused_and_nothing_is_half_saved(
    run: me.Run, content: Any
) -> None:
    with run.start(capture=False) as ctx:
        with pytest.raises(InvalidInputError):
            ctx.artifact.save("a.json", content)
        assert ctx.artifact.save("a.json", {}).version == 1
    assert files(run.run_dir / "0001" / "artifacts") == {"a.json"}


def test_a_source_that_is_not_there_is_named_with_what_is_near(run: me.Run, tmp_path: Path) -> None:
    (tmp_path / "figure.png").write_bytes(b"x")
    with run.start(capture=False) as ctx:
        with pytest.raises(NotFoundError, match=r"did you mean 'figure\.png'"):
            ctx.artifact.save("a.png", tmp_path / "figur.png")
        with pytest.raises(InvalidInputError):
            ctx.artifact.save("a.png", Path("a\0b"))
    assert files(run.run_dir / "0001") == {"ledger.jsonl", "end.json"}


def test_a_folder_with_a_link_or_a_device_in_it_is_refused_whole(
    run: me.Run, tmp_path: Path
) -> None:
    for name, make in (
        ("link", lambda path: path.symlink_to("/etc/passwd")),
        ("fifo", os.mkfifo),
    ):
        source = tmp_path / name
        source.mkdir()
        (source / "a").write_text("a")
        make(source / "b")
        with run.start(capture=False, again=True) as ctx, pytest.raises(me.errors.FormatError):
            ctx.artifact.save("folder", source)
        (number,) = [each.number for each in run.metadata.execution_history[-1:]]
        assert files(run.run_dir / f"{number:04d}") == {"ledger.jsonl", "end.json"}


@pytest.mark.parametrize("said", [{"tags": {"a": 1}}, {"tags": ["a"]}, {"meta": {"f": object()}}])
def test_wrong_tags_and_meta_are_refused_before_anything_is_written(
    run: me.Run, said: dict[str, Any]
) -> None:
    with run.start(capture=False) as ctx, pytest.raises((InvalidInputError, TypeError, ValueError)):
        ctx.artifact.save("a.txt", "a", **said)
    assert files(run.run_dir / "0001") == {"ledger.jsonl", "end.json"}


@pytest.mark.parametrize("consumed", [[3], ["no uid"], [Path("a")]])
def test_what_was_consumed_is_an_asset_or_its_id(run: me.Run, consumed: Any) -> None:
    with run.start(capture=False) as ctx, pytest.raises(InvalidInputError):
        ctx.artifact.save("a.txt", "a", consumed=consumed)
    assert files(run.run_dir / "0001") == {"ledger.jsonl", "end.json"}


@pytest.mark.parametrize("name", [3, None, b"a", Path("a.txt")])
def test_a_name_is_a_text(run: me.Run, name: Any) -> None:
    with run.start(capture=False) as ctx:
        for refuse in (
            lambda: ctx.artifact.save(name, "x"),
            lambda: ctx.artifact.open(name),
            lambda: ctx.log(name),
            lambda: ctx.checkpoint(name),
            lambda: ctx.artifact.directory(name).__enter__(),
            lambda: ctx.set_result(name, 1),
            lambda: ctx.find_asset(name),
        ):
            with pytest.raises(InvalidInputError):
                refuse()
    assert files(run.run_dir / "0001") == {"ledger.jsonl", "end.json"}


def test_nothing_is_saved_once_the_run_has_ended(run: me.Run) -> None:
    with run.start(capture=False) as ctx:
        pass
    before = files(run.run_dir)
    with pytest.raises(TransitionError, match="has ended"):
        ctx.artifact.save("a.txt", "a")
    with pytest.raises(TransitionError):
        ctx.artifact.open("a.txt")
    with pytest.raises(TransitionError), ctx.artifact.directory("a"):
        pytest.fail("the block runs")
    assert files(run.run_dir) == before


def test_a_directory_that_outlives_its_run_is_no_artifact(run: me.Run) -> None:
    with (
        raising(TransitionError),
        run.start(capture=False) as ctx,
        ctx.artifact.directory("a") as place,
    ):
        (place / "x").write_text("x")
        ctx.end()
    assert run.status == "succeeded"
    assert run.assets.list("artifact") == []
    assert broken_rules(run.workspace.root) == []


@pytest.mark.parametrize("leaves", ["close", "block", "exit"])
def test_a_forked_child_leaves_what_its_parent_writes_alone(run: me.Run, leaves: str) -> None:
    with run.start(capture=False) as ctx:
        with ctx.artifact.open("a.bin") as file, ctx.artifact.directory("d") as place:
            file.write(b"one ")
            (place / "x").write_text("x")

            def child() -> str:
                if leaves == "close":
                    file.close()
                    return leaves
                error = SystemExit(0) if leaves == "exit" else None
                file.__exit__(type(error) if error else None, error, None)
                return leaves

            assert in_child(child) == leaves
            file.write(b"two")
        assert file.asset is not None
    assert run.assets.get("a.bin").read_bytes() == b"one two"
    assert len(run.assets.list("artifact")) == 2
    assert broken_rules(run.workspace.root) == []


def test_a_twin_of_a_name_is_refused_and_named(ctx: me.RunContext) -> None:
    ctx.artifact.save("Plots/a.txt", "a")
    for twin in ("plots/b.txt", "Plots/A.txt", "PLOTS"):
        with pytest.raises(InvalidNameError, match="differs only in case"):
            ctx.artifact.save(twin, "b")
    ctx.artifact.save("Plots/b.txt", "b")
