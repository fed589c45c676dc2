"""The environment that a run starts in: which Python, on what, called how, and where."""

from __future__ import annotations

import os
import sys
from functools import cache, lru_cache

from molexp.capture.redact import redacted
from molexp.model.execution import EnvironmentSnapshot


def capture_environment() -> EnvironmentSnapshot:
    """This process as a record says it, secrets in its arguments left out."""
    return EnvironmentSnapshot(
        python=_python(),
        platform=_platform(),
        executable=_sayable(sys.executable) if sys.executable else None,
        argv=_arguments(tuple(str(each) for each in getattr(sys, "argv", ()))),
        cwd=_here(),
    )


@cache
def _python() -> str:
    version = sys.version.split()[0]
    name = sys.implementation.name
    return version if name == "cpython" else f"{version} ({name})"


@cache
def _platform() -> str:
    # `platform.platform()` starts a program to ask for the processor.
    system = os.uname()
    return f"{system.sysname}-{system.release}-{system.machine}"


@lru_cache(maxsize=2)
def _arguments(argv: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(_sayable(each) for each in redacted(argv))


def _here() -> str | None:
    try:
        return _sayable(os.getcwd())
    except OSError:
        return None  # it was removed


def _sayable(text: str) -> str:
    """Text that UTF-8 can write: paths and arguments may be any bytes."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()
