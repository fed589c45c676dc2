"""What the tests of this room share: a process of its own, whose descriptors a test may ruin."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]

PRELUDE = """
import ctypes, faulthandler, io, os, signal, subprocess, sys, threading, time
from molexp.capture.streams import Streams
from molexp.disk.beneath import Directory
place = Directory.open(sys.argv[1])
def begin(first="run-w.log", second="run-stderr-w.log"):
    return Streams.begin(place, (first, second), 0o644)
"""


def run_python(
    directory: Path, body: str, *, stderr: int | None = subprocess.STDOUT, **how: Any
) -> subprocess.CompletedProcess[bytes]:
    """Run Python code with :data:`PRELUDE` before it; both streams lead to one pipe."""
    return subprocess.run(
        [sys.executable, "-c", PRELUDE + body, str(directory)],
        stdout=subprocess.PIPE,
        stderr=stderr,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"},
        timeout=60,
        check=False,
        **how,
    )
