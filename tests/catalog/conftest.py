"""Fixtures of the tests of the catalog: a workspace with one run, and a view of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import molexp as me
from molexp.catalog.view import View
from tests.catalog.lab import make_lab, open_view


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[me.Workspace]:
    workspace = make_lab(tmp_path / "lab")
    yield workspace
    workspace.close()


@pytest.fixture
def view(lab: me.Workspace) -> Iterator[View]:
    made = open_view(lab)
    yield made
    made.close()
