"""SQL from outside: asked in a process of its own, which can only read, and can be killed.

Nothing that the engine offers bounds a query, neither its time nor its memory, so that whoever
waits must be able to end it. In the child each query has an engine of its own, brought up to date,
then locked for good, and thrown away with whatever the query did to it.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock
from decimal import Decimal
from threading import Lock, Thread
from typing import Any, NoReturn
from uuid import UUID
from weakref import finalize

from molexp.catalog.engine import Connection, lock, refusals
from molexp.catalog.present import Present
from molexp.catalog.view import View
from molexp.disk import layout
from molexp.errors import CatalogError, MolexpError, QueryError
from molexp.rows.abroad import learn, told

TIMEOUT = 60.0
"""Seconds that a query may take, unless somebody says otherwise."""

MOST = 100_000
"""Rows that an answer may have, likewise."""

MEMORY = 2 << 30
"""Bytes of address space that a query may take beyond what its process has; then that one dies."""

_MAX_BYTES = 256 << 20  # of an answer on its way
_MAX_REQUEST = 64 << 20
_TOGETHER = 5_000  # rows in one message
_LENGTH = 8
_LOST = (OSError, EOFError, ValueError, RecursionError)  # what a child that dies, or lies, causes

# All that a child needs of the environment: what is not here cannot be found there.
_KEPT = ("HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PATH", "TMPDIR", "USER", "LOGNAME")
_KEPT_PREFIXES = ("XDG_", "MOLEXP_", "PYTHON")

_READS_ONLY = "SQL here reads the tables of the catalog, and does nothing else"
_ZONED = "TIMESTAMP WITH TIME ZONE"


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
        given = None if parameters is None else _pack(parameters)
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
        command = [sys.executable, "-P", "-m", "molexp.catalog.sql", root, access]
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
        _send(self._channel, request, until)
        columns: tuple[str, ...] = ()
        rows: list[tuple[Any, ...]] = []
        room = _MAX_BYTES
        while True:
            message = _receive(self._channel, room, until)
            room -= len(message)
            said = json.loads(message)
            self.has_begun = True
            if "begun" in said:
                continue
            if "rows" in said:
                rows += (tuple(map(_unpack, row)) for row in said["rows"])
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


def _send(channel: socket.socket, data: bytes, until: float | None = None) -> None:
    _wait(channel, until)
    channel.sendall(len(data).to_bytes(_LENGTH, "big") + data)


def _receive(channel: socket.socket, most: int, until: float | None = None) -> bytes:
    size = int.from_bytes(_exactly(channel, _LENGTH, until), "big")
    if size > most:
        raise EOFError("more than anybody said")
    return _exactly(channel, size, until)


def _exactly(channel: socket.socket, size: int, until: float | None) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        _wait(channel, until)
        part = channel.recv(min(size - len(parts), 1 << 20))
        if not part:
            raise EOFError("the other side is gone")
        parts += part
    return bytes(parts)


def _wait(channel: socket.socket, until: float | None) -> None:
    if until is not None:
        left = until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        channel.settimeout(left)


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


def _pack(value: Any) -> Any:
    """A value as JSON has it, so that no side ever runs what the other one sent."""
    if value is None or isinstance(value, bool | int | float | str):
        return str.__str__(value) if isinstance(value, str) else value
    if isinstance(value, datetime):
        return ["at", (value if value.tzinfo is None else value.astimezone(UTC)).isoformat()]
    if isinstance(value, date | clock):
        return [type(value).__name__, value.isoformat()]
    if isinstance(value, timedelta):
        return ["timedelta", value.days, value.seconds, value.microseconds]
    if isinstance(value, Decimal | UUID):
        return [type(value).__name__, str(value)]
    if isinstance(value, bytes | bytearray | memoryview):
        return ["bytes", bytes(value).hex()]
    if isinstance(value, Mapping):
        return ["dict", *([_pack(key), _pack(each)] for key, each in value.items())]
    if isinstance(value, list | tuple):
        return ["list", *map(_pack, value)]
    raise QueryError(
        f"a {type(value).__qualname__} is no value that SQL knows",
        cure="give None, booleans, numbers, texts, bytes, times, and lists of these",
        field="parameters",
        near=[],
    )


def _unpack(packed: Any) -> Any:
    """The value that was packed; a time that names no zone is one of UTC."""
    if not isinstance(packed, list):
        return packed
    kind, *rest = packed
    return _UNPACK[kind](*rest)


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


_UNPACK: dict[str, Callable[..., Any]] = {
    "at": _moment,
    "date": date.fromisoformat,
    "time": clock.fromisoformat,
    "timedelta": timedelta,
    "Decimal": Decimal,
    "UUID": UUID,
    "bytes": bytes.fromhex,
    "dict": lambda *pairs: {_unpack(key): _unpack(value) for key, value in pairs},
    "list": lambda *values: [*map(_unpack, values)],
}


# From here on: the child.


def main(arguments: Sequence[str]) -> NoReturn:
    """Answer one query after the other, until nobody is there any more."""
    root, access, fd, parent, added = arguments
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    Thread(target=_live_with, args=(int(parent),), daemon=True).start()
    learn(json.loads(added))
    with socket.socket(fileno=int(fd)) as channel:
        view: View | None = None
        while True:
            try:
                request = json.loads(_receive(channel, _MAX_REQUEST))
                _send(channel, b'{"begun":true}')
            except (EOFError, OSError):
                os._exit(0)
            try:
                view = view or View(root, layout.ACCESS[access])
                messages = answered(view, request)
            except MolexpError as error:
                messages = [_failure(error)]
            for message in messages:
                _send(channel, message)
            view = _another(root, access, view)


def _another(root: str, access: str, view: View | None) -> View | None:
    """A view that no query has seen, looked at while nobody waits for it."""
    with suppress(MolexpError):
        if view is not None:
            view.close()
        view = View(root, layout.ACCESS[access])
        view.ask(lambda present: present.show_all())
        return view
    return None


def _live_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(0)


def _failure(error: MolexpError) -> bytes:
    return json.dumps({"error": [error.code, error.message, error.cure]}).encode()


def answered(view: View, request: Mapping[str, Any]) -> list[bytes]:
    """The messages that answer a request; the view is of no use after it. Raises MolexpError."""
    parameters = _unpack(request["parameters"])

    def act(present: Present) -> list[bytes]:
        present.show_all()
        lock(present.connection)
        with _confined():
            return [*_run(present.connection, request["sql"], parameters, request["most"])]

    try:
        return view.ask(act, folds=False)
    except MolexpError:
        raise
    except (MemoryError, refusals(), TypeError, ValueError, RuntimeError) as error:
        raise _explained(error) from None


def _explained(error: BaseException) -> MolexpError:
    """What the engine said of a query, by what its author can do."""
    kind = type(error).__name__
    if kind in ("MemoryError", "OutOfMemoryException"):
        return CatalogError(
            "the query needs more memory than it may have",
            cure="ask for less: fewer columns, a WHERE, a LIMIT",
        )
    if kind in ("PermissionException", "TransactionException"):
        return _refused(_said(error))
    if kind in ("IOException", "InternalException", "FatalException"):
        return CatalogError(
            f"the catalog cannot answer: {_said(error)}", cure="run `molexp rebuild`"
        )
    if "pytz" in str(error):
        return QueryError(
            "a time with a zone stands within a list or another value",
            cure="cast it: `x::TIMESTAMP` is the same moment in UTC",
        )
    return QueryError(
        _said(error),
        cure="correct it: `SHOW TABLES` says what there is, `DESCRIBE runs` what of each",
    )


def _said(error: BaseException) -> str:
    text, _, _ = str(error).partition("\n\nLINE ")
    return " ".join(text.split())[:500] or type(error).__name__


def _refused(what: str) -> QueryError:
    return QueryError(f"{_READS_ONLY}: {what}", cure="write one SELECT, and no file in it")


@contextmanager
def _confined() -> Iterator[None]:
    """For this block the process can make no file longer, and take only so much memory."""
    limits = {resource.RLIMIT_FSIZE: 0}
    with suppress(OSError), open("/proc/self/statm", "rb") as file:
        pages = int(file.read().split()[0])
        limits[resource.RLIMIT_AS] = pages * resource.getpagesize() + MEMORY
    before = {each: resource.getrlimit(each) for each in limits}
    for each, (_, hard) in before.items():
        least = limits[each] if hard == resource.RLIM_INFINITY else min(limits[each], hard)
        resource.setrlimit(each, (least, hard))
    try:
        yield
    finally:
        for each, old in before.items():
            resource.setrlimit(each, old)


def _run(connection: Connection, sql: str, parameters: Any, most: int) -> Iterator[bytes]:
    """The answer in messages, each of some rows, the last of none."""
    statements = connection.extract_statements(sql)
    kinds = [each.type.name for each in statements]
    if kinds != ["SELECT"]:
        raise _refused(f"this is {' and '.join(kinds) or 'nothing'}")
    connection.execute(statements[0], parameters)
    columns = [(each[0], str(each[1])) for each in connection.description or ()]
    if _ZONED in (kind for _, kind in columns):
        # The engine's own way to give out such a time needs a package that is not there.
        plain = [
            f"CAST(#{number} AS TIMESTAMP)" if kind == _ZONED else f"#{number}"
            for number, (_, kind) in enumerate(columns, 1)
        ]
        inner = sql.strip().removesuffix(";")
        connection.execute(f"SELECT {', '.join(plain)} FROM (\n{inner}\n)", parameters)
    names = [name for name, _ in columns]
    count, room = 0, _MAX_BYTES
    while True:
        rows = connection.fetchmany(_TOGETHER)
        count += len(rows)
        message = json.dumps(
            {"columns": names, "rows": [[_pack(value) for value in row] for row in rows]}
        ).encode()
        room -= len(message)
        if count > most or room < 0:
            raise QueryError(
                f"the answer has more than {most:,} rows, or is very large",
                cure="add a LIMIT or sum it up, or give `most=`",
            )
        yield message
        if len(rows) < _TOGETHER:
            yield b'{"end":true}'
            return


if __name__ == "__main__":
    main(sys.argv[1:])
