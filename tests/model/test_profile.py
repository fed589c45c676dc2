"""Profiles: what is extended comes first, objects merge, null removes, circles are refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from molexp.errors import InvalidInputError, NotFoundError
from molexp.model.parameters import fingerprint
from molexp.model.profile import Profile, config_hash, resolve


def profiles(**given: tuple[str, dict[str, Any]]) -> dict[str, Profile]:
    """Profiles by name, from what each extends and its values."""
    return {
        name: Profile(name=name, extends=tuple(extends.split()), values=values)
        for name, (extends, values) in given.items()
    }


def test_a_profile_of_its_own_is_its_values() -> None:
    values = {"lr": 0.1, "net": {"layers": [1, None], "note": "NaN"}}
    assert resolve("a", profiles(a=("", values))) == values


def test_later_wins_over_earlier_and_own_values_over_all() -> None:
    known = profiles(
        base=("", {"who": "base", "base": 1, "seed": 0}),
        one=("base", {"who": "one", "one": 1, "seed": 1}),
        two=("base", {"who": "two", "two": 1}),
        both=("one two", {"own": 1}),
        turned=("two one", {"who": "turned"}),
    )
    both = resolve("both", known)
    assert both == {"who": "two", "base": 1, "one": 1, "two": 1, "own": 1, "seed": 0}
    assert resolve("turned", known) == {
        "who": "turned", "base": 1, "one": 1, "two": 1, "seed": 1
    }  # fmt: skip


def test_objects_merge_all_the_way_down_and_lists_do_not() -> None:
    known = profiles(
        base=("", {"net": {"size": {"in": 1, "out": 2}, "drop": [1, 2]}, "x": {"y": 1}}),
        own=("base", {"net": {"size": {"out": 3}, "drop": [3]}, "x": 5}),
    )
    assert resolve("own", known) == {"net": {"size": {"in": 1, "out": 3}, "drop": [3]}, "x": 5}


def test_null_removes_what_was_extended_and_never_stays() -> None:
    known = profiles(
        base=("", {"a": 1, "net": {"b": 2, "c": 3}, "null": None}),
        own=("base", {"a": None, "net": {"b": None}, "missing": None, "new": {"x": None}}),
    )
    assert resolve("base", known) == {"a": 1, "net": {"b": 2, "c": 3}}
    assert resolve("own", known) == {"net": {"c": 3}, "new": {}}


def test_resolving_changes_no_profile() -> None:
    known = profiles(base=("", {"net": {"b": 2}}), own=("base", {"net": {"c": 3}}))
    before = {name: profile.to_json() for name, profile in known.items()}
    assert resolve("own", known) == resolve("own", known)
    assert {name: profile.to_json() for name, profile in known.items()} == before


@pytest.mark.parametrize(
    ("start", "circle"),
    [("self", "self → self"), ("a", "a → b → c → a"), ("entry", "a → b → c → a")],
)
def test_a_circle_is_refused_and_shown(start: str, circle: str) -> None:
    known = profiles(
        a=("b", {}), b=("good c", {}), c=("a", {}), entry=("a", {}), good=("", {}),
        self=("self", {}),
    )  # fmt: skip
    with pytest.raises(InvalidInputError) as caught:
        resolve(start, known)
    assert caught.value.message.endswith(f"in a circle: {circle}")


def test_extending_one_profile_on_two_ways_is_no_circle() -> None:
    known = profiles(base=("", {"a": 1}), l=("base", {}), r=("base", {}), top=("l r base", {}))
    assert resolve("top", known) == {"a": 1}


def test_a_missing_profile_is_named_with_a_near_one() -> None:
    known = profiles(debug=("", {}), large=("debgu", {}))
    for name in ("debgu", "large"):
        with pytest.raises(NotFoundError, match="did you mean 'debug'") as caught:
            resolve(name, known)
        assert caught.value.details == {"kind": "profile", "key": "debgu", "near": ["debug"]}
    with pytest.raises(NotFoundError, match="there is debug, large"):
        resolve("x", known)


def test_a_profile_comes_back_as_itself() -> None:
    profile = Profile(name="a", extends=("b",), values={"x": None, "n": float("inf"), "t": "NaN"})
    again = Profile.from_json(profile.to_json(), "profiles.json")
    assert again == profile
    assert json.loads(profile.to_json())["values"] == {"x": None, "n": "Infinity", "t": "\\NaN"}


def test_the_hash_of_a_configuration_is_its_fingerprint() -> None:
    config = {"lr": 1, "net": {"b": 1, "a": 2}}
    assert config_hash(config) == config_hash({"net": {"a": 2, "b": 1}, "lr": 1})
    assert config_hash(config) == fingerprint(config)
    assert config_hash(config) != config_hash({**config, "lr": 1.0})
