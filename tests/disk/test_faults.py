"""The promises of the disk under faults: killed, refused, out of power, out of space."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from molexp.disk import layout, ledger
from molexp.disk.beneath import Directory
from molexp.disk.commit import begin
from molexp.disk.record import Aside
from molexp.errors import StorageError
from molexp.testing.doorwatch import watching
from molexp.testing.kill import kill_everywhere
from molexp.testing.powerloss import lose_power, remove_each_sync
from molexp.testing.refusals import refuse_everywhere
from molexp.testing.workload import Workload
from tests.disk.workloads import (
    ALL,
    SYNCED,
    DiskWorkload,
    EditsWorkload,
    ExecutionWorkload,
    JournalWorkload,
    ScopesWorkload,
)

NIGHTLY = os.environ.get("MOLEXP_PROFILE") == "nightly"
KILLS = 10_000 if NIGHTLY else 200
STATES = 200_000 if NIGHTLY else 2_000


def _each(kinds: Sequence[type[DiskWorkload]]) -> pytest.MarkDecorator:
    """Every one of these workloads, in both ways of committing."""
    workloads = [kind(one_by_one=way) for kind in kinds for way in (False, True)]
    return pytest.mark.parametrize("workload", workloads, ids=lambda workload: workload.name)


every_workload = _each(ALL)
synced_workload = _each(SYNCED)


@every_workload
def test_nothing_acknowledged_is_lost_by_a_kill_at_any_call(workload: Workload) -> None:
    report = kill_everywhere(workload)
    assert report.tried > 5
    assert report.complaints == [], str(report)


@pytest.mark.parametrize(
    ("kind", "points_a_round"),
    [(ExecutionWorkload, 41), (ScopesWorkload, 12), (EditsWorkload, 9), (JournalWorkload, 22)],
)
def test_nothing_acknowledged_is_lost_by_a_kill_in_a_long_life(
    kind: type[DiskWorkload], points_a_round: int
) -> None:
    report = kill_everywhere(kind(rounds=KILLS // points_a_round + 1))
    assert report.tried >= KILLS
    assert report.complaints == [], str(report)


@every_workload
def test_a_refused_call_acknowledges_nothing_and_works_once_its_cause_is_gone(
    workload: Workload,
) -> None:
    report = refuse_everywhere(workload)
    assert report.tried > 30
    assert report.complaints == [], str(report)


@synced_workload
def test_what_is_committed_survives_power_loss_in_every_legal_state(workload: Workload) -> None:
    report = lose_power(workload, states=STATES)
    assert report.tried > 5
    assert report.complaints == [], str(report)


@pytest.mark.parametrize("way", [False, True], ids=["syncfs", "one by one"])
@pytest.mark.parametrize("kind", [ExecutionWorkload, ScopesWorkload])
def test_what_is_committed_in_a_long_life_survives_power_loss(
    kind: type[DiskWorkload], way: bool
) -> None:
    report = lose_power(kind(one_by_one=way, rounds=6), states=STATES)
    assert report.tried > STATES // 2
    assert report.complaints == [], str(report)


@synced_workload
def test_no_sync_can_be_left_out(workload: Workload) -> None:
    removals = remove_each_sync(workload, states=1_000)
    assert removals
    assert [removal.sync for removal in removals if not removal.found] == []


@every_workload
def test_every_change_passes_the_door(workload: Workload, tmp_path: Path) -> None:
    workload.prepare(tmp_path)
    with watching(tmp_path) as watch:
        for step in workload.steps(tmp_path):
            step.act()
    assert watch.passed > 5
    assert watch.violations == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    if os.geteuid() != 0:
        pytest.skip("only root mounts a file system")
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(place)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"this machine lets root mount nothing: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk_keeps_what_was_acknowledged_and_takes_more_once_there_is_room(
    small_disk: Path,
) -> None:
    with Directory.open(small_disk) as root:
        batch = begin(root)
        aside = Aside(root, layout.ACCESS["private"], writer="e9c965e5f2-1-1-abcdef")
        appender = ledger.Appender(root, layout.LEDGER, 0o644)
        acknowledged: list[bytes] = []
        refusals: list[str] = []
        for round_number in range(10):
            ballast = small_disk / "ballast"
            ballast.write_bytes(bytes(400_000))
            while True:
                line = b'{"asset":"%d-%d %s"}' % (round_number, len(acknowledged), b"x" * 20_000)
                try:
                    appender.append(line + b"\n")
                    aside.publish_file(line, root, f"file-{len(acknowledged)}", 0o444, batch)
                except StorageError as error:
                    refusals.append(str(error))
                    break
                acknowledged.append(line)
            for path in small_disk.glob("file-*"):
                path.unlink()
            ballast.unlink()
            if round_number % 3 == 2:
                appender.close()
                (small_disk / layout.LEDGER).unlink()
                acknowledged.clear()
                appender = ledger.Appender(root, layout.LEDGER, 0o644)
            lines = [line.data for line in ledger.LineReader(root, layout.LEDGER)]
            assert [line for line in acknowledged if line not in lines] == []
            assert list((small_disk / layout.TMP).iterdir()) == []
        appender.close()
        batch.close()
        aside.close()
    assert len(refusals) == 10
    assert all("free some space" in refusal for refusal in refusals)


UMASKED = """
import os
os.umask(0o077)
from molexp.testing.kill import kill_everywhere
from molexp.testing.refusals import refuse_everywhere
from tests.disk.workloads import ExecutionWorkload
for harness in (kill_everywhere, refuse_everywhere):
    report = harness(ExecutionWorkload())
    assert report.complaints == [], str(report)
    print(report.tried)
"""


def test_the_same_holds_where_the_umask_takes_bits_and_they_are_given_back() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", UMASKED],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert ran.stderr == ""
    kills, refusals = map(int, ran.stdout.split())
    plain = kill_everywhere(ExecutionWorkload())
    assert kills > plain.tried, "each chmod is a call at the door"
    assert refusals > 300
