"""Fixtures of the tests of queries."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import molexp as me
from tests.catalog import lab
from tests.catalog.lab import Viewed


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> me.Workspace:
    """A workspace that no test changes."""
    return lab.record(Path(tmp_path_factory.mktemp("recorded"), "lab"))


@pytest.fixture(scope="session")
def source(recorded: me.Workspace) -> Iterator[Viewed]:
    """A view of it."""
    view = lab.view(recorded)
    yield view
    view.close()
