"""The rules of docs/format/layout.md."""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from pathlib import Path

import pytest

from molexp.disk import layout
from molexp.disk.beneath import Directory
from molexp.disk.tree import open_tree
from molexp.errors import FormatError, NotFoundError
from molexp.integrity.conformance import check_workspace
from molexp.model.digest import hex_of
from tests.format.lab import (
    BEST,
    CANCELLED,
    DATA,
    DIVERGED,
    EXPERIMENT,
    FAILED,
    PROJECT,
    SUCCEEDED,
    Lab,
    Refusals,
)

UID = "01KJPX50B00000000000000000"
REMOVED = {
    "format": 1,
    "kind": "removed",
    "uid": UID,
    "path": "projects/old",
    "at": "2026-03-02T12:00:00Z",
    "writer": "f3e5efb48b-2210-80417-4321a8",
    "by": "ada@lab-ws1",
}


@pytest.mark.rule("LAYOUT-1")
def test_a_workspace_has_a_meta_json_at_its_root(lab: Lab, refused: Refusals) -> None:
    assert lab.check() == []
    lab.remove("meta.json")
    refused.in_lab(lab, "")
    with refused.by(NotFoundError), open_tree(lab.root / "nowhere"):
        pass


@pytest.mark.rule("LAYOUT-2")
def test_a_directory_without_meta_json_is_no_scope_and_hides_none(
    lab: Lab, refused: Refusals
) -> None:
    lab.remove(f"{EXPERIMENT}/meta.json")
    lab.change(f"{DIVERGED}/meta.json", name="another")
    refused.in_lab(lab, EXPERIMENT)
    assert f"{DIVERGED}/meta.json" in [violation.path for violation in lab.check()]


@pytest.mark.rule("LAYOUT-3")
@pytest.mark.parametrize("place", ["", PROJECT, EXPERIMENT, BEST, SUCCEEDED, DATA])
def test_a_directory_holds_only_what_is_named_for_it(
    lab: Lab, refused: Refusals, place: str
) -> None:
    litter = (".DS_Store", "._meta.json", ".nfs0001", ".fuse_hidden1", "Thumbs.db", "desktop.ini")
    for name in (*litter, ".directory"):
        lab.write(f"{place}/{name}", b"")
    assert lab.check() == []
    lab.write(f"{place}/results.txt", b"")
    refused.in_lab(lab, f"{place}/results.txt".lstrip("/"))


@pytest.mark.rule("LAYOUT-3")
def test_scopes_alone_lie_between_scopes(lab: Lab, refused: Refusals) -> None:
    lab.write("projects/notes.txt", b"")
    refused.in_lab(lab, "projects/notes.txt")


@pytest.mark.rule("LAYOUT-4")
@pytest.mark.parametrize("place", ["data/qm9-sample/v2", "data/qm9-sample/v01", "data/qm9/v1"])
def test_a_data_asset_lies_under_its_name_and_version(
    lab: Lab, refused: Refusals, place: str
) -> None:
    os.makedirs(lab.root / place.rpartition("/")[0], exist_ok=True)
    os.rename(lab.root / DATA, lab.root / place)
    refused.in_lab(lab, f"{place}/asset.json")


@pytest.mark.rule("LAYOUT-4")
def test_data_without_its_record_is_reported(lab: Lab, refused: Refusals) -> None:
    lab.remove(f"{DATA}/asset.json")
    refused.in_lab(lab, DATA)


@pytest.mark.rule("LAYOUT-5")
def test_executions_are_numbered_from_one_without_gaps(lab: Lab, refused: Refusals) -> None:
    assert [layout.execution_number(name) for name in ("0001", "12345")] == [1, 12345]
    assert [layout.execution_number(name) for name in ("0000", "1", "00001", "１２３４")] == [
        None
    ] * 4
    os.rename(lab.root / SUCCEEDED, lab.root / BEST / "0003")
    refused.in_lab(lab, f"{BEST}/0003")


@pytest.mark.rule("LAYOUT-6")
def test_a_request_is_named_by_what_it_says(lab: Lab, refused: Refusals) -> None:
    (cancel,) = (lab.root / DIVERGED / "requests").glob("*-cancel.json")
    path = cancel.relative_to(lab.root).as_posix()
    lab.change(path, execution="01KJPX50B00000000000000000")
    refused.in_lab(lab, path)
    cancel.rename(cancel.parent / "cancel.json")
    refused.in_lab(lab, f"{DIVERGED}/requests/cancel.json")


@pytest.mark.rule("LAYOUT-7")
def test_an_object_is_named_by_its_hash(lab: Lab, refused: Refusals) -> None:
    digest = lab.read(f"{EXPERIMENT}/meta.json")["workflow"]["object"]
    path = layout.object_path(hex_of(digest))
    lab.append(path, b"\n")
    refused.in_lab(lab, path)


@pytest.mark.rule("LAYOUT-8")
def test_what_is_in_the_trash_says_where_it_came_from(lab: Lab, refused: Refusals) -> None:
    lab.write(f"trash/{UID}/removed.json", REMOVED)
    lab.write(f"trash/{UID}/content/meta.json", b"whatever it was")
    assert lab.check() == []
    lab.write(f"trash/{UID}/else", b"")
    refused.in_lab(lab, f"trash/{UID}/else")
    lab.remove(f"trash/{UID}/else")
    lab.change(f"trash/{UID}/removed.json", uid=UID[:-1] + "1")
    refused.in_lab(lab, f"trash/{UID}")


@pytest.mark.rule("LAYOUT-9")
def test_nothing_is_reached_through_a_link(lab: Lab, refused: Refusals, tmp_path: Path) -> None:
    for place in (f"{SUCCEEDED}/work/latest", "views/best", ".molexp/here"):
        (lab.root / place).parent.mkdir(exist_ok=True)
        (lab.root / place).symlink_to(lab.root)
    lab.write(f"trash/{UID}/removed.json", {**REMOVED, "path": f"{SUCCEEDED}/work", "of": UID})
    os.rename(lab.root / "views", lab.root / f"trash/{UID}/content")
    assert lab.check() == []
    shutil.move(lab.root / PROJECT, tmp_path / "elsewhere")
    (lab.root / PROJECT).symlink_to(tmp_path / "elsewhere")
    refused.in_lab(lab, PROJECT)
    with Directory.open(lab.root) as root, refused.by(FormatError, "follows no links"):
        root.read(f"{PROJECT}/meta.json", 1000)
    with Directory.open(lab.root) as root, refused.by(FormatError, "follows no links"):
        root.make(f"{PROJECT}/data", 0o755)


@pytest.mark.rule("LAYOUT-10")
def test_what_is_disposable_holds_no_facts(lab: Lab, refused: Refusals) -> None:
    lab.write(".molexp/catalog/garbage", b"\xff")
    lab.write("views/meta.json", b"{")
    assert lab.check() == []
    os.rename(lab.root / "objects", lab.root / ".molexp/objects")
    found = [violation.rule for violation in lab.check()]
    assert "WRITE-3" in found
    refused.unequal([], found)


@pytest.mark.rule("LAYOUT-11")
@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../up", "a//b", "a/./b", "a\\b", "meta.json/x", "meta.json"]
)
def test_a_zip_leads_straight_down(lab: Lab, refused: Refusals, tmp_path: Path, name: str) -> None:
    path = _zip(lab.root, tmp_path / "lab.zip")
    with open_tree(path) as tree:
        assert check_workspace(tree) == []
    with zipfile.ZipFile(path, "a") as archive, pytest.MonkeyPatch.context() as patch:
        patch.setattr("warnings.warn", lambda *args, **more: None)  # of a name that comes twice
        archive.writestr(zipfile.ZipInfo(name), b"")
    with refused.by(FormatError, "is refused"):
        open_tree(path)


@pytest.mark.rule("LAYOUT-11")
def test_a_zip_holds_no_links(lab: Lab, refused: Refusals, tmp_path: Path) -> None:
    path = _zip(lab.root, tmp_path / "lab.zip")
    link = zipfile.ZipInfo("views/best")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(link, "../projects")
    with refused.by(FormatError, "it is a link"):
        open_tree(path)


@pytest.mark.rule("LAYOUT-12")
def test_what_is_nested_too_deep_is_reported(lab: Lab, refused: Refusals) -> None:
    lab.write(f"{FAILED}/work/{'d/' * 150}file", b"")
    assert {violation.rule for violation in lab.check()} == {"END-4"}
    lab.write(f"{CANCELLED}/work/{'d/' * 210}file", b"")
    refused.in_lab(lab)


def test_a_request_survives_being_spelt_in_another_order(lab: Lab) -> None:
    (cancel,) = (lab.root / DIVERGED / "requests").glob("*-cancel.json")
    cancel.write_text(json.dumps(json.loads(cancel.read_bytes()), sort_keys=True, indent=1))
    assert lab.check() == []


def _zip(root: Path, path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(root.rglob("*")):
            archive.write(file, file.relative_to(root))
    return path
