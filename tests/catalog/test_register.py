"""The register knows which scopes a database has rows of."""

from __future__ import annotations

from molexp.catalog import register
from molexp.catalog.engine import Connection, connect
from molexp.catalog.load import drop, make_tables
from molexp.rows.gather import KINDS, Attempt, Gathered
from molexp.rows.glance import Glance

SCOPES = [(), ("a",), ("a", "e"), ("a", "e", "r"), ("ab",)]


def filled() -> Connection:
    """A register of five scopes."""
    connection = connect()
    connection.execute("CREATE SCHEMA here")
    make_tables(connection, "here")
    marks = ", ".join("?" * len(register.COLUMNS))
    for number, address in enumerate(SCOPES):
        found = Gathered(number, address, KINDS[len(address)], Glance())
        found.glance.files["meta.json"] = (number, 0, 0, 0)
        found.unended = [Attempt(1)] * (number == 3)
        row = register.entry(found, is_sure=True)
        connection.execute(f"INSERT INTO here.scopes VALUES ({marks})", [*row])
    return connection


def test_prefixes_name_scopes() -> None:
    connection = filled()
    assert [*register.at(connection, "here", ["a", "", "none"])] == [(), ("a",)]
    below = register.at(connection, "here", ["a/**"])
    assert {*below} == {("a",), ("a", "e"), ("a", "e", "r")}
    assert below["a", "e"] == register.Entry(2, hash(((2, 0, 0, 0),)))
    assert len(register.at(connection, "here", ["**"])) == len(SCOPES)
    assert register.at(connection, "here", []) == {}


def test_what_is_open_and_how_much_there_is() -> None:
    connection = filled()
    assert register.open_ones(connection, "here") == ["a/e/r"]
    assert register.extent(connection, "here") == (4, 5)
    drop(connection, "here", [3, 4])
    assert register.open_ones(connection, "here") == []
    assert register.extent(connection, "here") == (2, 3)
