"""The child of a sandbox: it answers one query after the other, and can do nothing else."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from threading import Thread
from typing import Any, NoReturn

from molexp.catalog.asking.messages import MAX_ANSWER, MAX_REQUEST, pack, receive, send, unpack
from molexp.catalog.engine import Connection, lock, refusals
from molexp.catalog.present import Present
from molexp.catalog.view import View
from molexp.disk import layout
from molexp.errors import CatalogError, MolexpError, QueryError
from molexp.rows.abroad import learn

MEMORY = 2 << 30
"""Bytes of address space that a query may take beyond what its process has; then that one dies."""

_TOGETHER = 5_000  # rows in one message
_READS_ONLY = "SQL here reads the tables of the catalog, and does nothing else"
_ZONED = "TIMESTAMP WITH TIME ZONE"


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
                request = json.loads(receive(channel, MAX_REQUEST))
                send(channel, b'{"begun":true}')
            except (EOFError, OSError):
                os._exit(0)
            try:
                view = view or View(root, layout.ACCESS[access])
                messages = answered(view, request)
            except MolexpError as error:
                messages = [_failure(error)]
            for message in messages:
                send(channel, message)
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
    parameters = unpack(request["parameters"])

    def act(present: Present) -> list[bytes]:
        present.show_all()
        present.connection.execute("SET threads = 2")
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
    count, room = 0, MAX_ANSWER
    while True:
        rows = connection.fetchmany(_TOGETHER)
        count += len(rows)
        message = json.dumps(
            {"columns": names, "rows": [[pack(value) for value in row] for row in rows]}
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
