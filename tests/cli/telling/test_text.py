"""What is printed: inert, aligned, and no wider than the terminal."""

from __future__ import annotations

import io
import json
import sys
from datetime import UTC, datetime, timedelta
from math import inf, nan

import pytest

from molexp.cli.telling.text import (
    as_json,
    count_text,
    cut,
    duration_text,
    fields,
    inert,
    inert_lines,
    length,
    pairs_text,
    size_text,
    table,
    time_text,
    value_text,
    width,
)

HOSTILE = "\x1b]0;owned\x07\x9b31m\u202egpj.exe\u2066\u2028\x7f\r\n\t\udcff"


def test_what_could_steer_a_terminal_is_spelt_out() -> None:
    said = inert(HOSTILE)
    assert said == (r"\x1b]0;owned\x07\x9b31m\u202egpj.exe\u2066\u2028\x7f\r\n\t\udcff")
    assert said.isprintable()


@pytest.mark.parametrize("text", ["Größe", "数据集", "νυ", "👩‍🔬", "é", "na\u200cme", "a b"])
def test_letters_of_all_scripts_stay_as_they_are(text: str) -> None:
    assert inert(text) == text


def test_lines_stay_lines_and_progress_bars_become_some() -> None:
    assert inert_lines("a\tb\r\n10%\r20%\n\x1b[31mred") == [
        "a       b",
        "10%",
        "20%",
        "\\x1b[31mred",
    ]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0.1, "0.1"),
        (1e-05, "1e-05"),
        (True, "true"),
        (None, "null"),
        ([1, {"a": nan}], '[1, {"a": "NaN"}]'),
        ("adam", "adam"),
        ("0.1", '"0.1"'),
        ("true", '"true"'),
        ("", '""'),
        (inf, "inf"),
        ("a\x1b", "a\\x1b"),
    ],
)
def test_a_value_is_told_apart_from_a_text_that_looks_like_it(value: object, said: str) -> None:
    assert value_text(value) == said


def test_short_numbers_have_five_digits() -> None:
    assert value_text(0.123456789, short=True) == "0.12346"
    assert pairs_text({"loss": 0.123456789, "good": True}) == "loss=0.12346  good"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-1, "0.00 s"),
        (0.5, "0.50 s"),
        (59.4, "59 s"),
        (59.9, "1 min 0 s"),
        (3599, "59 min 59 s"),
        (3600, "1 h 0 min"),
        (200_000, "2 d 7 h"),
    ],
)
def test_a_duration_has_the_units_that_matter(seconds: float, said: str) -> None:
    assert duration_text(timedelta(seconds=seconds)) == said


@pytest.mark.parametrize(
    ("size", "said"),
    [
        (None, ""),
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (48213, "48.2 kB"),
        (10**18, "1e+03 PB"),
    ],
)
def test_a_size_is_easy_to_read(size: int | None, said: str) -> None:
    assert size_text(size) == said


def test_times_and_counts() -> None:
    moment = datetime(2026, 11, 20, 20, 15, 12, tzinfo=UTC)
    assert (time_text(moment), time_text(None)) == ("2026-11-20 20:15", "")
    assert time_text(moment, seconds=True) == "2026-11-20 20:15:12"
    assert (count_text(1, "run"), count_text(1200, "run")) == ("1 run", "1,200 runs")


def test_what_is_cut_takes_no_more_columns_than_there_are() -> None:
    assert cut("abcdef", 6) == "abcdef"
    assert cut("abcdef", 4) == "abc…"
    assert cut("数据集", 4) == "数…"
    assert length("数据") == 4
    assert length("e\u0301") == 1


def _rows(columns: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setenv("COLUMNS", columns)
    rows = [["first", "", "1.25 kB", "x" * 50], ["second", "", "12 B", "short"]]
    return list(table(["name", "nothing", "size", "about"], rows))


def test_a_table_aligns_and_leaves_out_what_nobody_says(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _rows("200", monkeypatch) == [
        "  name       size  about",
        f"  first   1.25 kB  {'x' * 50}",
        "  second     12 B  short",
    ]


def test_a_table_is_cut_to_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = _rows("40", monkeypatch)
    assert lines[1] == f"  first   1.25 kB  {'x' * 20}…"
    assert max(map(length, lines)) == 40


def test_columns_without_room_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = _rows("25", monkeypatch)
    assert lines[0] == "  name       size"
    assert lines[-1] == "  (no room for about; --…"


def test_a_pipe_gets_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS")
    monkeypatch.setattr(sys, "__stdout__", io.StringIO())
    assert width() > 100_000


def test_fields_without_a_value_are_left_out() -> None:
    said = fields([("name", "a"), ("notes", ""), ("tag", "b")], indent=" ")
    assert list(said) == [" name  a", " tag   b"]


def test_json_says_times_and_numbers_as_the_format_does() -> None:
    moment = datetime(2026, 11, 20, 20, 15, 12, 5, tzinfo=UTC)
    said = as_json({"at": moment, "loss": nan, "text": "NaN", "path": "\udcff", "all": (inf, 1)})
    assert said.isascii()
    assert json.loads(said) == {
        "at": "2026-11-20T20:15:12.000005Z",
        "loss": "NaN",
        "text": "\\NaN",
        "path": "\udcff",
        "all": ["Infinity", 1],
    }
