"""The checker beyond the single rules, each of which has a test in tests/format."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path

import pytest

from molexp.disk.tree import open_tree
from molexp.integrity.conformance import Violation, check_workspace
from tests.format.lab import (
    BEST,
    CANCELLED,
    DATA,
    EXPERIMENT,
    FAILED,
    PROJECT,
    SUCCEEDED,
    TEMPLATE,
    Lab,
)
from tests.format.seal import seal_text


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """A copy of the template."""
    return Lab(tmp_path / "lab")


def pack(root: Path, path: Path) -> Path:
    """A zip of a workspace, uncompressed."""
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(root.rglob("*")):
            archive.write(file, file.relative_to(root))
    return path


def test_a_violation_says_where_how_and_which_rule() -> None:
    assert str(Violation("END-5", "0001/a", "is not what it was")) == (
        "0001/a: is not what it was [END-5]"
    )
    assert str(Violation("LAYOUT-1", "", "no meta.json")).startswith(".: ")


def test_a_zip_is_judged_as_its_directory_is(lab: Lab, tmp_path: Path) -> None:
    lab.change(f"{PROJECT}/meta.json", name="Other")
    lab.append(f"{CANCELLED}/metrics.jsonl", b"{}\n")
    with open_tree(pack(lab.root, tmp_path / "lab.zip")) as tree:
        assert check_workspace(tree) == lab.check() != []


def test_a_damaged_entry_of_a_zip_is_reported_and_hides_nothing(tmp_path: Path) -> None:
    path = pack(TEMPLATE, tmp_path / "lab.zip")
    data = path.read_bytes()
    csv = (TEMPLATE / DATA / "files/qm9-sample.csv").read_bytes()
    trace = (TEMPLATE / FAILED / "error.txt").read_bytes()
    metrics = (TEMPLATE / CANCELLED / "metrics.jsonl").read_bytes()
    for inner in (csv, trace, metrics):
        data = data.replace(inner, inner[:-2] + b"?\n")
    path.write_bytes(data)
    with open_tree(path) as tree:
        found = {violation.path for violation in check_workspace(tree)}
    assert {f"{DATA}/asset.json", f"{FAILED}/error.txt", f"{CANCELLED}/metrics.jsonl"} <= found


def test_every_record_may_be_garbage_at_once(lab: Lab) -> None:
    spoilt = [
        path
        for path in lab.root.rglob("*")
        if path.is_file() and path.suffix in (".json", ".jsonl") and "artifacts" not in path.parts
    ]
    for number, path in enumerate(spoilt):
        path.write_bytes((b"{", b"[]\n", b"\xff\n", b"null", b"", b'{"a":1,"a":2}\n')[number % 6])
    reported = {violation.path for violation in lab.check()}
    assert len(reported) > len(spoilt) // 2


def test_each_file_taken_away_or_cut_short_is_noticed(lab: Lab) -> None:
    for path in sorted(lab.root.rglob("*")):
        relative = path.relative_to(lab.root).as_posix()
        if not path.is_file() or "/requests/" in relative or path.name.startswith("edits-"):
            continue
        data = path.read_bytes()
        if path.name != "end.json" or FAILED in relative:  # the newest may still be running
            path.unlink()
            assert lab.check() != [], f"{relative} is gone"
        path.write_bytes(data[:-1])
        assert lab.check() != [], f"{relative} is cut short"
        path.write_bytes(data)
    assert lab.check() == []


def test_a_workspace_with_nothing_in_it_conforms(lab: Lab) -> None:
    for name in ("projects", "data", "objects"):
        lab.remove(name)
    assert lab.check() == []


def test_a_live_execution_conforms(lab: Lab) -> None:
    lab.remove(f"{SUCCEEDED}/end.json")
    lab.append(f"{SUCCEEDED}/logs/fit.log", b"")
    lab.append(f"{SUCCEEDED}/metrics.jsonl", b'{"metric":{"at"')
    assert lab.check() == []


def replace(lab: Lab, path: str, kind: str) -> None:
    """Put an entry of another kind where one may lie."""
    if lab.at(path).exists():
        lab.remove(path)
    if kind == "file":
        lab.write(path, b"")
    elif kind == "directory":
        lab.at(path).mkdir(parents=True)
    else:
        lab.at(path).symlink_to(lab.root)


@pytest.mark.parametrize("kind", ["file", "link"])
@pytest.mark.parametrize(
    "path",
    [
        *("data", "projects", "objects", "audit", "trash", FAILED, f"{PROJECT}/data"),
        *(f"{PROJECT}/experiments", f"{EXPERIMENT}/runs", f"{BEST}/requests", f"{DATA}/files"),
        *(f"{SUCCEEDED}/work", f"{SUCCEEDED}/end"),
    ],
)
def test_what_is_no_directory_where_one_belongs_is_reported(lab: Lab, path: str, kind: str) -> None:
    replace(lab, path, kind)
    found = lab.check()
    assert ("LAYOUT-3", path) in [violation[:2] for violation in found]
    assert (("LAYOUT-9", path) in [violation[:2] for violation in found]) is (kind == "link")


@pytest.mark.parametrize(
    ("path", "rule"),
    [
        ("meta.json", "LAYOUT-1"),
        *((f"{place}/meta.json", "LAYOUT-3") for place in (PROJECT, EXPERIMENT, BEST)),
        *((f"{SUCCEEDED}/{name}", "LAYOUT-3") for name in ("end.json", "end/end.json")),
        (f"{SUCCEEDED}/ledger.jsonl", "LAYOUT-3"),
        ("edits-x.jsonl", "LAYOUT-3"),
        ("edits-x", "LAYOUT-3"),
    ],
)
def test_a_directory_where_a_file_belongs_is_reported(lab: Lab, path: str, rule: str) -> None:
    replace(lab, path, "directory")
    where = "" if rule == "LAYOUT-1" else path
    assert (rule, where) in [violation[:2] for violation in lab.check()]


@pytest.mark.parametrize(
    "inside", [f"{SUCCEEDED}/work", f"{SUCCEEDED}/work/a", "trash/x/content", "trash/x/content/a"]
)
def test_links_and_twins_are_at_home_in_work_and_in_the_trash(lab: Lab, inside: str) -> None:
    fill(lab, inside)
    assert not {"LAYOUT-9", "NAME-2"} & {violation.rule for violation in lab.check()}


@pytest.mark.parametrize(
    "elsewhere",
    [
        *("projects/work", "projects/working-group", "data/work", f"{SUCCEEDED}/artifacts/work"),
        *(f"{EXPERIMENT}/runs/work", f"{SUCCEEDED}/working", f"{DATA}/files/runs/a/0001/work"),
        *("trash", "trash/x", "projects/trash/x/content"),
    ],
)
def test_links_and_twins_are_reported_wherever_else_it_says_work(lab: Lab, elsewhere: str) -> None:
    fill(lab, elsewhere)
    found = {violation[:2] for violation in lab.check()}
    assert {("LAYOUT-9", f"{elsewhere}/link"), ("NAME-2", f"{elsewhere}/twin")} <= found


def fill(lab: Lab, directory: str) -> None:
    """Put a link and twins into a directory."""
    for name in ("Twin", "twin"):
        lab.write(f"{directory}/{name}", b"")
    lab.at(f"{directory}/link").symlink_to(lab.root)


def test_names_that_are_not_utf_8_are_reported_and_hide_nothing(lab: Lab) -> None:
    places = ("", "projects", BEST, SUCCEEDED, f"{SUCCEEDED}/work", f"{SUCCEEDED}/artifacts", DATA)
    for place in (*places, f"{SUCCEEDED}/artifacts/residuals", f"{DATA}/files"):
        with open(os.path.join(os.fsencode(lab.at(place)), b"\xff"), "wb"):
            pass
    lab.change(f"{PROJECT}/meta.json", name="Other")
    found = lab.check()
    assert "\n".join(map(str, found)).isprintable() is False  # of newlines alone
    assert all(str(violation).isprintable() for violation in found)
    for place in places:
        assert f"{place}/\\udcff".lstrip("/") in {violation.path for violation in found}
    assert f"{PROJECT}/meta.json" in {violation.path for violation in found}


def test_litter_in_the_trash_is_no_violation(lab: Lab) -> None:
    lab.write("trash/.DS_Store", b"")
    assert lab.check() == []


def test_a_seal_leaves_out_holds_and_finds_ends_without_links(lab: Lab) -> None:
    run = lab.at(BEST)
    assert [line[66:] for line in seal_text(run).splitlines()] == [
        "0001/end.json",
        "0002/end.json",
        "meta.json",
    ]
    start = json.loads(lab.at(f"{FAILED}/ledger.jsonl").read_text().splitlines()[0])["start"]
    lab.write(f"{FAILED}/ledger.jsonl", json.dumps({"start": start | {"purpose": "hold"}}) + "\n")
    lab.write(f"{SUCCEEDED}/ledger.jsonl", json.dumps({"start": start | {"links": False}}) + "\n")
    lab.at(f"{SUCCEEDED}/end").mkdir()
    lab.at(f"{SUCCEEDED}/end.json").rename(lab.at(f"{SUCCEEDED}/end/end.json"))
    assert [line[66:] for line in seal_text(run).splitlines()] == [
        "0002/end/end.json",
        "meta.json",
    ]
