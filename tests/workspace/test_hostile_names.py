"""No name leads out of the scope that it is given to (P14)."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import molexp as me
from molexp.errors import MolexpError
from tests.conftest import PROFILE
from tests.recording.lab import broken_rules, hash_of, make_run

EXAMPLES = 10_000 if PROFILE == "nightly" else 150

PARTS = st.sampled_from(
    [
        "..",
        ".",
        "",
        "a",
        "A",
        "é",
        "é",
        "con",
        "NUL",
        "aux.txt",
        "C:",
        "\\",
        "%2e%2e",
        "%00",
        "\x00",
        "\n",
        "\u202e",
        "∕",
        "~",
        "$HOME",
        "x" * 255,
        "meta.json",
        "end.json",
        " ",
        "a.",
        "*",
        "-rf",
        "�",
        "..\\..",
        "ﬀ",
        "／",
        "０",
        ".molexp",
        "trash",
        "runs",
        "0001",
        "artifacts",
    ]
)
NAMES = st.one_of(
    st.lists(PARTS, min_size=1, max_size=4).map("/".join),
    st.lists(PARTS, min_size=1, max_size=3).map("".join),
    st.text(max_size=20),
    st.text(alphabet="./\\", max_size=8),
)


@contextmanager
def _surrounded() -> Iterator[tuple[me.Run, Path]]:
    """A run in a workspace, and the directory around it."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=memory) as place:
        outer = Path(place) / "outer"
        (outer / "beside").mkdir(parents=True)
        (outer / "beside" / "file").write_text("mine")
        (outer / "meta.json").write_text("{}")
        run = make_run(outer / "lab", durability="process")
        yield run, outer
        for at, below, _ in os.walk(outer):
            for name in below:
                os.chmod(os.path.join(at, name), 0o700)


def _around(outer: Path) -> str:
    """What lies around the workspace."""
    (lab,) = [each for each in outer.iterdir() if each.name == "lab"]
    hidden = lab.rename(outer.parent / "lab")
    try:
        return hash_of(outer)
    finally:
        hidden.rename(lab)


def _entrances(run: me.Run, ctx: me.RunContext, name: str, source: Path) -> list[Callable[[], Any]]:
    """Every call that takes a name."""
    workspace, experiment = run.workspace, run.experiment
    saved = ctx.artifact.save("saved", b"x")

    def directory() -> None:
        with ctx.artifact.directory(name) as place:
            (place / "x").write_text("x")

    def opened() -> None:
        with ctx.artifact.open(name) as file:
            file.write(b"x")

    return [
        lambda: workspace.project(name),
        lambda: workspace.get_project(name),
        lambda: workspace.delete_project(name),
        lambda: experiment.project.experiment(name),
        lambda: experiment.project.get_experiment(name),
        lambda: experiment.project.delete_experiment(name),
        lambda: experiment.run(id=name),
        lambda: experiment.get_run(name),
        lambda: experiment.delete_run(name) if name != "first" else None,
        lambda: experiment.alias(name, run),
        lambda: experiment.get_run(name),
        lambda: workspace.find(name),
        lambda: workspace.find(f"qm9/{name}"),
        lambda: workspace.find(f"qm9/baseline/{name}"),
        lambda: workspace.trash.restore(name),
        lambda: workspace.trash.empty(name),
        lambda: workspace.data_assets.import_asset(name, source),
        lambda: workspace.data_assets.register_in_place(name, source),
        lambda: workspace.data_assets.get(name),
        lambda: run.assets.get(name),
        lambda: run.log(name),
        lambda: ctx.artifact.save(name, b"x"),
        lambda: ctx.artifact.save(name, source),
        opened,
        directory,
        lambda: ctx.log(name).append("x"),
        lambda: ctx.log(name).tail(),
        lambda: ctx.checkpoint(name, data=1),
        lambda: ctx.metric(name, 1.0),
        lambda: ctx.set_result(name, 1),
        lambda: ctx.get_result(name),
        lambda: ctx.input(name, 1),
        lambda: ctx.find_asset(name),
        lambda: ctx.publish(saved, name=name),
        lambda: ctx.set_active_task(name),
        lambda: run.edit(tags={name: True}, labels={name: "x"}),
    ]


@settings(max_examples=EXAMPLES)
@given(name=NAMES)
@example("../../../../../../beside/file")
@example("..")
@example("/etc/passwd")
@example("a/../../x")
@example("0001/end.json")
def test_no_name_leads_out_of_the_workspace(name: str) -> None:
    with _surrounded() as (run, outer):
        before = _around(outer)
        with run.start(capture=False) as ctx:
            for enter in _entrances(run, ctx, name, outer / "beside" / "file"):
                with suppress(MolexpError):  # any other error fails the test
                    enter()
            ctx.set_active_task(None)
        assert run.status == "succeeded"
        assert _around(outer) == before
        assert (outer / "beside" / "file").read_text() == "mine"
        assert broken_rules(run.workspace.root) == []


@pytest.mark.parametrize(
    ("one", "other"),
    [("Data", "data"), ("é.txt", "e\u0301.txt"), ("straße", "STRASSE"), ("a/B", "A/b")],
)
def test_no_two_names_that_some_file_system_takes_for_one(
    run: me.Run, tmp_path: Path, one: str, other: str
) -> None:
    source = tmp_path / "source"
    source.write_text("x")
    with run.start(capture=False) as ctx:
        for give in (
            lambda name: ctx.artifact.save(name, b""),
            lambda name: ctx.checkpoint(name, data=1),
            lambda name: ctx.log(name).append("x"),
            lambda name: run.workspace.data_assets.import_asset(name.replace("/", "-"), source),
        ):
            give(one)
            with pytest.raises(me.errors.InvalidNameError):
                give(other)
            give(one)
    assert broken_rules(run.workspace.root) == []


def test_what_swaps_a_directory_for_a_link_leads_no_save_out(run: me.Run, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    rounds = 20_000 if PROFILE == "nightly" else 400
    over = Event()
    with run.start(capture=False) as ctx:
        ctx.artifact.save("deep/first", b"x")
        deep = ctx.execution_dir / "artifacts" / "deep"

        def swap() -> None:
            aside = tmp_path / "aside"
            while not over.is_set():
                with suppress(OSError):
                    deep.rename(aside)
                    deep.symlink_to(outside)
                    deep.unlink()
                with suppress(OSError):
                    aside.rename(deep)

        thread = Thread(target=swap)
        thread.start()
        for count in range(rounds):
            with suppress(MolexpError, OSError):
                ctx.artifact.save(f"deep/{count}", b"x")
            with suppress(MolexpError, OSError):
                ctx.artifact.save(f"deep/{count}/below", b"x")
            with suppress(MolexpError, OSError):
                # One that nobody holds open yet.
                me.RunContext.open(run.run_dir).log(f"../artifacts/deep/{count}").append("x")
        over.set()
        thread.join()
        if deep.is_symlink():
            deep.unlink()
        if not deep.exists():
            (tmp_path / "aside").rename(deep)
    assert list(outside.iterdir()) == []


def test_a_link_in_place_of_a_directory_of_an_execution_is_not_followed(
    run: me.Run, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    with run.start(capture=False) as ctx:
        for name in ("artifacts", "logs", "checkpoints", "work"):
            (ctx.execution_dir / name).symlink_to(outside)
        for write in (
            lambda: ctx.artifact.save("a", b"x"),
            lambda: ctx.log("a").append("x"),
            lambda: ctx.checkpoint("a", data=1),
            lambda: ctx.work_dir,
        ):
            with pytest.raises(MolexpError):
                write()
        for name in ("artifacts", "logs", "checkpoints", "work"):
            (ctx.execution_dir / name).unlink()
    assert list(outside.iterdir()) == []
    assert run.status == "succeeded"
