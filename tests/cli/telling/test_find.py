"""What a user means: by where they are, by an address, by a path that their shell completed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from molexp.cli.telling.around import find_workspace
from molexp.cli.telling.find import find_scope
from molexp.errors import FormatError, InvalidInputError, NotFoundError
from molexp.workspace.workspace import Workspace

EXPERIMENT = "springs/learning-rates"
RUNS = "projects/springs/experiments/learning-rates/runs"


def _address(given: str | None, address: str | None) -> str:
    scope = find_scope(given, address)
    scope.workspace.close()
    return scope.address


@pytest.mark.parametrize(
    ("inside", "address"),
    [
        ("", ""),
        ("projects", ""),
        ("data", ""),
        ("projects/springs/experiments", "springs"),
        (f"{RUNS}/lr-0.1", f"{EXPERIMENT}/lr-0.1"),
        (f"{RUNS}/lr-0.1/0001/logs", f"{EXPERIMENT}/lr-0.1"),
    ],
)
def test_where_one_is_says_what_is_meant(
    copy: Path, monkeypatch: pytest.MonkeyPatch, inside: str, address: str
) -> None:
    (copy / "data").mkdir()
    monkeypatch.chdir(copy / inside)
    assert _address(None, None) == address
    assert _address(None, EXPERIMENT) == EXPERIMENT
    with find_workspace(None) as workspace:
        assert workspace.root == copy


@pytest.mark.parametrize("path", [RUNS, f"{RUNS}/", f"./{RUNS}", f"projects/../{RUNS}"])
def test_a_path_that_the_shell_completed_is_an_address(
    springs: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.chdir(springs)
    assert _address(None, path) == EXPERIMENT
    monkeypatch.chdir(springs.parent)
    assert _address(None, f"{springs.name}/{path}") == EXPERIMENT
    assert _address(None, f"{springs}/{path}") == EXPERIMENT
    assert _address(str(springs), f"{springs}/{path}") == EXPERIMENT


def test_an_alias_and_an_id_name_a_run(springs: Path) -> None:
    assert _address(str(springs), f"{EXPERIMENT}/best") == f"{EXPERIMENT}/lr-0.1"
    assert _address(str(springs), f"{EXPERIMENT}/lr-0.3") == f"{EXPERIMENT}/lr-0.3"


def test_an_alias_may_be_any_text(copy: Path) -> None:
    with Workspace.load(copy) as workspace:
        run = workspace.find(f"{EXPERIMENT}/lr-0.01")
        run.experiment.alias("figure 3: left/right", run)  # type: ignore[union-attr, arg-type]
    assert _address(str(copy), f"{EXPERIMENT}/figure 3: left/right") == f"{EXPERIMENT}/lr-0.01"


def test_an_address_comes_before_a_directory_of_that_name(
    springs: Path, copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(springs, copy / "springs")
    monkeypatch.chdir(copy)
    assert _address(None, "springs") == "springs"
    assert _address(None, "./springs") == ""


@pytest.mark.parametrize(
    ("address", "message", "cure"),
    [
        ("spring", "no project 'spring'", "did you mean 'springs'"),
        ("springs/learning", "no experiment 'learning'", "learning-rates"),
        (f"{EXPERIMENT}/lr-0.2", "no run 'lr-0.2'", "lr-0.1"),
        ("Springs", "'Springs' is not a slug", "lower-case"),
        (f"{EXPERIMENT}/\x1b[31m", "no run", "list the runs"),
        (f"{EXPERIMENT}/a/b/c", "no run 'a/b/c'", "list the runs"),
    ],
)
def test_what_is_not_there_is_said_with_what_is_near(
    springs: Path, address: str, message: str, cure: str
) -> None:
    with pytest.raises((NotFoundError, InvalidInputError)) as raised:
        find_scope(str(springs), address)
    assert message in raised.value.message
    assert cure in raised.value.cure


def test_a_damaged_run_and_a_stray_file_hide_nothing_else(copy: Path) -> None:
    (copy / RUNS / "lr-0.003/meta.json").write_text("{")
    (copy / "projects/notes.txt").touch()
    (copy / RUNS / "old runs?").mkdir()
    assert _address(str(copy), f"{EXPERIMENT}/best") == f"{EXPERIMENT}/lr-0.1"
    with pytest.raises(NotFoundError) as raised:
        find_scope(str(copy), "spring")
    assert "did you mean 'springs'" in raised.value.cure


def test_a_directory_that_is_in_no_workspace_does_not_hide_the_error(
    springs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "spring").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NotFoundError, match="no project 'spring'"):
        find_scope(str(springs), "spring")
    with pytest.raises(NotFoundError, match="there is no workspace"):
        find_scope(None, "spring")
    with pytest.raises(NotFoundError, match="lies in no workspace"):
        find_scope(None, None)


def test_a_path_into_another_workspace_is_refused(springs: Path, copy: Path) -> None:
    with pytest.raises(InvalidInputError, match="lies in the workspace"):
        find_scope(str(copy), f"{springs}/{RUNS}")


def test_a_damaged_workspace_is_found_and_says_so(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (copy / "meta.json").write_text("{")
    monkeypatch.chdir(copy / RUNS)
    with pytest.raises(FormatError, match=r"meta\.json"):
        find_scope(None, None)
