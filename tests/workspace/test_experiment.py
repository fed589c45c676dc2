from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import molexp as me
from molexp.errors import (
    AlreadyExistsError,
    InvalidInputError,
    InvalidNameError,
    NotFoundError,
)
from tests.recording.lab import broken_rules, hash_of


def test_a_new_run_has_an_id_of_its_own_and_the_parameters_of_its_experiment(
    experiment: me.Experiment,
) -> None:
    one, two = experiment.run(), experiment.run(parameters={"lr": 1e-3, "seed": 1}, replica=2)
    assert one.id != two.id
    assert one.parameters == {"lr": 0.1}
    assert two.parameters == two.metadata.parameter_space == {"lr": 1e-3, "seed": 1}
    assert two.record.replica == 2
    assert [each.id for each in experiment.list_runs()] == sorted(["first", one.id, two.id])


def test_a_run_of_an_id_is_got_or_made(experiment: me.Experiment) -> None:
    run = experiment.run(id="baseline-1", parameters={"a": 1, "b": 2.0}, tags={"x": True})
    assert experiment.run(id="baseline-1") == run
    assert experiment.add_run(id="baseline-1", parameters={"b": 2.0, "a": 1}) == run
    with pytest.raises(AlreadyExistsError, match="other parameters"):
        experiment.run(id="baseline-1", parameters={"a": 2})
    assert experiment.run(id="baseline-1", notes="n").record.notes == "n"
    assert run.record.tags == {"x": True}


@pytest.mark.parametrize("id", ["", "..", "a/b", ".hidden", "con", "a\0", "e\u0301", " a"])
def test_a_bad_id_makes_no_run(experiment: me.Experiment, id: str) -> None:
    before = hash_of(experiment.directory)
    with pytest.raises(InvalidNameError):
        experiment.run(id=id)
    assert experiment.get_run(id) is None
    assert hash_of(experiment.directory) == before


@pytest.mark.parametrize(
    "parameters", [{"f": object()}, {3: 1}, {"a": {1}}, {"a": b""}, [1], "x", {"a": "\ud800"}]
)
def test_parameters_that_are_not_json_are_refused_and_nothing_is_half_made(
    experiment: me.Experiment, parameters: Any
) -> None:
    before = hash_of(experiment.directory)
    with pytest.raises(InvalidInputError):
        experiment.run(parameters=parameters)
    assert hash_of(experiment.directory) == before


def test_a_parameter_that_is_not_a_number_comes_back(experiment: me.Experiment) -> None:
    run = experiment.run(id="nan", parameters={"x": float("nan"), "y": float("inf")})
    assert run.parameters["x"] != run.parameters["x"]
    assert run.parameters["y"] == float("inf")
    assert experiment.run(id="nan", parameters={"y": float("inf"), "x": float("nan")}) == run
    assert broken_rules(experiment.workspace.root) == []


def test_an_alias_means_a_run_until_it_means_another(experiment: me.Experiment) -> None:
    one, two = experiment.run(id="one"), experiment.run(id="two")
    experiment.alias("best", one)
    assert experiment.get_run("best") == one
    assert experiment.workspace.find("qm9/baseline/best") == one
    experiment.alias("best", two)
    assert experiment.get_run("best") == two
    experiment.alias("best", None)
    assert experiment.get_run("best") is None
    assert experiment.get_run(one.uid) == one


def test_an_alias_is_given_by_a_run_or_by_its_id(experiment: me.Experiment) -> None:
    one = experiment.run("one")
    experiment.alias("best", "one")
    assert experiment.get_run("best") == one
    with pytest.raises(NotFoundError, match="'ome'") as caught:
        experiment.alias("best", "ome")
    assert caught.value.details["near"] == ["one"]
    assert experiment.get_run("best") == one


def test_a_run_whose_asset_is_published_is_deleted_only_by_force(
    experiment: me.Experiment, run: me.Run
) -> None:
    with run.start(capture=False) as ctx:
        ctx.publish(ctx.artifact.save("weights", b"w"))
    with pytest.raises(me.errors.ConflictError, match="'weights' is published"):
        experiment.delete_run(run)
    with pytest.raises(me.errors.ConflictError):
        run.delete_execution(1)
    experiment.delete_run("first", force=True)
    assert experiment.get_run("first") is None


def test_a_handle_says_where_it_is(experiment: me.Experiment, tmp_path: Path) -> None:
    assert experiment.experiment_dir == tmp_path / "lab" / "projects/qm9/experiments/baseline"
    assert experiment.params == {"lr": 0.1}
    assert experiment.id == "baseline"
    assert experiment.project.workspace.root == tmp_path / "lab"
