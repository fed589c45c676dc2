"""What a commit point kept survives power loss, and the harness notices where it does not."""

from __future__ import annotations

import os
from itertools import count
from pathlib import Path

import pytest

from molexp.disk import door
from molexp.testing.filesystem import read_tree
from molexp.testing.powerloss import Recorder, lose_power, remove_each_sync
from molexp.testing.workload import Ack, Workload
from tests.testing.workloads import (
    TMP,
    BesideTheDoor,
    InPlace,
    Lines,
    LossyRemoved,
    NameFirst,
    Nameless,
    NeverSynced,
    Placed,
    Removed,
    TooCareful,
    Unsynced,
    folder,
)


class Cautious(Placed):
    """Promises nothing."""

    def place(self, root: Path, name: str, version: int, numbers: count[int]) -> Ack:
        return {**super().place(root, name, version, numbers), "durable": False}


class Sprinkling(Placed):
    """Leaves something that nobody can see coming."""

    def place(self, root: Path, name: str, version: int, numbers: count[int]) -> Ack:
        (root / TMP / "w1.extra").touch()
        return super().place(root, name, version, numbers)


class Raising(Placed):
    """Fails although the power is on."""

    def put(self, top: int, tmp: int, aside: str, name: str, data: bytes) -> None:
        raise ZeroDivisionError("by itself")


@pytest.mark.parametrize("workload", [Placed(), Lines(), Removed()], ids=lambda w: w.name)
def test_a_right_workload_keeps_what_it_committed(workload: Workload, base: Path) -> None:
    report = lose_power(workload, base, states=1_000)
    assert report.complaints == [], report
    assert report.tried > 5


@pytest.mark.parametrize(
    ("workload", "syncs"),
    [
        (Placed(), ["sync_file .molexp/tmp/w1.0", "sync_directory ."]),
        (Lines(), ["sync_file_system ."]),
        (Removed(), ["sync_directory .", "sync_directory trash", "sync_directory live"]),
    ],
    ids=lambda value: value.name if isinstance(value, Workload) else "",
)
def test_each_sync_of_a_right_workload_is_missed_when_it_is_removed(
    workload: Workload, syncs: list[str], base: Path
) -> None:
    removals = remove_each_sync(workload, base, states=1_000)
    assert [removal.sync for removal in removals if not removal.found] == []
    assert [removal.sync.split(",")[0] for removal in removals][: len(syncs)] == syncs


@pytest.mark.parametrize(
    ("workload", "complaint"),
    [
        (Unsynced(), "a is torn"),
        (NeverSynced(), "a is not of version 1"),
        (Nameless(), "a is not of version 1"),
        (NameFirst(), "a is torn"),
        (InPlace(), "a is not of version 1"),
        (LossyRemoved(), "it is lost"),
        (BesideTheDoor(), "nothing has the name 'w1.0' that came through the door"),
        (Sprinkling(), "extra changed and that did not pass the door"),
        (Cautious(), "no ack says that it survives power loss"),
        (Raising(), "ZeroDivisionError"),
    ],
    ids=lambda value: value.name if isinstance(value, Workload) else None,
)
def test_a_wrong_workload_is_caught(workload: Workload, complaint: str, base: Path) -> None:
    report = lose_power(workload, base, states=300)
    assert any(complaint in text for text in report.complaints), report


def test_a_sync_that_nothing_needs_is_listed_as_not_missed(base: Path) -> None:
    removals = remove_each_sync(TooCareful(), base, states=300)
    needless = [removal.sync for removal in removals if not removal.found]
    assert [text.split(",")[0] for text in needless] == ["sync_directory .molexp/tmp"] * 3


def test_acks_that_promise_no_durability_may_be_lost(base: Path) -> None:
    class FirstAlone(Nameless):
        """Its second step syncs what the first did, which is all that it promises."""

        def place(self, root: Path, name: str, version: int, numbers: count[int]) -> Ack:
            if name == "b":
                top = folder(root)
                door.sync_directory(top)
                os.close(top)
                return {"name": "a", "version": 1, "durable": True}
            return {**super().place(root, name, version, numbers), "durable": False}

    report = lose_power(FirstAlone(), base, states=300)
    assert report.complaints == [], report


@pytest.mark.parametrize("workload", [Cautious(), NeverSynced()], ids=lambda w: w.name)
def test_syncs_cannot_be_removed_where_that_proves_nothing(workload: Workload, base: Path) -> None:
    with pytest.raises(ValueError, match=r"no ack says|nothing is ever synced"):
        remove_each_sync(workload, base)


def test_the_same_seed_judges_the_same_states(base: Path) -> None:
    reports = [lose_power(Unsynced(), base / str(n), states=200, seed=7) for n in range(2)]
    assert reports[0].complaints == reports[1].complaints
    assert reports[0].tried == reports[1].tried == 200


def test_a_complaint_says_when_the_power_was_lost_and_where_to_look(base: Path) -> None:
    report = lose_power(Unsynced(), base, states=50)
    assert report.complaints[0].startswith("power lost before sync_directory ., in 0")


def test_a_recorder_follows_every_operation_whatever_descriptor_is_used(base: Path) -> None:
    (base / "before").write_bytes(b"old")
    recorder = Recorder(base)
    top = folder(base)
    with door.gated(recorder):
        door.mkdir(top, "a", 0o755)
        a = folder(base / "a")
        fd = door.create(a, "x", 0o644)
        door.write(fd, b"12345")
        os.lseek(fd, 1, os.SEEK_SET)
        door.write(fd, b"ab")
        door.truncate(fd, 4)
        os.close(fd)
        fd = door.open_append(a, "x", 0o644)  # the number of the one just closed
        door.write(fd, b"6")
        door.link(a, "x", top, "y")
        door.rename(a, "x", top, "z")
        door.symlink("z", top, "s")
        door.chmod(fd, 0o600)
        door.touch(fd)
        os.close(fd)
        appended = door.open_append(top, "before", 0o644)
        door.write(appended, b"er")
        os.close(appended)
        door.rmdir(top, "a")
        door.unlink(top, "y")
        with pytest.raises(FileExistsError):
            door.create(top, "z", 0o644)
    os.close(a)
    os.close(top)
    assert recorder.system.state() == read_tree(base)
    assert read_tree(base) == {"before": b"older", "z": b"1ab46", "s": "z"}


def test_a_recorder_refuses_to_follow_what_leaves_its_root(base: Path) -> None:
    (base / "in").mkdir()
    (base / "in/x").touch()
    inside, outside = folder(base / "in"), folder(base)
    with door.gated(Recorder(base / "in")), pytest.raises(RuntimeError, match="leaves or enters"):
        door.rename(inside, "x", outside, "x")
    os.close(inside)
    os.close(outside)
