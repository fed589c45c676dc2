"""Which promises count after which fault, and which names a sweep can find."""

from __future__ import annotations

from pathlib import Path

from molexp.testing.workload import durable_acks, find_unsweepable


def test_a_durable_ack_counts_for_itself_and_a_commit_for_all_before_it() -> None:
    acks = [{"n": 0}, {"n": 1, "commits": True}, {"n": 2}, {"n": 3, "durable": True}, {"n": 4}]
    assert [ack["n"] for ack in durable_acks(acks)] == [0, 1, 3]
    assert durable_acks([{"n": 0}]) == []


def test_names_aside_have_to_begin_with_a_writer(tmp_path: Path) -> None:
    assert find_unsweepable(tmp_path, ("w1",)) == []
    for name in ("w1.0", "w2-1", "x"):
        (tmp_path / ".molexp/tmp" / name).mkdir(parents=True)
    assert find_unsweepable(tmp_path, ("w1", "w2")) == [".molexp/tmp/x"]
    assert len(find_unsweepable(tmp_path, ())) == 3
