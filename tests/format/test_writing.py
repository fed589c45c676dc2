"""The rules of docs/format/writing.md."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from molexp.disk import commit, door, layout, owner, trash
from molexp.disk.beneath import Directory
from molexp.disk.commit import Batch
from molexp.disk.record import Aside, write_new
from molexp.errors import AlreadyExistsError, NotFoundError, StorageError
from molexp.model.digest import hex_of
from tests.format.lab import CANCELLED, DATA, EXPERIMENT, FAILED, PROJECT, SUCCEEDED, Lab, Refusals

UID = "01KJPX50B00000000000000000"
MODES = layout.ACCESS["private"]


def removal(path: str) -> trash.Removed:
    """The record of a removal."""
    return trash.Removed.make(
        uid=UID,
        path=path,
        at=datetime(2026, 3, 2, tzinfo=UTC),
        writer=owner.writer(),
        by="ada@lab-ws1",
    )


def begin(root: Directory) -> tuple[Aside, Batch]:
    """What it takes to write."""
    return Aside(root, MODES), commit.begin(root, "process")


@pytest.mark.rule("WRITE-1")
def test_what_is_there_is_never_written_over(lab: Lab, refused: Refusals) -> None:
    with Directory.open(lab.root) as root:
        aside, batch = begin(root)
        with refused.by(AlreadyExistsError):
            write_new(root, "meta.json", b"{}", 0o644)
        with refused.by(AlreadyExistsError):
            aside.publish_file(b"{}", root, "meta.json", 0o444, batch)
        with refused.by(FileExistsError):
            door.create(root.fd, "meta.json", 0o644)
    assert lab.check() == []


@pytest.mark.rule("WRITE-2")
def test_what_is_aside_says_whose_it_is(lab: Lab, refused: Refusals) -> None:
    seen: list[str] = []
    with subprocess.Popen(["true"]) as child:
        pass
    with Directory.open(lab.root) as root:
        aside, batch = begin(root)

        def fill(made: Directory) -> None:
            seen.extend(os.listdir(lab.at(layout.TMP)))
            write_new(made, layout.META, b"{}", 0o444)

        aside.publish_directory(fill, root, "views", batch).close()
        kernel = owner.writer().partition("-")[0]
        dead = f"{kernel}-{child.pid}-1-aaaaaa.1"
        for name in (dead, f"{owner.writer()}.7", f"0000000000-{child.pid}-1-aaaaaa.1", "notes"):
            lab.write(f"{layout.TMP}/{name}", b"")
        assert [name.partition(".")[0] for name in seen] == [owner.writer()]
        assert trash.sweep(root) == [dead]
    refused.unequal([], os.listdir(lab.at(layout.TMP)))


@pytest.mark.rule("WRITE-3")
def test_a_record_names_nothing_that_is_not_there(lab: Lab, refused: Refusals) -> None:
    script = layout.object_path(hex_of(lab.read(f"{EXPERIMENT}/meta.json")["workflow"]["object"]))
    for path, namer in (
        (script, f"{EXPERIMENT}/meta.json"),
        (f"{DATA}/files/qm9-sample.csv", f"{DATA}/asset.json"),
        (f"{SUCCEEDED}/artifacts/model.json", f"{SUCCEEDED}/ledger.jsonl"),
        (f"{SUCCEEDED}/work/predictions.csv", f"{SUCCEEDED}/end.json"),
    ):
        lab.remove(path)
        refused.in_lab(lab, namer)


@pytest.mark.rule("WRITE-4")
@pytest.mark.parametrize("links", [True, False])
def test_of_several_who_contend_for_a_name_the_first_wins(
    lab: Lab, refused: Refusals, links: bool
) -> None:
    def gate(operation: str, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        if operation == "link" and not links:
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
        return function(*arguments)

    lab.remove(f"{FAILED}/end.json")
    with Directory.open(lab.root) as root, root.enter(FAILED) as execution, door.gated(gate):
        for data in (b"first", b"second"):
            aside, batch = begin(root)
            if data == b"first":
                aside.publish_file(data, execution, layout.END, 0o444, batch)
            else:
                with refused.by(AlreadyExistsError, "is there already"):
                    aside.publish_file(data, execution, layout.END, 0o444, batch)
    assert lab.at(f"{FAILED}/end.json").read_bytes() == b"first"
    assert os.listdir(lab.at(layout.TMP)) == []


@pytest.mark.rule("WRITE-5")
def test_a_scope_appears_with_its_record_or_not_at_all(lab: Lab, refused: Refusals) -> None:
    there: list[bool] = []

    def fill(made: Directory) -> None:
        there.append(lab.at("projects/new").exists())
        write_new(made, layout.META, lab.at(f"{PROJECT}/meta.json").read_bytes(), 0o444)

    with Directory.open(lab.root) as root, root.enter("projects") as projects:
        aside, batch = begin(root)
        aside.publish_directory(fill, projects, "new", batch).close()
        with refused.by(AlreadyExistsError):
            aside.publish_directory(fill, projects, "qm9", batch)
    assert there == [False, True]
    assert lab.at("projects/new/meta.json").is_file()
    assert lab.at(f"{EXPERIMENT}/meta.json").is_file()
    assert os.listdir(lab.at(layout.TMP)) == []


@pytest.mark.rule("WRITE-6")
def test_a_removal_is_written_down_before_anything_moves(lab: Lab, refused: Refusals) -> None:
    moves: list[bool] = []

    def gate(operation: str, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        if operation == "rename" and layout.CONTENT in arguments:
            moves.append(lab.at(f"trash/{UID}/removed.json").is_file())
        return function(*arguments)

    with Directory.open(lab.root) as root:
        aside, batch = begin(root)
        with door.gated(gate):
            trash.remove(root, removal(CANCELLED), aside, batch, 0o755)
        assert (moves, lab.at(CANCELLED).exists()) == ([True], False)
        assert lab.check() == []
        lab.write(f"{CANCELLED}/taken", b"")
        with refused.by(AlreadyExistsError):
            trash.restore(root, UID, batch)
        lab.remove(CANCELLED)
        trash.restore(root, UID, batch)
        assert lab.check() == []
        with refused.by(NotFoundError):
            trash.remove(root, removal("projects/none"), aside, batch, 0o755)


@pytest.mark.rule("WRITE-7")
def test_a_sync_that_failed_is_not_tried_again(refused: Refusals, tmp_path: Path) -> None:
    calls: list[str] = []

    def gate(operation: str, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        calls.append(operation)
        if operation.startswith("sync") and calls.count(operation) == 1:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return function(*arguments)

    for one_by_one in (True, False):
        calls.clear()
        with Directory.open(tmp_path) as root, door.gated(gate):
            batch = commit.begin(root, one_by_one=one_by_one)
            write_new(root, f"{one_by_one}.txt", b"text", 0o644)
            batch.wrote(root, f"{one_by_one}.txt")
            batch.changed(root)
            for _again in range(2):
                with refused.by(StorageError, "may be lost"):
                    batch.commit()
            batch.close()
        assert len([call for call in calls if call.startswith("sync")]) == 1
