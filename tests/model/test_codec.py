"""The codec: every value comes back as itself, and different values never share a spelling."""

from __future__ import annotations

import json
import math
import time
from collections import OrderedDict
from copy import deepcopy
from enum import Enum, IntEnum, StrEnum
from pathlib import Path
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from molexp.errors import InvalidInputError
from molexp.model.codec import (
    MAX_DEPTH,
    MAX_INTEGER_DIGITS,
    Json,
    canonical,
    decode,
    encode,
    join_line,
    split_line,
)

LONGEST = 10**MAX_INTEGER_DIGITS - 1
spoken = st.from_regex(r"\\{0,3}(NaN|-?Infinity)", fullmatch=True)
leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([LONGEST, -LONGEST, 2**53 + 1, 2**64, -(2**70)]),
    st.floats(),
    st.text(),
    spoken,
)


def nested(inner: st.SearchStrategy[Json]) -> st.SearchStrategy[Json]:
    """Lists and mappings of ``inner``, and of each other."""
    keys = st.one_of(st.text(max_size=5), spoken, st.sampled_from(["a", "b", "a|b", "a=b"]))
    return st.recursive(
        inner,
        lambda deeper: st.one_of(
            st.lists(deeper, max_size=4), st.dictionaries(keys, deeper, max_size=4)
        ),
        max_leaves=8,
    )


values = nested(leaves)
# Few leaves that look alike, so that two drawn values are often the same, or nearly so.
lookalikes = nested(
    st.sampled_from(
        [1, 1.0, "1", True, "true", 0, 0.0, -0.0, "-0.0", None, "null", "", "a", "a|b", "a=b",
         1e22, 10**22, "NaN", "\\NaN", math.nan, math.inf, -math.inf, "Infinity", "-Infinity"]
    )
)  # fmt: skip


def same(one: Json, other: Json) -> bool:
    """Whether two values are of one type and, all the way down, equal."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if type(one) is not type(other):
        return False
    if isinstance(one, float) and isinstance(other, float):
        return repr(one) == repr(other)  # NaN is NaN, and -0.0 is not 0.0
    return one == other


def deep(levels: int) -> Json:
    """A list in a list, ``levels`` times."""
    value: Json = []
    for _ in range(levels - 1):
        value = [value]
    return value


@given(values)
def test_every_value_comes_back_as_itself_through_strict_json(value: Json) -> None:
    before = deepcopy(value)
    text = json.dumps(encode(value), allow_nan=False)
    assert same(decode(json.loads(text)), value)
    assert same(value, before), "the caller's value is not touched"


@given(values)
def test_every_json_document_is_the_spelling_of_just_one_value(value: Json) -> None:
    document = encode(value)
    assert same(encode(decode(deepcopy(document))), document)


def test_numbers_that_are_not_finite_are_written_as_these_words() -> None:
    assert encode([math.nan, math.inf, -math.inf]) == ["NaN", "Infinity", "-Infinity"]
    assert repr(decode(["NaN", "Infinity", "-Infinity"])) == "[nan, inf, -inf]"


@pytest.mark.parametrize("text", ["NaN", "\\NaN", "\\\\NaN", "Infinity", "-Infinity"])
def test_text_that_reads_like_a_number_stays_text(text: str) -> None:
    assert encode(text) == "\\" + text
    assert decode(encode(text)) == text


@pytest.mark.parametrize("text", ["nan", "NaN ", "-NaN", "+Infinity", "inf", "\\", "\\n", "xNaN"])
def test_other_text_is_written_as_it_is(text: str) -> None:
    assert encode(text) == decode(text) == text


@given(lookalikes, lookalikes)
def test_canonical_spellings_are_equal_exactly_when_the_values_are(one: Json, other: Json) -> None:
    assert (canonical(one) == canonical(other)) == same(one, other)


@given(values, values)
def test_no_two_values_share_a_canonical_spelling(one: Json, other: Json) -> None:
    assert (canonical(one) == canonical(other)) == same(one, other)


def test_values_that_look_alike_keep_apart() -> None:
    alike: list[Json] = [1, 1.0, "1", True, "true", None, "null", [1], {"1": 1}, "a|b", "a=b"]
    alike += [{"a": "b|c=d"}, {"a": "b", "c": "d"}, {"a|c": "b=d"}, {"a": ["b", "c"]}, ["b|c"]]
    assert len({canonical(value) for value in alike}) == len(alike)


@given(st.dictionaries(st.text(max_size=4), values, max_size=6))
def test_the_order_of_a_mapping_does_not_show(mapping: dict[str, Json]) -> None:
    turned = dict(reversed(mapping.items()))
    assert canonical(mapping) == canonical(turned) == canonical(OrderedDict(turned))
    assert canonical({"in": [mapping]}) == canonical({"in": [turned]})


def test_the_canonical_spelling_is_this_one_for_ever() -> None:
    value = {"b": (1, 1.0, 1e22, 1e-7), "a": {"é": math.nan, "n": "NaN"}, "": [True, None, -0.0]}
    assert canonical(value) == (
        b'{"":[true,null,-0.0],"a":{"n":"\\\\NaN","\\u00e9":"NaN"},"b":[1,1.0,1e+22,1e-07]}'
    )


class Array:
    """What NumPy's arrays and numbers offer."""

    def __init__(self, value: object) -> None:
        self.value = value

    def tolist(self) -> object:
        return self.value


class Endless:
    """A thing that gives itself."""

    def tolist(self) -> Endless:
        return self


class Colour(str, Enum):  # noqa: UP042 - its str() is "Colour.RED", which is the point
    RED = "red"
    NAN = "NaN"


class Level(IntEnum):
    HIGH = 3


class Mode(StrEnum):
    FAST = "fast"


@pytest.mark.parametrize(
    ("given_value", "plain"),
    [
        ((1, (2, [3])), [1, [2, [3]]]),
        (MappingProxyType({"a": 1}), {"a": 1}),
        ({"x": Array([[1.5, math.nan]])}, {"x": [[1.5, "NaN"]]}),
        (Array(Array(7)), 7),
        ([Colour.RED, Colour.NAN, Level.HIGH, Mode.FAST], ["red", "\\NaN", 3, "fast"]),
        ({Colour.RED: 1, Mode.FAST: 2}, {"red": 1, "fast": 2}),
    ],
)
def test_what_is_nearly_json_becomes_plain_json(given_value: object, plain: Json) -> None:
    encoded = encode(given_value)
    assert same(encoded, plain)
    assert json.dumps(encoded) == json.dumps(plain)


@pytest.mark.parametrize(
    ("value", "place", "why"),
    [
        (object(), "lr", "a object"),
        ({"a": [0, b"x"]}, "lr.a[1]", "a bytes"),
        ({"a": {"b": {1, 2}}}, "lr.a.b", "a set"),
        ({"p": Path("x")}, "lr.p", "Path"),
        ({"dtype": Array}, "lr.dtype", "a type"),
        ({"a": {1: 2}}, "lr.a", "the key 1"),
        ({None: 2}, "lr", "the key None"),
        (["\ud800"], "lr[0]", "lone surrogate"),
        ({"\ud800": 1}, "lr.\\ud800", "lone surrogate"),
        ([LONGEST + 1], "lr[0]", "4300 digits"),
        ([-LONGEST - 1], "lr[0]", "4300 digits"),
        (1 + 2j, "lr", "a complex"),
    ],
)
def test_what_json_cannot_say_is_refused_with_its_place(
    value: object, place: str, why: str
) -> None:
    with pytest.raises(InvalidInputError) as caught:
        encode(value, "lr")
    assert caught.value.details["argument"] == place
    assert caught.value.message.startswith(f"{place} is ")
    assert why in caught.value.message
    str(caught.value).encode()


def test_values_nest_to_the_limit_and_no_deeper() -> None:
    deepest = deep(MAX_DEPTH)
    assert same(decode(encode(deepest)), deepest)
    assert json.loads(canonical(deepest)) == deepest
    circle: list[object] = []
    circle.append(circle)
    for value in (deep(MAX_DEPTH + 1), {"a": deep(MAX_DEPTH)}, circle, Endless()):
        with pytest.raises(InvalidInputError, match="deeper than 100 levels"):
            encode(value)
    with pytest.raises(ValueError, match="deeper than 100 levels"):
        decode(deep(MAX_DEPTH + 1))


@pytest.mark.parametrize("value", [math.nan, [math.inf], {"a": [-math.inf]}])
def test_a_bare_number_that_is_not_finite_is_no_spelling(value: Json) -> None:
    with pytest.raises(ValueError, match="not finite"):
        decode(value)


@given(st.from_regex(r"[a-z_]{1,40}", fullmatch=True), values)
def test_a_line_splits_into_what_was_joined(name: str, value: Json) -> None:
    inner = json.dumps(encode(value)).encode()
    line = join_line(name, inner)
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert json.loads(line) == {name: json.loads(inner)}
    assert split_line(line) == (name, inner)
    assert split_line(line[:-1]) == (name, inner)
    got, spaced = split_line(b' { "%b" : %b }\r\n' % (name.encode(), inner))
    assert (got, spaced.strip()) == (name, inner)


@given(st.binary(max_size=30))
def test_what_splits_is_an_object_if_its_value_is_json(data: bytes) -> None:
    line = b'{"a":' + data
    try:
        name, inner = split_line(line)
        value = json.loads(inner)
    except ValueError:
        return
    assert json.loads(line) == {name: value}


@pytest.mark.parametrize(
    "line",
    [b"", b"\n", b"{}", b"[1]", b'"a"', b'{"a"}', b'{"a":1', b'"a":1}', b'{"A":1}', b'{"":1}',
     b"\0" * 64, b'{"a":1}{', b'{"' + b"a" * 41 + b'":1}', b'\xef\xbb\xbf{"a":1}'],
)  # fmt: skip
def test_what_is_no_line_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError, match="not an object with one member"):
        split_line(line)


@pytest.mark.parametrize("line", [b'{"a":1,"b":2}', b'{"a":}', b'{"a":1}}'])
def test_the_value_of_a_malformed_line_is_no_json(line: bytes) -> None:
    _name, inner = split_line(line)
    with pytest.raises(ValueError, match=r"Expecting value|Extra data"):
        json.loads(inner)


def test_a_hostile_line_costs_no_more_than_its_length() -> None:
    # Tried in every way, 400 kB of spaces would take ten minutes.
    for line in (b'{"a":' + b" " * 400_000, b" " * 400_000 + b"x", b'{"a":' + b"} " * 200_000):
        start = time.process_time()
        with pytest.raises(ValueError, match="not an object with one member"):
            split_line(line + b"x")
        assert time.process_time() - start < 5
