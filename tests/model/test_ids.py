"""Identities: ULIDs sort by time and have one spelling; run ids are readable and keep all bits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from molexp.errors import InvalidNameError
from molexp.model.ids import ENTROPY_BYTES, RUN_ENTROPY_BYTES, check_run_id, is_ulid, run_id, ulid

CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
moments = st.integers(0, (1 << 48) - 1)
digits = st.integers(0, 31)  # of a byte five bits count
entropies = st.lists(digits, min_size=ENTROPY_BYTES, max_size=ENTROPY_BYTES).map(bytes)
lucks = st.lists(digits, min_size=RUN_ENTROPY_BYTES, max_size=RUN_ENTROPY_BYTES).map(bytes)


def number_of(text: str) -> int:
    """What a ULID's letters say, digit by digit."""
    number = 0
    for letter in text:
        number = number * 32 + CROCKFORD.index(letter)
    return number


@given(moments, entropies)
def test_a_ulid_holds_every_bit_of_its_moment_and_its_luck(moment: int, entropy: bytes) -> None:
    text = ulid(moment, entropy)
    assert is_ulid(text)
    assert number_of(text[:10]) == moment
    assert bytes(map(CROCKFORD.index, text[10:])) == entropy


@given(moments, st.binary(min_size=ENTROPY_BYTES, max_size=ENTROPY_BYTES))
def test_of_each_byte_of_luck_five_bits_count(moment: int, entropy: bytes) -> None:
    assert ulid(moment, entropy) == ulid(moment, bytes(byte & 31 for byte in entropy))


@given(st.tuples(moments, entropies), st.tuples(moments, entropies))
def test_ulids_sort_by_moment_and_then_by_luck(
    one: tuple[int, bytes], other: tuple[int, bytes]
) -> None:
    assert (ulid(*one) < ulid(*other)) == (one < other)


@pytest.mark.parametrize(
    ("moment", "entropy", "text"),
    [
        (1469918176385, bytes(16), "01ARYZ6S41" + "0" * 16),  # the moment in the specification
        (0, bytes(16), "0" * 26),
        ((1 << 48) - 1, b"\xff" * 16, "7" + "Z" * 25),
        (1, bytes(15) + b"\x01", "0000000001" + "0" * 15 + "1"),
    ],
)
def test_known_ulids_come_out_as_known(moment: int, entropy: bytes, text: str) -> None:
    assert ulid(moment, entropy) == text


@pytest.mark.parametrize("moment", [-1, 1 << 48])
def test_a_moment_that_48_bits_cannot_hold_is_refused(moment: int) -> None:
    with pytest.raises(ValueError, match="48 bits"):
        ulid(moment, bytes(ENTROPY_BYTES))


@pytest.mark.parametrize("size", [0, 15, 17])
def test_a_ulid_takes_just_sixteen_bytes_of_luck(size: int) -> None:
    with pytest.raises(ValueError, match="sixteen bytes"):
        ulid(0, bytes(size))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "01ARZ3NDEKTSV4RRFFQ69G5FA",
        "01ARZ3NDEKTSV4RRFFQ69G5FAVV",
        "01arz3ndektsv4rrffq69g5fav",
        "81ARZ3NDEKTSV4RRFFQ69G5FAV",
        "01ARZ3NDEKTSV4RRFFQ69G5FAI",
        "01ARZ3NDEKTSV4RRFFQ69G5FAL",
        "01ARZ3NDEKTSV4RRFFQ69G5FAO",
        "01ARZ3NDEKTSV4RRFFQ69G5FAU",
        "01ARZ3NDEKTSV4RRFFQ69G5FAV\n",
        "٠1ARZ3NDEKTSV4RRFFQ69G5FAV",
    ],
)
def test_any_other_spelling_is_no_ulid(text: str) -> None:
    assert is_ulid("01ARZ3NDEKTSV4RRFFQ69G5FAV")
    assert not is_ulid(text)


@given(lucks, lucks)
def test_run_ids_of_one_second_differ_wherever_their_luck_does(one: bytes, other: bytes) -> None:
    stamp = "20261120-201512"
    assert (run_id(stamp, one) == run_id(stamp, other)) == (one == other)


@given(st.binary(min_size=RUN_ENTROPY_BYTES, max_size=RUN_ENTROPY_BYTES))
def test_a_run_id_is_a_name_that_can_be_read_aloud(entropy: bytes) -> None:
    text = run_id("20261120-201512", entropy)
    assert check_run_id(text) == text
    stamp, _, suffix = text.rpartition("-")
    assert stamp == "20261120-201512"
    assert len(suffix) == 8
    assert not set(suffix) & set("lo01")
    assert suffix == suffix.lower()


def test_a_run_id_of_too_little_luck_is_refused() -> None:
    with pytest.raises(ValueError, match="eight bytes"):
        run_id("20261120-201512", b"four")


@pytest.mark.parametrize("text", ["mine", "2026-11-20", "lr=0.1", "Größe", "a.b"])
def test_a_caller_may_give_a_run_their_own_id(text: str) -> None:
    assert check_run_id(text) == text


@pytest.mark.parametrize("text", ["", "..", "a/b", "a\\b", "C:", "con", ".hidden", "a ", "a\0"])
def test_a_run_id_that_is_no_name_or_hides_is_refused(text: str) -> None:
    with pytest.raises(InvalidNameError):
        check_run_id(text)
