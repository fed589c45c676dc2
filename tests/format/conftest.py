"""Fixtures of the tests of docs/format: each test of a rule shows something being refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.format.lab import Lab, Refusals


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """A copy of the template."""
    return Lab(tmp_path / "lab")


@pytest.fixture(autouse=True)
def refused(request: pytest.FixtureRequest) -> Iterator[Refusals]:
    """Takes down what is refused; a test that is marked with a rule fails without any."""
    mark = request.node.get_closest_marker("rule")
    refusals = Refusals(mark.args[0] if mark else "")
    yield refusals
    if mark is not None and not refusals.seen:
        pytest.fail(f"nothing that breaks {refusals.rule} was refused", pytrace=False)
