"""Tables are data: each says what it is, and its reader gives rows that fit."""

from __future__ import annotations

from pathlib import Path

import pytest

import molexp as me
from molexp.disk.beneath import Directory
from molexp.errors import AlreadyExistsError, InvalidInputError
from molexp.rows.gather import gather
from molexp.rows.scopes import scopes
from molexp.rows.tables import Table, register_table, tables

TEMPLATE = Path(me.__file__).parents[1] / "workspace_template"


@pytest.mark.parametrize("table", tables().values(), ids=lambda table: table.name)
def test_a_table_is_whole(table: Table) -> None:
    names = [*table.columns]
    assert names[0] == "scope"
    assert {*table.key, *table.order} <= {*names}
    assert table.uid is None or table.uid in names
    for relation in table.relations.values():
        assert {*relation.on} <= {*names}
        assert {*relation.on.values()} <= {*tables()[relation.table].columns}


def test_rows_have_a_value_for_each_column() -> None:
    filled = set()
    with Directory.open(TEMPLATE) as root:
        for number, (address, directory) in enumerate(scopes(root, "**", [])):
            found = gather(directory, address, number, [])
            for table in tables().values():
                for row in table.reader(found):
                    assert len(row) == len(table.columns), table.name
                    assert row[0] == number
                    filled.add(table.name)
    assert filled >= {"projects", "experiments", "runs", "executions", "assets", "params"}


def test_a_name_is_taken_once() -> None:
    runs = tables()["runs"]
    assert register_table(runs) is runs
    with pytest.raises(AlreadyExistsError):
        register_table(Table("runs", {"scope": "INTEGER"}, lambda _: (), ("scope",)))
    with pytest.raises(InvalidInputError):
        register_table(Table("no name", {"scope": "INTEGER"}, lambda _: (), ("scope",)))
    with pytest.raises(InvalidInputError):
        register_table(Table("fine", {"key": "VARCHAR"}, lambda _: (), ("key",)))
