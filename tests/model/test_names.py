"""Names: each rule refuses what breaks it and nothing else, and the slug is the only rewriting."""

from __future__ import annotations

import os
import string
import unicodedata
from pathlib import PurePosixPath, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from molexp.errors import AlreadyExistsError, InvalidNameError
from molexp.model.names import (
    MAX_NAME_BYTES,
    MAX_PATH_BYTES,
    MAX_SLUG,
    Siblings,
    check_name,
    check_path,
    check_same_name,
    is_slug,
    slug,
    twin_key,
)

# A name that breaks one rule, a word of that rule, and the nearest name that breaks none.
BROKEN = [
    ("", "empty", "_"),
    (".", "'.' and '..'", ".a"),
    ("..", "'.' and '..'", "..a"),
    ("a/b", "no '/'", "a-b"),
    ("/etc", "no '/'", "etc"),
    ("a/../../b", "no '/'", "a..b"),
    ("a\\b", "no '/' and no '\\'", "a_b"),
    ("C:", "drive", "C"),
    ("z:file", "drive", "zz:file"),
    ("a\ud800", "surrogate", "a\ue000"),
    ("é" * 121, "240 bytes in UTF-8, this one has 242", "é" * 120),
    ("x" * 241, "240 bytes in UTF-8, this one has 241", "x" * 240),
    ("a\0b", "control", "ab"),
    ("a\nb", "control", "a b"),
    ("a\x7f", "control", "a~"),
    ("a\x9bb", "control", "a\xa1b"),
    ("a\u200bb", "invisible", "a b"),
    ("\u202egnp.exe", "invisible", "gnp.exe"),
    ("\ufeffa", "invisible", "a"),
    ("a\u2028b", "invisible", "a\u2027b"),
    ("cafe\u0301", "normal form C", "caf\u00e9"),
    ("\u212b", "normal form C", "\u00c5"),
    (" a", "space", "a b"),
    ("a ", "space", "a b"),
    ("a\u3000", "space", "a\u3000b"),
    ("a.", "dot", ".a"),
    ("con", "Windows", "cons"),
    ("NUL.txt", "Windows", "NULL.txt"),
    ("Com1.tar.gz", "Windows", "Com0.tar.gz"),
    ("aux .txt", "Windows", "aux1.txt"),
    ("LPT\u00b3", "Windows", "LPT\u2074"),
]

GOOD = [
    "a",
    "train.log",
    "Figure 3 (final).png",
    "Röntgen-β",
    "日本語",
    "결과",
    "🎉",
    "model.v12.tar.gz",
    ".hidden",
    "-rf",
    "lr=0.1|bs=32",
    "100%2F",
    "%2e%2e",
    "~",
    "connection",
    "x" * MAX_NAME_BYTES,
    "🎉" * (MAX_NAME_BYTES // 4),
]

PIECES = ["/", "\\", "..", ".", "\0", " ", ":", "C:", "con", "NUL", "é", "e\u0301", "%2e", "\ud800"]
anything = st.one_of(
    st.text(),
    st.text(st.characters(exclude_categories=())),
    st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=3))).map("".join),
    st.text(string.ascii_lowercase + "._-1", max_size=6),
)


def rule_of(name: str) -> str | None:
    """The rule that refuses ``name``, if one does."""
    try:
        passed = check_name(name)
    except InvalidNameError as error:
        refusal = error
    else:
        assert passed == name, "a name is never rewritten"
        return None
    assert refusal.details["name"] == name
    assert str(refusal.details["rule"]) in refusal.message
    str(refusal).encode()  # the message can be printed, whatever the name
    return str(refusal.details["rule"])


@pytest.mark.parametrize(("bad", "rule", "good"), BROKEN)
def test_each_rule_refuses_what_breaks_it_and_nothing_near(bad: str, rule: str, good: str) -> None:
    assert rule in (rule_of(bad) or "it was let through")
    assert rule_of(good) is None


@pytest.mark.parametrize("name", GOOD)
def test_an_ordinary_name_passes_as_it_is(name: str) -> None:
    assert rule_of(name) is None


@given(anything)
def test_what_passes_is_one_component_wherever_it_is_used(name: str) -> None:
    if rule_of(name) is not None:
        return
    assert not {"/", "\\", "\0"} & set(name)
    assert name not in ("", ".", "..")
    assert len(name.encode()) <= MAX_NAME_BYTES
    assert unicodedata.normalize("NFC", name) == name
    assert os.path.normpath(f"/lab/{name}") == f"/lab/{name}"
    assert PurePosixPath("/lab", name).parts == ("/", "lab", name)
    assert PureWindowsPath("D:\\lab", name).parent == PureWindowsPath("D:\\lab")


@given(anything)
def test_what_passes_is_a_file_of_just_that_name(
    tmp_path_factory: pytest.TempPathFactory, name: str
) -> None:
    if rule_of(name) is not None:
        return
    directory = tmp_path_factory.getbasetemp() / "names"
    directory.mkdir(exist_ok=True)
    (directory / name).write_bytes(b"")
    assert os.listdir(directory) == [name]
    (directory / name).unlink()


@given(st.text("abcnourxplt.-_123456789 ", max_size=8))
def test_the_short_way_for_plain_names_says_what_the_long_way_says(name: str) -> None:
    assert rule_of(name) == rule_of(name.upper())


@given(anything)
def test_a_path_is_refused_exactly_if_one_of_its_names_is(path: str) -> None:
    rules = [rule for rule in map(rule_of, path.split("/")) if rule is not None]
    if not rules:
        assert check_path(path) == path
        return
    with pytest.raises(InvalidNameError) as caught:
        check_path(path)
    assert caught.value.details["rule"] == rules[0]


def test_a_path_has_a_length_of_its_own() -> None:
    longest = "/".join(["x" * 204] * 5)
    assert len(longest) == MAX_PATH_BYTES
    assert check_path(longest) == longest
    with pytest.raises(InvalidNameError) as caught:
        check_path(longest + "x")
    assert caught.value.details["rule"] == "length"


@pytest.mark.parametrize(
    ("name", "twin"),
    [("README", "readme"), ("Größe", "GRÖSSE"), ("Σίσυφος", "ΣΊΣΥΦΟΣ"), ("Å", "å")],
)
def test_twins_by_case_are_refused_and_the_first_is_named(name: str, twin: str) -> None:
    with pytest.raises(InvalidNameError) as caught:
        Siblings(["other", name]).add(twin)
    assert repr(name) in caught.value.message
    assert caught.value.details["rule"] == "no case twins"
    Siblings([name]).add(name)
    Siblings(["other"]).add(name)


@given(st.text())
def test_normal_forms_and_lower_case_have_one_twin_key(name: str) -> None:
    key = twin_key(name)
    assert twin_key(unicodedata.normalize("NFD", name)) == key
    assert twin_key(unicodedata.normalize("NFC", name)) == key
    if name.isascii():
        assert twin_key(name.upper()) == twin_key(name.swapcase()) == key


@given(st.one_of(anything, st.text(string.printable, min_size=60)))
def test_a_slug_is_short_plain_and_the_slug_of_itself(name: str) -> None:
    try:
        result = slug(name)
    except InvalidNameError:
        assert not is_slug(name)
        return
    assert 0 < len(result) <= MAX_SLUG
    assert set(result) <= set(string.ascii_lowercase + string.digits + "-")
    assert slug(result) == result
    assert is_slug(result)
    assert is_slug(name) == (name == result)
    assert check_name(result) == result


@pytest.mark.parametrize(
    ("name", "expected"),
    [("QM9, 2nd try", "qm9-2nd-try"), ("ﬁt №1", "fit-no1"), ("  a--b  ", "a-b"), ("½", "1-2")],
)
def test_a_slug_reads_like_its_name(name: str, expected: str) -> None:
    assert slug(name) == expected


@pytest.mark.parametrize("name", ["", "---", "日本語", "🎉", "CON", "com\u00b9"])
def test_a_name_without_a_usable_slug_is_refused(name: str) -> None:
    with pytest.raises(InvalidNameError) as caught:
        slug(name)
    assert caught.value.details["rule"] == "slug"


def test_another_name_with_the_same_slug_raises_and_names_the_first() -> None:
    first, second = "Baseline 1", "baseline-1"
    assert slug(first) == slug(second)
    check_same_name(first, first)
    with pytest.raises(AlreadyExistsError) as caught:
        check_same_name(second, first)
    assert repr(first) in caught.value.message
    assert caught.value.details["key"] == first
