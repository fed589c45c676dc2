from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from math import inf, isnan, nan
from typing import Any

import pytest

import molexp as me
from molexp.errors import InvalidInputError
from tests.recording.lab import broken_rules, files, in_child, lines


class Scalar:
    """What NumPy and PyTorch give: a number behind ``item``."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def item(self) -> Any:
        if self.value is None:
            raise ValueError("only one element can be converted")
        return self.value


class Index:
    def __index__(self) -> int:
        return 7


def test_metrics_are_lines_and_the_end_sums_them_up(run: me.Run) -> None:
    with run.start(capture=False) as ctx:
        for step, value in enumerate([0.5, 0.25, 1.0]):
            ctx.metric("loss", value, step=step)
        ctx.metrics.scalar("accuracy", 1)
    found = [line["metric"] for line in lines(run, name="metrics.jsonl")]
    assert [(each["key"], each["value"], each.get("step")) for each in found] == [
        ("loss", 0.5, 0),
        ("loss", 0.25, 1),
        ("loss", 1.0, 2),
        ("accuracy", 1.0, None),
    ]
    loss = run.metadata.execution_history[0].metrics["loss"]
    assert (loss.first, loss.last, loss.min, loss.max, loss.count) == (0.5, 1.0, 0.25, 1.0, 3)
    assert broken_rules(run.workspace.root) == []


@pytest.mark.parametrize("value", [nan, inf, -inf])
def test_values_that_are_not_finite_are_values(run: me.Run, value: float) -> None:
    with run.start(capture=False) as ctx:
        ctx.metric("loss", value)
        ctx.metric("loss", 1.0)
    (first, _) = lines(run, name="metrics.jsonl")
    assert first["metric"]["value"] == {nan: "NaN", inf: "Infinity", -inf: "-Infinity"}[value]
    loss = run.metadata.execution_history[0].metrics["loss"]
    assert loss.first == value or (isnan(loss.first) and isnan(value))
    assert (loss.count, loss.last) == (2, 1.0)
    if isnan(value):
        assert (loss.min, loss.max) == (1.0, 1.0)
    assert broken_rules(run.workspace.root) == []


@pytest.mark.parametrize(
    ("value", "wanted"),
    [(3, 3.0), (Fraction(1, 4), 0.25), (Scalar(0.5), 0.5), (Scalar(2), 2.0), (Index, None)],
)
def test_numbers_of_all_kinds_are_taken(run: me.Run, value: Any, wanted: float | None) -> None:
    with run.start(capture=False) as ctx:
        if wanted is None:
            ctx.metric("x", 1.0, step=value())
            wanted = 1.0
        else:
            ctx.metric("x", value)
    assert run.metadata.execution_history[0].metrics["x"].last == wanted


@pytest.mark.parametrize(
    "value", ["1", None, True, 1j, [1], object(), Scalar(None), Scalar("x"), 10**400, Decimal]
)
def test_what_is_no_number_is_refused_and_writes_nothing(run: me.Run, value: Any) -> None:
    with run.start(capture=False) as ctx, pytest.raises(InvalidInputError, match="'loss'"):
        ctx.metric("loss", value)
    assert files(run.run_dir / "0001") == {"ledger.jsonl", "end.json"}


@pytest.mark.parametrize("key", ["", 3, None, ["a"], b"a", "\ud800"])
def test_a_key_is_a_text(run: me.Run, key: Any) -> None:
    with run.start(capture=False) as ctx, pytest.raises(InvalidInputError):
        ctx.metric(key, 1.0)
    assert files(run.run_dir / "0001") == {"ledger.jsonl", "end.json"}


@pytest.mark.parametrize("step", [-1, 1.5, "1", True, 1 << 63])
def test_a_step_is_an_integer_from_0(run: me.Run, step: Any) -> None:
    with run.start(capture=False) as ctx, pytest.raises(InvalidInputError, match="step"):
        ctx.metric("loss", 1.0, step=step)
    assert files(run.run_dir / "0001") == {"ledger.jsonl", "end.json"}


def test_metrics_of_those_who_joined_are_summed_up_as_well(run: me.Run) -> None:
    with run.start(capture=False) as ctx:
        ctx.metric("loss", 3.0)
        in_child(lambda: ctx.metric("loss", 1.0))
        in_child(lambda: ctx.metric("other", 2.0))
    found = run.metadata.execution_history[0].metrics
    assert (found["loss"].count, found["loss"].min, found["other"].count) == (2, 1.0, 1)
    assert broken_rules(run.workspace.root) == []


def test_a_key_may_hold_anything_that_is_text(run: me.Run) -> None:
    keys = ['quo"te', "back\\slash", "new\nline", "ünïcode", "\x00", "a/b", " "]
    with run.start(capture=False) as ctx:
        for key in keys:
            ctx.metric(key, 1.0)
    assert [line["metric"]["key"] for line in lines(run, name="metrics.jsonl")] == keys
    assert broken_rules(run.workspace.root) == []
