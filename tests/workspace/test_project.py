from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

import molexp as me
from molexp.errors import AlreadyExistsError, InvalidInputError
from tests.recording.lab import broken_rules


@pytest.fixture
def project(workspace: me.Workspace) -> me.Project:
    return workspace.project("QM9")


def test_an_experiment_says_what_it_was_made_with(project: me.Project, tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text("train = True\n")
    exp = project.experiment(
        "Coded",
        params={"lr": 1e-3},
        n_replicas=3,
        seeds=[1, 2, 3],
        workflow_source=script,
        workflow_type="python",
        git_commit=None,
        description="d",
        tags=["a", "b"],
    )
    said = exp.record
    assert (said.params, said.n_replicas, said.seeds) == ({"lr": 1e-3}, 3, (1, 2, 3))
    assert (said.description, said.tags) == ("d", {"a": True, "b": True})
    assert said.workflow is not None
    assert (said.workflow.path, said.workflow.type) == (str(script), "python")
    digest = str(said.workflow.object).removeprefix("sha256:")
    stored = project.workspace.root / "objects" / digest[:2] / digest
    assert stored.read_text() == "train = True\n"
    run = exp.run()
    assert run.metadata.workflow_snapshot == said.workflow
    assert broken_rules(project.workspace.root) == []


def test_an_experiment_is_got_or_made(project: me.Project) -> None:
    exp = project.experiment("E", params={"lr": 1})
    assert project.experiment("E") is exp
    assert project.add_experiment("E", params={"lr": 1}) is exp
    assert project.get_experiment("E") is exp
    assert project.get_experiment("none") is None
    with pytest.raises(AlreadyExistsError, match="other params"):
        project.experiment("E", params={"lr": 2})
    with pytest.raises(AlreadyExistsError, match="'E'"):
        project.experiment("e")
    project.experiment("E", description="later", tags={"x": "y"})
    assert (exp.record.description, exp.record.tags) == ("later", {"x": "y"})
    assert [each.id for each in project.list_experiments()] == ["baseline", "e"]


@pytest.mark.parametrize(
    "said",
    [
        {"params": {"f": object()}},
        {"n_replicas": 2, "seeds": [1]},
        {"n_replicas": -1},
        {"seeds": ["x"]},
        {"tags": "abc"},
        {"tags": {"a": 1}},
        {"description": 3},
    ],
)
def test_bad_arguments_make_no_experiment(project: me.Project, said: dict[str, Any]) -> None:
    with pytest.raises((InvalidInputError, ValueError)):
        project.experiment("New", **said)
    assert project.get_experiment("New") is None


def test_a_source_that_is_only_a_name_is_kept_as_one(project: me.Project) -> None:
    run = project.experiment("N", workflow_source="not-there.py", workflow_type="python").run()
    assert run.metadata.workflow_snapshot is not None
    assert run.metadata.workflow_snapshot.object is None
    with run.start():
        pass
    assert run.status == "succeeded"
    assert "not-there.py" in " ".join(run.metadata.snapshot.problems)


def test_the_commit_that_a_source_is_at_is_captured(project: me.Project, tmp_path: Path) -> None:
    place = tmp_path / "code"
    place.mkdir()
    (place / "train.py").write_text("x = 1\n")
    git = ["git", "-C", str(place), "-c", "user.name=me", "-c", "user.email=me@x"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
        subprocess.run([*git, *words], check=True, capture_output=True)
    told = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    exp = project.experiment("C", workflow_source=place / "train.py")
    assert exp.record.workflow is not None
    assert exp.record.workflow.git_commit == told.stdout.strip()
    given = project.experiment("G", workflow_source=place / "train.py", git_commit="0" * 40)
    assert given.record.workflow is not None
    assert given.record.workflow.git_commit == "0" * 40


def test_an_experiment_is_deleted_and_restored(project: me.Project, run: me.Run) -> None:
    with run.start(capture=False), pytest.raises(me.errors.ConflictError):
        project.delete_experiment("baseline")
    project.delete_experiment("baseline")
    assert project.list_experiments() == []
    project.workspace.trash.restore("baseline")
    assert run.status == "succeeded"
    assert broken_rules(project.workspace.root) == []
