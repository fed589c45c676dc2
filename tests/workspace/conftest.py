"""Fixtures of the tests of this floor: a workspace, and a run in it."""

from __future__ import annotations

import pytest

import molexp as me
from tests.recording.conftest import ctx, run

__all__ = ["ctx", "run"]


@pytest.fixture
def workspace(run: me.Run) -> me.Workspace:
    """The workspace of that run."""
    return run.workspace


@pytest.fixture
def experiment(run: me.Run) -> me.Experiment:
    """The experiment of that run."""
    return run.experiment
