"""A table that a program adds: no file of the package knows of it.

Nothing takes a table back, so each story is told by a process of its own.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

OUTSIDE = '''
"""What a program outside of the package writes."""
from molexp.rows.tables import Relation, Table, register_table


def falls(found):
    for attempt in found.attempts:
        loss = attempt.metrics.get("loss")
        if loss is not None:
            yield found.scope, attempt.number, loss["first"] - loss["last"]


FALLS = Table(
    "falls",
    {"scope": "INTEGER", "execution": "INTEGER", "fall": "DOUBLE"},
    falls,
    key=("scope", "execution"),
    relations={
        "run": Relation("runs", {"scope": "scope"}),
        "execution": Relation("executions", {"scope": "scope", "execution": "execution"}),
    },
)
'''

RECORD = """
import molexp as me

lab = me.Workspace("lab")
experiment = lab.project("Springs").experiment("Baseline")


def record(id, *losses):
    with experiment.run(id, parameters={"lr": len(losses)}).start(again=True) as ctx:
        for step, loss in enumerate(losses):
            ctx.metric("loss", loss, step=step)


def falls(**said):
    return [
        (row["scope"].split("/")[-1], row["execution"], row["fall"])
        for row in lab.catalog.table("falls").filter(**said).rows()
    ]


"""


def _tell(directory: Path, story: str) -> None:
    """Run a story, and fail with what it raises."""
    (directory / "outside.py").write_text(OUTSIDE)
    (directory / "record.py").write_text(RECORD)
    head = f"import sys\nsys.path.insert(0, {str(directory)!r})\nfrom record import *\n"
    ran = subprocess.run(
        [sys.executable, "-c", head + story],
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr


REGISTERED = "from outside import FALLS, register_table\nregister_table(FALLS)\n"


def test_it_is_overlaid_folded_and_rebuilt(tmp_path: Path) -> None:
    _tell(
        tmp_path,
        REGISTERED
        + """
record("a", 0.5, 0.25)
assert falls() == [("a", 1, 0.25)]
lab.catalog.fold()
assert falls() == [("a", 1, 0.25)]
record("a", 1.0, 0.0)
record("b", 0.5)
new = [("a", 1, 0.25), ("a", 2, 1.0), ("b", 1, 0.0)]
assert falls() == new
lab.catalog.fold()
assert falls() == new
experiment.delete_run("b")
assert falls() == new[:2]
report = lab.catalog.rebuild()
assert (report.runs, report.errors) == (1, [])
assert falls() == new[:2]
""",
    )


def test_it_is_related_in_queries_and_in_sql(tmp_path: Path) -> None:
    _tell(
        tmp_path,
        REGISTERED
        + """
record("a", 0.5, 0.25)
record("b", 1.0, 0.5, 0.0)
for folded in (False, True):
    if folded:
        lab.catalog.fold()
    assert falls(run__id="b") == falls(params__lr=3) == falls(fall__gt=0.5) == [("b", 1, 1.0)]
    assert falls(execution__status="failed") == []
    found = lab.catalog.table("falls").order_by("-fall", "run__id").rows()
    assert [row["fall"] for row in found] == [1.0, 0.25]
    sql = "SELECT id, fall FROM falls JOIN runs USING (scope) ORDER BY id"
    assert list(lab.catalog.sql(sql).rows) == [("a", 0.25), ("b", 1.0)]
""",
    )


def test_a_generation_that_was_made_without_it_is_not_used(tmp_path: Path) -> None:
    _tell(tmp_path, 'record("a", 0.5, 0.25)\nlab.catalog.fold()\n')
    _tell(tmp_path, REGISTERED + 'assert falls() == [("a", 1, 0.25)]\nlab.catalog.fold()\n')
    _tell(tmp_path, "assert lab.catalog.runs().count() == 1\n")
    _tell(tmp_path, REGISTERED + 'assert falls() == [("a", 1, 0.25)]\n')


def test_a_name_that_is_taken_or_none_is_refused(tmp_path: Path) -> None:
    _tell(
        tmp_path,
        REGISTERED
        + """
register_table(FALLS)
for table, error in (
    (FALLS._replace(key=("scope",)), me.errors.AlreadyExistsError),
    (FALLS._replace(name="runs"), me.errors.AlreadyExistsError),
    (FALLS._replace(name="a b"), me.errors.InvalidInputError),
    (FALLS._replace(name="c", columns={"fall": "DOUBLE"}), me.errors.InvalidInputError),
):
    try:
        register_table(table)
    except error:
        continue
    raise AssertionError(table.name)
""",
    )
