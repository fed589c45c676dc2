"""The door to the engine: what it may use, how it is locked, and how its errors read."""

from __future__ import annotations

from pathlib import Path

import pytest

from molexp.catalog.engine import connect, listed, literal, lock, quoted, refusals, translated
from molexp.errors import CatalogError


def test_names_and_texts_are_spelt_whatever_they_hold() -> None:
    connection = connect()
    odd = "a\"b'c"
    [(value,)] = connection.execute(f"SELECT {literal(odd)} AS {quoted(odd)}").fetchall()
    assert value == odd
    assert connection.description[0][0] == odd
    assert listed([]) == "NULL"
    assert listed([3, 4]) == "3, 4"


def test_what_it_raises_names_the_cure() -> None:
    with pytest.raises(CatalogError, match="no answer") as caught, translated("no answer", "do x"):
        connect().execute("SELECT nothing_like_it")
    assert caught.value.cure == "do x"


@pytest.mark.parametrize(
    "statement",
    [
        "ATTACH '{path}/x.duckdb'",
        "COPY (SELECT 1) TO '{path}/x.csv'",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SET threads = 1",
        "CREATE TABLE t (a INTEGER)",
        "INSTALL httpfs",
    ],
)
def test_one_that_is_locked_only_reads(tmp_path: Path, statement: str) -> None:
    connection = connect()
    lock(connection)
    with pytest.raises(refusals()):
        connection.execute(statement.format(path=tmp_path))
    assert not [*tmp_path.iterdir()]
    assert connect().execute("SELECT 1").fetchall() == [(1,)]
