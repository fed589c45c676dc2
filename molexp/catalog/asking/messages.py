"""What the two sides of a sandbox say to each other: JSON with its length before it.

No side ever runs what the other one sent.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock
from decimal import Decimal
from typing import Any
from uuid import UUID

from molexp.errors import QueryError

MAX_ANSWER = 256 << 20
MAX_REQUEST = 64 << 20
"""How many bytes one of them may have."""

_LENGTH = 8


def send(channel: socket.socket, data: bytes, until: float | None = None) -> None:
    """Say something; raises OSError, and TimeoutError ``until`` a moment of the monotonic clock."""
    _wait(channel, until)
    channel.sendall(len(data).to_bytes(_LENGTH, "big") + data)


def receive(channel: socket.socket, most: int, until: float | None = None) -> bytes:
    """What the other side says; raises EOFError if it is gone, or says more than ``most``."""
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


def pack(value: Any) -> Any:
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
        return ["dict", *([pack(key), pack(each)] for key, each in value.items())]
    if isinstance(value, list | tuple):
        return ["list", *map(pack, value)]
    raise QueryError(
        f"a {type(value).__qualname__} is no value that SQL knows",
        cure="give None, booleans, numbers, texts, bytes, times, and lists of these",
        field="parameters",
        near=[],
    )


def unpack(packed: Any) -> Any:
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
    "dict": lambda *pairs: {unpack(key): unpack(value) for key, value in pairs},
    "list": lambda *values: [*map(unpack, values)],
}
