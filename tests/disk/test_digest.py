"""Digests say what lies there, however it came: the standard tools find the same ones."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import subprocess
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from molexp.disk import door
from molexp.disk.beneath import Directory
from molexp.disk.digest import (
    HashingWriter,
    check_has_bytes,
    hash_file,
    hash_open_file,
    hash_tree,
)
from molexp.disk.walk import walk
from molexp.errors import FormatError, NotFoundError, StorageError
from tests.disk import refusing
from tests.users import User

TREE = {
    "a": b"1",
    "a-b": b"",
    "a/x": b"2",
    "b/c/d": b"3" * 3_000_000,
    "b/with space": b"4",
    "b/\\back": b"5",
    "b/new\nline": b"6",
    "ü/ñ": b"7",
    "\U0001f642": b"8",
    "-f": b"9",
}


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Directory]:
    (tmp_path / "lab").mkdir()
    with Directory.open(tmp_path / "lab") as directory:
        yield directory


def _sum(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _reads(root: Directory) -> bytes:
    return Path(root.path, "f").read_bytes()


Step = tuple[str, int | bytes]
STEPS = st.one_of(
    st.tuples(st.just("write"), st.binary(max_size=20)),
    st.tuples(st.just("seek"), st.integers(0, 40)),
    st.tuples(st.just("seek back"), st.integers(0, 10)),
    st.tuples(st.just("truncate"), st.integers(0, 40)),
    st.tuples(st.just("cut here"), st.just(0)),
    st.tuples(st.just("read"), st.integers(0, 40)),
    st.tuples(st.just("tell"), st.just(0)),
)


def _do(file: HashingWriter | io.BytesIO, step: Step) -> object:
    """One step on a file; a BytesIO says what a file has to answer."""
    name, value = step
    if name == "write":
        assert isinstance(value, bytes)
        return file.write(value)
    assert isinstance(value, int)
    if name == "seek":
        return file.seek(value)
    if name == "seek back":
        return file.seek(max(0, file.tell() - value))
    if name == "truncate":
        end = file.seek(0, os.SEEK_END)  # a BytesIO cannot be made longer, as a file can
        return file.truncate(min(value, end))
    if name == "cut here":
        file.seek(min(file.tell(), file.seek(0, os.SEEK_END)))
        return file.truncate()
    return file.read(value) if name == "read" else file.tell()


@given(st.lists(STEPS, max_size=12))
def test_whatever_is_done_to_a_file_its_digest_is_that_of_its_bytes(
    tmp_path_factory: pytest.TempPathFactory, steps: list[Step]
) -> None:
    with Directory.open(tmp_path_factory.mktemp("w")) as root:
        model, file = io.BytesIO(), HashingWriter(root, "f", 0o600)
        for step in steps:
            assert _do(file, step) == _do(model, step), step
        file.close()
        assert _reads(root) == model.getvalue()
        assert (file.content_hash, file.size) == (_sum(model.getvalue()), len(model.getvalue()))


def test_what_is_written_straight_is_not_read_again(root: Directory) -> None:
    """Other bytes are put there unseen: only one who reads again finds them."""
    file = HashingWriter(root, "f", 0o600)
    for _ in range(3):
        file.write(b"data")
    Path(root.path, "f").write_bytes(b"other")
    file.close()
    assert (file.content_hash, file.size) == (_sum(b"data" * 3), 12)
    sought = HashingWriter(root, "g", 0o600)
    sought.write(b"data")
    sought.seek(0)
    sought.write(b"D")
    Path(root.path, "g").write_bytes(b"other")
    sought.close()
    assert sought.content_hash == _sum(b"other")


def _as_zip(file: HashingWriter) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", b"x" * 100_000)
        with archive.open("b", "w") as member:
            member.write(b"y" * 10)


def _as_tar(file: HashingWriter) -> None:
    with tarfile.open(fileobj=file, mode="w") as archive:
        info = tarfile.TarInfo("a")
        info.size = 3
        archive.addfile(info, io.BytesIO(b"abc"))


def _as_text(file: HashingWriter) -> None:
    with io.TextIOWrapper(io.BufferedWriter(file), encoding="utf-8") as text:
        json.dump({"ü": list(range(5000))}, text, ensure_ascii=False)


def _buffered(file: HashingWriter) -> None:
    with io.BufferedRandom(file) as buffered:
        buffered.write(b"0123456789" * 5000)
        buffered.seek(5)
        assert buffered.read(3) == b"567"
        buffered.write(b"here")


def _past_the_object(file: HashingWriter) -> None:
    file.write(b"through the object")
    os.write(file.fileno(), b", and past it")
    file.close()


@pytest.mark.parametrize("write", [_as_zip, _as_tar, _as_text, _buffered, _past_the_object])
def test_formats_of_others_are_followed_wherever_they_seek(
    root: Directory, write: Callable[[HashingWriter], None]
) -> None:
    file = HashingWriter(root, "f", 0o600)
    write(file)
    file.close()
    assert len(_reads(root)) > 10
    assert (file.content_hash, file.size) == (_sum(_reads(root)), len(_reads(root)))
    if write is _as_zip:
        with zipfile.ZipFile(Path(root.path, "f")) as archive:
            assert archive.testzip() is None


def test_buffers_of_any_shape_are_written_as_their_bytes(root: Directory) -> None:
    file = HashingWriter(root, "f", 0o600)
    numbers = memoryview(b"12345678").cast("d")
    for buffer in (b"", bytearray(b"ab"), memoryview(b"abcdef")[::1], numbers):
        assert file.write(buffer) == memoryview(buffer).nbytes
    file.close()
    assert _reads(root) == b"ababcdef12345678"
    assert file.content_hash == _sum(_reads(root))


def test_a_file_that_is_there_is_not_written_to(root: Directory) -> None:
    Path(root.path, "f").write_bytes(b"there")
    with pytest.raises(FileExistsError):
        HashingWriter(root, "f", 0o600)
    assert _reads(root) == b"there"


def test_after_its_end_a_file_takes_nothing(root: Directory) -> None:
    file = HashingWriter(root, "f", 0o600)
    file.close()
    file.close()
    assert (file.content_hash, file.size) == (_sum(b""), 0)
    with pytest.raises(ValueError, match="closed"):
        file.write(b"x")
    for use in (file.seek, file.truncate):
        with pytest.raises(ValueError, match="closed"):
            use(0)


@pytest.mark.parametrize("at", [1, 2, 3])
def test_a_disk_that_is_full_for_a_while_leaves_a_digest_of_what_is_there(
    root: Directory, at: int
) -> None:
    short = 0

    def gate(operation: str, call: Callable[..., object], given: tuple[object, ...]) -> object:
        nonlocal short
        short += 1
        if short == at:
            raise OSError(errno.ENOSPC, "full")
        descriptor, data = given
        assert isinstance(data, memoryview)
        return call(descriptor, data[:4])

    file = HashingWriter(root, "f", 0o600)
    with door.gated(gate):
        with pytest.raises(StorageError, match="free some space"):
            file.write(b"0123456789")
        file.write(b"abcdefghij")
    file.close()
    assert _reads(root) == b"0123456789"[: 4 * (at - 1)] + b"abcdefghij"
    assert (file.content_hash, file.size) == (_sum(_reads(root)), len(_reads(root)))


def _make(place: Path) -> None:
    for name, data in TREE.items():
        path = place / (name if name != "a" else "a0")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def test_a_tree_s_digest_is_what_the_standard_tools_say(root: Directory, tmp_path: Path) -> None:
    _make(tmp_path / "lab")
    paths = "find . -type f -printf '%P\\0' | LC_ALL=C sort -z"
    done = subprocess.run(
        ["sh", "-c", f"{paths} | xargs -0 sha256sum -- | sha256sum"],
        cwd=root.path,
        capture_output=True,
        text=True,
        check=True,
    )
    tree = hash_tree(root)
    assert tree.content_hash == f"sha256:{done.stdout.split()[0]}"
    assert tree.size == sum(map(len, TREE.values()))
    assert len(tree.files) == len(TREE)
    for entry in tree.files:
        data = (tmp_path / "lab" / entry.path).read_bytes()
        assert (entry.content_hash, entry.size) == (_sum(data), len(data))
        assert entry == hash_file(root, entry.path)


def test_an_empty_tree_has_the_digest_of_no_text(root: Directory, tmp_path: Path) -> None:
    (tmp_path / "lab" / "empty" / "below").mkdir(parents=True)
    assert hash_tree(root).content_hash == _sum(b"")
    assert hash_tree(root).files == ()


def test_litter_changes_no_digest_and_anything_else_does(root: Directory, tmp_path: Path) -> None:
    _make(tmp_path / "lab")
    digest = hash_tree(root).content_hash
    for name in (".DS_Store", "b/._x", "b/c/.nfs0001", "Thumbs.db"):
        (tmp_path / "lab" / name).write_bytes(b"litter")
    assert hash_tree(root).content_hash == digest
    (tmp_path / "lab" / "b" / "c" / "d").rename(tmp_path / "lab" / "b" / "c" / "e")
    assert hash_tree(root).content_hash != digest


@pytest.mark.parametrize("kind", ["file", "directory", "dangling", "fifo"])
def test_what_has_no_bytes_of_its_own_is_refused(
    root: Directory, tmp_path: Path, kind: str
) -> None:
    _make(tmp_path / "lab")
    (tmp_path / "outside").mkdir()
    strange = tmp_path / "lab" / "b" / "strange"
    if kind == "fifo":
        os.mkfifo(strange)
    else:
        strange.symlink_to({"file": "d", "directory": "../../outside"}.get(kind, "none"))
    with pytest.raises(FormatError, match=r"b/strange is a (link|other)"):
        hash_tree(root)
    with pytest.raises(FormatError):
        hash_file(root, "b/strange")
    with pytest.raises(NotFoundError):
        hash_file(root, "b/none")


def test_an_open_file_is_hashed_from_its_beginning_wherever_it_stands(tmp_path: Path) -> None:
    data = os.urandom((1 << 20) + 17)
    (tmp_path / "f").write_bytes(data)
    with open(tmp_path / "f", "rb") as file:
        file.seek(5)
        assert hash_open_file(file.fileno()) == (_sum(data), len(data))


def test_a_refused_creation_leaves_nothing_to_close(root: Directory) -> None:
    with door.gated(refusing("create", errno.EROFS)), pytest.raises(StorageError):
        HashingWriter(root, "f", 0o600)
    assert root.names() == []


@pytest.mark.users
def test_a_file_that_may_not_be_read_is_a_typed_error(user: User) -> None:
    (user.directory / "f").write_bytes(b"data")
    (user.directory / "f").chmod(0)

    def body() -> str:
        with Directory.open(user.directory) as root:
            return hash_tree(root).content_hash

    if user.uid == 0:
        assert user.run(body).startswith("sha256:")
    else:
        with pytest.raises(StorageError, match="ask the owner"):
            user.run(body)


def test_a_file_that_was_closed_tells_when_it_was_last_written(
    root: Directory, tmp_path: Path
) -> None:
    for name, write in (("straight", _buffered), ("seeking", _as_zip)):
        with HashingWriter(root, name, 0o644) as file:
            assert file.mtime_ns == 0
            write(file)
        assert file.mtime_ns == (tmp_path / "lab" / name).stat().st_mtime_ns
        assert hash_file(root, name).mtime_ns == file.mtime_ns


@pytest.mark.parametrize("kind", ["link", "dangling", "fifo", "directory"])
def test_what_has_no_bytes_is_told_from_what_has(
    root: Directory, tmp_path: Path, kind: str
) -> None:
    place = tmp_path / "lab/odd"
    (tmp_path / "lab/file").write_bytes(b"x")
    if kind == "fifo":
        os.mkfifo(place)
    elif kind == "directory":
        place.mkdir()
    else:
        place.symlink_to("file" if kind == "link" else "gone")
    file, odd = walk(root)
    check_has_bytes(root, file)
    with pytest.raises(FormatError, match="no bytes of its own"):
        check_has_bytes(root, odd)
