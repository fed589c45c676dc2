"""What every harness tries faults with: fresh directories, forked processes, and its report."""

from __future__ import annotations

import json
import os
import shutil
import signal
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Never

Say = Callable[[Any], None]
"""Sends a JSON value to the parent; it has arrived when the call returns, whatever happens next."""

SHOWN = 20
_MEMORY = Path("/dev/shm")


@dataclass
class Report:
    """How many faults were tried on a workload, and what was found to be wrong."""

    harness: str
    workload: str
    tried: int = 0
    complaints: list[str] = field(default_factory=list)
    seconds: float = 0.0
    kept: Path | None = None
    """Where the directories lie that the complaints name, if there are any."""

    def __str__(self) -> str:
        verdict = f"{len(self.complaints)} complaints" if self.complaints else "no complaint"
        lines = [
            f"{self.harness} × {self.workload}: {self.tried:,} in {self.seconds:.1f} s, {verdict}",
            *(f"  {complaint}" for complaint in self.complaints[:SHOWN]),
        ]
        if len(self.complaints) > SHOWN:
            lines.append(f"  … and {len(self.complaints) - SHOWN:,} more")
        if self.kept:
            lines.append(f"  kept in {self.kept}")
        return "\n".join(lines)


class Ground:
    """Fresh directories, one for each fault."""

    def __init__(self, base: Path) -> None:
        self.base = base
        # Deleting trees slows later creations where a file system has no journal: only memory is
        # cleared in between, where what is left would add up instead.
        self._clears = base.resolve().is_relative_to(_MEMORY)
        self._made = 0

    def fresh(self) -> Path:
        """An empty directory in which nothing was tried."""
        self._made += 1
        path = self.base / f"{self._made:06d}"
        path.mkdir()
        return path

    def done(self, path: Path) -> None:
        """Nobody needs that directory again."""
        if self._clears:
            _remove(path)


@contextmanager
def trial(harness: str, workload: str, base: Path | None) -> Iterator[tuple[Report, Ground]]:
    """The ground beneath ``base``, and the report to fill.

    Without a base it lies in memory where there is any, and is removed unless there are complaints.
    """
    started = time.perf_counter()
    report = Report(harness, workload)
    memory = str(_MEMORY) if os.access(_MEMORY, os.W_OK) else None
    place = base or Path(
        tempfile.mkdtemp(prefix=f"molexp-{harness.replace(' ', '-')}-", dir=memory)
    )
    place.mkdir(exist_ok=True)
    try:
        yield report, Ground(place)
    finally:
        report.seconds = time.perf_counter() - started
        if base is None and not report.complaints:
            _remove(place)
        elif report.complaints:
            report.kept = place


def describe(operation: str, arguments: Sequence[Any], root: Path) -> str:
    """A call at the door as a person reads it: ``rename .molexp/tmp/w.1 → a.txt``."""
    above = root.resolve()
    words: list[str] = []
    for argument in arguments[1:] if operation == "symlink" else arguments:
        if isinstance(argument, str) and words:
            words[-1] = os.path.normpath(os.path.join(words[-1], argument))
        elif isinstance(argument, int) and (not words or operation in ("rename", "link")):
            words.append(_place(argument, above))
    return f"{operation} {' → '.join(words)}"


@dataclass(frozen=True)
class Ending:
    """What a child said, and how it ended."""

    said: list[Any]
    killed: bool
    raised: str
    """The traceback of what the child did not catch; empty if there is none."""


def run_in_child(work: Callable[[Say], None]) -> Ending:
    """Run ``work`` in a fork of this process, and wait for its end."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        # A thread of the test runner is not in the child, which takes no lock of such a thread.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        os.close(reading)
        _be_child(work, writing)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        # A killed child may have been cut short in a line, which then was not said.
        lines = pipe.read().split(b"\n")[:-1]
    _, status = os.waitpid(pid, 0)
    messages = [json.loads(line) for line in lines]
    raised = "".join(message["raised"] for message in messages if "raised" in message)
    killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    if not killed and status != 0 and not raised:
        raised = f"the child ended with wait status {status}"
    return Ending([message["said"] for message in messages if "said" in message], killed, raised)


def _be_child(work: Callable[[Say], None], pipe: int) -> Never:
    code = 1
    try:
        work(lambda value: _send(pipe, {"said": value}))
        code = 0
    except BaseException:  # noqa: BLE001 - nothing may return into the parent's stack
        _send(pipe, {"raised": traceback.format_exc()})
    finally:
        os._exit(code)


def _send(pipe: int, message: dict[str, Any]) -> None:
    rest = json.dumps(message).encode() + b"\n"
    while rest:
        rest = rest[os.write(pipe, rest) :]


def _place(descriptor: int, above: Path) -> str:
    try:
        return os.path.relpath(os.readlink(f"/proc/self/fd/{descriptor}"), above)
    except OSError:
        return f"descriptor {descriptor}"


def _remove(path: Path) -> None:
    if os.geteuid() != 0:
        for folder, _names, _files in os.walk(path):
            os.chmod(folder, 0o700)  # an ended execution lets nobody else delete in it
    shutil.rmtree(path, ignore_errors=True)
