"""Snapshots: what was captured comes back whole, and damage in it has a place."""

from __future__ import annotations

import json
from typing import Any

import pytest

from molexp.errors import FormatError
from molexp.model.digest import of_bytes
from molexp.model.snapshot import CapturedFile, CodeSnapshot, EnvironmentSnapshot, Snapshot

DIGEST = of_bytes(b"")
FULL = Snapshot(
    code=CodeSnapshot(
        source="git",
        commit="0" * 40,
        branch="main",
        tag="v1",
        remote="https://example.org/lab.git",
        dirty=True,
        patch=DIGEST,
        files=(
            CapturedFile(path="new.py", size=1, mtime_ns=1, object=DIGEST),
            CapturedFile(path="huge.bin", size=2**40, mtime_ns=1, left_out="larger than 10 MiB"),
        ),
    ),
    environment=EnvironmentSnapshot(
        python="3.11.7",
        platform="Linux",
        argv=("train.py", "--lr", "NaN"),
        packages=DIGEST,
        lock_files={"uv.lock": DIGEST, "format": DIGEST},
        variables={"OMP_NUM_THREADS": "1"},
        hardware={"cores": 2, "load": float("inf")},
    ),
    problems=("no remote",),
)


def test_a_snapshot_comes_back_whole() -> None:
    again = Snapshot.from_json(FULL.to_json(), "ledger.jsonl")
    assert again == FULL
    assert again.environment is not None
    assert again.environment.hardware["load"] == float("inf")


def test_nothing_captured_takes_next_to_no_room() -> None:
    assert Snapshot().to_json() == b'{"problems":[]}'
    assert Snapshot.from_json(b"{}", "ledger.jsonl") == Snapshot()


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"code": {"source": "svn"}}, "code/source"),
        ({"code": {"source": "git", "patch": "0" * 64}}, "code/patch"),
        ({"code": {"source": "git", "dirty": 1}}, "code/dirty"),
        ({"code": {"source": "git", "files": [{"path": "a", "size": -1, "mtime_ns": 0}]}},
         "code/files/0/size"),
        ({"code": {"source": "git", "files": [
            {"path": "a", "size": 1, "mtime_ns": 0, "object": "sha256:0"}]}},
         "code/files/0/object"),
        ({"environment": {"platform": "x"}}, "environment/python"),
        ({"environment": {"python": "3", "platform": "x", "variables": {"A": 1}}},
         "environment/variables/A"),
        ({"environment": {"python": "3", "platform": "x", "lock_files": {"format": 2}}},
         "environment/lock_files/format"),
        ({"problems": "none"}, "problems"),
    ],
)  # fmt: skip
def test_damage_is_refused_with_its_place(change: dict[str, Any], place: str) -> None:
    data = json.dumps({**json.loads(FULL.to_json()), **change}).encode()
    with pytest.raises(FormatError) as caught:
        Snapshot.from_json(data, "ledger.jsonl")
    assert type(caught.value) is FormatError
    assert caught.value.details == {"path": "ledger.jsonl", "place": place}
