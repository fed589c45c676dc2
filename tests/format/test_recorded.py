"""What molexp writes keeps the rules of docs/format, every one of them."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import molexp as me
from molexp.disk import layout
from molexp.disk.tree import open_tree
from molexp.integrity.conformance import Violation, check_workspace
from molexp.model.asset import kinds
from molexp.model.execution import LINES
from tests.format.lab import ROOT
from tests.format.seal import seal

RUNS = "projects/qm9/experiments/baseline/runs"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workspace that was recorded; nobody changes it."""
    above = tmp_path_factory.mktemp("recorded")
    (above / "outside").mkdir()
    places = [str(above / "lab"), str(above / "outside")]
    command = [sys.executable, "-m", "tests.format.recorded", *places]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return above / "lab"


def check(path: Path) -> list[Violation]:
    """Which rules it breaks."""
    with open_tree(path) as tree:
        return check_workspace(tree)


def lines(directory: Path, pattern: str) -> Iterator[tuple[Path, str, dict[str, object]]]:
    """The lines of all files that are called so: the file, the line's name, what it says."""
    for path in sorted(directory.rglob(pattern)):
        for line in path.read_text().splitlines():
            if line:
                ((name, said),) = json.loads(line).items()
                yield path, name, said


def test_what_was_recorded_conforms(root: Path) -> None:
    assert check(root) == []


def test_it_conforms_as_a_zip(root: Path, tmp_path: Path) -> None:
    path = tmp_path / "lab.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(root.rglob("*")):
            if not file.is_symlink():
                archive.write(file, file.relative_to(root))
    assert check(path) == []


def test_it_conforms_without_what_is_disposable(root: Path, tmp_path: Path) -> None:
    subprocess.run(["cp", "-a", root, tmp_path / "lab"], check=True)
    subprocess.run(["rm", "-r", tmp_path / "lab/.molexp"], check=True)
    assert check(tmp_path / "lab") == []
    assert seal(tmp_path / "lab") == seal(root)


def test_it_holds_everything_that_is_written(root: Path) -> None:
    """Else that it conforms would say little."""
    below = root / "projects"
    written = {name for _, name, _ in lines(below, "*.jsonl")}
    assert written == {*LINES, "asset"} - {"paused", "resumed"}
    told = {str(said["kind"]) for _, name, said in lines(below, "ledger*.jsonl") if name == "asset"}
    assert told == kinds().keys() - {"data", "execution_state"}
    with me.Workspace.load(root) as workspace:
        assert {each.kind for each in workspace.assets.list(recursive=True)} == kinds().keys()
        assert workspace.problems() == []
    ends = {json.loads(path.read_bytes())["status"] for path in root.rglob(layout.END)}
    assert ends == {"succeeded", "failed", "cancelled", "suspended"}
    full = root / RUNS / "full/0001"
    for pattern in (
        *("ledger-*.jsonl", "metrics-*.jsonl", "logs/records-*.jsonl", "logs/fit-*.log"),
        *("logs/run-*.log", "logs/run-stderr-*.log", "work/link", "artifacts/model.v2.json"),
    ):
        assert len([*full.glob(pattern)]) >= 1, pattern


def test_what_is_printed_and_logged_is_there(root: Path) -> None:
    with me.Workspace.load(root) as workspace:
        run = workspace.find("qm9/baseline/full")
        assert isinstance(run, me.Run)
        story = run.log()
    for text in ("started by", "printed\n", "printed by a program", "printed by the child"):
        assert text in story
    texts = [said["text"] for _, _, said in lines(root / RUNS / "full", "records*.jsonl")]
    assert texts == ["logged by the child", "logged", "logged by the run"]  # in order of the files


def test_a_deleted_execution_leaves_its_ledger_and_its_end(root: Path) -> None:
    run = root / RUNS / "deleted"
    left = {path.name: sorted(each.name for each in path.iterdir()) for path in run.glob("0*")}
    assert left["0001"] == left["0003"] == ["end.json", "ledger.jsonl"]
    assert {"artifacts", "checkpoints", "logs", "work"} < {*left["0002"]} & {*left["0004"]}
    removed = [json.loads(path.read_bytes()) for path in (root / "trash").glob("*/removed.json")]
    start = json.loads((run / "0001/ledger.jsonl").read_text().splitlines()[0])["start"]
    taken = sorted(each["path"] for each in removed if each["of"] == start["uid"])
    assert taken[:2] == [f"{RUNS}/deleted/0001/{name}" for name in ("artifacts", "checkpoints")]
    with me.Workspace.load(root) as workspace:
        handle = workspace.find("qm9/baseline/deleted")
        assert isinstance(handle, me.Run)
        assert [each.number for each in handle.metadata.execution_history] == [2, 4]
        assert handle.record.deleted.keys() >= {start["uid"]}


def test_what_is_published_says_where_it_was(root: Path) -> None:
    published = json.loads((root / "projects/qm9/data/model/v1/asset.json").read_bytes())
    assert published["origin"] == "qm9/baseline/full"
    assert published["producer"]["execution"] == 1
    assert "path" not in published
    in_place = json.loads((root / "data/elsewhere/v1/asset.json").read_bytes())
    assert Path(in_place["origin"]).is_dir()
    assert {"path", "refers_to"}.isdisjoint(in_place)


def test_a_metric_that_is_never_a_number_sums_up_as_nan(root: Path) -> None:
    metrics = json.loads((root / RUNS / "full/0001/end.json").read_bytes())["metrics"]
    nothing = dict.fromkeys(("first", "last", "min", "max"), "NaN")
    assert metrics["nothing"] == {**nothing, "count": 1}
    assert metrics["loss"] == {"first": 1.0, "last": 2.0, "min": 1.0, "max": "Infinity", "count": 4}


@pytest.mark.parametrize("path", ["full/0001/metrics.jsonl", "deleted/0001/end.json"])
def test_a_byte_that_changed_is_noticed(root: Path, tmp_path: Path, path: str) -> None:
    subprocess.run(["cp", "-a", root, tmp_path / "lab"], check=True)
    spoilt = tmp_path / "lab" / RUNS / path
    spoilt.chmod(0o644)
    spoilt.write_bytes(spoilt.read_bytes()[:-1])
    assert check(tmp_path / "lab") != []
