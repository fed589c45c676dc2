"""One record is got by its uid, its address or the id of a run."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

import molexp as me
from molexp.catalog.asking.lookup import get
from molexp.errors import ConflictError, InvalidInputError, NotFoundError
from tests.catalog.lab import Viewed, record, view


def test_everything_is_got_by_its_uid(source: Viewed, recorded: me.Workspace) -> None:
    for asset in recorded.assets.list(recursive=True):
        assert repr(get(source, asset.asset_id)) == repr(asset)
    for address in ("qm9", "qm9/baseline", "water/baseline/run-0"):
        scope = recorded.find(address)
        assert get(source, scope.uid).address == address
        assert get(source, address).uid == scope.uid
        assert get(source, scope).uid == scope.uid
    assert get(source, "run-5").address == "qm9/baseline/run-5"


def test_what_is_not_there_is_said_with_what_is_near(source: Viewed) -> None:
    for wrong, near in [
        ("qm9/baseline/run-99", "qm9/baseline/run-"),
        ("qm9/baselin", "qm9/baseline"),
        ("qm", "qm9"),
    ]:
        with pytest.raises(NotFoundError, match="did you mean") as raised:
            get(source, wrong)
        assert near in str(raised.value)
    for wrong in (
        "01ARYZ6S410000000000000000",
        "a/b/c/d",
        "zzzzzz",
        "'; DROP TABLE runs",
        "\0",
        "/",
        "..",
        "qm9/..",
        "a//b",
    ):
        with pytest.raises(NotFoundError, match="molexp sync"):
            get(source, wrong)
    for nothing in ("", None, 3):
        with pytest.raises(InvalidInputError, match="give a uid"):
            get(source, nothing)


def test_a_run_that_moves_between_the_question_and_the_look_is_got(tmp_path: Path) -> None:
    workspace = record(tmp_path / "lab")
    run: Any = workspace.find("qm9/baseline/run-1")
    source = view(workspace)
    real, moves = source.read, [run.move_to]

    def read(address: str) -> Any:
        while moves:
            moves.pop()(workspace.find("water/baseline"))
        return real(address)

    with patch.object(source, "read", read):
        assert get(source, run.uid).address == "water/baseline/run-1"
    source.close()


def test_of_twins_both_are_named(tmp_path: Path) -> None:
    workspace = record(tmp_path / "lab")
    run = workspace.find("qm9/baseline/run-1")
    [asset] = [each for each in run.assets.list("artifact") if each.name == "weights.json"]
    shutil.copytree(run.directory, run.directory.parent / "copy")
    source = view(workspace)
    for key in (run.uid, asset.asset_id):
        with pytest.raises(ConflictError) as raised:
            get(source, key)
        assert "qm9/baseline/copy and qm9/baseline/run-1" in str(raised.value)
    with pytest.raises(ConflictError, match="qm9/baseline/run-0 and water/baseline/run-0"):
        get(source, "run-0")
    assert get(source, "qm9/baseline/copy").address == "qm9/baseline/copy"
    source.close()
