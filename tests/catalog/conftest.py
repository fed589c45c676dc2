"""Fixtures of the tests of the catalog: a large workspace to ask, a small one to change."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import molexp as me
from molexp.catalog.view import View
from tests.catalog import lab as labs
from tests.catalog.lab import Viewed
from tests.catalog.small import make_lab, open_view


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> me.Workspace:
    """A workspace that no test changes."""
    return labs.record(Path(tmp_path_factory.mktemp("recorded"), "lab"))


@pytest.fixture(scope="session")
def source(recorded: me.Workspace) -> Iterator[Viewed]:
    """A view of it."""
    viewed = labs.view(recorded)
    yield viewed
    viewed.close()


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[me.Workspace]:
    """A workspace with one run."""
    workspace = make_lab(tmp_path / "lab")
    yield workspace
    workspace.close()


@pytest.fixture
def view(lab: me.Workspace) -> Iterator[View]:
    """A view of it."""
    made = open_view(lab)
    yield made
    made.close()
