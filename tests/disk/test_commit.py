"""Commit points: what is synced, in which order, and what a failed sync means for ever after."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from molexp.disk import door
from molexp.disk.beneath import Directory
from molexp.disk.commit import Batch, begin
from molexp.errors import FormatError, StorageError
from tests.disk import calls_of, recording, refusing
from tests.users import User


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Directory]:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    with Directory.open(tmp_path) as directory:
        yield directory


def _synced(batch: Batch) -> list[tuple[str, str]]:
    """What a commit syncs: each operation, and the path it was for."""
    found: list[tuple[str, str]] = []

    def gate(operation: str, call: Callable[..., object], given: tuple[object, ...]) -> object:
        found.append((operation, os.readlink(f"/proc/self/fd/{given[0]}")))
        return call(*given)

    with door.gated(gate):
        batch.commit()
    return found


def _write_all(root: Directory, batch: Batch) -> None:
    for name in ("b", "a", "b"):
        with root.enter(name) as directory:
            batch.changed(directory)
            batch.wrote(directory, "file")


def test_one_call_syncs_the_whole_file_system(root: Directory, tmp_path: Path) -> None:
    batch = begin(root)
    _write_all(root, batch)
    assert _synced(batch) == [("sync_file_system", str(tmp_path))]
    assert _synced(batch) == [("sync_file_system", str(tmp_path))]
    batch.close()
    batch.close()


def test_one_by_one_each_file_goes_before_the_directories_and_all_once(
    root: Directory, tmp_path: Path
) -> None:
    batch = begin(root, one_by_one=True)
    _write_all(root, batch)
    assert _synced(batch) == [
        ("sync_file", f"{tmp_path}/b/file"),
        ("sync_file", f"{tmp_path}/a/file"),
        ("sync_directory", f"{tmp_path}/b"),
        ("sync_directory", f"{tmp_path}/a"),
    ]
    assert _synced(batch) == []
    _write_all(root, batch)
    assert len(_synced(batch)) == 4
    batch.close()


def test_durability_of_the_process_alone_syncs_nothing(root: Directory) -> None:
    batch = begin(root, "process")
    _write_all(root, batch)
    assert calls_of(batch.commit) == []
    with door.gated(refusing("sync_file_system", errno.EIO)):
        batch.commit()
    batch.close()


def test_directories_that_were_closed_moved_or_removed_are_still_synced(
    root: Directory, tmp_path: Path
) -> None:
    batch = begin(root, one_by_one=True)
    _write_all(root, batch)  # which closes each of them
    (tmp_path / "a").rename(tmp_path / "b" / "moved")
    assert _synced(batch)[1:] == [
        ("sync_file", f"{tmp_path}/b/moved/file"),
        ("sync_directory", f"{tmp_path}/b"),
        ("sync_directory", f"{tmp_path}/b/moved"),
    ]
    with root.enter("b/moved") as moved:
        batch.wrote(moved, "file")
        batch.changed(moved)
    shutil.rmtree(tmp_path / "b" / "moved")
    assert [operation for operation, _ in _synced(batch)] == ["sync_directory"]
    batch.close()


def test_a_file_that_was_closed_to_writers_is_still_synced(root: Directory, tmp_path: Path) -> None:
    batch = begin(root, one_by_one=True)
    with root.enter("a") as directory:
        batch.wrote(directory, "file")
    (tmp_path / "a" / "file").chmod(0o444)
    assert _synced(batch) == [("sync_file", f"{tmp_path}/a/file")]


def test_a_link_that_took_the_place_of_a_file_is_not_followed(
    root: Directory, tmp_path: Path
) -> None:
    batch = begin(root, one_by_one=True)
    with root.enter("a") as directory:
        batch.wrote(directory, "file")
    (tmp_path / "a" / "file").unlink()
    (tmp_path / "a" / "file").symlink_to("../b/file")
    with pytest.raises(FormatError):
        batch.commit()
    batch.close()


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EINVAL])
@pytest.mark.parametrize("operation", ["sync_file", "sync_directory", "sync_file_system"])
def test_a_failed_sync_is_never_tried_again(root: Directory, operation: str, number: int) -> None:
    batch = begin(root, one_by_one=operation != "sync_file_system")
    _write_all(root, batch)
    with door.gated(refusing(operation, number)), pytest.raises(StorageError) as raised:
        batch.commit()
    assert raised.value.errno == number
    assert "may be lost" in str(raised.value)
    assert "start again from the last commit point" in raised.value.cure
    _write_all(root, batch)

    def again() -> None:
        with pytest.raises(StorageError, match="may be lost"):
            batch.commit()

    assert calls_of(again) == []
    assert calls_of(again) == []
    batch.close()
    fresh = begin(root, one_by_one=operation != "sync_file_system")
    _write_all(root, fresh)
    assert operation in calls_of(fresh.commit)
    fresh.close()


def test_a_batch_holds_no_descriptors_after_its_commit_or_its_end(root: Directory) -> None:
    count = len(os.listdir("/proc/self/fd"))
    batch = begin(root, one_by_one=True)
    _write_all(root, batch)
    assert len(os.listdir("/proc/self/fd")) == count + 2
    batch.commit()
    assert len(os.listdir("/proc/self/fd")) == count
    _write_all(root, batch)
    batch.close()
    begin(root).close()
    assert len(os.listdir("/proc/self/fd")) == count


def test_the_descriptor_of_a_batch_is_its_own(root: Directory) -> None:
    """A descriptor that is shared would share which errors were reported already."""
    batch = begin(root)
    calls: list[tuple[str, tuple[object, ...]]] = []
    with door.gated(recording(calls)):
        batch.commit()
    ((_, (used,)),) = calls
    assert used != root.fd
    assert isinstance(used, int)
    os.set_blocking(used, False)
    assert os.get_blocking(root.fd)  # a duplicate would share this, too
    batch.close()


@pytest.mark.users
def test_whoever_may_read_may_commit(user: User) -> None:
    (user.directory / "file").touch(0o444)
    user.directory.chmod(0o555)

    def body() -> int:
        with Directory.open(user.directory) as root:
            calls = 0
            for one_by_one in (False, True):
                batch = begin(root, one_by_one=one_by_one)
                batch.wrote(root, "file")
                batch.changed(root)
                calls += len(calls_of(batch.commit))
                batch.close()
        return calls

    assert user.run(body) == 3
