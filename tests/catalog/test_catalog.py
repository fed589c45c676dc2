"""The catalog as users hold it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import molexp as me
from molexp.errors import NotFoundError, QueryError


def test_every_way_to_ask(recorded: me.Workspace) -> None:
    catalog = recorded.catalog
    assert catalog.projects().addresses() == ["qm9", "water"]
    assert catalog.experiments().count() == 2
    failed = catalog.runs().filter(status="failed").all()
    assert [run.address for run in failed] == ["qm9/baseline/run-5"]
    traces = catalog.assets().filter(
        kind="error_trace", run__status="failed", experiment="baseline"
    )
    assert [trace.scope for trace in traces] == ["qm9/baseline/run-5"]
    assert "no luck with 5" in traces.all()[0].read_text()
    assert catalog.executions().filter(status="succeeded").count() == 8
    assert catalog.table("messages").rows()[0]["text"] == "look out"
    assert catalog.get(failed[0].uid).address == "qm9/baseline/run-5"
    assert {run.address for run in catalog.query_runs(status="failed")} == {"qm9/baseline/run-5"}
    assert catalog.query_assets(kind="data", scope="") != []
    assert catalog.query_executions(scope="qm9", recursive=True) != []
    [(number,)] = catalog.sql("SELECT count(*) FROM runs WHERE status = $1", ["failed"])
    assert number == 1
    with pytest.raises(QueryError):
        catalog.table("nothing")
    catalog.close()  # and with it the process that ran SQL


def test_there_is_none_before_there_is_a_workspace(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        _ = me.Workspace(tmp_path / "lab").catalog


def test_it_opens_again_after_it_was_closed(lab: me.Workspace) -> None:
    assert lab.catalog.runs().count() == 1
    lab.close()
    assert lab.catalog.runs().count() == 1


def test_sync_finds_what_was_deleted_by_hand(lab: me.Workspace) -> None:
    assert lab.catalog.runs().count() == 1
    [run] = lab.project("QM9").experiment("baseline").list_runs()
    (run.run_dir / "meta.json").unlink()
    run.run_dir.rmdir()
    lab.sync()
    assert lab.catalog.runs().count() == 0


def test_a_question_needs_no_records(lab: me.Workspace) -> None:
    code = (
        "import sys, molexp as me\n"
        f"ws = me.Workspace({str(lab.root)!r})\n"
        "assert ws.catalog.runs().filter(status='pending').count() == 1\n"
        "assert ws.catalog.runs().addresses() == ['qm9/baseline/first']\n"
        "assert 'pydantic' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_question_about_what_is_folded_loads_nothing_that_reads_files(lab: me.Workspace) -> None:
    lab.catalog.rebuild()
    code = (
        "import sys, molexp as me\n"
        f"ws = me.Workspace({str(lab.root)!r})\n"
        "assert ws.catalog.runs().filter(status='pending').addresses() == ['qm9/baseline/first']\n"
        "print(*sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    slow = {"pydantic", "msgspec", "dataclasses", "inspect", "hashlib", "difflib", "tempfile"}
    readers = {"molexp.catalog.fold", "molexp.rows.gather", "molexp.rows.plain"}
    assert not (slow | readers) & set(done.stdout.split())
