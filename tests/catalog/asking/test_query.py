from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import molexp as me
from molexp.catalog.asking.query import Query, query_assets, query_executions, query_runs
from molexp.errors import QueryError
from tests.catalog.lab import Viewed, ask, record, view
from tests.recording.lab import python

Ask = Callable[[str], Query]


@pytest.fixture
def query(source: Viewed) -> Ask:
    return lambda table: ask(source, table)


def _ids(query: Query) -> list[str]:
    return [address.rpartition("/")[2] for address in query.addresses()]


def test_every_step_gives_another_query(query: Ask) -> None:
    runs = query("runs")
    failed = runs.filter(status="failed")
    assert failed is not runs
    assert runs.count() == 10
    assert failed.count() == 1
    assert failed.filter(status__ne="failed").count() == 0
    assert failed.limit(5).limit(1) is not failed


def test_neither_a_query_nor_a_page_of_it_can_be_changed(query: Ask) -> None:
    runs = query("runs")
    for value, name in ((runs, "most"), (runs.page(2), "next")):
        with pytest.raises(AttributeError, match="never changed"):
            setattr(value, name, None)
        with pytest.raises(AttributeError, match="never changed"):
            delattr(value, name)


def test_a_query_reads_as_it_was_written(query: Ask) -> None:
    asked = query("runs").filter(status="failed", params__lr__lt=0.01).order_by("-started_at")
    said = "runs().filter(status='failed', params__lr__lt=0.01).order_by('-started_at').limit(3)"
    assert repr(asked.limit(3)) == said
    assert len(repr(asked.filter(name="x" * 1000))) < 250


def test_rows_come_by_address_and_by_nothing_that_chance_decides(query: Ask) -> None:
    addresses = query("runs").addresses()
    assert addresses == sorted(addresses)
    rows = query("assets").rows()
    keys = [(row["scope"], row["execution"] or math.inf, row["created_at"]) for row in rows]
    assert keys == sorted(keys)


def test_rows_are_columns_with_the_address_of_their_scope(query: Ask) -> None:
    [row] = query("runs").filter(run="run-1").rows()
    assert row["address"] == "qm9/baseline/run-1"
    assert "scope" not in row
    assert row["parameters"] == {"lr": 0.01, "optimizer": {"name": "adam", "lr": 0.1}, "n": 1}
    assert row["tags"] == {"keep": "yes", "late": "false"}
    assert row["created_at"].tzinfo is not None
    [loss] = query("metrics").filter(run="run-1").rows()
    assert loss["scope"] == "qm9/baseline/run-1"
    assert math.isnan(loss["last"])


def test_an_order_is_stable_and_puts_what_has_no_value_last(query: Ask) -> None:
    rates = _ids(query("runs").filter(project="qm9").order_by("params__lr"))
    assert rates[:5] == ["run-0", "run-1", "run-2", "run-3", "run-4"]  # NaN is the greatest
    assert rates[-1] == "never"
    assert _ids(query("runs").order_by("-started_at"))[-1] == "never"
    assert _ids(query("runs").filter(project="qm9").order_by("-params__n"))[0] == "run-7"
    assert query("assets").order_by("-run__started_at").rows()[0]["scope"] == "water/baseline/run-0"
    assert _ids(query("runs").order_by("status"))[0] == "run-5"


def test_a_limit_is_a_number_and_only_lowers(query: Ask) -> None:
    assert query("runs").limit(3).limit(7).count() == 3
    assert len(query("runs").limit(3).rows()) == 3
    assert query("runs").limit(0).first() is None
    for wrong in (-1, 1.0, True, "3", None):
        with pytest.raises(QueryError, match="give a number"):
            query("runs").limit(wrong)  # type: ignore[arg-type]  # that is the test


def test_the_first_is_none_where_nothing_is_found(query: Ask) -> None:
    assert query("runs").filter(status="cancelled").first() is None
    found = query("runs").order_by("-params__n").first()
    assert found.address == "qm9/baseline/run-7"
    assert [each.address for each in query("runs").filter(run="run-7")] == [found.address]


@pytest.mark.parametrize(
    ("table", "order"),
    [
        ("runs", ()),
        ("runs", ("params__lr",)),
        ("runs", ("-params__lr", "status")),
        ("runs", ("-started_at",)),
        ("assets", ()),
        ("assets", ("-params__lr",)),
        ("assets", ("-run__started_at", "scope")),
        ("metrics", ("-last",)),
        ("tags", ("value",)),
    ],
)
def test_pages_hold_each_row_once(query: Ask, table: str, order: tuple[str, ...]) -> None:
    asked = query(table).order_by(*order)
    whole, paged, token = asked.rows(), [], None
    while True:
        page = asked.page(4, after=token)
        paged += page.rows()
        token = page.next
        if token is None:
            break
        assert len(page) == 4
    assert repr(paged) == repr(whole)


def test_pages_neither_skip_nor_repeat_when_rows_come_between_them(tmp_path: Path) -> None:
    workspace = record(tmp_path / "lab")
    source = view(workspace)
    asked = ask(source, "runs").order_by("-created_at")
    before = asked.addresses()
    page = asked.page(4)
    workspace.project("water").experiment("baseline").run(id="aaa", parameters={})
    seen = [each.address for each in page.all()]
    while page.next is not None:
        page = asked.page(4, after=page.next)
        seen += [row["address"] for row in page.rows()]
    assert seen == before
    source.close()


def test_a_page_of_another_query_is_refused(query: Ask) -> None:
    token = query("runs").page(2).next
    assert token is not None
    for asked in (query("assets"), query("runs").order_by("status")):
        with pytest.raises(QueryError, match="ended"):
            asked.page(2, after=token)
    for wrong in ("", "x", "bm9uZQ==", "W10=", "é", token[:-4]):
        with pytest.raises(QueryError, match="ended"):
            query("runs").page(2, after=wrong)
    with pytest.raises(QueryError, match="a size of its own"):
        query("runs").limit(3).page(2)


def test_addresses_are_those_of_scopes(query: Ask) -> None:
    assert query("projects").addresses() == ["qm9", "water"]
    with pytest.raises(QueryError, match="no address of their own"):
        query("assets").addresses()


def test_a_table_that_is_not_there_is_named_with_near_ones(source: Viewed) -> None:
    with pytest.raises(QueryError, match="did you mean 'runs'"):
        ask(source, "run")


@pytest.mark.parametrize("wrong", [("strated_at",), ("parameters",), (3,), ("run__status",)])
def test_an_order_that_cannot_be_is_refused(query: Ask, wrong: tuple[Any, ...]) -> None:
    with pytest.raises(QueryError):
        query("runs").order_by(*wrong)


def test_answers_load_no_record(recorded: me.Workspace) -> None:
    code = """
import sys
from molexp.catalog.asking.query import Query
from molexp.catalog.view import View
from molexp.disk import layout
runs = Query(View(sys.argv[1], layout.ACCESS["private"]), "runs")
found = runs.filter(params__lr__lt=0.05, status="succeeded", scope__ne="qm9", under="qm9")
print(found.count(), len(found.rows()), len(found.addresses()), len(runs.page(3).rows()))
print([name for name in sys.modules if name.split(".")[0].startswith("pydantic")])
"""
    assert python(code, recorded.root).splitlines() == ["2 2 2 3", "[]"]


def test_the_named_searches_are_uses_of_the_chain(source: Viewed, recorded: me.Workspace) -> None:
    run = recorded.find("qm9/baseline/run-2")
    made = query_assets(source, producer_run=run.uid, kind="artifact")
    assert [each.name for each in made] == ["weights.json", "figures"]
    assert query_assets(source, producer_run=run.address, kind="artifact") == made
    assert query_assets(source, scope=run.address, kind="artifact", producer_task="train") == made
    assert query_assets(source, scope=run, kind="artifact", tag="keep") == made[:1]
    assert query_assets(source, scope="qm9", kind="artifact") == []
    assert len(query_assets(source, scope="qm9", kind="artifact", recursive=True)) == 16
    assert len(query_assets(source, scope="qm9", recursive=True, limit=3)) == 3
    assert [each.id for each in query_runs(source, scope="qm9", status="failed", recursive=True)]
    assert query_runs(source, scope="qm9") == []
    assert [each.number for each in query_executions(source, run="run-2")] == [1, 2]
    assert [each.number for each in query_executions(source, scope=run, status="failed")] == [1]
