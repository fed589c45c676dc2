from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

import molexp as me
from molexp.errors import InvalidInputError, MolexpError, NotFoundError
from tests.recording.lab import broken_rules, hash_of


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "qm9.tar.bz2"
    path.write_bytes(b"data")
    return path


def test_data_is_copied_or_moved_in(workspace: me.Workspace, source: Path) -> None:
    data = workspace.data_assets.import_asset(
        "training_data", source, action="copy", meta={"licence": "CC0"}, tags={"raw": True}
    )
    assert (data.name, data.version, data.meta) == ("training_data", 1, {"licence": "CC0"})
    assert data.tags == {"raw": True}
    assert source.exists()
    assert data.read_bytes() == b"data"
    assert data.absolute_path().name == "qm9.tar.bz2"
    source.write_bytes(b"changed")
    moved = workspace.data_assets.import_asset("training_data", source, action="move")
    assert moved.version == 2
    assert not source.exists()
    assert workspace.data_assets.get("training_data") == moved
    assert workspace.data_assets.get("training_data", version=1) == data
    assert [each.version for each in workspace.data_assets.list_assets()] == [2, 1]
    assert [*workspace.data_assets] == workspace.data_assets.list_assets()
    assert broken_rules(workspace.root) == []


def test_importing_the_same_once_more_gives_what_is_there(
    workspace: me.Workspace, source: Path
) -> None:
    one = workspace.data_assets.import_asset("d", source)
    assert workspace.data_assets.import_asset("d", source) == one
    assert workspace.data_assets.import_asset("d", source, meta={"n": 1}).version == 2


def test_a_folder_is_data_too(workspace: me.Workspace, tmp_path: Path) -> None:
    (tmp_path / "folder" / "deep").mkdir(parents=True)
    (tmp_path / "folder" / "deep" / "x").write_text("x")
    data = workspace.data_assets.import_asset("f", tmp_path / "folder", "move")
    assert (data.absolute_path() / "deep" / "x").read_text() == "x"
    assert not (tmp_path / "folder").exists()
    assert broken_rules(workspace.root) == []


@pytest.mark.parametrize(
    "said",
    [
        {"meta": {"f": object()}},
        {"meta": [1]},
        {"tags": {"a": 1}},
        {"action": "link"},
        {"name": "../x"},
        {"name": ""},
        {"name": "a/b"},
    ],
)
def test_what_is_imported_badly_stays_where_it_is(
    workspace: me.Workspace, source: Path, said: dict[str, Any]
) -> None:
    before = hash_of(workspace.root)
    wanted: dict[str, Any] = {"name": "d", "source": source, "action": "move", **said}
    with pytest.raises((InvalidInputError, TypeError, ValueError)):
        workspace.data_assets.import_asset(**wanted)
    assert source.read_bytes() == b"data"
    assert hash_of(workspace.root) == before


def test_a_source_that_is_not_there_or_lies_within_is_refused(
    workspace: me.Workspace, source: Path
) -> None:
    before = hash_of(workspace.root)
    with pytest.raises(NotFoundError, match=r"did you mean 'qm9\.tar\.bz2'"):
        workspace.data_assets.import_asset("d", source.with_name("qm9.tar.bz"))
    for place in (workspace.root, workspace.root / "meta.json", workspace.root.parent, Path("/")):
        with pytest.raises((InvalidInputError, MolexpError)):
            workspace.data_assets.import_asset("d", place)
    os.mkfifo(source.with_name("fifo"))
    with pytest.raises(MolexpError):
        workspace.data_assets.import_asset("d", source.with_name("fifo"))
    assert hash_of(workspace.root) == before


def test_data_may_stay_where_it_is(workspace: me.Workspace, source: Path) -> None:
    data = workspace.data_assets.register_in_place("d", source, meta={"n": 1})
    assert data.path is None
    assert data.absolute_path() == source
    assert workspace.data_assets.get("d").read_bytes() == b"data"
    assert workspace.data_assets.register_in_place("d", source, meta={"n": 1}) == data
    source.unlink()
    with pytest.raises(NotFoundError):
        workspace.data_assets.get("d").read_bytes()


def test_each_scope_has_its_own_and_unknown_names_are_told_with_what_is_near(
    run: me.Run, source: Path
) -> None:
    scopes: list[Any] = [run.workspace, run.experiment.project, run.experiment]
    for scope in scopes:
        scope.data_assets.import_asset("data", source)
        assert len(scope.data_assets.list_assets()) == 1
    with pytest.raises(NotFoundError, match="did you mean 'data'"):
        run.workspace.data_assets.get("dat")
    with pytest.raises(NotFoundError, match="there is v1"):
        run.workspace.data_assets.get("data", version=7)


def test_data_is_exported_to_where_nothing_lies(
    workspace: me.Workspace, source: Path, tmp_path: Path
) -> None:
    data = workspace.data_assets.import_asset("d", source)
    assert data.export(tmp_path / "out").read_bytes() == b"data"
    with pytest.raises(me.errors.AlreadyExistsError):
        data.export(tmp_path / "out")
