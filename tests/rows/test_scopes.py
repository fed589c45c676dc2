"""The directories of scopes are found, and nothing else is taken for one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import molexp as me
from molexp.disk.beneath import Directory
from molexp.errors import MolexpError, NotFoundError
from molexp.rows.scopes import Way, moved, parts_of, path_of, scopes, survey


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


def test_a_way_leads_where_the_root_does(root: Path) -> None:
    paths = ["", "projects/a", "projects/b", path_of(("a", "e")), path_of(("a", "e", "r"))]
    with Directory.open(root) as directory, Way(directory) as way:
        for path in [*paths, *reversed(paths)]:
            with way.enter(path) as there, directory.enter(path) as wanted:
                assert os.path.sameopenfile(there.fd, wanted.fd)
                assert there.path == wanted.path
        for missing in ("projects/c", "projects/c/experiments/e", "../lab"):
            with pytest.raises(MolexpError):
                way.enter(missing)


def test_neighbours_are_entered_from_what_is_held(root: Path) -> None:
    """The way to them may lead elsewhere meanwhile: to what was there it leads all the same."""
    with Directory.open(root) as directory, Way(directory) as way:
        way.enter("projects/a").close()
        (root / "projects").rename(root / "elsewhere")
        way.enter("projects/b").close()
        with pytest.raises(NotFoundError):
            way.enter("projects/a/experiments")
        with pytest.raises(NotFoundError):
            way.enter("projects/b")
