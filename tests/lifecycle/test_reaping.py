"""What the dead left is ended and swept; what may live is left alone."""

from __future__ import annotations

import os
import stat
from functools import partial
from pathlib import Path

import pytest

from molexp.disk import door, layout, owner
from molexp.disk.beneath import Directory
from molexp.errors import MolexpError
from molexp.lifecycle.attempt import DIED, end_attempt, start_run
from molexp.lifecycle.look import look_at
from molexp.lifecycle.reaping import CONFIRMED, Reaped, reap_below, runs_below
from molexp.lifecycle.site import Site
from molexp.model.address import Address
from molexp.model.state import ExecutionState
from tests.disk import before, die, fork_each, meet
from tests.lifecycle.lab import (
    ADDRESS,
    EXPERIMENT,
    FAILED,
    PROJECT,
    RUN,
    SUCCEEDED,
    add_run,
    broken_rules,
    in_child,
    open_site,
    run_once,
    start_and_die,
    start_elsewhere,
)
from tests.users import User

LAB = Address()
OTHER = Address.parse("qm9/baseline/second")
THIRD = Address.parse("md/short/third")


def reaped(site: Site, address: Address = LAB, *, confirm: bool = False) -> list[Reaped]:
    """What was ended, where nothing goes wrong."""
    problems: list[MolexpError] = []
    found = reap_below(site, address, problems, confirm=confirm)
    assert problems == []
    return found


def silence(lab: Path, path: str = RUN, number: str = "0001") -> None:
    os.utime(lab / path / number / layout.LEDGER, (1, 1))


def test_what_dead_owners_left_is_ended_wherever_it_lies(site: Site, lab: Path) -> None:
    for address in (ADDRESS, OTHER, THIRD):
        if address != ADDRESS:
            add_run(lab, address)
        start_and_die(lab, address)
    found = reaped(site)
    assert found == [Reaped(each, 1, FAILED, DIED) for each in (THIRD, ADDRESS, OTHER)]
    assert reaped(site) == []
    assert broken_rules(lab) == []


def test_only_what_lies_in_the_scope_is_reaped(site: Site, lab: Path) -> None:
    for address in (OTHER, THIRD):
        add_run(lab, address)
    for address in (ADDRESS, OTHER, THIRD):
        start_and_die(lab, address)
    assert [each.address for each in reaped(site, ADDRESS)] == [ADDRESS]
    assert [each.address for each in reaped(site, EXPERIMENT)] == [OTHER]
    assert reaped(site, PROJECT) == []
    assert [each.address for each in reaped(site)] == [THIRD]


@pytest.mark.parametrize("confirm", [False, True])
def test_who_lives_is_not_reaped_however_silent(site: Site, lab: Path, confirm: bool) -> None:
    attempt = start_run(site, ADDRESS)
    silence(lab)
    assert reaped(site, confirm=confirm) == []
    end_attempt(site, attempt, SUCCEEDED)


def test_of_whom_nothing_is_known_is_over_only_if_silent_and_confirmed(
    site: Site, lab: Path
) -> None:
    start_elsewhere(lab)
    assert reaped(site) == []
    assert reaped(site, confirm=True) == [], "it was heard of a moment ago"
    silence(lab)
    assert reaped(site) == []
    assert reaped(site, confirm=True) == [Reaped(ADDRESS, 1, FAILED, CONFIRMED)]
    assert broken_rules(lab) == []


def test_a_dead_mover_s_hold_is_ended_and_is_no_execution(site: Site, lab: Path) -> None:
    start_and_die(lab, purpose="hold")
    assert reaped(site) == []
    with Directory.open(lab / RUN) as run:
        (hold,) = look_at(run).numbered
    assert hold.end is not None
    assert hold.end.reason == DIED


def test_a_closing_that_a_kill_cut_short_is_completed(site: Site, lab: Path) -> None:
    def work(at: int) -> None:
        mine = open_site(lab)
        attempt = start_run(mine, ADDRESS, again=True)
        (lab / RUN / layout.execution_name(attempt.number) / "work").mkdir()
        with door.gated(before(at, die)):
            end_attempt(mine, attempt, FAILED)

    for at in range(1, 20):
        in_child(partial(work, at))
        reaped(site)
        place = lab / RUN / layout.execution_name(at)
        modes = {stat.S_IMODE(each.stat().st_mode) for each in (place, *place.rglob("*"))}
        assert modes <= {0o444, 0o555}, at
    assert broken_rules(lab) == []


def test_what_the_dead_left_aside_is_swept_and_what_the_living_make_is_not(
    site: Site, lab: Path
) -> None:
    def leave() -> None:
        mine = open_site(lab)
        with door.gated(before(6, die)):
            run_once(mine)

    in_child(leave)
    tmp = lab / layout.TMP
    assert len(list(tmp.iterdir())) == 1
    (tmp / f"{owner.writer()}.99").write_bytes(b"mine")
    (tmp / "0000000000-1-1-abcdef.1").write_bytes(b"elsewhere")
    (lab.parent / "outside").mkdir()
    (lab.parent / "outside/kept").touch()
    dead = owner.writer().split("-")
    (tmp / f"{dead[0]}-4194399-1-abcdef.1").symlink_to(lab.parent / "outside")
    reaped(site)
    left = sorted(path.name for path in tmp.iterdir())
    assert left == sorted([f"{owner.writer()}.99", "0000000000-1-1-abcdef.1"])
    assert (lab.parent / "outside/kept").exists()


def test_one_run_that_cannot_be_reaped_hides_no_other(site: Site, lab: Path) -> None:
    for address in (OTHER, THIRD):
        add_run(lab, address)
    for address in (ADDRESS, OTHER, THIRD):
        start_and_die(lab, address)
    (lab / RUN / "0001/ledger.jsonl").write_text("{")
    problems: list[MolexpError] = []
    found = reap_below(site, LAB, problems)
    assert [each.address for each in found] == [THIRD, OTHER]
    assert [each.details["path"] for each in problems] == [str(lab / RUN / "0001/ledger.jsonl")]


ODD = [
    "projects/Not A Slug",
    "projects/zz",
    "projects/qm9/experiments/UPPER",
    "projects/qm9/experiments/baseline/runs/zz..",
    "projects/qm9/experiments/baseline/runs/second",
    "projects/.hidden",
]


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("kind", ["directory", "file", "link"])
def test_what_is_no_scope_is_not_in_the_way(site: Site, lab: Path, odd: str, kind: str) -> None:
    start_and_die(lab)
    outside = lab.parent / "outside"
    (outside / "runs").mkdir(parents=True)
    if kind == "directory":
        (lab / odd / "runs").mkdir(parents=True)
    elif kind == "file":
        (lab / odd).write_bytes(b"")
    else:
        (lab / odd).symlink_to(outside)
    problems: list[MolexpError] = []
    found = reap_below(site, LAB, problems)
    assert [each.address for each in found] == [ADDRESS]
    assert all(odd.rpartition("/")[2] in str(each) for each in problems)
    assert ADDRESS in list(runs_below(site, LAB))


def test_all_runs_of_a_scope_are_found(site: Site, lab: Path) -> None:
    for address in (OTHER, THIRD):
        add_run(lab, address)
    (lab / "projects/.DS_Store").touch()
    assert list(runs_below(site, LAB)) == [THIRD, ADDRESS, OTHER]
    assert list(runs_below(site, PROJECT)) == [ADDRESS, OTHER]
    assert list(runs_below(site, ADDRESS)) == [ADDRESS]
    assert list(runs_below(site, Address.parse("gone"))) == []


def test_of_eight_reapers_one_ends_each_execution(lab: Path, tmp_path: Path) -> None:
    addresses = [Address.parse(f"qm9/baseline/run-{number}") for number in range(6)]
    for address in addresses:
        add_run(lab, address)
        start_and_die(lab, address)

    def work(number: int) -> str:
        site = open_site(lab)
        meet(tmp_path / "met", str(number), 8)
        found = reaped(site)
        site.close()
        return " ".join(str(each.address) for each in found)

    said = fork_each([partial(work, number) for number in range(8)])
    assert None not in said
    assert sorted(" ".join(filter(None, said)).split()) == sorted(map(str, addresses))
    assert broken_rules(lab) == []


@pytest.mark.users
def test_an_unprivileged_reaper_closes_what_it_ends(user: User) -> None:
    lab = user.directory / "lab"

    def body() -> list[int]:
        from tests.lifecycle.lab import make_lab

        make_lab(lab)
        start_and_die(lab)
        (lab / RUN / "0001/work").mkdir()
        (lab / RUN / "0001/work/a").write_bytes(b"a")
        site = open_site(lab)
        found = reaped(site)
        site.close()
        assert [each.status for each in found] == [ExecutionState.FAILED]
        place = lab / RUN / "0001"
        return sorted({stat.S_IMODE(each.stat().st_mode) for each in (place, *place.rglob("*"))})

    assert user.run(body) == [0o444, 0o555]
