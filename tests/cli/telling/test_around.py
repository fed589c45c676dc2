"""The workspace around a user, or the one that they name."""

from __future__ import annotations

from pathlib import Path

import pytest

from molexp.cli.telling.around import find_workspace, here, path_of, root_around
from molexp.errors import InvalidInputError, NotFoundError

RUNS = "projects/springs/experiments/learning-rates/runs"


def test_the_innermost_workspace_around_a_directory_is_meant(
    springs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(springs / RUNS)
    with find_workspace(None) as workspace:
        assert workspace.root == springs
    with find_workspace(str(springs)) as workspace:
        assert workspace.root == springs


def test_where_none_is_the_error_says_how_one_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NotFoundError, match=r"no workspace in .*`molexp init lab`"):
        find_workspace(None)
    with pytest.raises(NotFoundError, match=r"no workspace in .*`molexp init PATH`"):
        find_workspace(str(tmp_path))


def test_a_directory_that_is_gone_and_a_path_that_cannot_be_are_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(NotFoundError, match="current directory is gone"):
        here()
    with pytest.raises(InvalidInputError, match="nothing can have the path"):
        path_of("a\0b")


def test_another_meta_json_on_the_way_is_no_workspace(tmp_path: Path) -> None:
    for text in ('{"kind": "project"}', '{"kind": "webpage"}', "[]", "not json"):
        (tmp_path / "meta.json").write_text(text)
        assert root_around(tmp_path) != tmp_path, text
    (tmp_path / "meta.json").write_text('{"kind": "workspace"}')
    assert root_around(tmp_path) == tmp_path
