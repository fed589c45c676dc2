"""Owners are judged as they stand in documents, whatever these hold."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import Any

import pytest

from molexp.disk import owner
from molexp.rows.gather import Attempt
from molexp.rows.owners import here, is_dead, judged
from molexp.rows.shapes import Start

MINE = json.loads(owner.current().to_json())


def attempt(said: dict[str, Any], beat: float) -> Attempt:
    """An execution without an end."""
    at, uid = "2026-01-01T00:00:00Z", "0" * 26
    start = Start(format=1, uid=uid, run=uid, owner=said, writer="w", at=at)
    return Attempt(1, start=start, beat=beat)


def test_this_process_lives_here() -> None:
    assert here() == (MINE["host"], MINE["boot_id"])
    assert not is_dead(MINE)
    assert judged(attempt(MINE, 0.0)) is None


def test_a_process_that_is_over_has_failed() -> None:
    code = "from molexp.disk import owner; print(owner.current().to_json().decode())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    gone = json.loads(done.stdout)
    assert is_dead(gone)
    assert judged(attempt(gone, time.time())) == "failed"


def test_one_elsewhere_is_unknown_once_it_is_silent() -> None:
    elsewhere = {**MINE, "boot_id": "another"}
    assert judged(attempt(elsewhere, time.time())) is None
    assert judged(attempt(elsewhere, time.time() - 3600)) == "unknown"


@pytest.mark.parametrize("said", [None, 3, "x", [], {}, {"pid": "x"}, {**MINE, "pid": None}])
def test_what_names_nobody_proves_nothing(said: object) -> None:
    assert not is_dead(said)
