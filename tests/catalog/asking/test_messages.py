"""The two sides of a sandbox understand each other, and notice when the other one is gone."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from threading import Thread
from typing import Any

import pytest

from molexp.catalog.asking.messages import pack, receive, send, unpack
from molexp.errors import QueryError

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    """The two ends of a channel."""
    one, other = socket.socketpair()
    with one, other:
        yield one, other


@pytest.mark.parametrize("size", [0, 1, 3_000_000])
def test_a_message_comes_whole(pair: Pair, size: int) -> None:
    said = bytes(size)
    speaker = Thread(target=send, args=(pair[0], said))
    speaker.start()
    assert receive(pair[1], size) == said
    speaker.join()


def test_who_says_too_much_or_nothing_more_is_gone(pair: Pair) -> None:
    send(pair[0], b"four")
    with pytest.raises(EOFError, match="more than"):
        receive(pair[1], 3)
    pair[0].close()
    with pytest.raises(EOFError):
        [receive(pair[1], 100) for _ in range(2)]


def test_nobody_is_waited_for_longer_than_was_said(pair: Pair) -> None:
    for until in (time.monotonic() + 0.05, time.monotonic() - 1):
        with pytest.raises(TimeoutError):
            receive(pair[1], 100, until)


MOMENT = datetime(2026, 3, 2, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    "value",
    [
        *(None, True, 3, 0.5, "text", b"bytes", MOMENT, date(2026, 3, 2), timedelta(1, 2, 3)),
        *(Decimal("0.1"), [], [[1], ["at", "x"]], {"a": [1, MOMENT]}),
    ],
    ids=repr,
)
def test_a_value_arrives_as_it_was(value: Any) -> None:
    assert unpack(json.loads(json.dumps(pack(value)))) == value


def test_what_is_no_value_is_refused() -> None:
    with pytest.raises(QueryError, match="object is no value that SQL knows"):
        pack(object())
