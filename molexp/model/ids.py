"""Identities: ULIDs for whatever is referred to, readable ids for runs. Time and luck come in."""

from __future__ import annotations

import re

from molexp.errors import InvalidNameError
from molexp.model.names import check_name

ENTROPY_BYTES = 10  # what a ULID takes from the caller's source of randomness

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = [first + second for first in _CROCKFORD for second in _CROCKFORD]
_ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}", re.ASCII)
_RUN_SUFFIX = "abcdefghijkmnpqrstuvwxyz23456789"  # no l, o, 0, 1: read aloud without mistakes


def ulid(milliseconds: int, entropy: bytes) -> str:
    """The ULID of a moment (since 1970) and ten random bytes; sorts by that moment.

    >>> ulid(1469918176385, bytes(10))
    '01ARYZ6S410000000000000000'
    """
    if not 0 <= milliseconds < 1 << 48 or len(entropy) != ENTROPY_BYTES:
        raise ValueError("a ULID is made of 48 bits of time and ten bytes of entropy")
    number = milliseconds << 80 | int.from_bytes(entropy, "big")
    pairs = _PAIRS
    return "".join([pairs[number >> shift & 1023] for shift in range(120, -1, -10)])


def is_ulid(text: str) -> bool:
    """Whether ``text`` is a ULID in its one canonical spelling."""
    return _ULID.fullmatch(text) is not None


def run_id(stamp: str, entropy: bytes) -> str:
    """A run's id from its start, ``20261120-201512``, and at least five random bytes."""
    if len(entropy) < 5:
        raise ValueError("a run id is made of at least five bytes of entropy")
    number = int.from_bytes(entropy[:5], "big")
    return f"{stamp}-" + "".join(_RUN_SUFFIX[number >> shift & 31] for shift in range(35, -1, -5))


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
