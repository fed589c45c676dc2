"""The bytes of an asset are read and copied from where its record says, and from nowhere else."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from molexp.disk import door, layout
from molexp.disk.beneath import Directory
from molexp.errors import (
    AlreadyExistsError,
    FormatError,
    InvalidInputError,
    MolexpError,
    NotFoundError,
    StorageError,
)
from molexp.lifecycle.place import Place, check_source, copy_file, copy_tree
from molexp.lifecycle.site import new_uid, now
from molexp.model.asset import ArtifactAsset
from tests.disk import refusing, tree_of

MODES = layout.ACCESS["private"]
ASSET = ArtifactAsset(asset_id=new_uid(), name="model", created_at=now(), path="artifacts/model")


@pytest.fixture
def scope(tmp_path: Path) -> Path:
    made = tmp_path / "scope"
    (made / "0001/artifacts/tree/deep").mkdir(parents=True)
    (made / "0001/artifacts/model").write_bytes(b"weights")
    (made / "0001/artifacts/tree/a").write_bytes(b"a")
    (made / "0001/artifacts/tree/deep/b").write_bytes(b"b")
    (tmp_path / "secret").write_bytes(b"secret")
    return made


def at(scope: Path, within: str | None) -> Place:
    return Place(str(scope), "p/e/r", within)


def test_a_file_is_read_copied_and_found_where_it_lies(scope: Path, tmp_path: Path) -> None:
    place = at(scope, "0001/artifacts/model")
    assert place.read(ASSET) == b"weights"
    assert place.absolute(ASSET) == scope / "0001/artifacts/model"
    copy = place.export(ASSET, tmp_path / "copy")
    assert copy.read_bytes() == b"weights"


def test_a_directory_is_copied_whole_and_has_no_bytes_of_its_own(
    scope: Path, tmp_path: Path
) -> None:
    place = at(scope, "0001/artifacts/tree")
    (scope / "0001/artifacts/tree/.DS_Store").touch()
    (scope / "0001/artifacts/tree/deep").chmod(0o555)
    (scope / "0001/artifacts/tree").chmod(0o555)
    place.export(ASSET, tmp_path / "copy")
    assert tree_of(tmp_path / "copy") == {
        "a": ("file", 0o644, b"a"),
        "deep": ("directory", 0o755, b""),
        "deep/b": ("file", 0o644, b"b"),
    }
    with pytest.raises(InvalidInputError, match="is a directory"):
        place.read(ASSET)


def test_a_scope_that_moved_is_read_where_it_lies_now(scope: Path, tmp_path: Path) -> None:
    place = at(scope, "0001/artifacts/model")
    scope.rename(tmp_path / "moved")
    with pytest.raises(NotFoundError):
        place.read(ASSET)
    moved = place.at(tmp_path / "moved")
    assert moved.read(ASSET) == b"weights"
    assert moved.scope == place.scope


def test_data_that_stays_elsewhere_is_read_there(scope: Path, tmp_path: Path) -> None:
    place = Place(str(scope), "", None, str(tmp_path / "secret"))
    assert place.read(ASSET) == b"secret"
    assert place.absolute(ASSET) == tmp_path / "secret"
    (tmp_path / "secret").unlink()
    with pytest.raises(NotFoundError):
        place.read(ASSET)


def test_a_value_has_no_file(scope: Path, tmp_path: Path) -> None:
    place = at(scope, None)
    for ask in (place.read, place.absolute, lambda asset: place.export(asset, tmp_path / "copy")):
        with pytest.raises(NotFoundError, match="only a value"):
            ask(ASSET)


HOSTILE = [
    "../secret",
    "0001/../../secret",
    "0001/artifacts/../../../secret",
    "/etc/passwd",
    "0001//model",
    "./0001/artifacts/model",
    "0001/artifacts/model\0",
    "",
    "..",
    "0001/artifacts/\ud800",
]


@pytest.mark.parametrize("within", HOSTILE)
def test_a_record_leads_nowhere_but_down(scope: Path, tmp_path: Path, within: str) -> None:
    place = at(scope, within)
    for ask in (place.read, place.absolute, lambda asset: place.export(asset, tmp_path / "copy")):
        with pytest.raises(InvalidInputError, match="straight down"):
            ask(ASSET)
    assert not (tmp_path / "copy").exists()


@pytest.mark.parametrize("link", ["0001", "0001/artifacts", "0001/artifacts/model"])
def test_no_link_on_the_way_is_followed(scope: Path, tmp_path: Path, link: str) -> None:
    os.rename(scope / link, tmp_path / "away")
    (scope / link).symlink_to(tmp_path / "away")
    place = at(scope, "0001/artifacts/model")
    with pytest.raises(FormatError, match="follows no links"):
        place.read(ASSET)
    with pytest.raises(FormatError, match="follows no links"):
        place.export(ASSET, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


@pytest.mark.parametrize("kind", ["file", "directory", "link", "dangling link"])
@pytest.mark.parametrize("what", ["model", "tree"])
def test_nothing_is_copied_over(scope: Path, tmp_path: Path, kind: str, what: str) -> None:
    target = tmp_path / "copy"
    if kind == "file":
        target.write_bytes(b"mine")
    elif kind == "directory":
        target.mkdir()
    else:
        target.symlink_to("secret" if kind == "link" else "nothing")
    before = tree_of(tmp_path)
    with pytest.raises(AlreadyExistsError, match="nothing is written over"):
        at(scope, f"0001/artifacts/{what}").export(ASSET, target)
    assert tree_of(tmp_path) == before


@pytest.mark.parametrize("what", ["model", "tree"])
@pytest.mark.parametrize("target", ["", ".", "..", "/", "missing/copy", "a\0b", "\ud800"])
def test_a_target_that_no_copy_can_have_is_refused(
    scope: Path, tmp_path: Path, what: str, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = tree_of(tmp_path)
    with pytest.raises(MolexpError):
        at(scope, f"0001/artifacts/{what}").export(ASSET, target)
    assert tree_of(tmp_path) == before


@pytest.mark.parametrize("at_call", [1, 2, 3, 4, 5])
def test_a_copy_that_the_disk_refuses_leaves_nothing_and_works_later(
    scope: Path, tmp_path: Path, at_call: int
) -> None:
    place = at(scope, "0001/artifacts/tree")
    before = tree_of(tmp_path)
    for operation in ("write", "create", "mkdir"):
        gate = refusing(operation, errno.ENOSPC, at=at_call)
        with door.gated(gate):
            try:
                place.export(ASSET, tmp_path / "copy")
            except StorageError:
                assert tree_of(tmp_path) == before, operation
                place.export(ASSET, tmp_path / "copy")
        assert (tmp_path / "copy/deep/b").read_bytes() == b"b"
        os.rename(tmp_path / "copy", scope.parent / f"done-{operation}")
        before = tree_of(tmp_path)


@pytest.mark.parametrize("odd", ["link", "fifo"])
def test_a_tree_with_what_has_no_bytes_is_not_copied(scope: Path, tmp_path: Path, odd: str) -> None:
    strange = scope / "0001/artifacts/tree/zz"
    strange.symlink_to("/etc/passwd") if odd == "link" else os.mkfifo(strange)
    with pytest.raises(FormatError, match="no bytes of its own"):
        at(scope, "0001/artifacts/tree").export(ASSET, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_copies_are_hashed_on_their_way(scope: Path, tmp_path: Path) -> None:
    (tmp_path / "to").mkdir()
    with Directory.open(scope / "0001/artifacts") as source, Directory.open(tmp_path / "to") as to:
        one = copy_file(source, "model", to, "m", 0o444)
        with source.enter("tree") as tree:
            many = copy_tree(tree, to, MODES)
    assert (one.size, one.content_hash[:10]) == (7, "sha256:9a1")
    assert stat.S_IMODE((tmp_path / "to/m").stat().st_mode) == 0o444
    assert sorted(many) == ["a", "deep/b"]


def test_a_file_copied_onto_another_leaves_both(scope: Path, tmp_path: Path) -> None:
    with (
        Directory.open(scope / "0001/artifacts") as source,
        Directory.open(tmp_path) as target,
        pytest.raises(FileExistsError),
    ):
        copy_file(source, "model", target, "secret", 0o644)
    assert (tmp_path / "secret").read_bytes() == b"secret"


def test_a_source_that_is_not_there_names_what_is_near(tmp_path: Path) -> None:
    (tmp_path / "qm9.csv").touch()
    with pytest.raises(NotFoundError, match=r"did you mean 'qm9\.csv'") as raised:
        check_source(tmp_path / "qm9.cvs")
    assert raised.value.details["near"] == ["qm9.csv"]
    with pytest.raises(NotFoundError, match="has no such entry"):
        check_source(tmp_path / "no/such")
    check_source(tmp_path / "qm9.csv")


def test_a_source_that_cannot_be_is_a_typed_error(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    for bad in ("a\0b", "\ud800"):
        with pytest.raises(InvalidInputError, match="nothing can have the path"):
            check_source(tmp_path / bad)
    for worse in ("loop", "x" * 300):
        with pytest.raises(StorageError):
            check_source(tmp_path / worse)
