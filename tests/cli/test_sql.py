"""`molexp sql`: the catalog, asked in SQL."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from molexp.cli import STOPPED, main

Capture = pytest.CaptureFixture[str]
ENDLESS = "select count(*) from range(1000000000000) as a, range(1000000) as b where a.range = -1"


def _sql(capsys: Capture, workspace: Path, *words: str) -> list[str]:
    assert main(["sql", "-w", str(workspace), *words]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    return said.out.splitlines()


def _json(capsys: Capture, workspace: Path, *words: str) -> Any:
    return json.loads("\n".join(_sql(capsys, workspace, *words, "--json")))


def test_it_prints_a_table(springs: Path, capsys: Capture) -> None:
    call = "select status, count(*) as n, null as no from runs group by status order by n"
    assert [line.split() for line in _sql(capsys, springs, call)] == [
        ["status", "n", "no"],
        ["failed", "1", "null"],
        ["succeeded", "4", "null"],
    ]
    assert _sql(capsys, springs, "select * from runs where false") == ["  no rows"]


def test_the_statement_may_come_from_the_standard_input(
    springs: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("select 1 as one"))
    assert _sql(capsys, springs, "-")[0].split() == ["one"]


def test_json_says_each_type_as_json_can(springs: Path, capsys: Capture) -> None:
    call = (
        "select 1 as i, 0.5::double as d, 1.25::decimal(9, 2) as m, 'nan'::double as n, null as o,"
        " timestamp '2026-11-20 10:00:00' as t, date '2026-11-20' as a, [1, 2] as l,"
        " {'x': true} as s, 'ab'::blob as b"
    )
    said = _json(capsys, springs, call)
    assert said["columns"] == list("idmnotalsb")
    (row,) = said["rows"]
    assert row[:3] == [1, 0.5, "1.25"]
    assert row[4:] == [
        None,
        "2026-11-20T10:00:00Z",
        "2026-11-20",
        [1, 2],
        {"x": True},
        "6162",
    ]


def test_a_wrong_statement_is_an_error_with_a_cure(springs: Path, capsys: Capture) -> None:
    for call in ("select nothing from runs", "drop table runs", "selekt"):
        assert main(["sql", "-w", str(springs), call]) == 1
        said = capsys.readouterr()
        assert said.out == ""
        assert said.err.startswith("molexp: ")
        assert "\n  → " in said.err


def test_what_takes_too_long_is_stopped(springs: Path, capsys: Capture) -> None:
    assert main(["sql", "-w", str(springs), "--timeout", "1", ENDLESS]) == 1
    assert "\n  → " in capsys.readouterr().err


def test_ctrl_c_stops_it(springs: Path) -> None:
    call = [sys.executable, "-m", "molexp.cli", "sql", "-w", str(springs), ENDLESS]
    with subprocess.Popen(call, stderr=subprocess.PIPE, text=True, env={**os.environ}) as asking:
        time.sleep(3)
        assert asking.poll() is None
        began = time.monotonic()
        asking.send_signal(signal.SIGINT)
        _, said = asking.communicate(timeout=30)
    assert (asking.returncode, said) == (STOPPED, "molexp: stopped\n")
    assert time.monotonic() - began < 10
