"""The walk tells everything beneath a directory, and goes nowhere else."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from molexp.disk.beneath import Directory
from molexp.disk.walk import MAX_DEPTH, EntryType, Found, is_litter, walk
from molexp.errors import FormatError, MolexpError, NotFoundError, StorageError
from tests.users import User

NAMES = ["a", "a-b", "a.b", "a b", "a\nb", "-rf", "b", "ü", "\U0001f642", "\udcff\udcfe", "*", "\\"]


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Directory]:
    with Directory.open(tmp_path) as directory:
        yield directory


def _paths(root: Directory, relative: str = "") -> list[str]:
    return [found.path for found in walk(root, relative)]


def test_directories_come_before_what_they_hold_and_names_in_order(
    root: Directory, tmp_path: Path
) -> None:
    for name in ("b/y", "b/x/1", "a/2", "a-b", "c"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert _paths(root) == ["a", "a/2", "a-b", "b", "b/x", "b/x/1", "b/y", "c"]
    assert _paths(root, "b/x") == ["b/x/1"]


def test_an_entry_is_told_as_the_file_system_tells_it(root: Directory, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    (tmp_path / "file").chmod(0o640)
    (tmp_path / "directory").mkdir()
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "dangling").symlink_to("none")
    os.mkfifo(tmp_path / "fifo")
    found = {entry.path: entry for entry in walk(root)}
    assert {path: str(entry.type) for path, entry in found.items()} == {
        "dangling": "link",
        "directory": "directory",
        "fifo": "other",
        "file": "file",
        "link": "link",
    }
    for path, entry in found.items():
        status = (tmp_path / path).lstat()
        assert entry == Found(
            path=path,
            type=entry.type,
            size=status.st_size,
            mode=stat.S_IMODE(status.st_mode),
            mtime_ns=status.st_mtime_ns,
            ctime_ns=status.st_ctime_ns,
            inode=status.st_ino,
        )


def test_links_are_told_and_not_followed(root: Directory, tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "up").symlink_to("..")
    (tmp_path / "etc").symlink_to("/etc")
    assert _paths(root) == ["etc", "inner", "inner/up"]
    with pytest.raises(FormatError):
        list(walk(root, "etc"))


@given(st.lists(st.sampled_from(NAMES), max_size=6, unique=True))
def test_names_of_any_bytes_come_back_as_they_are(
    tmp_path_factory: pytest.TempPathFactory, names: list[str]
) -> None:
    place = tmp_path_factory.mktemp("names")
    for name in names:
        (place / name).mkdir()
        (place / name / name).touch()
    with Directory.open(place) as root:
        files = [found.path for found in walk(root) if found.type is EntryType.FILE]
        assert sorted(files) == sorted(f"{name}/{name}" for name in names)
        assert all(root.exists(path) for path in files)


def test_what_vanishes_meanwhile_is_left_out(root: Directory, tmp_path: Path) -> None:
    for name in ("a", "b", "c", "d"):
        (tmp_path / name / "inner").mkdir(parents=True)
    seen = []
    for found in walk(root):
        seen.append(found.path)
        if found.path == "a":
            (tmp_path / "a" / "inner").rmdir()
            (tmp_path / "b" / "inner").rmdir()
            (tmp_path / "b").rmdir()
        if found.path == "c":
            (tmp_path / "c" / "inner").rmdir()
            (tmp_path / "c").rmdir()
    assert seen == ["a", "c", "d", "d/inner"]


def test_a_start_that_is_not_there_is_said(root: Directory, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        list(walk(root, "none"))
    (tmp_path / "file").touch()
    with pytest.raises(FormatError):
        list(walk(root, "file"))


def _nest(tmp_path: Path, depth: int) -> None:
    at = os.open(tmp_path, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=at)
        below = os.open("d", os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    os.close(at)


def test_as_deep_as_anybody_means_is_walked_and_deeper_is_refused(
    root: Directory, tmp_path: Path
) -> None:
    _nest(tmp_path, MAX_DEPTH)
    assert len(_paths(root)) == MAX_DEPTH
    _nest(tmp_path / Path(*["d"] * MAX_DEPTH), 1)
    with pytest.raises(FormatError, match=f"deeper than {MAX_DEPTH}"):
        _paths(root)


def test_a_walk_that_is_given_up_lets_go_of_what_it_holds(root: Directory, tmp_path: Path) -> None:
    _nest(tmp_path, 5)
    count = len(os.listdir("/proc/self/fd"))
    walking = walk(root)
    for _ in range(4):
        next(walking)
    assert len(os.listdir("/proc/self/fd")) > count
    walking.close()  # type: ignore[attr-defined]  # of a generator
    assert len(os.listdir("/proc/self/fd")) == count


@pytest.mark.parametrize("name", [".DS_Store", "._a", ".nfs0001", "Thumbs.db", "desktop.ini"])
def test_litter_is_told_apart(name: str) -> None:
    assert is_litter(name)


@pytest.mark.parametrize("name", ["DS_Store", "a._b", "nfs", "thumbs", ".hidden", "", "meta.json"])
def test_what_somebody_may_mean_is_no_litter(name: str) -> None:
    assert not is_litter(name)


@pytest.mark.users
@pytest.mark.parametrize("mode", [0o000, 0o111, 0o444])
def test_a_directory_that_may_not_be_read_is_a_typed_error(user: User, mode: int) -> None:
    inner = user.directory / "closed"
    inner.mkdir()
    (inner / "file").touch()
    os.chown(inner, user.uid, -1)
    inner.chmod(mode)

    def body() -> list[str]:
        with Directory.open(user.directory) as root:
            return _paths(root)

    if user.uid == 0:
        assert user.run(body) == ["closed", "closed/file"]
    else:
        with pytest.raises(StorageError, match="closed"):
            user.run(body)


@pytest.mark.users
def test_a_directory_that_cannot_be_looked_into_hides_no_other(user: User) -> None:
    def look() -> tuple[list[str], int]:
        problems: list[MolexpError] = []
        for name in ("a", "closed", "z"):
            (user.directory / name).mkdir()
            (user.directory / name / "file").touch()
        (user.directory / "closed").chmod(0o000)
        deep = user.directory / "z" / "/".join("d" * (MAX_DEPTH + 5))
        deep.mkdir(parents=True)
        with Directory.open(user.directory) as root:
            found = [each.path for each in walk(root, problems=problems)]
        (user.directory / "closed").chmod(0o700)
        return [path for path in found if path.endswith("file")], len(problems)

    files, problems = user.run(look)
    if user.name == "root":
        assert (files, problems) == (["a/file", "closed/file", "z/file"], 1)
    else:
        assert (files, problems) == (["a/file", "z/file"], 2)
