"""Each rule of the protocol is needed by the product as well: without it, somebody misses an ack.

A twin is the product with one rule left out; a scene is a history in which that shows. Every scene
is played without the twin too.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from itertools import count
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from molexp.catalog import fold, journals, register, view
from molexp.catalog.generation import Shelf
from molexp.catalog.journals import Hints, Knowledge
from molexp.catalog.load import Loader
from molexp.catalog.view import View
from molexp.disk import door, layout
from molexp.disk.beneath import Directory
from molexp.disk.journal import MARK_PREFIX, Change, make_mark
from molexp.disk.owner import asking
from molexp.rows import glance
from molexp.rows.owners import is_dead
from tests.catalog.small import slow_clock, wait_for_tick
from tests.catalog.story import Broken, Someone, Story

MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
EDIT = ("edit", 6, 0)  # of p0/e0/r0
BEFORE, AFTER = ("edit", 6, 3), ("edit", 4, 2)


@pytest.fixture
def story() -> Iterator[Story]:
    with tempfile.TemporaryDirectory(prefix="molexp-twins-", dir=MEMORY) as base:
        told = Story(Path(base))
        with told.clock():
            yield told
        told.close()


# The twins.


def all_at_once(*patches: AbstractContextManager[Any]) -> Callable[[], AbstractContextManager[Any]]:
    """Several patches as one."""

    @contextmanager
    def patched() -> Iterator[None]:
        with ExitStack() as stack:
            for each in patches:
                stack.enter_context(each)
            yield

    return patched


@contextmanager
def alarm_without(change: Callable[[Knowledge, Hints], tuple[Knowledge, Hints]]) -> Iterator[None]:
    real = journals.is_alarm

    def is_alarm(root: Any, knowledge: Knowledge, hints: Hints, here: Any) -> bool:
        return real(root, *change(knowledge, hints), here)

    with patch.object(journals, "is_alarm", is_alarm):
        yield


def marks_ignored() -> AbstractContextManager[None]:
    return alarm_without(
        lambda knowledge, hints: (knowledge, hints._replace(marks=knowledge.marks))
    )


def offset_trusted() -> AbstractContextManager[None]:
    def same(hints: Hints) -> Hints:
        found = {name: each._replace(is_same=True) for name, each in hints.journals.items()}
        return hints._replace(journals=found)

    return alarm_without(lambda knowledge, hints: (knowledge, same(hints)))


def gone_ignored() -> AbstractContextManager[None]:
    def there(knowledge: Knowledge, hints: Hints) -> Knowledge:
        left = {n: each for n, each in knowledge.journals.items() if n in hints.journals}
        return knowledge._replace(journals=left)

    return alarm_without(lambda knowledge, hints: (there(knowledge, hints), hints))


def retired_means_finished() -> AbstractContextManager[None]:
    def mixed_up(knowledge: Knowledge) -> Knowledge:
        found = {n: k._replace(finished=not k.open) for n, k in knowledge.journals.items()}
        return knowledge._replace(journals=found)

    return alarm_without(lambda knowledge, hints: (mixed_up(knowledge), hints))


@contextmanager
def boot_ignored() -> Iterator[None]:
    real = journals.is_alarm

    def is_alarm(root: Any, knowledge: Knowledge, hints: Hints, here: Any) -> bool:
        seen = {each.boot for each in hints.journals.values() if each.boot} | {here}
        return real(root, knowledge._replace(boots=knowledge.boots | seen), hints, here)

    with patch.object(journals, "is_alarm", is_alarm):
        yield


def sync_without_mark() -> AbstractContextManager[Any]:
    return patch.object(view, "make_mark", lambda *_: "")


@contextmanager
def signature_without_ctime() -> Iterator[None]:
    def mark_of(status: os.stat_result) -> tuple[int, int, int, int]:
        return status.st_ino, status.st_size, status.st_mtime_ns, status.st_mtime_ns

    with patch.object(glance, "mark_of", mark_of):
        yield


@contextmanager
def racy_signature() -> Iterator[None]:
    real = Loader.add
    with patch.object(Loader, "add", lambda self, found, is_sure: real(self, found, is_sure=True)):
        yield


@contextmanager
def retired_before_done() -> Iterator[None]:
    real = journals.retired

    def retired(knowledge: Knowledge, hints: Hints) -> Knowledge:
        found = real(knowledge, hints)
        left = {name: each._replace(open={}) for name, each in found.journals.items()}
        return found._replace(journals=left)

    with patch.object(journals, "retired", retired):
        yield


def namespace_ignored() -> AbstractContextManager[Any]:
    def dead(said: Any) -> bool:
        return is_dead(said) or said["pid_namespace"] == "b"

    return patch.object(fold, "is_dead", dead)


def executions_not_watched() -> AbstractContextManager[Any]:
    return patch.object(register, "open_ones", lambda *_: [])


@contextmanager
def moves_ignored() -> Iterator[None]:
    """Who looks does not ask again whether somebody began to move something."""
    real_look = vars(View)["_look_until_still"]
    real_read, looking = journals.read_hints, list[View]()

    def look(self: View, *given: Any, **named: Any) -> bool:
        looking.append(self)
        try:
            found: bool = real_look(self, *given, **named)
            return found
        finally:
            looking.pop()

    def read_hints(*given: Any) -> Hints:
        found = real_read(*given)
        if not looking:
            return found
        blind = {n: each._replace(named=frozenset()) for n, each in found.journals.items()}
        return found._replace(journals=blind)

    with (
        patch.object(View, "_look_until_still", look),
        patch.object(journals, "read_hints", read_hints),
    ):
        yield


@contextmanager
def one_pass() -> Iterator[None]:
    """Whoever has looked once is content: what moved meanwhile is not asked for."""
    with moves_ignored(), patch.object(view, "moved", lambda *_: set[str]()):
        yield


def gone_keeps_rows() -> AbstractContextManager[Any]:
    return patch.object(fold, "drop", lambda *_: None)


@contextmanager
def sweep_without_mark() -> Iterator[None]:
    """Journals are removed, but no mark tells of it."""

    def none_made(directory: Any, mode: int) -> str:
        there = [name for name in directory.names() if name.startswith(MARK_PREFIX)]
        return there[0] if there else make_mark(directory, mode)

    def unlink(directory: int, name: str) -> None:
        if not name.startswith(MARK_PREFIX):
            real(directory, name)

    real = door.unlink
    with patch.object(fold, "make_mark", none_made), patch.object(door, "unlink", unlink):
        yield


@contextmanager
def death_after_read() -> Iterator[None]:
    real = journals.read_hints

    def read_hints(root: Any, known: Any, dead: Any = None, moment: float = 0.0) -> Hints:
        found = real(root, known, dead, moment)
        if dead is None:
            return found
        later = {}
        for name, each in found.journals.items():
            text = root.read(f"{layout.JOURNAL}/{name}", 1 << 20)
            first = json.loads(text.splitlines()[0])["writer"]
            later[name] = each._replace(is_dead=dead(first))
        return found._replace(journals=later)

    with patch.object(journals, "read_hints", read_hints):
        yield


@contextmanager
def marks_before_journals() -> Iterator[None]:
    real = journals.read_hints

    def read_hints(root: Any, *given: Any) -> Hints:
        early = real(root, *given).marks
        return real(root, *given)._replace(marks=early)

    with patch.object(journals, "read_hints", read_hints):
        yield


# The scenes.


@contextmanager
def after(where: Any, name: str, act: Callable[[], object]) -> Iterator[None]:
    """Let something happen once, right after a function was called for the first time."""
    real, acts = getattr(where, name), [act]

    def first(*given: Any, **named: Any) -> Any:
        found = real(*given, **named)
        if acts:
            acts.pop()()
        return found

    with patch.object(where, name, first):
        yield


@contextmanager
def later_is_higher() -> Iterator[None]:
    """Of two generations of one number the later one is taken."""
    numbers = count()
    with patch.object(fold, "make_name", lambda n: f"catalog-{n:08d}-{next(numbers):012x}.duckdb"):
        yield


def journal_of(story: Story, someone: Someone) -> Path:
    """The journal that a process writes."""
    writer = someone.actor.system.writer
    found = (someone.place.root / layout.JOURNAL).glob(f"{writer}.*.jsonl")
    return max(found, key=lambda path: path.stat().st_mtime_ns)


def a_slow_folder_overtaken(story: Story) -> None:
    """B reads hints; a process comes, edits, goes; A folds that and sweeps; then B publishes."""
    a, b, writer, reader = story.people[1], story.people[0], story.people[3], story.people[2]
    story.fold(a)

    def meanwhile() -> None:
        story.tell(writer, *EDIT)
        story.tell(writer, "shut", 0, 0)
        story.fold(a)

    with later_is_higher(), after(journals, "read_hints", meanwhile):
        story.fold(b)
    story.check_anew(reader)


def a_journal_cut(story: Story) -> None:
    """A line that nobody has read is lost with others that somebody has."""
    writer, reader = story.people[0], story.people[1]
    story.tell(writer, *BEFORE)
    story.check(reader)
    story.tell(writer, *EDIT)
    path = journal_of(story, writer)
    os.truncate(path, 200)
    story.tell(writer, *AFTER)
    story.check(reader)


def a_journal_deleted(story: Story) -> None:
    """A journal that was read goes with a line that was not; all its hints had been retired."""
    writer, reader = story.people[0], story.people[1]
    story.tell(writer, *BEFORE)
    story.fold(reader)
    story.tell(writer, *EDIT)
    journal_of(story, writer).unlink()
    story.check(reader)


def a_power_loss(story: Story) -> None:
    """A host loses the end of a journal, as it was not on its disk yet."""
    writer, reader = story.people[3], story.people[0]
    story.tell(writer, *BEFORE)
    story.fold(reader)
    path = journal_of(story, writer)
    size = path.stat().st_size
    story.tell(writer, *EDIT)
    os.truncate(path, size)
    story.machine.boots["h1"] += 1
    story.kill(writer)
    story.check_anew(story.people[3])


def a_hand_and_a_sync(story: Story) -> None:
    """A hand changes a record, puts its time back, and somebody says so."""
    wait_for_tick(story.base)
    story.fold(story.people[0])
    wait_for_tick(story.base)
    story.edit_by_hand(story.people[0], 0, 0)
    story.sync(story.people[0])


def a_hand_within_a_tick(story: Story) -> None:
    """The same, before the clock of the file system has ticked."""
    with slow_clock():
        story.fold(story.people[0])
        story.edit_by_hand(story.people[0], 0, 0)
        story.sync(story.people[0])


def a_fold_within_an_edit(story: Story) -> None:
    """Somebody folds when the hint is there and the change is not."""
    writer, folder = story.people[2], story.people[1]
    with after(Change, "__enter__", lambda: story.fold(folder)):
        story.tell(writer, *EDIT)
    story.check_anew(folder)


def an_edit_within_a_fold(story: Story) -> None:
    """A process in another namespace edits while somebody folds."""
    writer, folder = story.people[2], story.people[1]
    story.fold(folder)
    story.tell(writer, "edit", 0, 3)
    with after(journals, "read_hints", lambda: story.tell(writer, *EDIT)):
        story.fold(folder)
    story.check_anew(folder)


def a_run_at_work(story: Story) -> None:
    """A run was folded while it is recorded, and goes on."""
    story.tell(story.people[0], "start", 0, 0)
    story.fold(story.people[1])
    story.tell(story.people[0], "result", 0, 0)
    story.check(story.people[1])
    story.check_anew(story.people[1])


def a_run_on_the_move(story: Story) -> None:
    """A run moves while somebody looks."""
    _moving(story, view, "survey")


def a_run_moved_before_it_is_looked_at(story: Story) -> None:
    """A run moves after somebody has read the hints, so that it is where nothing points to."""
    _moving(story, journals, "read_hints")


def _moving(story: Story, where: Any, name: str) -> None:
    mover, reader = story.people[0], story.people[1]
    story.fold(reader)
    story.check(reader)
    story.tell(mover, *EDIT)
    if where is view:
        hint(mover, "p1/e0/r0")
    story.ask_meanwhile(reader, after(where, name, lambda: story.tell(mover, "move", 0, 2)))


def hint(someone: Someone, address: str) -> None:
    """Let a process say that something changes at an address, where nothing does."""
    with asking(someone.actor.system), someone.actor.workspace.site().journal.changing(address):
        pass


def a_run_removed(story: Story) -> None:
    """A run goes into the trash, and that is folded."""
    story.fold(story.people[0])
    story.tell(story.people[0], "trash", 5, 0)
    story.fold(story.people[0])
    story.check_anew(story.people[1])


def a_death_while_a_fold_reads(story: Story) -> None:
    """A process edits and dies after its journal was read, and before anything is removed."""
    writer, folder = story.people[0], story.people[1]
    story.tell(writer, *BEFORE)
    story.fold(folder)

    def meanwhile() -> None:
        story.tell(writer, *EDIT)
        story.kill(writer)

    with before_marks(meanwhile):
        story.fold(folder)
    story.check_anew(folder)


def a_sweep_between(story: Story) -> None:
    """A reader begins over what a slow folder made; meanwhile a slower one sweeps."""
    a, writer, reader = story.people[1], story.people[3], story.people[2]
    story.fold(a)
    catalog = story.places[0].root / layout.CATALOG
    [base] = catalog.iterdir()
    slow = catalog / f"catalog-00000002-{'f' * 12}.duckdb"
    shutil.copy(base, slow)
    story.tell(writer, *EDIT)
    story.tell(writer, "shut", 0, 0)

    def sweep() -> None:
        slow.rename(story.base / slow.name)  # it was not there yet when the other one began
        story.fold(a)
        (story.base / slow.name).rename(slow)

    armed: list[bool] = []
    with after(Shelf, "newest", lambda: armed.append(True)), before_marks(sweep, armed):
        story.check_anew(reader)


@contextmanager
def before_marks(act: Callable[[], object], armed: list[bool] | None = None) -> Iterator[None]:
    """Let something happen once, before the first mark is looked at, or after it once armed."""
    real, acts = Directory.stat, [act]

    def stat(directory: Directory, relative: str) -> os.stat_result:
        is_mark = relative.startswith(MARK_PREFIX)
        if acts and is_mark and armed is None:
            acts.pop()()
        found = real(directory, relative)
        if acts and is_mark and armed:
            acts.pop()()
        return found

    with patch.object(Directory, "stat", stat):
        yield


Scene = Callable[[Story], None]

TWINS: dict[Callable[[], AbstractContextManager[Any]], Scene] = {
    marks_ignored: a_slow_folder_overtaken,
    sweep_without_mark: a_slow_folder_overtaken,
    marks_before_journals: a_sweep_between,
    offset_trusted: a_journal_cut,
    gone_ignored: a_journal_deleted,
    retired_means_finished: a_journal_deleted,
    boot_ignored: a_power_loss,
    sync_without_mark: a_hand_and_a_sync,
    signature_without_ctime: a_hand_and_a_sync,
    racy_signature: a_hand_within_a_tick,
    retired_before_done: a_fold_within_an_edit,
    namespace_ignored: an_edit_within_a_fold,
    executions_not_watched: a_run_at_work,
    one_pass: a_run_on_the_move,
    moves_ignored: a_run_moved_before_it_is_looked_at,
    gone_keeps_rows: a_run_removed,
    death_after_read: a_death_while_a_fold_reads,
}
SCENES = sorted({*TWINS.values()}, key=lambda scene: scene.__name__)


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_the_product_shows_every_ack_in_this_scene(scene: Scene, story: Story) -> None:
    scene(story)


@pytest.mark.parametrize("twin", TWINS, ids=lambda twin: twin.__name__)
def test_a_product_that_leaves_a_rule_out_is_caught(
    twin: Callable[[], AbstractContextManager[Any]], story: Story
) -> None:
    with twin(), pytest.raises(Broken):
        TWINS[twin](story)
