"""Identities: of whatever is referred to, of runs, of processes. Time and luck come in."""

from __future__ import annotations

import json
import re
from typing import NamedTuple

from molexp.errors import InvalidNameError
from molexp.model.names import check_name

ENTROPY_BYTES = 16  # what a ULID takes from the caller's source of randomness: 5 bits of each
RUN_ENTROPY_BYTES = 8

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = [first + second for first in _CROCKFORD for second in _CROCKFORD]
_DIGITS = bytes(map(ord, _CROCKFORD)) * 8  # the digit that each byte gives
_ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}", re.ASCII)
_RUN_SUFFIX = "abcdefghijkmnpqrstuvwxyz23456789"  # no l, o, 0, 1: read aloud without mistakes
_LETTERS = bytes(map(ord, _RUN_SUFFIX)) * 8


class Process(NamedTuple):
    """What tells a process from every other that ever ran; in a ledger it is an ``Owner``."""

    host: str
    boot_id: str
    pid_namespace: str
    time_namespace: str
    pid: int
    started: int

    def to_json(self) -> bytes:
        """As the first line of its journal says it, and each execution that it owns."""
        return json.dumps(self._asdict(), separators=(",", ":")).encode()

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


def ulid(milliseconds: int, entropy: bytes) -> str:
    """The ULID of a moment (since 1970) and sixteen random bytes; sorts by that moment.

    >>> ulid(1469918176385, bytes(16))
    '01ARYZ6S410000000000000000'
    """
    if not 0 <= milliseconds < 1 << 48 or len(entropy) != ENTROPY_BYTES:
        raise ValueError("a ULID is made of 48 bits of time and sixteen bytes of entropy")
    pairs, at = _PAIRS, milliseconds
    first = pairs[at >> 40] + pairs[at >> 30 & 1023] + pairs[at >> 20 & 1023]
    return first + pairs[at >> 10 & 1023] + pairs[at & 1023] + entropy.translate(_DIGITS).decode()


def is_ulid(text: str) -> bool:
    """Whether ``text`` is a ULID in its one canonical spelling."""
    return _ULID.fullmatch(text) is not None


def run_id(stamp: str, entropy: bytes) -> str:
    """A run's id from its start, ``20261120-201512``, and eight random bytes."""
    if len(entropy) != RUN_ENTROPY_BYTES:
        raise ValueError("a run id is made of eight bytes of entropy")
    return f"{stamp}-{entropy.translate(_LETTERS).decode()}"


def check_run_id(text: str) -> str:
    """Return ``text`` if a caller may give it to a run; raises InvalidNameError with the rule."""
    check_name(text)
    if text.startswith("."):
        raise InvalidNameError(
            f"the run id {text!r} is refused: it begins with a dot, which hides its directory",
            cure="choose another one",
            name=text,
            rule="run id",
        )
    return text
