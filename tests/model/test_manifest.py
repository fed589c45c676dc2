"""The manifest: files in one order, and the text that sha256sum takes of those that were read."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from molexp.model.digest import of_bytes, total
from molexp.model.manifest import FileEntry, Manifest, checksums, digests, in_order

DIGEST = of_bytes(b"")
entries = st.builds(
    FileEntry,
    path=st.text(min_size=1),
    size=st.integers(0, 2**63 - 1),
    mtime_ns=st.integers(-(2**63), 2**63 - 1),
    content_hash=st.sampled_from([DIGEST, None]),
)
unique_entries = st.lists(entries, unique_by=lambda entry: entry.path)


@given(unique_entries)
def test_entries_in_order_are_a_manifest_whatever_order_they_came_in(
    found: list[FileEntry],
) -> None:
    ordered = in_order(found)
    assert TypeAdapter(Manifest).validate_python(ordered) == ordered
    assert in_order(reversed(found)) == ordered
    assert [entry.path for entry in ordered] == sorted(entry.path for entry in found)
    assert [entry.path.encode() for entry in ordered] == sorted(
        entry.path.encode() for entry in found
    ), "the order of the text is that of its bytes"


@pytest.mark.parametrize("paths", ["ba", "aa", "aba", "abb", "aB"])
def test_paths_out_of_order_or_twice_are_no_manifest(paths: str) -> None:
    found = tuple(FileEntry(path=path, size=0, mtime_ns=0) for path in paths)
    with pytest.raises(ValidationError, match="paths ascend, each comes once"):
        TypeAdapter(Manifest).validate_python(found)


@given(unique_entries)
def test_only_files_that_were_read_have_a_digest(found: list[FileEntry]) -> None:
    got = digests(found)
    assert got == {entry.path: DIGEST for entry in found if entry.content_hash is not None}
    assert total(got) == of_bytes(checksums(found).encode())
    assert checksums(found) == checksums(in_order(found))


def test_times_before_1970_are_kept_and_what_64_bits_cannot_hold_is_refused() -> None:
    for moment in (-(2**63), -1, 0, 2**63 - 1):
        entry = FileEntry(path="a", size=2**63 - 1, mtime_ns=moment)
        assert FileEntry.from_json(entry.to_json(), "end.json") == entry
    for size, moment in ((2**63, 0), (0, 2**63), (0, -(2**63) - 1)):
        with pytest.raises(ValidationError):
            FileEntry(path="a", size=size, mtime_ns=moment)


def test_sha256sum_takes_the_text_of_real_files(tmp_path: Path) -> None:
    found = []
    for name in ("z", "work/a\\b", "work/new\nline", "artifacts/größe.txt"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(name)
        found.append(
            FileEntry(
                path=name,
                size=path.stat().st_size,
                mtime_ns=path.stat().st_mtime_ns,
                content_hash=of_bytes(path.read_bytes()),
            )
        )
    unread = FileEntry(path="never read", size=1, mtime_ns=0)
    done = subprocess.run(
        ["sha256sum", "--strict", "-c", "-"],
        cwd=tmp_path,
        input=checksums([*found, unread]).encode(),
        capture_output=True,
        check=True,
    )
    assert done.stdout.count(b": OK\n") == len(found)
