"""Registered tables, told to another process: stories of processes, for nothing takes one back."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from molexp.rows.abroad import learn, told
from molexp.rows.tables import tables

OUTSIDE = """
from molexp.rows.tables import Relation, Table

class Readers:
    @staticmethod
    def numbers(found):
        yield found.scope, 7

TABLE = Table("numbers", {"scope": "INTEGER", "number": "INTEGER"}, Readers.numbers, key=("scope",),
              relations={"run": Relation("runs", {"scope": "scope"})}, order=("number",))
"""


def _tell(directory: Path, story: str) -> str:
    (directory / "outside.py").write_text(OUTSIDE)
    head = f"import json, sys\nsys.path.insert(0, {str(directory)!r})\n"
    head += "from molexp.rows.abroad import learn, told\n"
    head += "from molexp.rows.tables import Table, register_table, tables\n"
    call = [sys.executable, "-c", head + story]
    ran = subprocess.run(call, cwd=directory, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_the_tables_that_are_there_anyway_are_not_told() -> None:
    before = tables()
    assert told() == []
    learn([])
    assert tables() == before


def test_another_process_learns_the_same_table(tmp_path: Path) -> None:
    there = "import outside\nregister_table(outside.TABLE)\nprint(json.dumps(told()))\n"
    said = _tell(tmp_path, there)
    here = f"learn(json.loads({said!r}))\nimport outside\n"
    _tell(tmp_path, here + "assert tables()['numbers'] == outside.TABLE")


def test_a_reader_that_no_other_process_can_find_is_not_told_nor_learnt(tmp_path: Path) -> None:
    columns = '{"scope": "INTEGER"}'
    mine = f"def mine(found): ...\nregister_table(Table('a', {columns}, mine, key=('scope',)))\n"
    mine += f"register_table(Table('b', {columns}, lambda found: [], key=('scope',)))\n"
    _tell(tmp_path, mine + "assert told() == []")
    gone = "import outside\nregister_table(outside.TABLE)\nsaid = told()[0]\n"
    gone += "learn([{**said, 'name': 'c', 'reader': ['nowhere', 'x']}])\n"
    gone += "learn([{**said, 'name': 'd', 'reader': ['outside', 'x']}])\n"
    _tell(tmp_path, gone + "assert not {'c', 'd'} & tables().keys()")
