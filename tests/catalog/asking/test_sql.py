from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock
from decimal import Decimal
from math import isnan, nan
from pathlib import Path
from typing import Any

import pytest

import molexp as me
from molexp.catalog.asking.sql import Answer, Sandbox
from molexp.catalog.view import View
from molexp.disk import layout
from molexp.errors import CatalogError, InvalidInputError, MolexpError, QueryError
from tests.recording.lab import ROOT, make_run

FOREVER = "SELECT count(*) FROM range(100000000000) AS a, range(1000000)"


def test_sql_answers_with_columns_and_rows(sandbox: Sandbox) -> None:
    found = sandbox.sql("SELECT status, count(*) AS n FROM runs GROUP BY ALL ORDER BY ALL;")
    assert found.columns == ("status", "n")
    assert list(found) == [("failed", 1), ("pending", 1), ("succeeded", 8)]
    assert found.dicts()[0] == {"status": "failed", "n": 1}
    assert len(found) == 3
    assert repr(found).splitlines()[:3] == ["status     n", "---------  -", "failed     1"]


def test_an_answer_reads_as_a_small_table() -> None:
    many = Answer(("a", "b"), tuple((n, "x\ny" * 50 if n else None) for n in range(30)))
    lines = repr(many).splitlines()
    assert len(lines) == 23
    assert lines[-1] == "… 10 more rows"
    assert max(map(len, lines)) < 60
    assert repr(Answer((), ())) == "\n"


def test_values_are_those_of_python(sandbox: Sandbox) -> None:
    given = [
        1,
        2**70,
        1.5,
        True,
        None,
        "it's",
        b"\0\xff",
        datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC),
        date(2026, 1, 2),
        clock(3, 4),
        timedelta(days=3, seconds=1),
        Decimal("1.50"),
        [1, None],
        {"a": [1]},
    ]
    marks = ", ".join("?" * len(given))
    [row] = sandbox.sql(f"SELECT {marks}", given)
    assert list(row) == given
    [(number,)] = sandbox.sql("SELECT $x::DOUBLE", {"x": nan})
    assert isnan(number)
    [(moment, zoned, numbers, text)] = sandbox.sql(
        "SELECT TIMESTAMP '2026-01-02 03:04:05', TIMESTAMPTZ '2026-01-02 03:04:05+02',"
        " MAP {1: 'x'}, tags FROM runs WHERE id = 'run-1'"
    )
    assert moment == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert zoned == datetime(2026, 1, 2, 1, 4, 5, tzinfo=UTC)
    assert numbers == {1: "x"}
    assert json.loads(text) == {"keep": "yes", "late": "false"}
    [(begun,)] = sandbox.sql(
        "SELECT count(*) FROM runs WHERE started_at < ?", [datetime.now(tz=UTC)]
    )
    assert begun == 9


def test_what_is_no_value_is_refused(sandbox: Sandbox) -> None:
    for wrong in ([object()], [{1, 2}]):
        with pytest.raises(QueryError, match="no value"):
            sandbox.sql("SELECT ?", wrong)
    with pytest.raises(QueryError, match="no SQL"):
        sandbox.sql(b"SELECT 1")  # type: ignore[arg-type]  # that is the test
    with pytest.raises(QueryError):
        sandbox.sql("SELECT ?")
    with pytest.raises(QueryError, match="cast it"):
        sandbox.sql("SELECT [now()]")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("SELEC 1", "syntax error"),
        ("SELECT nothing FROM runs", "nothing"),
        ("FROM nowhere", "nowhere"),
        ("SELECT 1 / 'x'", "x"),
        ("", "this is nothing"),
        ("-- only a remark", "this is nothing"),
        ("SELECT '\ud800'", "UTF-8"),
    ],
)
def test_a_mistake_is_a_query_error_with_a_cure(sandbox: Sandbox, wrong: str, said: str) -> None:
    with pytest.raises(QueryError, match=said) as raised:
        sandbox.sql(wrong)
    assert isinstance(raised.value, InvalidInputError)
    assert raised.value.cure


def test_every_acknowledged_fact_is_seen_by_the_next_query(tmp_path: Path) -> None:
    run = make_run(tmp_path / "lab", durability="process")
    sandbox = Sandbox(tmp_path / "lab")
    experiment = run.experiment
    for number in range(2, 5):
        experiment.run(id=f"run-{number}")
        assert list(sandbox.sql("SELECT count(*) FROM runs")) == [(number,)]
    sandbox.close()
    assert list(sandbox.sql("SELECT count(*) FROM runs")) == [(4,)]
    sandbox.close()


@pytest.mark.parametrize("is_folded", [False, True])
def test_sql_reads_a_generation_and_what_is_over_it(tmp_path: Path, is_folded: bool) -> None:
    run = make_run(tmp_path / "lab", durability="process")
    if is_folded:
        view = View(run.workspace.root, layout.ACCESS["private"])
        view.rebuild()
        view.close()
    run.experiment.run(id="second")
    sandbox = Sandbox(run.workspace.root)
    assert list(sandbox.sql("SELECT id FROM runs ORDER BY id")) == [("first",), ("second",)]
    sandbox.close()


def _of(parent: int) -> set[int]:
    """The children of a process that ask."""
    found = set()
    for name in os.listdir("/proc"):
        try:
            command = Path("/proc", name, "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"molexp.catalog.asking.child" in command and str(parent).encode() in command:
            found.add(int(name))
    return found


def _children() -> set[int]:
    return _of(os.getpid())


def test_what_runs_too_long_is_killed_and_the_next_query_is_answered(sandbox: Sandbox) -> None:
    sandbox.sql("SELECT 1")
    [child] = _children()
    began = time.monotonic()
    with pytest.raises(CatalogError, match=r"stopped after 0\.5 seconds"):
        sandbox.sql(FOREVER, timeout=0.5)
    assert time.monotonic() - began < 5
    assert child not in _children()
    assert list(sandbox.sql("SELECT 1")) == [(1,)]


@pytest.mark.parametrize(
    "greedy",
    [
        "SELECT string_agg(repeat('x', 1000000), '') FROM range(1000000)",
        "SELECT list(a.range || b.range) FROM range(100000) AS a, range(100000) AS b",
        "SELECT repeat('x', 3000000000)",
        "SELECT repeat('x', 1000000) FROM range(1000)",
    ],
)
def test_what_takes_too_much_memory_is_ended(sandbox: Sandbox, greedy: str) -> None:
    with pytest.raises((CatalogError, QueryError)) as raised:
        sandbox.sql(greedy, timeout=60)
    assert "seconds" not in str(raised.value)
    assert list(sandbox.sql("SELECT 1")) == [(1,)]


def test_an_answer_has_not_more_rows_than_are_wanted(sandbox: Sandbox) -> None:
    with pytest.raises(QueryError, match="add a LIMIT"):
        sandbox.sql("FROM range(100001)")
    assert len(sandbox.sql("FROM range(100001)", most=100001)) == 100001
    assert len(sandbox.sql("FROM range(3)", most=3)) == 3


def test_what_kills_the_engine_kills_the_child_alone(sandbox: Sandbox) -> None:
    for deadly in ("FROM pandas_scan(NULL)", "FROM arrow_scan(NULL, NULL, NULL)"):
        with pytest.raises((CatalogError, QueryError)):
            sandbox.sql(deadly)
        assert list(sandbox.sql("SELECT 1")) == [(1,)]


def test_a_child_that_dies_is_replaced(sandbox: Sandbox) -> None:
    sandbox.sql("SELECT 1")
    for child in _children():
        os.kill(child, signal.SIGKILL)
    assert list(sandbox.sql("SELECT 2")) == [(2,)]
    is_over = threading.Event()

    def kill() -> None:
        while not is_over.wait(0.5):
            for child in _children():
                os.kill(child, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(CatalogError, match="gone"):
        sandbox.sql(FOREVER)
    is_over.set()
    killer.join()
    assert list(sandbox.sql("SELECT 3")) == [(3,)]


INTERRUPTED = """
import sys
from molexp.catalog.asking.sql import Sandbox
sandbox = Sandbox(sys.argv[1])
sandbox.sql("SELECT 1")
print("ready", flush=True)
try:
    sandbox.sql(sys.argv[2])
except KeyboardInterrupt:
    print(*sandbox.sql("SELECT 7"), flush=True)
"""


def _script(*arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, *map(str, arguments)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def _gone(parent: int) -> bool:
    until = time.monotonic() + 20
    while _of(parent) and time.monotonic() < until:
        time.sleep(0.05)
    return not _of(parent)


def test_an_interrupt_ends_the_query_and_the_next_one_is_answered(recorded: me.Workspace) -> None:
    script = _script(recorded.root, FOREVER)
    with script:
        assert script.stdout is not None
        assert script.stdout.readline() == "ready\n"
        time.sleep(0.5)
        os.killpg(script.pid, signal.SIGINT)  # as a terminal does, to all in it
        assert script.stdout.read() == "(7,)\n"
        assert script.wait(60) == 0
    assert _gone(script.pid)


def test_a_child_dies_with_its_parent(recorded: me.Workspace) -> None:
    script = _script(recorded.root, FOREVER)
    with script:
        assert script.stdout is not None
        assert script.stdout.readline() == "ready\n"
        time.sleep(0.5)
        assert _of(script.pid)
        script.kill()
    assert _gone(script.pid)


def test_a_child_goes_when_nobody_needs_it(recorded: me.Workspace) -> None:
    sandbox = Sandbox(recorded.root)
    before = _children()
    sandbox.sql("SELECT 1")
    [child] = _children() - before
    sandbox.close()
    assert child not in _children()
    sandbox.sql("SELECT 1")
    [child] = _children() - before
    del sandbox
    assert child not in _children()


def test_threads_take_turns(sandbox: Sandbox) -> None:
    found: list[Any] = []
    threads = [
        threading.Thread(target=lambda n=n: found.extend(sandbox.sql("SELECT ?", [n])))
        for n in range(4)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sorted(found) == [(0,), (1,), (2,), (3,)]


def test_a_workspace_that_is_not_there_is_said_to_be_so(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path / "none")
    with pytest.raises(MolexpError) as raised:
        sandbox.sql("SELECT 1")
    assert raised.value.cure
    sandbox.close()
