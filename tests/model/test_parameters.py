"""Parameter sets: one fingerprint for equal values, and different ones for all others."""

from __future__ import annotations

import hashlib
import pickle
from math import nan
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from molexp.errors import InvalidInputError
from molexp.model.codec import canonical
from molexp.model.parameters import ParameterSet, fingerprint

leaves = st.sampled_from([1, 1.0, "1", True, "true", None, 0.0, -0.0, nan, "NaN", "a|b", "a=b", ""])
values = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=2), st.dictionaries(st.sampled_from(["a", "b", "a|b"]), inner)
    ),
    max_leaves=4,
)
sets = st.dictionaries(st.one_of(st.sampled_from(["lr", "a|b"]), st.text()), values, max_size=3)


def test_values_that_look_alike_have_fingerprints_of_their_own() -> None:
    alike: list[dict[str, Any]] = [{"a": value} for value in (1, 1.0, "1", True, "true", None)]
    alike += [{"a": "1|b=2"}, {"a": "1", "b": "2"}, {"a": "1|b", "": "2"}, {"a|b": "1=2"}, {}]
    alike += [{"a": nan}, {"a": "NaN"}, {"a": "\\NaN"}, {"a": 0.0}, {"a": -0.0}, {"a": 0}]
    assert len({fingerprint(one) for one in alike}) == len(alike)
    assert len({ParameterSet(one) for one in alike}) == len(alike)


def test_a_fingerprint_is_the_sha_256_of_canonical_json() -> None:
    value = {"lr": 1e-3, "net": ("a", "é")}
    text = b'{"lr":0.001,"net":["a","\\u00e9"]}'
    assert canonical(value) == text
    expected = "sha256:" + hashlib.sha256(text).hexdigest()
    assert fingerprint(value) == ParameterSet(value).fingerprint == expected


@given(sets, sets)
def test_sets_are_equal_exactly_when_their_fingerprints_are(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    first, second = ParameterSet(one), ParameterSet(other)
    equal = canonical(one) == canonical(other)
    assert (first == second) == equal
    assert (first.fingerprint == second.fingerprint) == equal
    assert (len({first, second}) == 1) == equal


@given(sets)
def test_a_set_holds_its_values_in_one_order_and_is_itself_again(given_values: Any) -> None:
    first = ParameterSet(given_values)
    assert list(first) == sorted(given_values)
    assert len(first) == len(given_values)
    assert canonical(dict(first)) == canonical(given_values)
    turned = ParameterSet(dict(reversed(given_values.items())))
    assert (turned, hash(turned), repr(turned)) == (first, hash(first), repr(first))
    assert ParameterSet(first) == pickle.loads(pickle.dumps(first)) == first  # noqa: S301 - ours


def test_a_set_does_not_follow_what_it_was_made_of() -> None:
    layers = [1, 2]
    source = {"layers": layers}
    made = ParameterSet(source)
    layers.append(3)
    source["more"] = []
    assert dict(made) == {"layers": [1, 2]}
    assert made == ParameterSet(layers=(1, 2))


def test_values_come_by_mapping_and_by_name_and_names_win() -> None:
    assert ParameterSet({"lr": 1, "seed": 1}, lr=2) == ParameterSet(lr=2, seed=1)
    assert ParameterSet() == ParameterSet({}) == ParameterSet(None)
    assert dict(ParameterSet(values=1, self=2)) == {"self": 2, "values": 1}


def test_a_set_is_no_mapping_of_another_kind() -> None:
    assert ParameterSet(lr=1) != {"lr": 1}
    assert ParameterSet(lr=1)["lr"] == 1
    with pytest.raises(KeyError):
        ParameterSet(lr=1)["rl"]


@pytest.mark.parametrize(
    ("given_values", "place"),
    [
        ({"a": {"b": [0, object()]}}, "parameters.a.b[1]"),
        ({"a": b"x"}, "parameters.a"),
        ({1: 2}, "parameters"),
        ({"a": {1: 2}}, "parameters.a"),
        ({"a": "\ud800"}, "parameters.a"),
        ([("a", 1)], "parameters"),
        (5, "parameters"),
        ("a=1", "parameters"),
    ],
)
def test_what_is_not_json_is_refused_with_its_place(given_values: Any, place: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        ParameterSet(given_values)
    assert caught.value.details["argument"] == place
    with pytest.raises(InvalidInputError):
        fingerprint({"in": object()})
