"""Executions: one owner at a time, one end each, and everything that they leave keeps the rules."""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Literal

import pytest

from molexp.disk import door, layout, owner
from molexp.disk.beneath import Directory
from molexp.disk.ledger import Appender
from molexp.errors import (
    AlreadyExistsError,
    CancelledError,
    ConflictError,
    InvalidInputError,
    NotFoundError,
    StorageError,
    TransitionError,
)
from molexp.lifecycle.attempt import (
    DIED,
    MOVED_AWAY,
    PENDING_CANCELLED,
    cancel_pending,
    end_attempt,
    end_for_another,
    reap,
    start_run,
)
from molexp.lifecycle.data import import_data
from molexp.lifecycle.look import Look, look_at, status_of
from molexp.lifecycle.reaping import reap_below
from molexp.lifecycle.removal import delete_execution, move_run, remove, restore
from molexp.lifecycle.requests import ask
from molexp.lifecycle.scopes import edit
from molexp.lifecycle.site import Site, now
from molexp.model.address import Address
from molexp.model.codec import join_line
from molexp.model.execution import End, FileEntry
from molexp.model.state import ExecutionState
from tests.disk import Tree, fork_each, refusing, tree_of
from tests.lifecycle.lab import ADDRESS, RUN, broken_rules, in_child, make_lab, open_site
from tests.users import User

FORK = get_context("fork")


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    return make_lab(tmp_path / "lab")


@pytest.fixture
def site(lab: Path) -> Iterator[Site]:
    made = open_site(lab)
    yield made
    made.close()


def statuses(site: Site) -> list[str]:
    """Of all executions, as the files tell it."""
    with site.root.enter(RUN) as run:
        return [each.end.status if each.end else "running" for each in look_at(run).executions]


def test_a_started_run_has_an_owner_from_the_first(site: Site, lab: Path) -> None:
    attempt = start_run(site, ADDRESS, profile="laptop")
    assert (attempt.number, attempt.start.owner.process) == (1, owner.current())
    with site.root.enter(RUN) as run:
        looked = look_at(run)
        assert status_of(site, run, looked) is ExecutionState.RUNNING
    assert looked.numbered[0].start == attempt.start
    assert attempt.start.profile == "laptop"
    assert broken_rules(lab) == []
    attempt.close()


def test_what_ended_keeps_the_rules_and_is_closed(site: Site, lab: Path) -> None:
    attempt = start_run(site, ADDRESS)
    (lab / RUN / "0001/work").mkdir()
    (lab / RUN / "0001/work/out.txt").write_text("42")
    end = end_attempt(site, attempt, ExecutionState.SUCCEEDED, last_step=3)
    assert [entry.path for entry in end.manifest] == ["ledger.jsonl", "work/out.txt"]
    assert broken_rules(lab) == []
    assert statuses(site) == ["succeeded"]
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (lab / RUN).rglob("*")}
    assert modes == {
        "meta.json": modes["meta.json"],
        "0001": 0o555,
        "end.json": 0o444,
        "ledger.jsonl": 0o444,
        "work": 0o555,
        "out.txt": 0o444,
    }


def test_a_second_start_waits_for_the_first_to_end(site: Site) -> None:
    attempt = start_run(site, ADDRESS)
    with pytest.raises(ConflictError, match=f"process {os.getpid()}") as caught:
        start_run(site, ADDRESS)
    assert "reap(confirm=True)" in caught.value.cure
    end_attempt(site, attempt, ExecutionState.FAILED)
    end_attempt(site, start_run(site, ADDRESS), ExecutionState.SUCCEEDED)
    assert statuses(site) == ["failed", "succeeded"]


def test_a_run_that_succeeded_is_run_again_on_demand_alone(site: Site) -> None:
    end_attempt(site, start_run(site, ADDRESS), ExecutionState.SUCCEEDED)
    with pytest.raises(TransitionError, match="has succeeded"):
        start_run(site, ADDRESS)
    assert start_run(site, ADDRESS, again=True).number == 2


def test_what_a_dead_owner_left_is_ended_by_the_next_start(lab: Path) -> None:
    def start_and_die() -> None:
        start_run(open_site(lab), ADDRESS)

    in_child(start_and_die)
    site = open_site(lab)
    attempt = start_run(site, ADDRESS)
    assert attempt.number == 2
    assert statuses(site) == ["failed", "running"]
    with site.root.enter(RUN) as run:
        first = look_at(run).numbered[0].end
    assert first is not None
    assert first.reason == DIED
    assert broken_rules(lab) == []
    site.close()


def test_a_live_owner_is_never_reaped(site: Site) -> None:
    start_run(site, ADDRESS)
    with site.root.enter(RUN) as run:
        found = look_at(run).numbered[0]
        with pytest.raises(ConflictError):
            reap(site, run, ADDRESS, found)
    assert statuses(site) == ["running"]


def test_an_owner_that_lost_the_race_for_the_end_changes_nothing(site: Site, lab: Path) -> None:
    attempt = start_run(site, ADDRESS)
    end = End(uid=attempt.start.uid, status=ExecutionState.CANCELLED, ended_at=now())
    (lab / RUN / "0001/end.json").write_bytes(end.to_json())
    with pytest.raises(ConflictError, match="ended by somebody else"):
        end_attempt(site, attempt, ExecutionState.SUCCEEDED)
    assert statuses(site) == ["cancelled"]


def test_what_a_process_could_not_end_is_taken_by_itself_alone(site: Site, lab: Path) -> None:
    attempt = start_run(site, ADDRESS)
    with door.gated(refusing("link", errno.ENOSPC)), pytest.raises(StorageError):
        end_attempt(site, attempt, ExecutionState.SUCCEEDED)

    def start_in_child() -> str:
        with pytest.raises(ConflictError):
            start_run(open_site(lab), ADDRESS)
        return "refused"

    assert fork_each([start_in_child]) == ["refused"]
    assert start_run(site, ADDRESS).number == 2
    assert statuses(site) == ["failed", "running"]


def test_a_run_that_is_not_there_is_not_started(site: Site, lab: Path) -> None:
    with pytest.raises(NotFoundError):
        start_run(site, Address.parse("qm9/baseline/other"))
    (lab / RUN / "meta.json").unlink()
    with pytest.raises(NotFoundError):
        start_run(site, ADDRESS)
    assert not (lab / RUN / "0001").exists()


def test_without_links_the_end_lies_in_a_directory(site: Site, lab: Path) -> None:
    attempt = start_run(site, ADDRESS, links=False)
    end_attempt(site, attempt, ExecutionState.SUCCEEDED)
    assert (lab / RUN / "0001/end/end.json").is_file()
    assert broken_rules(lab) == []
    assert statuses(site) == ["succeeded"]


def test_a_cancel_that_came_first_is_not_overtaken(site: Site, lab: Path) -> None:
    born = start_run(site, ADDRESS)
    with site.root.enter(RUN) as run:
        before = look_at(run)
    assert before.numbered[0].end is None
    end_attempt(site, born, ExecutionState.CANCELLED, reason=PENDING_CANCELLED)
    again = start_run(site, ADDRESS)
    assert again.number == 2, "a cancel before the first look is history"


def _start_often(lab: Path, times: int, pipe: Connection) -> None:
    site = open_site(lab)
    won: list[int] = []
    while len(won) < times:
        try:
            attempt = start_run(site, ADDRESS, again=True)
        except (ConflictError, CancelledError):
            time.sleep(0.001)
            continue
        attempt.ledger.append(join_line("paused", b'{"at":"2026-03-02T09:00:00Z"}'))
        won.append(attempt.number)
        end_attempt(site, attempt, ExecutionState.FAILED)
    site.close()
    pipe.send(won)
    pipe.close()


def test_eight_processes_start_one_run_in_turn(lab: Path) -> None:
    pipes, children = [], []
    for _ in range(8):
        mine, theirs = FORK.Pipe(duplex=False)
        child = FORK.Process(target=_start_often, args=(lab, 5, theirs))
        child.start()
        theirs.close()
        pipes.append(mine)
        children.append(child)
    won = sorted(number for pipe in pipes for number in pipe.recv())
    for child in children:
        child.join()
    assert won == list(range(1, 41))
    assert broken_rules(lab) == []


@pytest.mark.users
def test_an_ended_execution_is_closed_for_everybody_but_root(user: User) -> None:
    def record() -> list[str]:
        lab = make_lab(user.directory / "lab")
        site = open_site(lab)
        attempt = start_run(site, ADDRESS)
        end_attempt(site, attempt, ExecutionState.SUCCEEDED)
        place = lab / RUN / "0001"
        changes: dict[str, Callable[[], object]] = {
            "a new file": (place / "new").touch,
            "a line": partial(os.truncate, place / layout.LEDGER, 5),
            "the end": (place / layout.END).unlink,
        }
        done = []
        for name, change in changes.items():
            with suppress(PermissionError):
                change()
                done.append(name)
        site.close()
        return done

    changed = user.run(record)
    assert changed == ([] if user.name != "root" else ["a new file", "a line", "the end"])


def test_what_is_prepared_is_part_of_the_start(site: Site) -> None:
    looks: list[int] = []

    def prepare(run: Directory, found: Look) -> dict[str, object]:
        looks.append(len(found.numbered))
        assert run.path.endswith("first")
        return {"profile": "prepared", "config": {"lr": 0.1}}

    for number in range(2):
        attempt = start_run(site, ADDRESS, prepare=prepare, profile="said")
        assert (attempt.start.profile, attempt.start.config) == ("prepared", {"lr": 0.1})
        end_attempt(site, attempt, ExecutionState.FAILED)
        assert looks == [*range(number + 1)]


def test_a_preparation_that_raises_starts_nothing(site: Site, lab: Path) -> None:
    def prepare(run: Directory, found: Look) -> dict[str, object]:
        raise KeyError("no such parameter")

    with pytest.raises(KeyError):
        start_run(site, ADDRESS, prepare=prepare)
    assert site.links
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(KeyError):
        start_run(site, ADDRESS, prepare=prepare)
    with pytest.raises(InvalidInputError):
        start_run(site, ADDRESS, prepare=lambda run, found: {"profile": 7})
    assert not (lab / RUN / "0001").exists()
    assert len(os.listdir("/proc/self/fd")) == before
    start_run(site, ADDRESS).close()


def test_while_a_run_is_held_nobody_starts_it_and_it_has_no_status(site: Site) -> None:
    end_attempt(site, start_run(site, ADDRESS), ExecutionState.SUCCEEDED)
    hold = start_run(site, ADDRESS, purpose="hold")
    with pytest.raises(ConflictError, match="moves it since"):
        start_run(site, ADDRESS, again=True)
    assert statuses(site) == ["succeeded"]
    end_attempt(site, hold, ExecutionState.SUCCEEDED)
    assert start_run(site, ADDRESS, again=True).number == 3


def test_a_pending_run_is_cancelled_by_whoever_gets_its_number(site: Site, lab: Path) -> None:
    with site.root.enter(RUN) as run:
        look = look_at(run)
        assert cancel_pending(site, run, ADDRESS, look)
        assert not cancel_pending(site, run, ADDRESS, look), "somebody has that number"
    assert statuses(site) == ["cancelled"]
    assert broken_rules(lab) == []


def test_without_links_a_run_is_born_cancelled_all_the_same(site: Site, lab: Path) -> None:
    with (
        door.gated(refusing("link", errno.EPERM)),
        site.root.enter(RUN) as run,
    ):
        assert cancel_pending(site, run, ADDRESS, look_at(run))
    assert (lab / RUN / "0001/end/end.json").is_file()
    assert stat.S_IMODE((lab / RUN / "0001/end").stat().st_mode) == 0o555
    assert broken_rules(lab) == []


@pytest.mark.parametrize("purpose", ["run", "hold"])
def test_a_run_that_moves_while_it_is_started_is_ended_at_once(
    site: Site, lab: Path, purpose: Literal["run", "hold"]
) -> None:
    site.journal.changing("qm9").__enter__()

    def moving(
        operation: str, function: Callable[..., object], given: tuple[object, ...]
    ) -> object:
        answer = function(*given)
        if operation == "rename":
            os.rename(lab / RUN, lab / "away")
        return answer

    with door.gated(moving), pytest.raises(NotFoundError, match="moved or removed"):
        start_run(site, ADDRESS, purpose=purpose)
    os.rename(lab / "away", lab / RUN)
    with site.root.enter(RUN) as run:
        (found,) = look_at(run).numbered
    assert found.end is not None
    assert (found.end.status, found.end.reason) == (ExecutionState.CANCELLED, MOVED_AWAY)
    journals = b"".join(path.read_bytes() for path in (lab / layout.JOURNAL).glob("*.jsonl"))
    assert b'"at":["**"]' in journals, "whoever looks for changes looks everywhere"
    assert start_run(site, ADDRESS).number == 2


def test_what_is_known_of_a_file_is_not_read_again_at_the_end(site: Site, lab: Path) -> None:
    attempt = start_run(site, ADDRESS)
    path = lab / RUN / "0001/model"
    path.write_bytes(b"weights")
    status = path.stat()
    told = FileEntry(
        path="model", size=7, mtime_ns=status.st_mtime_ns, content_hash="sha256:" + "0" * 64
    )
    attempt.known["model"] = told
    attempt.known["gone"] = told.evolve(path="gone")
    end = end_attempt(site, attempt, ExecutionState.SUCCEEDED)
    assert [each.path for each in end.manifest] == ["ledger.jsonl", "model"]
    assert end.manifest[1] == told


def test_what_is_open_is_closed_through_its_descriptor(site: Site, lab: Path) -> None:
    attempt = start_run(site, ADDRESS)
    path = lab / RUN / "0001/log"
    log = attempt.files["log"] = Appender(attempt.place, "log", 0o644, hashed=True)
    below = attempt.directories["below"] = attempt.place.make("below", 0o755)
    log.append(b"line\n")
    end = end_attempt(site, attempt, ExecutionState.SUCCEEDED)
    assert [each.path for each in end.manifest] == ["ledger.jsonl", "log"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o444
    assert stat.S_IMODE((path.parent / "below").stat().st_mode) == 0o555
    held = (attempt.ledger, log, below, attempt.place, attempt.run)
    assert [each.fd for each in held] == [-1] * 5


def test_an_end_that_was_refused_is_made_by_the_same_call(site: Site, lab: Path) -> None:
    for at in range(1, 9):
        attempt = start_run(site, ADDRESS, again=True)
        (lab / RUN / layout.execution_name(attempt.number) / "work").mkdir()
        with door.gated(refusing("chmod", errno.EIO, at=at)), suppress(StorageError):
            end_attempt(site, attempt, ExecutionState.FAILED)
        if attempt.place.fd >= 0:
            end_attempt(site, attempt, ExecutionState.FAILED)
    assert statuses(site) == ["failed"] * 8
    assert {stat.S_IMODE(path.stat().st_mode) for path in (lab / RUN).glob("0*/work")} == {0o555}


@pytest.mark.users
def test_what_others_left_in_it_does_not_keep_an_execution_open(user: User) -> None:
    """A container may leave files that its user can neither read nor close."""
    lab = user.directory / "lab"

    def start() -> None:
        make_lab(lab)
        attempt = start_run(open_site(lab), ADDRESS)
        os.mkdir(f"{attempt.place.path}/work", 0o777)

    user.run(start)
    work = lab / RUN / "0001/work"
    for name, mode in (("theirs", 0o644), ("secret", 0), ("closed", 0)):
        if name == "closed":
            (work / name).mkdir()
        else:
            (work / name).write_bytes(name.encode())
        if user.uid != os.geteuid():
            os.chown(work / name, 12345, 12345)
        (work / name).chmod(mode)

    def end() -> dict[str, bool]:
        site = open_site(lab)
        with site.root.enter(RUN) as run:
            found = look_at(run).numbered[0]
            said = end_for_another(site, run, ADDRESS, found)
        site.close()
        return {each.path: each.content_hash is not None for each in said.manifest}

    is_root = user.uid == 0
    assert user.run(end) == {
        "ledger.jsonl": True,
        "work/secret": is_root,
        "work/theirs": True,
    }
    assert stat.S_IMODE((lab / RUN / "0001").stat().st_mode) == 0o555
    (work / "closed").chmod(0o700)


def _move_and_back(site: Site) -> None:
    move_run(site, ADDRESS, ADDRESS.parent / "other")
    move_run(site, ADDRESS.parent / "other", ADDRESS)


def _delete_and_restore(site: Site, look: Look) -> None:
    delete_execution(site, ADDRESS, 1, None)
    restore(site, look.numbered[0].start.uid)


def _end_again(site: Site, look: Look) -> None:
    with site.root.enter(RUN) as run:
        found = look.numbered[0]
        end_for_another(site, run, ADDRESS, found, ExecutionState.FAILED, "again")


def _start_late(site: Site, look: Look) -> None:
    with site.root.enter(RUN) as run:
        site.aside.publish_directory(lambda made: None, run, "0001", site.batch())


def _be_born(site: Site) -> None:
    with site.root.enter(RUN) as run:
        assert not cancel_pending(site, run, ADDRESS, Look(look_at(run).meta, ()))


MUTATORS: dict[str, Callable[[Site, Look], object]] = {
    "end it again": _end_again,
    "reap it": lambda site, look: reap_below(site, ADDRESS, [], confirm=True),
    "cancel it": lambda site, look: ask(site, ADDRESS, "cancel"),
    "pause it": lambda site, look: ask(site, ADDRESS, "pause"),
    "resume it": lambda site, look: ask(site, ADDRESS, "resume"),
    "start it with its number": _start_late,
    "be born in its place": lambda site, look: _be_born(site),
    "edit its run": lambda site, look: edit(site, ADDRESS, {"notes": "seen"}),
    "start its run again": lambda site, look: end_attempt(
        site, start_run(site, ADDRESS, again=True), ExecutionState.FAILED
    ),
    "trash its run and put it back": lambda site, look: restore(site, remove(site, ADDRESS).uid),
    "trash all and put it back": lambda site, look: restore(
        site, remove(site, Address.parse("qm9")).uid
    ),
    "move its run and back": lambda site, look: _move_and_back(site),
    "delete it and put it back": _delete_and_restore,
    "import into its experiment": lambda site, look: import_data(
        site, ADDRESS.parent, "x", Path("/etc/hostname")
    ),
}


@pytest.mark.users
@pytest.mark.parametrize("act", MUTATORS)
@pytest.mark.parametrize("links", [True, False])
def test_an_ended_execution_is_not_changed_by_anything_that_molexp_does(
    user: User, act: str, links: bool
) -> None:
    lab = user.directory / "lab"
    refused = act in ("end it again", "start it with its number") or act.split()[0] in (
        "cancel",
        "pause",
        "resume",
    )

    def body() -> tuple[Tree, Tree, bool]:
        site = Site(Directory.open(make_lab(lab)), durability="process")
        attempt = start_run(site, ADDRESS, links=links)
        (lab / RUN / "0001/work").mkdir()
        (lab / RUN / "0001/work/out").write_bytes(b"42")
        end_attempt(site, attempt, ExecutionState.SUCCEEDED)
        with site.root.enter(RUN) as run:
            look = look_at(run)
        before, raised = tree_of(lab / RUN / "0001"), False
        mode = (lab / RUN / "0001").stat().st_mode
        try:
            MUTATORS[act](site, look)
        except (ConflictError, AlreadyExistsError):
            raised = True
        assert (lab / RUN / "0001").stat().st_mode == mode
        site.close()
        return before, tree_of(lab / RUN / "0001"), raised

    before, after, raised = user.run(body)
    assert after == before
    assert raised == refused
