"""Addresses: what they lead to, and that they lead nowhere else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from molexp.errors import InvalidInputError, InvalidNameError
from molexp.model.address import Address, ScopeKind

slugs = st.from_regex(r"[a-z0-9]{1,5}(-[a-z0-9]{1,5}){0,2}", fullmatch=True).filter(
    lambda text: text[:3] not in ("con", "prn", "aux", "nul", "com", "lpt")
)


@given(st.lists(slugs, max_size=3))
def test_an_address_reads_as_it_is_written(parts: list[str]) -> None:
    text = "/".join(parts)
    address = Address.parse(text)
    assert str(address) == text
    assert address == tuple(parts)
    assert address.kind == ("workspace", "project", "experiment", "run")[len(parts)]
    if parts:
        assert address.parent / parts[-1] == address
        assert str(address.parent) == "/".join(parts[:-1])


def test_the_workspace_has_the_empty_address_and_no_parent() -> None:
    assert Address.parse("").kind is ScopeKind.WORKSPACE
    with pytest.raises(InvalidInputError):
        _ = Address.parse("").parent


@given(st.lists(slugs, max_size=3), st.lists(slugs, max_size=3))
def test_a_scope_holds_itself_and_what_lies_in_it(one: list[str], other: list[str]) -> None:
    expected = len(one) <= len(other) and all(a == b for a, b in zip(one, other, strict=False))
    assert Address(one).holds(Address(other)) == expected
    assert Address(one).holds(Address([*one, *other][:3]))


def test_a_scope_holds_no_neighbour_whose_name_begins_alike() -> None:
    assert not Address.parse("qm9").holds(Address.parse("qm9-large"))
    assert not Address.parse("qm9/a").holds(Address.parse("qm9"))


@pytest.mark.parametrize(
    "text",
    ["/", "a/", "/a", "a//b", "..", "a/..", "a/b/..", "a/b/.hidden", "A", "a b", "a_b", "ä", "con",
     "a/b/c/d", "a\\b", "a/b/c\\d", "a/b/c\0", "C:", "-a", "a/b/\ud800", "%2e%2e", "a" * 81, "~"],
)  # fmt: skip
def test_what_cannot_be_an_address_is_refused(text: str) -> None:
    with pytest.raises(InvalidNameError):
        Address.parse(text)


@given(st.text(st.characters(exclude_categories=())))
def test_any_text_is_refused_or_is_an_address_beneath_the_workspace(text: str) -> None:
    try:
        address = Address.parse(text)
    except InvalidNameError:
        return
    assert str(address) == text
    assert not {"", ".", "..", "~"} & set(address)
