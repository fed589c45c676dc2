"""Whatever is deleted or refused while a record is made, it is there whole or not at all."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path

import pytest

from molexp.disk import door, layout
from molexp.disk.beneath import Directory
from molexp.disk.commit import Batch, begin
from molexp.disk.record import Aside
from molexp.errors import MolexpError, StorageError
from tests.disk import MODES, aside_of, before, calls_of, entries, put_two, refusing

Deed = Callable[[Directory, Aside, Batch], None]


def _publish_file(root: Directory, aside: Aside, batch: Batch) -> None:
    aside.publish_file(b"data", root, "it", 0o444, batch)


def _publish_directory(root: Directory, aside: Aside, batch: Batch) -> None:
    aside.publish_directory(put_two, root, "it", batch).close()


DEEDS = pytest.mark.parametrize("deed", [_publish_file, _publish_directory])


def _is_whole(path: Path) -> bool:
    if path.is_dir():
        return {name: (path / name).read_bytes() for name in os.listdir(path)} == {
            "a": b"a",
            "b": b"b",
        }
    return path.read_bytes() == b"data"


@DEEDS
@pytest.mark.parametrize("gone", [layout.TMP, layout.CACHE])
def test_who_deletes_the_cache_at_any_moment_breaks_nothing(
    tmp_path: Path, deed: Deed, gone: str
) -> None:
    for at in count(1):
        place = tmp_path / f"{at}"
        place.mkdir()
        deleted: list[int] = []

        def delete(place: Path = place, deleted: list[int] = deleted) -> None:
            shutil.rmtree(place / gone, ignore_errors=True)
            deleted.append(1)

        with Directory.open(place) as root:
            batch, aside = begin(root, one_by_one=True), Aside(root, MODES, writer="w")
            with door.gated(before(at, delete)):
                deed(root, aside, batch)
            batch.close()
            aside.close()
        assert _is_whole(place / "it")
        assert not (place / layout.TMP).exists() or os.listdir(place / layout.TMP) == []
        if not deleted:
            break
    assert at > 5


@DEEDS
def test_a_cache_that_is_deleted_all_the_time_is_a_typed_error(
    root: Directory, aside: Aside, batch: Batch, tmp_path: Path, deed: Deed
) -> None:
    def gate(
        operation: str, function: Callable[..., object], arguments: tuple[object, ...]
    ) -> object:
        if operation in ("create", "rename") or arguments[-1] == MODES.directory:
            shutil.rmtree(tmp_path / layout.TMP, ignore_errors=True)
        return function(*arguments)

    with door.gated(gate), pytest.raises(MolexpError, match="call again"):
        deed(root, aside, batch)
    assert not (tmp_path / "it").exists()


@DEEDS
def test_what_fails_leaves_nothing_and_works_once_the_cause_is_gone(
    tmp_path: Path, deed: Deed
) -> None:
    operations = _operations(tmp_path, deed)
    for at, operation in enumerate(operations, 1):
        place = tmp_path / f"{at}"
        place.mkdir()
        with Directory.open(place) as root:
            aside, batch = Aside(root, MODES, writer="w"), begin(root, one_by_one=True)
            nth = operations[:at].count(operation)
            with door.gated(refusing(operation, errno.ENOSPC, at=nth)):
                if operation not in ("unlink", "sync_directory"):
                    with pytest.raises(StorageError):
                        deed(root, aside, batch)
                    assert entries(root) == []
                    assert not root.exists(layout.TMP) or aside_of(root) == []
            batch.close()
            batch = begin(root, one_by_one=True)
            deed(root, aside, batch)
            assert _is_whole(place / "it")
            batch.close()
            aside.close()


def _operations(tmp_path: Path, deed: Deed) -> list[str]:
    (tmp_path / "count").mkdir()
    with Directory.open(tmp_path / "count") as root:
        aside, batch = Aside(root, MODES, writer="w"), begin(root, one_by_one=True)
        operations = calls_of(lambda: deed(root, aside, batch))
        batch.close()
        aside.close()
    return operations


def test_without_links_a_full_disk_leaves_no_torn_file(
    root: Directory, aside: Aside, batch: Batch
) -> None:
    no_links = refusing("link", errno.EPERM)
    full = refusing("write", errno.ENOSPC, at=2)

    def gate(
        operation: str, function: Callable[..., object], arguments: tuple[object, ...]
    ) -> object:
        return no_links(operation, partial(full, operation, function), (arguments,))

    with door.gated(gate), pytest.raises(StorageError):
        aside.publish_file(b"data", root, "end.json", 0o444, batch)
    assert entries(root) == []
    with door.gated(refusing("link", errno.EPERM)):
        aside.publish_file(b"data", root, "end.json", 0o444, batch)
    assert root.read("end.json", 9) == b"data"
