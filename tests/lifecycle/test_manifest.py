"""The manifest of an end: every file, read once, or not at all where there are too many."""

from __future__ import annotations

import os
from hashlib import sha256
from math import isnan
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from molexp.disk.beneath import Directory
from molexp.disk.walk import walk
from molexp.lifecycle.manifest import MAX_WORK_FILES, Account, Summaries, measure, summed_up
from molexp.model.execution import MAX_MESSAGES, Message
from tests.users import User


def test_every_file_but_the_end_and_litter_is_listed(tmp_path: Path) -> None:
    for name in ("ledger.jsonl", "artifacts/b/c", "artifacts/a", "end.json", ".DS_Store", "work/x"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "work/link").symlink_to("x")
    with Directory.open(tmp_path) as place:
        found = measure(place, list(walk(place)))
    assert [entry.path for entry in found] == [
        "artifacts/a",
        "artifacts/b/c",
        "ledger.jsonl",
        "work/x",
    ]
    for entry in found:
        assert entry.content_hash == f"sha256:{sha256(entry.path.encode()).hexdigest()}"
        assert entry.size == len(entry.path)


def test_a_file_whose_path_is_not_utf_8_is_left_out(tmp_path: Path) -> None:
    for name in (b"b", b"\xff", b"\xc3\xa9"):
        with open(os.path.join(os.fsencode(tmp_path), name), "wb"):
            pass
    with Directory.open(tmp_path) as place:
        found = measure(place, list(walk(place)))
    assert [entry.path for entry in found] == ["b", "é"]


def test_what_others_measured_is_added_once_and_after_the_owners(tmp_path: Path) -> None:
    line = b'{"metric":{"at":"2026-03-02T12:00:00Z","key":"loss","value":%d}}\n'
    (tmp_path / "metrics.jsonl").write_bytes(line % 1)
    (tmp_path / "metrics-0b341fb56b-6332-1506975-0667cf.jsonl").write_bytes(line % 2 + line % 3)
    account = Account()
    account.metrics.add("loss", 1.0)
    with Directory.open(tmp_path) as place:
        found = list(walk(place))
        for each in (account, account, None):
            summary = summed_up(place, found, each)["metrics"]["loss"]
            assert (summary.first, summary.last, summary.count) == (1.0, 3.0, 3)


def test_of_many_files_that_others_left_only_some_are_read(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    for number in range(MAX_WORK_FILES + 1):
        (tmp_path / f"work/{number:03}").write_text("x")
    (tmp_path / "ledger.jsonl").write_text("x")
    with Directory.open(tmp_path) as place:
        found = measure(place, list(walk(place)))
    assert len(found) == MAX_WORK_FILES + 2
    assert sum(entry.content_hash is not None for entry in found) == 10 + 1
    assert all(entry.size == 1 for entry in found)


def test_what_passed_through_our_writers_is_not_read_again(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("first")
    with Directory.open(tmp_path) as place:
        known = {entry.path: entry for entry in measure(place, list(walk(place)))}
        told = known["a"].evolve(content_hash="sha256:" + "0" * 64)
        assert measure(place, list(walk(place)), {"a": told}) == (told,)
        os.utime(tmp_path / "a", ns=(1, 1))
        assert (
            measure(place, list(walk(place)), {"a": told})[0].content_hash
            == known["a"].content_hash
        )


def test_what_vanished_since_it_was_found_is_not_listed(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text(name)
    with Directory.open(tmp_path) as place:
        found = list(walk(place))
        (tmp_path / "a").unlink()
        assert [entry.path for entry in measure(place, found)] == ["b"]


@pytest.mark.users
def test_what_may_not_be_read_is_listed_without_a_digest(user: User) -> None:
    (user.directory / "work").mkdir()
    for name in ("a", "b"):
        (user.directory / "work" / name).write_text(name)
    (user.directory / "work/a").chmod(0)

    def body() -> list[tuple[str, int, bool]]:
        with Directory.open(user.directory) as place:
            found = measure(place, list(walk(place)))
        return [(entry.path, entry.size, entry.content_hash is not None) for entry in found]

    os.chown(user.directory / "work", user.uid, -1)
    assert user.run(body) == [("work/a", 1, user.uid == 0), ("work/b", 1, True)]


VALUES = st.lists(st.floats() | st.integers(-3, 3).map(float), min_size=1, max_size=12)


@given(VALUES)
def test_a_summary_tells_what_came(values: list[float]) -> None:
    summaries = Summaries()
    for value in values:
        summaries.add("loss", value)
    said = summaries.result()["loss"]
    numbers = [value for value in values if not isnan(value)]
    assert (repr(said.first), repr(said.last)) == (repr(values[0]), repr(values[-1]))
    assert said.count == len(values)
    if numbers:
        assert (said.min, said.max) == (min(numbers), max(numbers))
    else:
        assert isnan(said.min)
        assert isnan(said.max)


def test_a_copy_of_summaries_goes_its_own_way() -> None:
    first = Summaries()
    first.add("loss", 1.0)
    other = first.copy()
    other.add("loss", 2.0)
    other.add("accuracy", 0.5)
    assert first.result()["loss"].count == 1
    assert sorted(other.result()) == ["accuracy", "loss"]
    assert other.result()["loss"].last == 2.0


RECORD = b'{"message":{"at":"2026-03-02T12:00:%02dZ","level":"%b","logger":"x","text":"t%d"}}\n'


def test_warnings_and_worse_are_said_in_order_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    levels = (b"DEBUG", b"WARNING", b"INFO", b"ERROR", b"CRITICAL", b"Level 35", b"odd", b"")
    lines = [RECORD % (59 - at, level, at) for at, level in enumerate(levels)]
    (tmp_path / "logs/records.jsonl").write_bytes(b"".join(lines) + b"{torn")
    (tmp_path / "logs/records-w-1.jsonl").write_bytes(RECORD % (0, b"ERROR", 99))
    (tmp_path / "logs/recording.jsonl").write_bytes(RECORD % (0, b"ERROR", 98))
    with Directory.open(tmp_path) as place:
        said = summed_up(place, list(walk(place)))["messages"]
    assert [message.text for message in said] == ["t99", "t4", "t3", "t1"]


def test_of_many_warnings_the_first_are_said(tmp_path: Path) -> None:
    account = Account()
    line = RECORD % (1, b"ERROR", 1)
    message = Message.from_json(line[len(b'{"message":') : -2], "line")
    account.messages.extend([message] * (MAX_MESSAGES + 1))
    with Directory.open(tmp_path) as place:
        assert len(summed_up(place, [], account)["messages"]) == MAX_MESSAGES


@pytest.mark.parametrize("odd", ["directory", "garbage", "link"])
def test_metrics_that_cannot_be_read_are_passed_over(tmp_path: Path, odd: str) -> None:
    line = b'{"metric":{"at":"2026-03-02T12:00:00Z","key":"loss","value":"NaN"}}\n'
    (tmp_path / "metrics-w-1.jsonl").write_bytes(line)
    place = tmp_path / "metrics.jsonl"
    if odd == "directory":
        place.mkdir()
    elif odd == "garbage":
        place.write_bytes(b"\xff\n" + line + b"[]\n" + line[:-9])
    else:
        place.symlink_to("metrics-w-1.jsonl")
    with Directory.open(tmp_path) as directory:
        said = summed_up(directory, list(walk(directory)))["metrics"]
    assert said["loss"].count == (2 if odd == "garbage" else 1)
