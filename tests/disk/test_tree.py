"""One workspace, in a directory or in a zip: read alike, and what is hostile is refused."""

from __future__ import annotations

import io
import os
import random
import stat
import struct
import subprocess
import sys
import warnings
import zipfile
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from molexp.disk.tree import Tree, ZipTree, open_tree
from molexp.disk.walk import MAX_DEPTH
from molexp.errors import FormatError, InvalidNameError, NotFoundError, StorageError
from tests.users import User

FILES = {
    "meta.json": b'{"format":1}',
    "data/a/v1/files/big.bin": bytes(range(256)) * 4000,
    "data/a/v1/files/ü \U0001f642.txt": b"text",
    "data/a-b/x": b"",
    "projects/p/meta.json": b"{}",
}
SOME = 1 << 20


def _unpack(place: Path) -> None:
    for name, data in FILES.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(data)
    (place / "empty").mkdir()


def _pack(method: int = zipfile.ZIP_DEFLATED, files: dict[str, bytes] = FILES) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
        archive.mkdir("empty")
    return made.getvalue()


class Conformance:
    """What every tree answers."""

    @abstractmethod
    def make(self, place: Path) -> Path:
        """The workspace, in a new directory."""

    @pytest.fixture
    def tree(self, tmp_path: Path) -> Iterator[Tree]:
        with open_tree(self.make(tmp_path)) as tree:
            yield tree

    def test_files_are_read_whole(self, tree: Tree) -> None:
        for name, data in FILES.items():
            assert tree.read(name, len(data)) == data
            with tree.open(name) as file:
                assert b"".join(iter(partial(file.read, 1000), b"")) == data

    def test_a_file_of_more_than_the_limit_is_refused(self, tree: Tree) -> None:
        with pytest.raises(FormatError, match="more than 11 bytes") as raised:
            tree.read("meta.json", 11)
        assert raised.value.details["path"] == tree.where("meta.json")

    def test_names_are_sorted_and_only_of_entries(self, tree: Tree) -> None:
        assert tree.names() == ["data", "empty", "meta.json", "projects"]
        assert tree.names("data") == ["a", "a-b"]
        assert tree.names("empty") == []

    def test_a_walk_tells_everything_in_order(self, tree: Tree) -> None:
        told = [(found.path, str(found.type)) for found in tree.walk()]
        above = {str(parent) for name in FILES for parent in Path(name).parents} - {"."}
        expected = dict.fromkeys([*above, "empty"], "directory") | dict.fromkeys(FILES, "file")
        assert dict(told) == expected
        assert [path.split("/") for path, _ in told] == sorted(path.split("/") for path in expected)
        sizes = {found.path: found.size for found in tree.walk() if str(found.type) == "file"}
        assert sizes == {name: len(data) for name, data in FILES.items()}
        inner = [found.path for found in tree.walk("data/a")]
        assert inner == [path for path, _ in told if path.startswith("data/a/")]

    @pytest.mark.parametrize("path", ["none", "data/none", "none/none", "meta"])
    def test_what_is_not_there_is_said(self, tree: Tree, path: str) -> None:
        for look in (lambda: tree.read(path, SOME), lambda: tree.open(path)):
            with pytest.raises(NotFoundError, match="is not there"):
                look()
        for look_into in (lambda: tree.names(path), lambda: list(tree.walk(path))):
            with pytest.raises(NotFoundError, match="is not there"):
                look_into()

    def test_a_file_is_no_directory_and_a_directory_no_file(self, tree: Tree) -> None:
        for directory in ("data", "empty"):
            with pytest.raises(FormatError):
                tree.read(directory, SOME)
            with pytest.raises(FormatError):
                tree.open(directory)
        for look in (lambda: tree.names("meta.json"), lambda: list(tree.walk("meta.json"))):
            with pytest.raises(FormatError):
                look()

    @pytest.mark.parametrize("path", ["", "..", "../x", "data/../x", "/x", ".", "a//b", "data/"])
    def test_nothing_is_read_by_a_crooked_path(self, tree: Tree, path: str) -> None:
        with pytest.raises(InvalidNameError):
            tree.read(path, SOME)
        with pytest.raises(InvalidNameError):
            tree.open(path)
        if path:
            with pytest.raises(InvalidNameError):
                tree.names(path)


class TestDirectoryTree(Conformance):
    def make(self, place: Path) -> Path:
        _unpack(place)
        return place


class TestZipTree(Conformance):
    def make(self, place: Path) -> Path:
        (place / "lab.zip").write_bytes(_pack())
        return place / "lab.zip"


class TestZipTreeStored(Conformance):
    def make(self, place: Path) -> Path:
        (place / "lab.zip").write_bytes(_pack(zipfile.ZIP_STORED))
        return place / "lab.zip"


def _open(tmp_path: Path, data: bytes) -> ZipTree:
    (tmp_path / "lab.zip").write_bytes(data)
    return ZipTree(tmp_path / "lab.zip")


def _named(*names: str, mode: int = 0o100644) -> bytes:
    """A zip with entries of these very names, which zipfile itself would rewrite."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that names come twice is the point
        for name in names:
            info = zipfile.ZipInfo("x" * len(name.encode()))
            info.external_attr = mode << 16
            archive.writestr(info, b"data")
    data = made.getvalue()
    for name in names:
        placeholder = b"x" * len(name.encode())
        for signature, skip in ((b"PK\x03\x04", 30), (b"PK\x01\x02", 46)):
            at = data.find(signature)
            while data[at + skip : at + skip + len(placeholder)] != placeholder:
                at = data.index(signature, at + 1)
            data = data[: at + skip] + name.encode() + data[at + skip + len(placeholder) :]
    return data


HOSTILE = {
    "up": ("../escaped",),
    "up in the middle": ("a/../../escaped",),
    "here": ("./a",),
    "absolute": ("/etc/passwd",),
    "drive": ("C:\\windows",),
    "backslash": ("a\\..\\b",),
    "NUL": ("meta.json\0.txt",),
    "empty step": ("a//b",),
    "only a slash": ("/",),
    "two slashes": ("a//",),
    "twice": ("a", "a"),
    "file, then directory": ("a", "a/b"),
    "directory, then file": ("a/b", "a"),
    "file, then directory entry": ("a", "a/"),
    "directory entry, then file": ("a/", "a"),
    "deep": ("d/" * MAX_DEPTH + "f",),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_zip_with_such_names_is_refused_whole(tmp_path: Path, kind: str) -> None:
    with pytest.raises(FormatError, match="is refused"):
        _open(tmp_path, _named(*HOSTILE[kind]))
    assert sorted(os.listdir(tmp_path)) == ["lab.zip"]


def test_the_same_zip_with_good_names_is_read(tmp_path: Path) -> None:
    with _open(tmp_path, _named("a/", "a/b", "a/c", "d" * 60)) as tree:
        assert tree.names("a") == ["b", "c"]
        assert tree.read("a/b", 4) == b"data"
    with _open(tmp_path, _named("d/" * (MAX_DEPTH - 1) + "f")) as tree:
        assert len(list(tree.walk())) == MAX_DEPTH


def test_a_link_in_a_zip_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="link"):
        _open(tmp_path, _named("a", mode=stat.S_IFLNK | 0o777))


def test_an_encrypted_entry_is_refused(tmp_path: Path) -> None:
    data = bytearray(_named("a"))
    for signature, skip in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.find(signature) + skip] |= 1
    with _open(tmp_path, bytes(data)) as tree, pytest.raises(FormatError, match="encrypted"):
        tree.read("a", 10)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_compression_without_a_bound_is_refused(tmp_path: Path, method: int) -> None:
    with pytest.raises(FormatError, match="compress"):
        _open(tmp_path, _pack(method))


@pytest.mark.parametrize("data", [b"", b"PK", b"not a zip", b"\0" * 10_000])
def test_what_is_no_zip_says_so(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(FormatError, match=r"lab\.zip cannot be read"):
        _open(tmp_path, data)
    with pytest.raises(NotFoundError, match=r"none\.zip"):
        open_tree(tmp_path / "none.zip")


def _read_at_once(tree: Tree, path: str) -> int:
    return len(tree.read(path, 2 * SOME))


def _read_in_parts(tree: Tree, path: str) -> int:
    with tree.open(path) as file:
        return sum(map(len, iter(lambda: file.read(1000), b"")))


def _read_everything(tmp_path: Path, data: bytes) -> int:
    """How many bytes could be read; only errors of ours come out."""
    read = 0
    try:
        with _open(tmp_path, data) as tree:
            for found in tree.walk():
                for way in (_read_at_once, _read_in_parts):
                    if str(found.type) == "file":
                        with suppress(FormatError, NotFoundError):
                            read += way(tree, found.path)
    except (FormatError, NotFoundError):
        pass
    return read


SMALL = {"meta.json": b"{}" * 100, "a/b.txt": bytes(range(256)) * 8, "a/c": b"1" * 3000}


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_zip_cut_anywhere_raises_only_what_is_expected(tmp_path: Path, method: int) -> None:
    data = _pack(method, SMALL)
    whole = _read_everything(tmp_path, data)
    assert whole == 2 * sum(map(len, SMALL.values()))
    for size in range(0, len(data), max(1, min(100, len(data) // 40))):
        assert _read_everything(tmp_path, data[:size]) < whole


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_zip_with_flipped_bytes_raises_only_what_is_expected(tmp_path: Path, method: int) -> None:
    source, data = random.Random(method), _pack(method, SMALL)
    head = len(data) - 400  # most of what zipfile parses lies at the end
    changed = 0
    for _ in range(600):
        copy = bytearray(data)
        for _ in range(source.choice([1, 1, 1, 4, 30])):
            copy[
                source.choice([source.randrange(len(copy)), source.randrange(head, len(copy))])
            ] = source.randrange(256)
        changed += _read_everything(tmp_path, bytes(copy)) != 2 * sum(map(len, SMALL.values()))
    assert changed > 300


def test_bytes_that_are_not_those_that_were_packed_are_not_given_out(tmp_path: Path) -> None:
    data = bytearray(_pack(zipfile.ZIP_STORED, SMALL))
    data[data.find(b"1" * 3000) + 1500] ^= 1
    with _open(tmp_path, bytes(data)) as tree:
        with pytest.raises(FormatError, match="a/c"):
            tree.read("a/c", SOME)
        with tree.open("a/c") as file, pytest.raises(FormatError, match="a/c"):
            file.read()
        assert tree.read("meta.json", SOME) == SMALL["meta.json"]


BOMB = """
import resource, sys
from molexp.disk.tree import ZipTree
from molexp.errors import FormatError
with ZipTree(sys.argv[1]) as tree:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        tree.read("bomb", 1 << 20)
    except FormatError:
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.parametrize("lie", [None, 100])
def test_a_bomb_costs_no_more_memory_than_the_limit(tmp_path: Path, lie: int | None) -> None:
    with (
        zipfile.ZipFile(tmp_path / "lab.zip", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("bomb", "w") as member,
    ):
        for _ in range(200):
            member.write(bytes(SOME))
    if lie is not None:  # about its size, which then is not that of what comes out
        data = bytearray((tmp_path / "lab.zip").read_bytes())
        struct.pack_into("<I", data, data.find(b"PK\x01\x02") + 24, lie)
        (tmp_path / "lab.zip").write_bytes(data)
    done = subprocess.run(
        [sys.executable, "-c", BOMB, str(tmp_path / "lab.zip")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout) < 20_000  # kB, of 200 MB


def test_a_refused_zip_leaves_no_descriptor_open(tmp_path: Path) -> None:
    count = len(os.listdir("/proc/self/fd"))
    with pytest.raises(FormatError) as raised:
        _open(tmp_path, _named("../x"))
    assert len(os.listdir("/proc/self/fd")) == count
    assert raised.value.details["place"] == "../x"


@pytest.mark.users
@pytest.mark.parametrize("kind", ["zip", "directory"])
def test_a_workspace_that_may_not_be_read_is_a_typed_error(user: User, kind: str) -> None:
    place = user.directory / "lab"
    if kind == "zip":
        place.write_bytes(_pack())
        place.chmod(0)
    else:
        place.mkdir(0)

    def body() -> list[str]:
        with open_tree(place) as tree:
            return tree.names()

    if user.uid == 0:
        user.run(body)
    else:
        with pytest.raises(StorageError, match="ask the owner"):
            user.run(body)
