"""Rows go into the tables as they are, whether they are few or many."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from molexp.catalog.engine import Connection, connect, refusals
from molexp.catalog.load import Loader, copy, drop, make_tables
from molexp.model.codec import encode
from molexp.rows.gather import Gathered
from molexp.rows.glance import Glance
from molexp.rows.shapes import Edit
from molexp.rows.tables import tables

MANY = 600

TEXTS = (
    *("", "x", " ", "  x  ", "\n", "\r", "\r\n", "a\nb", "a\rb", '"', '""', "'", ",", "a,b", '"a"'),
    *(
        "\x00",
        "a\x00b",
        "\x1f",
        "\x7f",
        "\x85",
        "\u2028",
        "ü",
        "😀",
        "\\N",
        "NULL",
        "null",
        "\\",
        "\\n",
    ),
    *("NaN", "0", "-1", "#x", "\ufeff", "\t", "a\tb", "'; DROP TABLE runs; --"),
)
NUMBERS = (None, 0.0, -0.0, 1.5, float("nan"), float("inf"), -float("inf"), 5e-324, 1.7e308, 0.1)


def gathered(scope: int, text: str, number: float | None, reason: str | None) -> Gathered:
    """A run that says something everywhere."""
    found = Gathered(scope, ("p", "e", f"r{scope}"), "run", Glance())
    found.meta = {
        "uid": f"{scope:026}",
        "name": text,
        "created_at": "2026-03-02T09:00:00.123456Z",
        "notes": text,
        "tags": {text: text, "flag": True},
        "parameters": {text: text, "n": encode(number), "deep": {"x": [text]}, "huge": 10**400},
    }
    found.edits = [
        Edit(
            at="2026-03-02T09:00:00Z",
            writer=text,
            by=text,
            patch={"notes": text},
            reason=reason,
        )
    ]
    return found


def filled(connection: Connection, some: list[Gathered], *, is_new: bool) -> dict[str, list[Any]]:
    """The rows of all tables when these scopes are loaded."""
    connection.execute("CREATE SCHEMA t")
    if not is_new:
        make_tables(connection, "t")
    loader = Loader(connection, "t", is_new=is_new)
    for each in some:
        loader.add(each, is_sure=True)
    loader.finish()
    names = [*tables(), "ids", "scopes"]
    return {
        name: sorted(connection.execute(f'SELECT * FROM t."{name}"').fetchall(), key=repr)
        for name in names
    }


def loaded(text: str, number: float | None, reason: str | None, *, many: bool) -> dict[str, str]:
    """What the tables say of the first scope, which came alone or with very many."""
    count = MANY if many else 1
    with closing(connect()) as connection:
        some = [gathered(n, text, number, reason) for n in range(count)]
        found = filled(connection, some, is_new=True)
    at = {"ids": 1}
    return {
        name: repr([row for row in rows if row[at.get(name, 0)] == 0])
        for name, rows in found.items()
    }


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: ascii(text[:20]))
def test_many_rows_say_what_few_rows_say(text: str) -> None:
    for number in NUMBERS if text == "x" else (0.5,):
        assert loaded(text, number, text, many=False) == loaded(text, number, text, many=True)


@pytest.mark.parametrize("times", [1, MANY // len(TEXTS) + 1])
def test_a_text_is_what_it_was_and_none_is_none(times: int) -> None:
    texts = TEXTS * times
    with closing(connect()) as connection:
        some = [gathered(number, text, None, None) for number, text in enumerate(texts)]
        filled(connection, some, is_new=True)
        wanted = [*enumerate(texts)]
        for column, table in (("name", "runs"), ("notes", "runs"), ("author", "edits")):
            query = f"SELECT scope, {column} FROM t.{table} ORDER BY scope"
            assert connection.execute(query).fetchall() == wanted
        query = "SELECT scope, value FROM t.tags WHERE key <> 'flag' ORDER BY scope"
        assert connection.execute(query).fetchall() == wanted
        query = "SELECT DISTINCT reason FROM t.edits"
        assert connection.execute(query).fetchall() == [(None,)]


@pytest.mark.parametrize("size", [70_000, 5_000_000])
def test_a_long_text_among_many_rows_is_whole(size: int) -> None:
    with closing(connect()) as connection:
        some = [gathered(n, "short", None, None) for n in range(MANY)]
        some[7] = gathered(7, 'x"\n' * (size // 3), None, None)
        filled(connection, some, is_new=True)
        query = "SELECT scope, length(notes) FROM t.runs WHERE length(notes) > 5"
        assert connection.execute(query).fetchall() == [(7, size // 3 * 3)]


@settings(max_examples=8)
@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_is_the_same_by_both_ways(text: str) -> None:
    assert loaded(text, None, text, many=False) == loaded(text, None, text, many=True)


def test_a_database_that_is_added_to_is_the_same_as_one_that_is_new() -> None:
    some = [gathered(n, "x", 0.5, None) for n in range(5)]
    with closing(connect()) as one, closing(connect()) as other:
        assert filled(one, some, is_new=True) == filled(other, some, is_new=False)


def test_what_is_dropped_is_gone_from_all_tables() -> None:
    with closing(connect()) as connection:
        filled(connection, [gathered(n, "x", 0.5, None) for n in range(3)], is_new=True)
        drop(connection, "t", [0, 2])
        for name in (*tables(), "ids"):
            found = connection.execute(f'SELECT DISTINCT scope FROM t."{name}"').fetchall()
            assert found in ([], [(1,)]), name


def test_what_does_not_fit_into_memory_is_sorted_beside_the_file(tmp_path: Path) -> None:
    def filled(spill: str) -> int:
        with closing(connect(spill)) as connection:
            connection.execute("SET memory_limit = '96MB'")
            for name in ("one", "other"):
                connection.execute(f"ATTACH '{tmp_path}/{name}{len(spill)}.db' AS {name}")
            make_tables(connection, "one")
            text = "md5(range::VARCHAR) || repeat('x', 200)"
            connection.execute(
                "INSERT INTO one.tags SELECT hash(range) % 1000, NULL, NULL, false, 'key',"
                f" {text} FROM range(600_000)"
            )
            copy(connection, "one", "other")
            found = connection.execute("SELECT scope FROM other.tags").fetchall()
            assert found == sorted(found)
            return len(found)

    assert filled(str(tmp_path / "spill")) == 600_000
    assert "spill" not in os.listdir(tmp_path)
    with pytest.raises(refusals(), match="Out of Memory"):
        filled("")
