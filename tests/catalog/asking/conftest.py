"""What the tests of questions share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import molexp as me
from molexp.catalog.asking.sql import Sandbox


@pytest.fixture(scope="module")
def sandbox(recorded: me.Workspace) -> Iterator[Sandbox]:
    """SQL over a workspace that no test changes."""
    made = Sandbox(recorded.root)
    yield made
    made.close()
