"""Fixtures of the tests of this floor: an open directory, and what is written in it with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from molexp.disk.beneath import Directory
from molexp.disk.commit import Batch, begin
from molexp.disk.record import Aside
from tests.disk import MODES, make_lab


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Directory]:
    with Directory.open(tmp_path) as directory:
        yield directory


@pytest.fixture
def batch(root: Directory) -> Iterator[Batch]:
    batch = begin(root, one_by_one=True)
    yield batch
    batch.close()


@pytest.fixture
def aside(root: Directory) -> Iterator[Aside]:
    aside = Aside(root, MODES, writer="w")
    yield aside
    aside.close()


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    make_lab(tmp_path / "lab")
    return tmp_path / "lab"
