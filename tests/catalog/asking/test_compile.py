from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from math import inf, nan
from typing import Any

import pytest

import molexp as me
from molexp.catalog.asking.compile import condition, keys, table_of
from molexp.catalog.asking.query import Query
from molexp.errors import InvalidInputError, QueryError
from tests.catalog.lab import Viewed, ask

Ask = Callable[[str], Query]


@pytest.fixture
def query(source: Viewed) -> Ask:
    return lambda table: ask(source, table)


def _runs(source: Viewed, **lookups: Any) -> str:
    """The runs that are found, by the last letter of each id: ``r`` is that one never started."""
    found = ask(source, "runs").filter(project="qm9", **lookups).addresses()
    return "".join(sorted(address[-1] for address in found))


PARAMETERS: list[tuple[dict[str, Any], str]] = [
    ({"params__lr": 0.01}, "1"),
    ({"params__lr__eq": 1}, "3"),
    ({"params__lr__lt": 0.1}, "01"),
    ({"params__lr__le": 0.1}, "012"),
    ({"params__lr__gt": 0.01}, "23"),
    ({"params__lr__ge": 0.01}, "123"),
    ({"params__lr": nan}, "4"),
    ({"params__lr": "auto"}, "5"),
    ({"params__lr__gt": "a"}, "5"),
    ({"params__lr": None}, "6"),
    ({"params__lr": True}, "7"),
    ({"params__lr": False}, ""),
    ({"params__lr": "true"}, ""),
    ({"params__lr__ne": 0.01}, "0234567r"),
    ({"params__lr__in": [0.001, 1, "auto", None, nan]}, "03456"),
    ({"params__lr__in": []}, ""),
    ({"params__lr__in": (rate for rate in [0.1, 0.01])}, "12"),
    ({"params__optimizer__lr__gt": 0.45}, "567"),
    ({"params__optimizer__name": "adam", "params__n__lt": 2}, "01"),
    ({"params__seed": 2**62 + 1}, "r"),
    ({"params__seed": 2**62}, ""),
    ({"params__seed__gt": 2**61}, "r"),
    ({"params__big": 10**30}, "r"),
    ({"params__n__lt": 10**400}, "01234567"),
    ({"params__n__gt": -inf}, "01234567"),
    ({"params__nothing__lt": 3}, ""),
    ({"params__lt__lt": 3}, ""),
]


@pytest.mark.parametrize(("lookups", "found"), PARAMETERS)
def test_parameters_are_compared_as_the_value_says(
    source: Viewed, lookups: dict[str, Any], found: str
) -> None:
    assert _runs(source, **lookups) == found


COLUMNS: list[tuple[dict[str, Any], str]] = [
    ({"status": "failed"}, "5"),
    ({"status": me.ExecutionState.FAILED}, "5"),
    ({"status__in": ["failed", "pending"]}, "5r"),
    ({"status__ne": "succeeded"}, "5r"),
    ({"executions__gt": 1}, "2"),
    ({"executions__lt": 0.5}, "r"),
    ({"executions__gt": 10**30}, ""),
    ({"error_type": None}, "0123467r"),
    ({"error_type__ne": None}, "5"),
    ({"error_type__ne": "ValueError"}, "0123467r"),
    ({"error_type__in": ["ValueError", None]}, "01234567r"),
    ({"error_type__in": ["ValueError", "KeyError"]}, "5"),
    ({"id__lt": "run-2"}, "01r"),
    ({"started_at": None}, "r"),
    ({"started_at__gt": datetime(2020, 1, 1, tzinfo=UTC)}, "01234567"),
    ({"started_at__gt": date(2020, 1, 1)}, "01234567"),
    ({"started_at__gt": "2020-01-01"}, "01234567"),
    ({"started_at__lt": "2020-01-01T00:00:00+02:00"}, ""),
    ({"started_at__le": datetime.max.replace(tzinfo=UTC)}, "01234567"),
    ({"tag": "keep"}, "1"),
    ({"tag": "keep=yes"}, "1"),
    ({"tag": "keep=no"}, ""),
    ({"tag": "late"}, ""),
    ({"tag": "late=false"}, "1"),
    ({"tag__ne": "keep"}, "0234567r"),
    ({"tag__in": ["keep=yes", "best"]}, "1"),
    ({"run": "run-3"}, "3"),
    ({"run__in": ["run-3", "qm9/baseline/run-4", "water/baseline/run-0"]}, "34"),
    ({"scope": "qm9/baseline/run-4"}, "4"),
    ({"scope": "qm9/baseline"}, ""),
    ({"under": "qm9/baseline"}, "01234567r"),
    ({"under": ""}, "01234567r"),
    ({"under": "water"}, ""),
    ({"under__in": ["water", "qm9/baseline/run-2"]}, "2"),
    ({"experiment": "Baseline", "run__ne": "never"}, "01234567"),
    ({"experiment": "QM9/baseline"}, "01234567r"),
    ({"experiment": "water/baseline"}, ""),
    ({"experiment__in": ["water/baseline", "other"]}, ""),
    ({"project__name": "QM9", "experiment__n_replicas": 1}, "01234567r"),
    ({"experiment__name__ne": "baseline"}, ""),
    ({"notes": "it's odd"}, "1"),
    ({"name__in": ["'; DROP TABLE runs; --", 'x" OR true --', "?"]}, ""),
]


@pytest.mark.parametrize(("lookups", "found"), COLUMNS)
def test_columns_places_tags_and_relations_are_looked_up(
    source: Viewed, lookups: dict[str, Any], found: str
) -> None:
    assert _runs(source, **lookups) == found


@pytest.mark.parametrize(
    ("table", "lookups", "count"),
    [
        ("assets", {"scope": ""}, 1),
        ("assets", {"scope": "qm9"}, 1),
        ("assets", {"scope__in": ["", "qm9"]}, 2),
        ("assets", {"under": "qm9", "execution": None}, 2),
        ("assets", {"kind": "error_trace", "run__status": "failed"}, 1),
        ("assets", {"kind": "error_trace", "run__status__ne": "failed"}, 1),
        ("assets", {"kind": "error_trace", "execution__status": "failed"}, 2),
        ("assets", {"kind": "error_trace", "execution__execution__ge": 2}, 0),
        ("assets", {"kind": "error_trace", "params__lr": 0.1}, 1),
        ("assets", {"tag": "keep"}, 10),
        ("assets", {"tag": "keep", "kind": "artifact"}, 8),
        ("assets", {"tag__ne": "keep", "kind": "artifact"}, 8),
        ("assets", {"tag": "flag=true", "run": "run-0"}, 1),
        ("assets", {"kind": "artifact", "run": "run-0", "project": "qm9"}, 2),
        ("assets", {"kind": "artifact", "late": False, "size__gt": 3}, 8),
        ("executions", {"run": "qm9/baseline/run-2"}, 2),
        ("executions", {"under": "qm9", "run__status": "succeeded", "status": "failed"}, 1),
        ("executions", {"tag": "keep"}, 2),
        ("metrics", {"key": "loss", "last__lt": 0.1}, 3),
        ("metrics", {"key": "loss", "last__gt": 0.1}, 4),
        ("metrics", {"last": nan}, 1),
        ("inputs", {"experiment": "qm9/baseline"}, 8),
        ("inputs", {"source__kind": "data"}, 0),
        ("messages", {"level": "WARNING", "run__run": None}, -1),
        ("tags", {"scope": "qm9/baseline/run-1", "asset": None, "is_label": True}, 1),
        ("edits", {"scope": "qm9/baseline/run-1"}, 1),
        ("params", {"key": "lr", "number__lt": 0.05}, 2),
        ("projects", {"experiment": "baseline"}, 0),
        ("experiments", {"experiment": "water/baseline"}, 1),
        ("experiments", {"run": "run-0"}, 0),
        ("projects", {"tag": "big"}, 1),
    ],
)
def test_every_table_is_looked_up_likewise(
    query: Ask, table: str, lookups: dict[str, Any], count: int
) -> None:
    if count < 0:
        with pytest.raises(QueryError):
            query(table).filter(**lookups)
    else:
        assert query(table).filter(**lookups).count() == count


@pytest.mark.parametrize(
    ("lookups", "said"),
    [
        ({"staus": "failed"}, "did you mean 'status'"),
        ({"params": 3}, "no field 'params'"),
        ({"status__like": "f"}, "no lookup 'like'"),
        ({"status__lt__gt": "f"}, "no lookup 'lt__gt'"),
        ({"status__project": "f"}, "no lookup 'project'"),
        ({"experiment__nam": "f"}, "did you mean 'experiment__name'"),
        ({"experiment__name__nope": "f"}, "no lookup 'nope'"),
        ({"experiment__project__name": "f"}, "no lookup 'name'"),
        ({"tag__lt": "f"}, "no lookup 'lt'"),
        ({"tag": 3}, "a tag's name"),
        ({"scope__lt": "f"}, "no lookup 'lt'"),
        ({"scope": 3}, "an address"),
        ({"scope": "QM9/Baseline"}, "an address"),
        ({"scope": "a/b/c/d"}, "an address"),
        ({"scope": "/"}, "an address"),
        ({"run": "a/b"}, "a run's id"),
        ({"project": "a/b"}, "the name of a project"),
        ({"experiment": "…"}, "a name"),
        ({"experiment": "a\ud800"}, "UTF-8"),
        ({"status": 3}, "give a text"),
        ({"status": b"failed"}, "give a text"),
        ({"status__in": "failed"}, "a list of values"),
        ({"status__in": [3]}, "give a text"),
        ({"status__in": 3}, "a list of values"),
        ({"status__lt": None}, "nothing is more or less than None"),
        ({"status": "a\ud800"}, "UTF-8"),
        ({"executions": "3"}, "give a number"),
        ({"executions": True}, "give a number"),
        ({"executions__gt": nan}, "NaN"),
        ({"created_at": 3}, "a time with its zone"),
        ({"created_at": datetime(2026, 1, 1)}, "a time with its zone"),  # noqa: DTZ001 - refused
        ({"created_at": "2026-01-01T00:00:00"}, "a time with its zone"),
        ({"created_at": "yesterday"}, "a time with its zone"),
        (
            {"created_at": datetime.max.replace(tzinfo=timezone(-timedelta(hours=5)))},
            "the years 1 to 9999",
        ),
        ({"parameters": {"lr": 1}}, "params__lr"),
        ({"params__lr": [1]}, "a number, a text"),
        ({"params__lr__lt": None}, "more or less"),
        ({"params__lr__lt": True}, "more or less"),
        ({"params__lr__gt": nan}, "NaN"),
        ({"params__lr__in": 3}, "a list of values"),
        ({"params__a\ud800": 3}, "UTF-8"),
        ({"": 3}, "no field ''"),
        ({"__": 3}, "no field ''"),
        ({"x; DROP TABLE runs": 3}, "no field"),
        ({'status" = "status': 3}, "no field"),
    ],
)
def test_what_cannot_be_asked_is_refused_and_says_what_can(
    query: Ask, lookups: dict[str, Any], said: str
) -> None:
    with pytest.raises(QueryError, match=said) as raised:
        query("runs").filter(**lookups)
    assert isinstance(raised.value, InvalidInputError)
    assert {"field", "near"} <= raised.value.details.keys()


def test_what_has_no_parameters_is_asked_for_none(query: Ask) -> None:
    with pytest.raises(QueryError, match="have no parameters"):
        query("projects").filter(params__lr=1)
    with pytest.raises(QueryError, match="have no parameters"):
        query("projects").order_by("params__lr")


def test_a_handle_or_a_record_says_where(query: Ask, recorded: me.Workspace) -> None:
    run = recorded.find("qm9/baseline/run-0")
    assert query("executions").filter(run=run).count() == 1
    assert query("executions").filter(run=query("runs").filter(run=run).first()).count() == 1
    assert query("runs").filter(under=recorded.project("water")).count() == 1


def test_no_value_becomes_part_of_the_sql() -> None:
    said = "'; DROP TABLE runs; --"
    table = table_of("assets")
    for lookups in ("name", "name__in", "params__x", "run__name", "tag", "run", "run__in"):
        value = [said, said] if lookups.endswith("in") else said
        found = condition(table, lookups, value)
        assert "DROP" not in found.sql
        assert any("DROP" in str(each) for each in found.values)
    key = condition(table, f"params__{said}", 1)
    assert "DROP" not in key.sql
    assert all("DROP" not in each.sql + each.join for each in keys(table, [f"params__{said}"]))


def test_a_list_is_asked_for_at_once(query: Ask) -> None:
    found = condition(table_of("assets"), "params__lr__in", [1, 2, "x", "y", None])
    assert found.sql.count("SELECT") == 1
    assert found.values == ("lr", 1.0, 2.0, "x", "y")
    assert query("runs").filter(run__in=[f"run-{n}" for n in range(3000)]).count() == 9
