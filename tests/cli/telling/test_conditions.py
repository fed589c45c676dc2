"""Conditions as a shell lets them through."""

from __future__ import annotations

import pytest

from molexp.cli.telling.conditions import is_condition, lookups, value_of
from molexp.errors import QueryError
from molexp.rows.tables import tables


def _said(word: str, table: str = "runs") -> tuple[str, object]:
    (found,) = lookups(tables()[table], [word])
    return found


@pytest.mark.parametrize(
    ("word", "lookup", "value"),
    [
        ("params.lr=0.01", "params__lr", 0.01),
        ("params.lr<0.01", "params__lr__lt", 0.01),
        ("params.lr <= 1e-2", "params__lr__le", 0.01),
        ("params.lr>=1", "params__lr__ge", 1),
        ("params.lr__gt=1", "params__lr__gt", 1),
        ("params.optimizer.name=adam", "params__optimizer__name", "adam"),
        ("params.flag=true", "params__flag", True),
        ("params.none=null", "params__none", None),
        ('params.text="3"', "params__text", "3"),
        ("params.list=[1]", "params__list", "[1]"),
        ("params.lr__in=1,adam,null", "params__lr__in", [1, "adam", None]),
        ("params.name=a=b", "params__name", "a=b"),
        ("params.name=", "params__name", ""),
        ("status!=failed", "status__ne", "failed"),
        ("id=0001", "id", "0001"),
        ("id=7", "id", "7"),
        ('id="7"', "id", "7"),
        ("id__in=7,8", "id__in", ["7", "8"]),
        ("error_type=null", "error_type", None),
        ("executions=2", "executions", 2),
        ("replica=null", "replica", None),
        ("started_at>=2026", "started_at__ge", "2026"),
        ("tag=keep=3", "tag", "keep=3"),
        ("tag=3", "tag", "3"),
        ("experiment=3", "experiment", "3"),
        ("experiment.n_replicas=3", "experiment__n_replicas", 3),
        ("experiment.name=3", "experiment__name", "3"),
    ],
)
def test_a_word_is_a_lookup(word: str, lookup: str, value: object) -> None:
    assert is_condition(word)
    said = _said(word)
    assert said == (lookup, value)
    assert type(said[1]) is type(value)


def test_values_are_read_as_their_table_has_them() -> None:
    assert _said("late=true", "assets") == ("late", True)
    assert _said("version=2", "assets") == ("version", 2)
    assert _said("run.id=2", "assets") == ("run__id", "2")
    assert _said("run=2", "assets") == ("run", "2")
    assert _said("key=2", "params") == ("key", "2")


@pytest.mark.parametrize("word", ["runs", "", "=3", "=", "-n"])
def test_other_words_are_none(word: str) -> None:
    assert not is_condition(word)
    with pytest.raises(QueryError, match="says nothing"):
        _said(word)


def test_two_comparisons_at_once_are_refused() -> None:
    with pytest.raises(QueryError, match=r"compares twice.*say `params\.lr<3`"):
        _said("params.lr__lt<3")


def test_what_json_cannot_take_stays_a_text() -> None:
    for text in ("[" * 100_000, "9" * 10_000, "{", "'x'"):
        assert value_of(text) == text
