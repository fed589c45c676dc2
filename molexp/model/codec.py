"""Values to JSON and back: what plain JSON cannot say, one canonical spelling, and the limits.

A float that is not finite is written as the string ``NaN``, ``Infinity`` or ``-Infinity``. A string
that reads like one of these, after any number of backslashes, is written with one backslash more,
so that every value comes back as itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from math import inf, isfinite, isnan, nan
from typing import Any

from molexp.errors import InvalidInputError

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]

FORMAT = 1
"""The format of what is on disk: the one that is written, and read."""

MAX_RECORD_BYTES = 16 * 1024 * 1024
MAX_MANIFEST_BYTES = 1024 * 1024 * 1024  # an end lists every file: ten million of them fit
MAX_DEPTH = 100  # of free values; parsers of other languages stop soon after
MAX_INTEGER_DIGITS = 4300  # what Python itself converts from text

_SPOKEN = re.compile(r"\\*(NaN|-?Infinity)")
# Possessive, so that a long line of spaces is not tried in every possible way.
_LINE = re.compile(rb'\s*+\{\s*+"([a-z_]{1,40})"\s*+:\s*+(.*)\}\s*+', re.DOTALL)
_FLOATS = {"NaN": nan, "Infinity": inf, "-Infinity": -inf}
_ENDINGS = ("NaN", "Infinity")
_SMALLEST, _GREATEST = -(2**63), 2**63 - 1
_INTEGER_LIMIT = 10**MAX_INTEGER_DIGITS


class _UnsayableError(Exception):
    """What JSON cannot say; ``steps`` lead to it, the innermost first."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.steps: list[str] = []


def encode(value: object, place: str = "value") -> Json:
    """``value`` as plain JSON; raises InvalidInputError naming the place that cannot be JSON.

    Tuples become lists; numbers and arrays that offer ``tolist()`` (NumPy's, PyTorch's) are taken
    as what that gives.

    >>> encode({"loss": float("nan"), "shape": (3, 4), "label": "NaN"})
    {'loss': 'NaN', 'shape': [3, 4], 'label': '\\\\NaN'}
    """
    try:
        return _encode(value, 0)
    except _UnsayableError as refusal:
        where = place + "".join(reversed(refusal.steps[-8:]))
        raise InvalidInputError(
            f"{where} is {refusal.what}",
            cure="give null, booleans, numbers, text, lists and mappings with text keys; "
            "save anything else as an artifact",
            argument=where,
        ) from None


def is_plain(values: Mapping[str, object]) -> bool:
    """Whether a mapping says the same in JSON as it is: the usual one does, and is told quickly."""
    for value in values.values():
        kind = type(value)
        if kind is float:
            if not isfinite(value):  # type: ignore[arg-type]  # it is a float
                return False
        elif kind is str:
            if not value.isascii() or value.endswith(_ENDINGS):  # type: ignore[attr-defined]
                return False
        elif kind is int:
            if not _SMALLEST <= value <= _GREATEST:  # type: ignore[operator]  # it is an integer
                return False
        elif kind is not bool and value is not None:
            return False
    try:
        return type(values) is dict and "".join(values).isascii()
    except TypeError:  # a key is no text
        return False


def _encode(value: Any, depth: int) -> Json:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, float):
        number = float(value)
        return number if isfinite(number) else _spoken(number)
    if isinstance(value, str):
        return _encode_text(value)
    if isinstance(value, int):
        if not -_INTEGER_LIMIT < value < _INTEGER_LIMIT:
            raise _UnsayableError(f"an integer of more than {MAX_INTEGER_DIGITS} digits")
        return int(value)
    if depth >= MAX_DEPTH:
        raise _UnsayableError(f"nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, Mapping):
        return _encode_mapping(value, depth)
    if isinstance(value, (list, tuple)):
        return _encode_list(value, depth)
    plain = getattr(value, "tolist", None)
    if callable(plain) and not isinstance(value, type):
        return _encode(plain(), depth + 1)
    raise _UnsayableError(f"a {type(value).__qualname__}, which JSON cannot say")


def _encode_text(value: str) -> str:
    value = str.__str__(value)  # of an enumeration's member the text, not its name
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise _UnsayableError("text with a lone surrogate, which UTF-8 cannot write") from None
    if value.endswith(_ENDINGS) and _SPOKEN.fullmatch(value):
        return "\\" + value
    return value


def _encode_mapping(value: Mapping[object, object], depth: int) -> Json:
    result: dict[str, Json] = {}
    for key, item in value.items():
        if not isinstance(key, str):
            raise _UnsayableError(f"a mapping with the key {key!r}, which is not a string")
        try:
            if not key.isascii():
                _encode_text(key)
            result[str.__str__(key)] = _encode(item, depth + 1)
        except _UnsayableError as refusal:
            shown = str.__str__(key).encode("utf-8", "backslashreplace").decode()
            refusal.steps.append(f".{shown}")
            raise
    return result


def _encode_list(value: list[object] | tuple[object, ...], depth: int) -> Json:
    result: list[Json] = []
    for item in value:
        try:
            result.append(_encode(item, depth + 1))
        except _UnsayableError as refusal:
            refusal.steps.append(f"[{len(result)}]")
            raise
    return result


def decode(value: Json) -> Json:
    """The value that :func:`encode` was given; raises ValueError for what no writer writes.

    ``value`` is handed over: its lists and mappings are changed in place, for this is the hot path
    of reading, and most need no change.
    """
    if isinstance(value, (dict, list)):
        _decode_in(value, 0)
        return value
    holder = [value]
    _decode_in(holder, 0)
    return holder[0]


def _decode_in(container: Any, depth: int) -> None:
    if depth >= MAX_DEPTH:
        raise ValueError(f"nested deeper than {MAX_DEPTH} levels")
    pairs = container.items() if isinstance(container, dict) else enumerate(container)
    for key, item in pairs:  # assigning to a key that is there does not disturb the loop
        kind = type(item)
        if kind is float:
            if not isfinite(item):
                raise ValueError("a number that is not finite is written as a string")
        elif kind is str:
            if item.endswith(_ENDINGS):
                container[key] = _decode_text(item)
        elif kind is dict or kind is list:
            _decode_in(item, depth + 1)


def _decode_text(value: str) -> Json:
    if not _SPOKEN.fullmatch(value):
        return value
    return value[1:] if value.startswith("\\") else _FLOATS[value]


def _spoken(number: float) -> str:
    if isnan(number):
        return "NaN"
    return "Infinity" if number > 0 else "-Infinity"


def canonical(value: object) -> bytes:
    """The one spelling of ``value`` that is hashed: sorted keys, no spaces, ASCII only.

    Integers have no point and floats always have one (or an exponent), so that ``1``, ``1.0``,
    ``"1"`` and ``true`` stay four different values.
    """
    return json.dumps(
        encode(value), sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
    ).encode()


def join_line(name: str, inner: bytes) -> bytes:
    """A line: an object whose one member says what it records, and a newline.

    >>> join_line("touch", b'"qm9"')
    b'{"touch":"qm9"}\\n'
    """
    return b'{"%b":%b}\n' % (name.encode(), inner)


def split_line(line: bytes) -> tuple[str, bytes]:
    """The name of a line's one member and the JSON of its value; raises ValueError.

    The value is not parsed: with a second member in the line, it is no JSON.
    """
    match = _LINE.fullmatch(line)
    if match is None:
        raise ValueError("not an object with one member, as each line is")
    return match[1].decode(), match[2]
