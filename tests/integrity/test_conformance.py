"""The checker beyond the single rules, each of which has a test in tests/format."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from molexp.disk.tree import open_tree
from molexp.integrity.conformance import Violation, check_workspace
from tests.format.lab import CANCELLED, DATA, FAILED, PROJECT, SUCCEEDED, TEMPLATE, Lab


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
