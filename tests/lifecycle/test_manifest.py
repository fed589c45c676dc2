"""The manifest of an end: every file, read once, or not at all where there are too many."""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path

from molexp.disk.beneath import Directory
from molexp.disk.walk import walk
from molexp.lifecycle.manifest import MAX_WORK_FILES, measure


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
