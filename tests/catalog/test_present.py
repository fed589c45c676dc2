"""Tables show what is there now, and are made when somebody names them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from molexp.catalog import load
from molexp.catalog.engine import connect
from molexp.catalog.present import Present
from molexp.rows.gather import Gathered
from molexp.rows.glance import Glance
from molexp.rows.tables import tables

UID = "01KJPX50B0000000000000000"
RUNS = "SELECT scope, name FROM runs ORDER BY scope"


def run(scope: int, name: str = "x") -> Gathered:
    """A run with a uid of its own."""
    found = Gathered(scope, ("p", "e", f"r{scope}"), "run", Glance())
    moment = "2026-03-02T09:00:00Z"
    found.meta = {"uid": f"{UID}{scope}", "name": name, "created_at": moment, "tags": {"k": name}}
    return found


@pytest.fixture
def present() -> Iterator[Present]:
    """No generation, and nothing over it."""
    with closing(connect()) as connection:
        made = Present(connection)
        made.settle_on(None)
        yield made


@pytest.fixture
def based(present: Present) -> Present:
    """A generation of three runs."""
    present.connection.execute("ATTACH ':memory:' AS base")
    loader = load.Loader(present.connection, "base", is_new=True)
    for scope in range(3):
        loader.add(run(scope), is_sure=True)
    loader.finish()
    present.settle_on("base")
    return present


def views(present: Present) -> set[str]:
    """The views that are there."""
    found = present.connection.execute("SELECT view_name FROM duckdb_views() WHERE NOT internal")
    return {name for (name,) in found.fetchall()}


def test_a_table_is_made_when_a_statement_names_it(present: Present) -> None:
    present.put(run(7))
    assert views(present) == set()
    assert present.execute(RUNS).fetchall() == [(7, "x")]
    assert views(present) == {"runs"}
    present.show_all()
    assert views(present) == {*tables(), "ids", "scopes"}


def test_rows_are_those_of_what_was_put_last(based: Present) -> None:
    for name in ("y", "z"):
        based.put(run(1, name))
        based.hide([1])
        assert based.execute(RUNS).fetchall() == [(0, "x"), (1, name), (2, "x")]
        assert based.execute("SELECT value FROM tags WHERE scope = 1").fetchall() == [(name,)]
    based.forget(1)
    based.hide([2])
    assert based.execute(RUNS).fetchall() == [(0, "x")]
    assert based.execute("SELECT scope FROM tags").fetchall() == [(0,)]


def test_another_generation_has_nothing_over_it(based: Present) -> None:
    based.put(run(9))
    based.hide([0])
    based.show_all()
    based.settle_on("base")
    assert based.execute(RUNS).fetchall() == [(scope, "x") for scope in range(3)]
    based.settle_on(None)
    assert based.execute(RUNS).fetchall() == []


def test_an_identity_is_where_its_rows_are(based: Present) -> None:
    based.put(run(1, "y"))
    based.hide([1])
    based.put(run(5))
    for scope in (0, 1, 5):
        assert based.locate(f"{UID}{scope}") == [("runs", scope)]
        assert based.address_of(scope) == f"p/e/r{scope}"
        found = based.execute("SELECT hash, name FROM ids WHERE scope = ?", [scope]).fetchall()
        hashed = based.execute(f"SELECT md5_number_lower('{UID}{scope}'), 'runs'").fetchall()
        assert found == hashed
    based.forget(5)
    based.hide([0])
    assert based.locate(f"{UID}5") == based.locate(f"{UID}0") == []
