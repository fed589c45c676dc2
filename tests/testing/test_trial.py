"""What a report says, where faults are tried, and what a forked process leaves behind."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from molexp.disk import door
from molexp.testing.trial import SHOWN, Report, Say, describe, run_in_child, trial
from tests.testing.workloads import folder


def test_a_report_says_what_was_tried_and_what_was_wrong() -> None:
    report = Report("kill", "Placed", tried=1200, seconds=3.04)
    assert str(report) == "kill × Placed: 1,200 in 3.0 s, no complaint"
    report.complaints += [f"complaint {n}" for n in range(SHOWN + 5)]
    lines = str(report).splitlines()
    assert lines[0].endswith("25 complaints")
    assert lines[1] == "  complaint 0"
    assert lines[-1] == "  … and 5 more"


def test_ground_of_its_own_is_removed_unless_there_are_complaints(base: Path) -> None:
    with trial("kill", "Placed", None) as (_report, ground):
        (ground.fresh() / "x").touch()
    assert not ground.base.exists()
    with trial("kill", "Placed", None) as (report, ground):
        report.complaints.append("one")
        ground.fresh()
    assert report.kept == ground.base
    assert ground.base.exists()
    ground.base.rename(base / "to be removed")


def test_ground_that_was_given_stays(base: Path) -> None:
    with trial("kill", "Placed", base / "new") as (report, ground):
        assert ground.fresh() != ground.fresh()
    assert (base / "new").is_dir()
    assert report.kept is None


def test_in_memory_a_tree_goes_when_it_is_done_with_read_only_or_not(base: Path) -> None:
    if not base.is_relative_to("/dev/shm"):
        pytest.skip("there is no file system in memory")
    with trial("kill", "Placed", base) as (_report, ground):
        path = ground.fresh()
        (path / "closed").mkdir()
        (path / "closed/x").touch()
        (path / "closed").chmod(0o555)
        ground.done(path)
    assert not path.exists()


def test_on_a_disk_no_tree_is_removed_in_between(tmp_path: Path) -> None:
    if tmp_path.is_relative_to("/dev/shm"):
        pytest.skip("the temporary directory lies in memory")
    with trial("kill", "Placed", tmp_path) as (_report, ground):
        path = ground.fresh()
        ground.done(path)
    assert path.exists()


def test_calls_are_described_by_paths(base: Path) -> None:
    (base / "a").mkdir()
    a, top = folder(base / "a"), folder(base)
    file = door.create(a, "x", 0o644)
    assert describe("create", (a, "x", 0o644, 0), base) == "create a/x"
    assert describe("write", (file, b"abc"), base) == "write a/x"
    assert describe("rename", (a, "x", top, "y"), base) == "rename a/x → y"
    assert describe("symlink", ("far away", a, "s"), base) == "symlink a/s"
    assert describe("sync_directory", (top,), base) == "sync_directory ."
    for fd in (a, top, file):
        os.close(fd)
    assert describe("write", (file, b"abc"), base) == f"write descriptor {file}"


def test_everything_said_before_a_kill_arrives() -> None:
    def work(say: Say) -> None:
        for number in range(1_000):
            say({"number": number, "padding": "x" * 200})  # more than a pipe holds
        os.kill(os.getpid(), signal.SIGKILL)

    ending = run_in_child(work)
    assert ending.killed
    assert ending.raised == ""
    assert [said["number"] for said in ending.said] == list(range(1_000))


def test_a_child_that_ends_by_itself_was_not_killed() -> None:
    ending = run_in_child(lambda say: say("done"))
    assert (ending.said, ending.killed, ending.raised) == (["done"], False, "")


@pytest.mark.parametrize("error", [ZeroDivisionError, SystemExit, KeyboardInterrupt])
def test_nothing_that_a_child_raises_comes_back_but_as_text(error: type[BaseException]) -> None:
    def work(say: Say) -> None:
        say(1)
        raise error("why")

    ending = run_in_child(work)
    assert ending.said == [1]
    assert not ending.killed
    assert f"{error.__name__}: why" in ending.raised


def test_another_death_is_told_from_a_kill() -> None:
    ending = run_in_child(lambda say: os._exit(7))
    assert not ending.killed
    assert "wait status" in ending.raised
