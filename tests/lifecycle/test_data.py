"""Data is taken in whole, under a version of its own, and its source is never lost."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from hashlib import sha256
from pathlib import Path

import pytest

from molexp.disk import door, layout
from molexp.disk.beneath import Directory
from molexp.errors import (
    AlreadyExistsError,
    ConflictError,
    FormatError,
    InvalidInputError,
    InvalidNameError,
    MolexpError,
    NotFoundError,
    StorageError,
)
from molexp.lifecycle.data import (
    Action,
    import_data,
    keep_object,
    publish_asset,
    published,
    register_data,
    versions,
)
from molexp.lifecycle.site import Site, new_uid, now
from molexp.model.address import Address
from molexp.model.asset import ArtifactAsset, Producer
from tests.disk import before, fork_each, meet, refusing, tree_of
from tests.lifecycle.lab import PROJECT, broken_rules, make_lab
from tests.users import User

LAB = Address()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "qm9.csv"
    made.write_bytes(b"id,energy\n1,-40.5\n")
    return made


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    made = tmp_path / "frames"
    (made / "deep").mkdir(parents=True)
    (made / "a").write_bytes(b"a")
    (made / "deep/b").write_bytes(b"bb")
    return made


def stored(lab: Path) -> set[str]:
    """Every file beneath the data of the workspace and of its scopes."""
    found = (path for path, (kind, _, _) in tree_of(lab).items() if kind != "directory")
    return {path for path in found if path.startswith("data/") or "/data/" in path}


def aside(lab: Path) -> list[str]:
    return sorted(os.listdir(lab / layout.TMP)) if (lab / layout.TMP).exists() else []


def test_a_file_becomes_a_version_with_its_bytes_and_its_record(
    site: Site, lab: Path, file: Path
) -> None:
    asset = import_data(site, LAB, "qm9", file, tags={"size": "small"}, meta={"unit": "eV"})
    assert (asset.version, asset.path, asset.size) == (1, "files/qm9.csv", file.stat().st_size)
    assert asset.content_hash == f"sha256:{sha256(file.read_bytes()).hexdigest()}"
    assert (asset.origin, asset.mime) == (str(file), "text/csv")
    assert asset.absolute_path() == lab / "data/qm9/v1/files/qm9.csv"
    assert asset.read_bytes() == file.read_bytes()
    assert stat.S_IMODE(asset.absolute_path().stat().st_mode) == 0o444
    assert versions(site, LAB) == [asset]
    assert broken_rules(lab) == []


def test_a_directory_is_one_asset_without_its_litter(site: Site, lab: Path, tree: Path) -> None:
    (tree / ".DS_Store").touch()
    asset = import_data(site, PROJECT, "frames", tree)
    there = tree_of(lab / "projects/qm9/data/frames/v1/files/frames")
    assert {path: data for path, (kind, _, data) in there.items() if kind == "file"} == {
        "a": b"a",
        "deep/b": b"bb",
    }
    assert asset.size == 3
    assert broken_rules(lab) == []


@pytest.mark.parametrize("what", ["file", "tree"])
def test_what_is_moved_is_gone_from_where_it_was_and_what_is_copied_is_not(
    site: Site, lab: Path, what: str, request: pytest.FixtureRequest
) -> None:
    source: Path = request.getfixturevalue(what)
    held = tree_of(source.parent)
    copied = import_data(site, LAB, "copied", source)
    assert {path: held[path] for path in held if path.startswith(source.name)} == {
        path: value
        for path, value in tree_of(source.parent).items()
        if path.startswith(source.name)
    }
    moved = import_data(site, LAB, "moved", source, "move")
    assert not source.exists()
    assert moved.content_hash == copied.content_hash
    assert [path.name for path in source.parent.iterdir()] == ["lab"]
    assert broken_rules(lab) == []


def test_the_same_once_more_is_not_stored_once_more(site: Site, lab: Path, file: Path) -> None:
    first = import_data(site, LAB, "qm9", file, tags={"a": True})
    assert import_data(site, LAB, "qm9", file, tags={"a": True}).asset_id == first.asset_id
    assert [each.version for each in versions(site, LAB)] == [1]
    assert import_data(site, LAB, "qm9", file, "move", tags={"a": True}) == first
    assert not file.exists()


def test_whatever_is_different_is_another_version(site: Site, lab: Path, file: Path) -> None:
    import_data(site, LAB, "qm9", file)
    import_data(site, LAB, "qm9", file, tags={"a": True})
    import_data(site, LAB, "qm9", file, tags={"a": True}, meta={"unit": "eV"})
    file.write_bytes(b"other")
    import_data(site, LAB, "qm9", file, tags={"a": True}, meta={"unit": "eV"})
    renamed = file.rename(file.with_name("renamed.csv"))
    import_data(site, LAB, "qm9", renamed, tags={"a": True}, meta={"unit": "eV"})
    assert [each.version for each in versions(site, LAB, "qm9")] == [5, 4, 3, 2, 1]
    assert versions(site, LAB, "other") == versions(site, Address.parse("gone")) == []
    assert broken_rules(lab) == []


HOSTILE = [
    "",
    ".",
    "..",
    "../up",
    "a/b",
    "/etc/passwd",
    "a\\b",
    "C:x",
    "nul",
    "nul.csv",
    "a\0b",
    "line\nbreak",
    "\ud800",
    "dot.",
    " space",
    "\u202e",
    "e\u0301",
    "x" * 241,
]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_that_cannot_be_is_refused_before_anything_moves(
    site: Site, lab: Path, file: Path, name: str
) -> None:
    held = file.read_bytes()
    for act in (import_data, partial(import_data, action="move"), register_data):
        with pytest.raises(InvalidNameError):
            act(site, LAB, name, file)
    assert file.read_bytes() == held
    assert stored(lab) == set()
    assert aside(lab) == []


@pytest.mark.parametrize("said", [{"tags": {"a": 5}}, {"meta": 5}, {"colour": "red"}])
def test_what_no_record_can_say_is_refused_before_anything_moves(
    site: Site, lab: Path, file: Path, said: dict[str, object]
) -> None:
    with pytest.raises(InvalidInputError):
        import_data(site, LAB, "qm9", file, "move", **said)
    assert file.exists()
    assert stored(lab) == set()


def test_a_file_whose_own_name_no_record_can_say_is_refused(
    site: Site, lab: Path, tmp_path: Path
) -> None:
    for name in ("nul.txt", "a\\b", "line\nbreak", "x" * 250):
        (tmp_path / name).write_bytes(b"x")
        with pytest.raises(InvalidNameError):
            import_data(site, LAB, "x", tmp_path / name, "move")
        assert (tmp_path / name).read_bytes() == b"x"
    assert stored(lab) == set()


def test_a_name_that_differs_in_case_alone_is_refused(site: Site, lab: Path, file: Path) -> None:
    import_data(site, LAB, "qm9", file)
    for act in (import_data, register_data):
        with pytest.raises(InvalidNameError, match="'qm9' is here"):
            act(site, LAB, "QM9", file)
    assert file.exists()
    assert {path.split("/")[1] for path in stored(lab)} == {"qm9"}


def test_a_twin_is_seen_although_its_record_cannot_be_read(
    site: Site, lab: Path, file: Path
) -> None:
    import_data(site, LAB, "qm9", file)
    record = lab / "data/qm9/v1/asset.json"
    record.unlink()
    record.write_bytes(b"{")
    with pytest.raises(InvalidNameError, match="'qm9' is here"):
        import_data(site, LAB, "QM9", file)


def test_what_lies_in_the_workspace_or_holds_it_is_not_taken_in(
    site: Site, lab: Path, tmp_path: Path
) -> None:
    (tmp_path / "link").symlink_to(lab / "meta.json")
    before = tree_of(tmp_path)
    for source in (lab, lab / "projects", lab / "meta.json", tmp_path / "link", tmp_path):
        for act in (import_data, partial(import_data, action="move"), register_data):
            with pytest.raises(InvalidInputError, match="this workspace"):
                act(site, LAB, "x", source)
    assert tree_of(tmp_path) == before


def test_a_source_that_is_not_there_names_what_is_near(
    site: Site, lab: Path, file: Path, tmp_path: Path
) -> None:
    with pytest.raises(NotFoundError, match=r"did you mean 'qm9\.csv'"):
        import_data(site, LAB, "qm9", tmp_path / "qm9.cvs")
    with pytest.raises(InvalidInputError, match="nothing can have the path"):
        import_data(site, LAB, "qm9", tmp_path / "a\0b")
    with pytest.raises(InvalidInputError, match="say 'copy' or 'move'"):
        import_data(site, LAB, "qm9", file, "steal")  # type: ignore[arg-type]  # what a user can say
    with pytest.raises(NotFoundError):
        import_data(site, Address.parse("gone"), "qm9", file, "move")
    assert file.exists()
    assert stored(lab) == set()


@pytest.mark.parametrize("odd", ["link", "fifo", "socket"])
@pytest.mark.parametrize("action", ["copy", "move"])
def test_a_tree_with_what_has_no_bytes_is_left_as_it_is(
    site: Site, lab: Path, tree: Path, odd: str, action: Action
) -> None:
    strange = tree / "deep/odd"
    if odd == "link":
        strange.symlink_to("/etc/passwd")
    else:
        os.mknod(strange, (stat.S_IFIFO if odd == "fifo" else stat.S_IFSOCK) | 0o600)
    held = tree_of(tree.parent / "frames")
    with pytest.raises(FormatError, match="no bytes of its own"):
        import_data(site, LAB, "frames", tree, action)
    assert tree_of(tree.parent / "frames") == held
    assert stored(lab) == set()


@pytest.mark.parametrize("at", range(1, 16))
def test_a_source_that_is_written_to_meanwhile_is_not_deleted(
    site: Site, lab: Path, tree: Path, at: int
) -> None:
    late = False

    def write() -> None:
        nonlocal late
        if (tree / "deep/b").exists():
            late = True
            with open(tree / "deep/b", "ab") as open_file:
                open_file.write(b" late")

    with door.gated(before(at, write)), suppress(ConflictError):
        import_data(site, LAB, "frames", tree, "move")
    found = [path.read_bytes() for path in tree.parent.rglob("b")]
    assert not late or b"bb late" in found
    if tree.exists():
        assert late


def test_a_moved_tree_whose_deletion_was_refused_is_taken_away_by_the_same_call(
    site: Site, lab: Path, tree: Path
) -> None:
    with (
        door.gated(refusing("rmdir", errno.EIO, at=1)),
        pytest.raises(StorageError),
    ):
        import_data(site, LAB, "frames", tree, "move")
    asset = import_data(site, LAB, "frames", tree, "move")
    assert asset.version == 1, "what is left of a source is no version of it"
    assert [path.name for path in tree.parent.iterdir()] == ["lab"]
    assert (asset.absolute_path() / "deep/b").read_bytes() == b"bb"


def test_what_is_registered_stays_where_it_is(site: Site, lab: Path, tree: Path) -> None:
    held = tree_of(tree.parent / "frames")
    asset = register_data(site, LAB, "frames", tree, tags={"a": True})
    assert (asset.path, asset.origin, asset.size) == (None, str(tree), 3)
    assert asset.absolute_path() == tree
    assert tree_of(tree.parent / "frames") == held
    assert register_data(site, LAB, "frames", tree, tags={"a": True}) == asset
    (tree / "a").write_bytes(b"changed")
    assert register_data(site, LAB, "frames", tree, tags={"a": True}).version == 2
    assert broken_rules(lab) == []


def test_the_same_bytes_registered_elsewhere_are_found_there(
    site: Site, lab: Path, file: Path, tmp_path: Path
) -> None:
    register_data(site, LAB, "qm9", file)
    moved = file.rename(tmp_path / "moved.csv")
    asset = register_data(site, LAB, "qm9", moved)
    assert asset.read_bytes() == moved.read_bytes()
    assert versions(site, LAB)[0].absolute_path() == moved


def test_what_a_run_made_is_published_once(site: Site, lab: Path) -> None:
    made = ArtifactAsset(
        asset_id=new_uid(), name="model", created_at=now(), path="artifacts/model", size=3
    )
    origin = "projects/qm9/experiments/baseline/runs/first/0001/artifacts/model"
    producer = Producer(run=new_uid(), execution=1)
    first = publish_asset(site, PROJECT, "best", made, producer, origin)
    assert (first.refers_to, first.origin, first.producer) == (made.asset_id, origin, producer)
    assert publish_asset(site, PROJECT, "best", made, producer, origin) == first
    other = made.evolve(asset_id=new_uid())
    assert publish_asset(site, PROJECT, "best", other, producer, origin).version == 2
    assert [each.version for each in published(site, [LAB, PROJECT], {made.asset_id: 1})] == [1]
    assert published(site, [LAB], {made.asset_id: 1}) == []


def test_what_is_published_is_not_what_is_registered(site: Site, lab: Path, file: Path) -> None:
    digest = register_data(site, LAB, "other", file).content_hash
    made = ArtifactAsset(
        asset_id=new_uid(), name="m", created_at=now(), path="m", content_hash=digest
    )
    publish_asset(site, PROJECT, "best", made, Producer(run=new_uid(), execution=1), "far")
    assert register_data(site, PROJECT, "best", file).absolute_path() == file


def test_an_object_is_kept_once_by_its_hash(site: Site, lab: Path) -> None:
    digest = keep_object(site, b"print(1)")
    assert digest == f"sha256:{sha256(b'print(1)').hexdigest()}"
    assert keep_object(site, b"print(1)") == digest
    (path,) = (each for each in (lab / "objects").rglob("*") if each.is_file())
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"print(1)", 0o444)
    assert keep_object(site, b"") != digest
    assert broken_rules(lab) == []


@pytest.mark.parametrize("planted", ["torn", "link", "directory"])
def test_what_is_not_the_object_is_not_taken_for_it(site: Site, lab: Path, planted: str) -> None:
    name = sha256(b"print(1)").hexdigest()
    place = lab / layout.object_path(name)
    place.parent.mkdir(parents=True)
    if planted == "torn":
        place.write_bytes(b"prin")
    elif planted == "link":
        (lab.parent / "elsewhere").write_bytes(b"print(1)")
        place.symlink_to(lab.parent / "elsewhere")
    else:
        place.mkdir()
    before = tree_of(lab.parent)
    with pytest.raises(AlreadyExistsError):
        keep_object(site, b"print(1)")
    after = {path: value for path, value in tree_of(lab.parent).items() if ".molexp" not in path}
    assert after == {path: value for path, value in before.items() if ".molexp" not in path}


PLANTED = ["data", "data/qm9", "data/qm9/v1", "objects", "objects/{:.2}", ".molexp", ".molexp/tmp"]


@pytest.mark.parametrize("place", PLANTED)
def test_a_planted_link_leads_no_write_out_of_the_workspace(
    site: Site, lab: Path, file: Path, place: str
) -> None:
    outside = lab.parent / "outside"
    outside.mkdir()
    link = lab / place.format(sha256(b"object").hexdigest())
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(outside)
    acts: list[Callable[[], object]] = [
        partial(import_data, site, LAB, "qm9", file, "move"),
        partial(register_data, site, LAB, "qm9", file),
        partial(keep_object, site, b"object"),
    ]
    for act in acts:
        try:
            act()
        except MolexpError:
            continue
    assert list(outside.iterdir()) == []
    assert file.exists() or b"-40.5" in b"".join(
        path.read_bytes() for path in (lab / "data").rglob("qm9.csv")
    )


def test_a_record_that_cannot_be_read_does_not_block_its_name(
    site: Site, lab: Path, file: Path
) -> None:
    import_data(site, LAB, "qm9", file)
    file.write_bytes(b"other")
    import_data(site, LAB, "qm9", file)
    record = lab / "data/qm9/v2/asset.json"
    record.unlink()
    record.write_bytes(b"{")
    file.write_bytes(b"third")
    assert import_data(site, LAB, "qm9", file).version == 3
    assert [each.version for each in versions(site, LAB)] == [3, 1]


def test_what_others_put_beside_the_versions_is_no_version(
    site: Site, lab: Path, file: Path
) -> None:
    for name in ("v0", "v01", "v-1", "vx", "v9x", ".DS_Store", "v\u0663"):
        (lab / "data/qm9" / name).mkdir(parents=True)
    assert import_data(site, LAB, "qm9", file).version == 1


def test_the_cache_may_be_deleted_between_any_two_calls(
    site: Site, lab: Path, tree: Path, file: Path
) -> None:
    for version in (1, 2, 3):
        file.write_bytes(b"%d" % version)
        assert import_data(site, LAB, "qm9", file).version == version
        shutil.rmtree(lab / layout.CACHE)
    for at in range(1, 12):
        with door.gated(before(at, partial(shutil.rmtree, lab / layout.CACHE, ignore_errors=True))):
            import_data(site, LAB, f"frames-{at}", tree)
    assert broken_rules(lab) == []


def test_eight_processes_that_import_one_name_at_once_lose_nothing(
    lab: Path, tmp_path: Path
) -> None:
    def work(number: int) -> str:
        source = tmp_path / f"source-{number}"
        source.write_text(f"from {number}")
        mine = Site(Directory.open(lab), durability="process")
        meet(tmp_path / "met", str(number), 8)
        made = [
            import_data(mine, LAB, "qm9", source, "move", meta={"round": 0}),
        ]
        mine.close()
        return ",".join(f"{each.version}:{each.read_text()}" for each in made)

    said = fork_each([partial(work, number) for number in range(8)])
    assert None not in said
    acked = dict(pair.split(":") for text in said if text for pair in text.split(","))
    assert sorted(acked) == [str(version) for version in range(1, 9)]
    assert sorted(acked.values()) == [f"from {number}" for number in range(8)]
    with Directory.open(lab) as root:
        found = {str(each.version): each.read_text() for each in versions(Site(root), LAB)}
    assert found == acked
    assert broken_rules(lab) == []


@pytest.mark.users
def test_a_closed_tree_is_moved_and_what_may_not_be_read_is_left(user: User) -> None:
    lab = user.directory / "lab"

    def body() -> list[str]:
        site = Site(Directory.open(make_lab(lab)), durability="process")
        closed = user.directory / "closed"
        (closed / "deep").mkdir(parents=True)
        (closed / "deep/a").write_bytes(b"a")
        for path, mode in ((closed / "deep/a", 0o444), (closed / "deep", 0o555), (closed, 0o555)):
            path.chmod(mode)
        import_data(site, LAB, "closed", closed, "move")
        hidden = user.directory / "hidden"
        hidden.mkdir()
        (hidden / "a").write_bytes(b"a")
        (hidden / "a").chmod(0)
        try:
            import_data(site, LAB, "hidden", hidden, "move")
        except StorageError:
            assert (hidden / "a").stat().st_size == 1
        site.close()
        return [each.name for each in user.directory.iterdir()]

    left = user.run(body)
    assert sorted(left) == (["lab"] if user.uid == 0 else ["hidden", "lab"])
