"""What rows say, for values that are easily mistaken."""

from __future__ import annotations

import math
from typing import Any

import pytest

from molexp.rows import readers
from molexp.rows.gather import Attempt, Gathered
from molexp.rows.glance import Glance

META = {"uid": "0" * 26, "name": "r", "created_at": "2026-01-01T00:00:00Z"}


def run(**said: Any) -> Gathered:
    """A run."""
    return Gathered(1, ("p", "e", "r"), "run", Glance(), meta={**META, **said})


@pytest.mark.parametrize(
    ("value", "row"),
    [
        (1, (1.0, "", "number")),
        (0.5, (0.5, "", "number")),
        (2**60, (float(2**60), str(2**60), "number")),
        (10**400, (None, str(10**400), "number")),
        ("Infinity", (math.inf, "", "number")),
        ("\\NaN", (None, "NaN", "text")),
        ("x", (None, "x", "text")),
        (True, (None, "true", "flag")),
        (None, (None, "", "null")),
        ([1], (None, "[1]", "json")),
    ],
)
def test_a_parameter_has_a_number_or_a_text(value: Any, row: tuple[Any, ...]) -> None:
    [found] = readers.params(run(parameters={"k": value}))
    assert found == (1, "k", *row)


def test_parameters_within_others_are_found_by_their_way() -> None:
    found = {row[1]: row[2] for row in readers.params(run(parameters={"a": {"b": {"c": 1}}}))}
    assert found == {"a": None, "a.b": None, "a.b.c": 1.0}


def test_a_run_has_the_state_of_its_newest_execution() -> None:
    found = run()
    [pending] = readers.runs(found)
    assert "pending" in pending
    found.attempts = [Attempt(2, "failed"), Attempt(1, "succeeded")]
    [row] = readers.runs(found)
    assert "failed" in row


def test_a_damaged_record_has_no_row_and_its_executions_have() -> None:
    found = run()
    found.meta, found.attempts = None, [Attempt(1)]
    assert not [*readers.runs(found)]
    assert not [*readers.params(found)]
    assert len([*readers.executions(found)]) == 1
