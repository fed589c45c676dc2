"""SQL from outside: asked in a process of its own, which can only read, and can be killed.

Nothing that the engine offers bounds a query, neither its time nor its memory, so that whoever
waits must be able to end it. In the child each query has an engine of its own, brought up to date,
then locked for good, and thrown away with whatever the query did to it.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any
from weakref import finalize

from molexp.catalog.asking.messages import MAX_ANSWER, pack, receive, send, unpack
from molexp.errors import CatalogError, MolexpError, QueryError
from molexp.rows.abroad import told

TIMEOUT = 60.0
"""Seconds that a query may take, unless somebody says otherwise."""

MOST = 100_000
"""Rows that an answer may have, likewise."""

_LOST = (OSError, EOFError, ValueError, RecursionError)  # what a child that dies, or lies, causes

# All that a child needs of the environment: what is not here cannot be found there.
_KEPT = ("HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PATH", "TMPDIR", "USER", "LOGNAME")
_KEPT_PREFIXES = ("XDG_", "MOLEXP_", "PYTHON")


@dataclass(frozen=True)
class Answer:
    """What a query found: the names of its columns, and its rows as tuples of Python values.

    Times are aware, in UTC, for that is what the catalog keeps; JSON columns are texts.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]

    def dicts(self) -> list[dict[str, Any]]:
        """The rows by the names of their columns; of two that are alike the last one counts."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        shown = [[_cell(value) for value in row] for row in self.rows[:20]]
        names = [_cell(name) for name in self.columns]
        widths = [max(map(len, column)) for column in zip(names, *shown, strict=True)]
        lines = [names, ["-" * width for width in widths], *shown]
        text = [
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
            for line in lines
        ]
        more = len(self.rows) - len(shown)
        return "\n".join([*text, *([f"… {more} more rows"] if more else [])])


def _cell(value: object) -> str:
    text = " ".join(str(value).split()) if value is not None else ""
    return text if len(text) <= 40 else f"{text[:39]}…"


class Sandbox:
    """Asks SQL about one workspace, in a child that is started when it is first needed."""

    def __init__(self, root: str | os.PathLike[str], access: str = "private") -> None:
        self._arguments = (os.path.abspath(root), access)
        self._lock = Lock()
        self._child: _Child | None = None

    def sql(
        self,
        statement: str,
        parameters: Sequence[object] | Mapping[str, object] | None = None,
        *,
        timeout: float = TIMEOUT,
        most: int = MOST,
    ) -> Answer:
        """What one SELECT finds, with values for its ``?``, ``$1`` or ``$name``.

        Raises QueryError for what is no query, or has more rows than ``most``, and CatalogError if
        it takes longer than ``timeout`` seconds or too much memory. Ctrl-C ends it at once.
        """
        _check_is_text(statement)
        given = None if parameters is None else pack(parameters)
        request = json.dumps({"sql": statement, "parameters": given, "most": most}).encode()
        until = time.monotonic() + timeout
        with self._lock:
            child = self._ready()
            try:
                try:
                    return child.ask(request, until)
                except _LOST:
                    if child.has_begun or time.monotonic() >= until:
                        raise
                    child = self._ready(anew=True)  # that one died while nobody needed it
                    return child.ask(request, until)
            except TimeoutError:
                raise CatalogError(
                    f"the query was stopped after {timeout:g} seconds",
                    cure="ask for less, or give a longer `timeout=`",
                ) from None
            except _LOST as error:
                if isinstance(error, MolexpError):
                    raise
                raise CatalogError(
                    "the process that ran the query is gone, as when memory runs out",
                    cure="ask for less at once: the next call starts another process",
                ) from None
            finally:
                if child.is_lost:
                    self._stop()

    def close(self) -> None:
        """End the child, if there is one; another call starts another."""
        with self._lock:
            self._stop()

    def _ready(self, *, anew: bool = False) -> _Child:
        added = json.dumps(told())
        if anew or self._child is None or not self._child.is_alive or self._child.added != added:
            self._stop()
            try:
                self._child = _Child(*self._arguments, added)
            except OSError as error:
                raise CatalogError(
                    f"no process can be started for the query: {error.strerror or error}",
                    cure="see that this user can run `python -m molexp`, and call again",
                ) from error
        return self._child

    def _stop(self) -> None:
        if self._child is not None:
            self._child.stop()
            self._child = None


class _Child:
    """The process that asks, seen from here."""

    def __init__(self, root: str, access: str, added: str) -> None:
        self.added = added
        self.is_lost = self.has_begun = False
        self._pid = os.getpid()
        self._channel, theirs = socket.socketpair()
        command = [sys.executable, "-P", "-m", "molexp.catalog.asking.child", root, access]
        with theirs:
            self._process = subprocess.Popen(
                [*command, str(theirs.fileno()), str(self._pid), added],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env=_environment(),
                start_new_session=True,  # Ctrl-C is for whoever waits, who then ends the child
            )
        self.stop = finalize(self, _end, self._pid, self._process, self._channel)

    @property
    def is_alive(self) -> bool:
        """Whether it can be asked by this process, of which a fork is another one."""
        return self._pid == os.getpid() and self._process.poll() is None

    def ask(self, request: bytes, until: float) -> Answer:
        """What it answers; raises TimeoutError, and OSError or EOFError if it dies meanwhile."""
        self.is_lost, self.has_begun = True, False  # until it has said its last word, its first
        send(self._channel, request, until)
        columns: tuple[str, ...] = ()
        rows: list[tuple[Any, ...]] = []
        room = MAX_ANSWER
        while True:
            message = receive(self._channel, room, until)
            room -= len(message)
            said = json.loads(message)
            self.has_begun = True
            if "begun" in said:
                continue
            if "rows" in said:
                rows += (tuple(map(unpack, row)) for row in said["rows"])
                columns = tuple(said["columns"])
            else:
                self.is_lost = False
                if "error" in said:
                    raise _error(*said["error"])
                return Answer(columns, tuple(rows))


def _end(pid: int, process: subprocess.Popen[bytes], channel: socket.socket) -> None:
    channel.close()
    if pid == os.getpid():
        process.kill()
        process.wait()
    else:
        process.returncode = 0  # it is not this process's child, and nothing to warn about


def _environment() -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in _KEPT or name.startswith(_KEPT_PREFIXES)
    }
    return {**kept, "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}


def _error(code: str, message: str, cure: str) -> MolexpError:
    """The error that the child met, as what it was there."""
    waiting: list[type[MolexpError]] = [MolexpError]
    while waiting:
        kind = waiting.pop()
        if kind.code == code and kind is not MolexpError:
            details = {"field": "sql", "near": []} if kind is QueryError else {}
            return kind(message, cure=cure, **details)
        waiting += kind.__subclasses__()
    return CatalogError(message, cure=cure)


def _check_is_text(statement: object) -> None:
    if not isinstance(statement, str) or statement.encode("utf-8", "ignore").decode() != statement:
        raise QueryError(
            f"{statement!r} is no SQL",
            cure="give a text that UTF-8 can write",
            field="statement",
            near=[],
        )
