"""The directories of scopes are found, and nothing else is taken for one."""

from __future__ import annotations

from pathlib import Path

import pytest

import molexp as me
from molexp.disk.beneath import Directory
from molexp.errors import MolexpError
from molexp.rows.scopes import moved, parts_of, path_of, scopes, survey


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two projects, one with a run."""
    workspace = me.Workspace(tmp_path / "lab", durability="process")
    workspace.project("b")
    workspace.project("a").experiment("e").run(id="r")
    return workspace.root


def found(root: Path, prefix: str) -> tuple[list[str], list[MolexpError]]:
    """The addresses at a prefix."""
    problems: list[MolexpError] = []
    with Directory.open(root) as directory:
        return ["/".join(at) for at, _ in scopes(directory, prefix, problems)], problems


def test_a_prefix_names_a_scope_or_all_that_it_holds(root: Path) -> None:
    assert found(root, "**")[0] == ["", "a", "a/e", "a/e/r", "b"]
    assert found(root, "a/**")[0] == ["a", "a/e", "a/e/r"]
    assert found(root, "a")[0] == ["a"]
    assert found(root, "")[0] == [""]
    assert found(root, "c/**") == ([], [])


def test_what_is_no_scope_joins_the_problems(root: Path) -> None:
    (root / "projects" / "Not A Slug").mkdir()
    (root / "projects" / ".DS_Store").write_bytes(b"")
    (root / "projects" / "link").symlink_to(root)
    names, problems = found(root, "**")
    assert names == ["", "a", "a/e", "a/e/r", "b"]
    assert len(problems) == 2


def test_a_survey_tells_what_was_replaced(root: Path) -> None:
    with Directory.open(root) as directory:
        before = survey(directory, ["**", "c"])
        meta = root / "projects" / "b" / "meta.json"
        meta.rename(root / "kept.json")
        meta.write_bytes((root / "kept.json").read_bytes())
        after = survey(directory, ["**", "c"])
    assert before["c",] == 0
    assert moved(before, after) == {"b/**"}


def test_paths_and_parts() -> None:
    assert path_of(("a", "e", "r")) == "projects/a/experiments/e/runs/r"
    assert path_of(()) == ""
    assert parts_of("a/e/**") == ("a", "e")
    assert parts_of("") == parts_of("**") == ()
