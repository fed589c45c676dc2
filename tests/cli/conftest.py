"""Workspaces for the commands: the demo's study, recorded once, and a copy of it to spoil."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from molexp.cli.demo import record_study


@pytest.fixture(scope="session")
def springs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study of `molexp demo`, to be read."""
    lab = tmp_path_factory.mktemp("springs") / "lab"
    record_study(lab)
    return lab


@pytest.fixture
def copy(springs: Path, tmp_path: Path) -> Path:
    """A copy of the study, to be changed."""
    return Path(shutil.copytree(springs, tmp_path / "copy", symlinks=True))


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal in which everything has room."""
    monkeypatch.setenv("COLUMNS", "200")
