"""Fixtures of the tests of this floor: a workspace, and a run in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import molexp as me
from tests.recording.lab import make_run


@pytest.fixture
def run(tmp_path: Path) -> me.Run:
    """A run that was not started yet."""
    return make_run(tmp_path / "lab", durability="process")


@pytest.fixture
def ctx(run: me.Run) -> Iterator[me.RunContext]:
    """A context in which a test writes; nothing is captured."""
    with run.start(capture=False) as context:
        yield context
