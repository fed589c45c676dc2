"""Fast ground for the harnesses."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def base() -> Iterator[Path]:
    """A directory in memory if there is any, gone after the test with all that was found wrong."""
    memory = Path("/dev/shm")
    path = Path(tempfile.mkdtemp(prefix="molexp-test-", dir=memory if memory.is_dir() else None))
    yield path
    shutil.rmtree(path, ignore_errors=True)
