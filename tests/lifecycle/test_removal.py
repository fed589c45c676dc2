"""Runs move, go into the trash and come back while nobody is at work in them, and lose nothing."""

from __future__ import annotations

import errno
import os
import signal
import stat
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from molexp.disk import door, layout, trash
from molexp.disk.beneath import Directory
from molexp.errors import (
    AlreadyExistsError,
    ConflictError,
    InvalidInputError,
    MolexpError,
    NotFoundError,
    StorageError,
)
from molexp.lifecycle.attempt import end_attempt, start_run
from molexp.lifecycle.look import look_at
from molexp.lifecycle.reaping import reap_below
from molexp.lifecycle.removal import delete_execution, move_run, remove, restore
from molexp.lifecycle.scopes import edit, find_scope
from molexp.lifecycle.site import Site
from molexp.model.address import Address
from molexp.model.scope import ProjectMeta, RunMeta
from tests.disk import Tree, before, fork_each, meet, refusing, tree_of
from tests.lifecycle.lab import (
    ADDRESS,
    EXPERIMENT,
    FAILED,
    PROJECT,
    RUN,
    SUCCEEDED,
    add_run,
    broken_rules,
    make_lab,
    open_site,
    run_once,
    start_and_die,
    start_elsewhere,
)
from tests.users import User

FILES = {"artifacts/model": b"weights", "work/deep/out": b"42", "error.txt": b"no"}
TARGET = Address.parse("md/short/first")
TARGET_PATH = "projects/md/experiments/short/runs/first"
FOLDERS = {"artifacts", "work", "work/deep"}


def held(lab: Path, path: str = RUN, number: str = "0001") -> Tree:
    """What an execution holds."""
    return tree_of(lab / path / number)


def numbers(lab: Path, path: str = RUN) -> list[int]:
    """Those of the executions that are shown."""
    with Directory.open(lab / path) as run:
        return [each.number for each in look_at(run).executions]


def in_trash(lab: Path) -> list[str]:
    return [each.name for each in (lab / layout.TRASH).glob("*")]


def test_a_run_moves_with_all_that_it_holds(site: Site, lab: Path) -> None:
    add_run(lab, Address.parse("md/short/other"))
    run_once(site, files=FILES)
    before = held(lab)
    move_run(site, ADDRESS, TARGET)
    assert not (lab / RUN).exists()
    assert held(lab, TARGET_PATH) == before
    assert numbers(lab, TARGET_PATH) == [1]
    assert broken_rules(lab) == []
    run_once(site, TARGET)
    assert numbers(lab, TARGET_PATH) == [1, 3], "the hold's number stays used"


def test_a_run_moves_nowhere_but_into_an_experiment_that_is_there(site: Site, lab: Path) -> None:
    other = add_run(lab, Address.parse("qm9/baseline/other"))
    (lab / "projects/qm9/experiments/baseline/runs/planted").symlink_to(lab.parent)
    run_once(site)
    for target, error in {
        "qm9/gone/first": NotFoundError,
        "gone/short/first": NotFoundError,
        "qm9/baseline/other": AlreadyExistsError,
        "qm9/baseline/first": AlreadyExistsError,
        "qm9/baseline/planted": AlreadyExistsError,
        "qm9/short": InvalidInputError,
        "md": InvalidInputError,
        "": InvalidInputError,
    }.items():
        with pytest.raises(error):
            move_run(site, ADDRESS, Address.parse(target))
        assert numbers(lab) == [1]
    assert sorted(path.name for path in other.iterdir()) == ["meta.json"]
    for source in ("qm9", "qm9/baseline", "qm9/baseline/gone"):
        with pytest.raises(MolexpError):
            move_run(site, Address.parse(source), Address.parse("qm9/baseline/new"))
    assert not (lab / "projects/qm9/experiments/baseline/runs/new").exists()
    run_once(site)
    assert broken_rules(lab)[0].startswith("projects/qm9/experiments/baseline/runs/planted")


ACTS: dict[str, Callable[[Site], object]] = {
    "move": lambda site: move_run(site, ADDRESS, TARGET),
    "remove": lambda site: remove(site, ADDRESS),
    "remove the experiment": lambda site: remove(site, EXPERIMENT),
    "remove the project": lambda site: remove(site, PROJECT),
    "delete": lambda site: delete_execution(site, ADDRESS, 1, None),
}


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("where", ["here", "elsewhere"])
def test_a_run_that_somebody_may_be_at_work_in_stays(
    site: Site, lab: Path, act: str, where: str
) -> None:
    add_run(lab, Address.parse("md/short/other"))
    attempt = start_run(site, ADDRESS) if where == "here" else None
    if where == "elsewhere":
        start_elsewhere(lab)
        os.utime(lab / RUN / "0001/ledger.jsonl", (1, 1))
    with pytest.raises(ConflictError):
        ACTS[act](site)
    assert numbers(lab) == [1]
    assert in_trash(lab) == []
    if attempt is not None:
        end_attempt(site, attempt, SUCCEEDED)
        ACTS[act](site)
        assert broken_rules(lab) == []


@pytest.mark.parametrize("act", ACTS)
def test_what_a_dead_owner_left_open_is_ended_on_the_way(site: Site, lab: Path, act: str) -> None:
    add_run(lab, Address.parse("md/short/other"))
    start_and_die(lab)
    ACTS[act](site)
    assert broken_rules(lab) == []
    ends = [path for path in lab.rglob("0001/end.json") if b'"failed"' in path.read_bytes()]
    assert len(ends) == 1


@pytest.mark.parametrize("address", [ADDRESS, EXPERIMENT, PROJECT])
@pytest.mark.parametrize("by", ["uid", "of", "name"])
def test_what_was_removed_comes_back_as_it_was(
    site: Site, lab: Path, address: Address, by: str
) -> None:
    run_once(site, files=FILES)
    before = held(lab)
    removed = remove(site, address, "no use")
    assert not (lab / layout.scope_path(address)).exists()
    assert (removed.reason, removed.by) == ("no use", site.person)
    assert broken_rules(lab) == []
    key = {"uid": removed.uid, "of": removed.of, "name": address[-1]}[by]
    assert restore(site, str(key)) == [removed]
    assert held(lab) == before
    assert in_trash(lab) == []
    assert broken_rules(lab) == []
    run_once(site)
    assert numbers(lab) == [1, 3]


def test_the_workspace_itself_and_what_is_not_there_are_not_removed(site: Site, lab: Path) -> None:
    with pytest.raises(InvalidInputError, match="not removed by itself"):
        remove(site, Address())
    with pytest.raises(NotFoundError):
        remove(site, Address.parse("qm9/baseline/gone"))
    with pytest.raises(NotFoundError):
        restore(site, "gone")
    assert in_trash(lab) == []


def test_a_name_that_was_removed_twice_is_told_apart(site: Site, lab: Path) -> None:
    first = remove(site, ADDRESS)
    add_run(lab, ADDRESS)
    second = remove(site, ADDRESS)
    with pytest.raises(InvalidInputError, match="removed 2 times"):
        restore(site, "first")
    restore(site, first.uid)
    with pytest.raises(AlreadyExistsError):
        restore(site, second.uid)
    assert in_trash(lab) == [second.uid]


def test_what_cannot_come_back_stays_in_the_trash(site: Site, lab: Path) -> None:
    run_once(site)
    removed = remove(site, ADDRESS)
    remove(site, EXPERIMENT)
    with pytest.raises(NotFoundError):
        restore(site, removed.uid)
    assert len(in_trash(lab)) == 2


def test_runs_elsewhere_in_the_project_may_go_on(site: Site, lab: Path) -> None:
    other = Address.parse("qm9/baseline/other")
    add_run(lab, other)
    attempt = start_run(site, other)
    remove(site, ADDRESS)
    with pytest.raises(ConflictError):
        remove(site, EXPERIMENT)
    end_attempt(site, attempt, SUCCEEDED)
    with Directory.open(lab) as root:
        found = trash.removals(root)[0]
    assert [each.path for each in found] == [RUN]
    run_once(site, other)
    assert broken_rules(lab) == []


STRAY = ["empty", "UPPER case", "file", "link", "half"]


@pytest.mark.parametrize("stray", STRAY)
@pytest.mark.parametrize("place", [RUN, "projects/qm9/experiments/baseline"])
def test_what_is_no_run_goes_along_with_what_holds_it(
    site: Site, lab: Path, stray: str, place: str
) -> None:
    run_once(site, files=FILES)
    path = (lab / place).parent / stray
    outside = lab.parent / "outside"
    (outside / "runs/kept").mkdir(parents=True)
    if stray == "file":
        path.write_bytes(b"notes")
    elif stray == "link":
        path.symlink_to(outside)
    else:
        path.mkdir()
    if stray == "half":
        (path / "work").mkdir()
    before = tree_of(lab / "projects/qm9")
    removed = remove(site, PROJECT)
    assert (outside / "runs/kept").is_dir()
    assert sorted(os.listdir(outside / "runs")) == ["kept"]
    restore(site, removed.uid)
    after = tree_of(lab / "projects/qm9")
    assert {path: after.get(path) for path in before} == before


@pytest.mark.parametrize("at", range(1, 30, 2))
def test_a_run_that_is_started_meanwhile_does_not_run_in_the_trash(
    site: Site, lab: Path, at: int
) -> None:
    other = Address.parse("qm9/baseline/other")
    started: list[int] = []

    def start() -> None:
        """A process that makes a run, starts it, and lives on."""
        if (lab / layout.scope_path(EXPERIMENT)).exists():
            add_run(lab, other)
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            with suppress(MolexpError):
                start_run(open_site(lab), other)
                os.write(writing, b"started")
            os.close(writing)
            signal.pause()
        os.close(writing)
        with open(reading) as said:
            if said.read() == "started":
                started.append(child)
            else:
                _end(child)

    removed = False
    with door.gated(before(at, start)), suppress(ConflictError):
        remove(site, EXPERIMENT)
        removed = True
    assert not (removed and started), at
    for child in started:
        assert (lab / layout.scope_path(other) / "0001/ledger.jsonl").exists(), at
        _end(child)


def _end(child: int) -> None:
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def test_of_eight_who_move_and_start_one_run_nobody_works_where_it_is_not(
    lab: Path, tmp_path: Path
) -> None:
    add_run(lab, Address.parse("md/short/other"))

    def work(number: int) -> str:
        site = open_site(lab)
        meet(tmp_path / "met", str(number), 8)
        done = 0
        for _ in range(20):
            source, target = (ADDRESS, TARGET) if number % 2 else (TARGET, ADDRESS)
            with suppress(ConflictError, NotFoundError, AlreadyExistsError):
                if number < 4:
                    move_run(site, source, target)
                else:
                    attempt = start_run(site, source, again=True)
                    assert os.path.samefile(lab / layout.scope_path(source), attempt.run.path)
                    attempt.ledger.append(b'{"paused":{"at":"2026-03-02T09:00:00Z"}}\n')
                    end_attempt(site, attempt, FAILED)
                done += 1
        site.close()
        return str(done)

    said = fork_each([partial(work, number) for number in range(8)])
    assert None not in said
    places = [path for path in (RUN, TARGET_PATH) if (lab / path).exists()]
    assert len(places) == 1
    assert sum(int(text) for text in said if text) == len(list((lab / places[0]).glob("0*")))
    assert broken_rules(lab) == []


def test_a_deleted_execution_is_hidden_and_its_number_stays_used(site: Site, lab: Path) -> None:
    run_once(site, files=FILES, status=FAILED)
    run_once(site, files=FILES)
    delete_execution(site, ADDRESS, 1, "wrong input")
    assert numbers(lab) == [2]
    assert set(held(lab)) == {"ledger.jsonl", "end.json"}
    meta = find_scope(site, ADDRESS, RunMeta)
    assert meta is not None
    assert list(meta.deleted.values()) == ["wrong input"]
    assert broken_rules(lab) == []
    run_once(site)
    assert numbers(lab) == [2, 3]


def test_a_deleted_execution_comes_back_whole(site: Site, lab: Path) -> None:
    uid = run_once(site, files=FILES).uid
    before = held(lab)
    delete_execution(site, ADDRESS, 1, None)
    assert numbers(lab) == []
    assert {each.of for each in restore(site, uid)} == {uid}
    assert held(lab) == before
    assert numbers(lab) == [1]
    assert in_trash(lab) == []
    assert broken_rules(lab) == []


def test_an_execution_without_files_is_shown_again_as_well(site: Site, lab: Path) -> None:
    add_run(lab, Address.parse("md/short/other"))
    (lab / "projects/md/experiments/short/runs/other/edits-a-b.jsonl").write_bytes(b"{")
    uid = run_once(site).uid
    delete_execution(site, ADDRESS, 1, None)
    assert (numbers(lab), in_trash(lab)) == ([], [])
    assert restore(site, uid) == []
    assert numbers(lab) == [1]
    with pytest.raises(NotFoundError):
        restore(site, uid)


def test_an_execution_that_is_not_there_is_not_deleted(site: Site, lab: Path) -> None:
    run_once(site, files=FILES)
    with pytest.raises(NotFoundError, match="it has 1"):
        delete_execution(site, ADDRESS, 2, None)
    with pytest.raises(NotFoundError):
        delete_execution(site, Address.parse("qm9/baseline/gone"), 1, None)
    delete_execution(site, ADDRESS, 1, None)
    with pytest.raises(NotFoundError, match="it has none"):
        delete_execution(site, ADDRESS, 1, None)
    end_attempt(site, start_run(site, ADDRESS, purpose="hold"), SUCCEEDED)
    with pytest.raises(NotFoundError):
        delete_execution(site, ADDRESS, 2, None)


@pytest.mark.parametrize("at", range(1, 7))
@pytest.mark.parametrize("operation", ["rename", "write", "chmod", "link"])
def test_a_deletion_that_was_refused_goes_on_when_it_is_asked_again(
    site: Site, lab: Path, operation: str, at: int
) -> None:
    uid = run_once(site, files=FILES).uid
    before = held(lab)
    with door.gated(refusing(operation, errno.EIO, at=at)):
        try:
            delete_execution(site, ADDRESS, 1, None)
        except StorageError:
            everything = tree_of(lab)
            lost = {data for _, _, data in before.values()} - {
                data for _, _, data in everything.values()
            }
            assert lost == set()
            delete_execution(site, ADDRESS, 1, None)
    assert numbers(lab) == []
    assert set(held(lab)) == {"ledger.jsonl", "end.json"}
    restore(site, uid)
    assert {path: data for path, (_, _, data) in held(lab).items()} == {
        path: data for path, (_, _, data) in before.items()
    }
    assert numbers(lab) == [1]


@pytest.mark.parametrize("at", range(1, 12))
def test_a_restoration_that_was_refused_goes_on_when_it_is_asked_again(
    site: Site, lab: Path, at: int
) -> None:
    uid = run_once(site, files=FILES).uid
    before = held(lab)
    for operation in ("rename", "write"):
        delete_execution(site, ADDRESS, 1, None)
        with door.gated(refusing(operation, errno.EIO, at=at)):
            try:
                restore(site, uid)
            except StorageError:
                with suppress(NotFoundError):  # only a last hint was refused
                    restore(site, uid)
        assert numbers(lab) == [1]
        assert {path: data for path, (_, _, data) in held(lab).items()} == {
            path: data for path, (_, _, data) in before.items()
        }


@pytest.mark.parametrize("planted", ["link", "garbage", "file", "record of elsewhere"])
def test_what_was_planted_in_the_trash_hides_nothing_and_leads_nowhere(
    site: Site, lab: Path, planted: str
) -> None:
    run_once(site, files=FILES)
    removed = remove(site, ADDRESS)
    place = lab / layout.TRASH / ("0" * 26)
    outside = lab.parent / "outside"
    outside.mkdir()
    (outside / "removed.json").write_bytes(
        (lab / layout.TRASH / removed.uid / "removed.json").read_bytes()
    )
    (outside / "content").mkdir()
    if planted == "link":
        place.symlink_to(outside)
    elif planted == "file":
        place.write_bytes(b"")
    else:
        place.mkdir()
        (place / "content").mkdir()
        record = removed.evolve(uid="0" * 26, path="../outside/stolen", of=None).to_json()
        (place / "removed.json").write_bytes(b"\xff" if planted == "garbage" else record)
    if planted == "record of elsewhere":
        with pytest.raises(InvalidInputError, match="straight down"):
            restore(site, "0" * 26)
    assert restore(site, removed.uid) == [removed]
    assert numbers(lab) == [1]
    assert sorted(os.listdir(outside)) == ["content", "removed.json"]


def test_a_link_in_place_of_the_trash_is_not_followed(site: Site, lab: Path) -> None:
    run_once(site)
    outside = lab.parent / "outside"
    outside.mkdir()
    (lab / layout.TRASH).symlink_to(outside)
    with pytest.raises(MolexpError, match="follows no links"):
        remove(site, ADDRESS)
    assert list(outside.iterdir()) == []
    (lab / layout.TRASH).unlink()
    run_once(site)
    assert numbers(lab) == [1, 3]


@pytest.mark.users
def test_closed_executions_move_are_removed_deleted_and_come_back(user: User) -> None:
    lab = user.directory / "lab"

    def body() -> list[int]:
        make_lab(lab)
        add_run(lab, Address.parse("md/short/other"))
        site = Site(Directory.open(lab), durability="process")
        uid = run_once(site, files=FILES).uid
        before = held(lab)
        assert before["artifacts"][1] == 0o555
        move_run(site, ADDRESS, TARGET)
        move_run(site, TARGET, ADDRESS)
        for address in (ADDRESS, EXPERIMENT, PROJECT):
            restore(site, remove(site, address).uid)
            assert held(lab) == before
        delete_execution(site, ADDRESS, 1, None)
        restore(site, uid)
        assert held(lab) == before
        closed = lab / RUN / "0001"
        assert stat.S_IMODE(closed.stat().st_mode) == 0o555
        problems: list[MolexpError] = []
        assert reap_below(site, Address(), problems) == []
        assert problems == []
        edit(site, ADDRESS, {"notes": "seen"})
        run_once(site)
        assert broken_rules(lab) == []
        assert find_scope(site, PROJECT, ProjectMeta) is not None
        site.close()
        return numbers(lab)

    assert user.run(body)[0] == 1
