"""Fixtures of the tests of this floor: a workspace with one run, open to write in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from molexp.disk.beneath import Directory
from molexp.lifecycle.site import Site
from tests.lifecycle.lab import make_lab


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    return make_lab(tmp_path / "lab")


@pytest.fixture
def site(lab: Path) -> Iterator[Site]:
    """Without commit points, which the tests of faults are for."""
    made = Site(Directory.open(lab), durability="process")
    yield made
    made.close()
