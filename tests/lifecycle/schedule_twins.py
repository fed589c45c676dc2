"""Known-bad twins of the product: each has one function of it that leaves a rule out."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from molexp.disk import door, layout, owner, trash
from molexp.disk.beneath import Directory
from molexp.disk.commit import Batch
from molexp.disk.owner import Life
from molexp.disk.record import Aside, taken, write_new
from molexp.disk.trash import Removed
from molexp.errors import AlreadyExistsError
from molexp.lifecycle import attempt, look, reaping, removal, requests
from molexp.lifecycle.look import SILENT_BEATS, look_at
from molexp.lifecycle.site import Site, new_uid, now
from molexp.model.address import Address
from molexp.model.ids import Process
from tests.lifecycle.schedule_stage import current_player

Twin = Callable[[], AbstractContextManager[Any]]

_publish_directory, _publish_file = Aside.publish_directory, Aside.publish_file


def no_look_at_place() -> AbstractContextManager[Any]:
    """Nobody asks whether a directory still lies where it was opened."""
    return patch.object(Directory, "leads_to", lambda *_: True)


def next_number_blindly() -> AbstractContextManager[Any]:
    """A taken number is answered with the next one, without looking again."""

    def publish(
        self: Aside, fill: Callable[[Directory], None], parent: Directory, name: str, batch: Batch
    ) -> Directory:
        while True:
            try:
                return _publish_directory(self, fill, parent, name, batch)
            except AlreadyExistsError:
                if not name.isdigit():
                    raise
                name = layout.execution_name(int(name) + 1)

    return patch.object(Aside, "publish_directory", publish)


def settle_without_looking() -> AbstractContextManager[Any]:
    """Whoever starts takes for granted that nobody is at work."""
    return patch.object(attempt, "settle", lambda *_: True)


def rename_over_end() -> AbstractContextManager[Any]:
    """Look for end.json, then rename over it."""

    def publish(
        self: Aside, data: bytes, directory: Directory, name: str, mode: int, batch: Batch
    ) -> None:
        if name != layout.END:
            _publish_file(self, data, directory, name, mode, batch)
            return
        if directory.exists(name):
            raise taken(directory, name)
        aside = f"{owner.writer()}.end"
        write_new(directory, aside, data, mode)
        door.rename(directory.fd, aside, directory.fd, name)

    return patch.object(Aside, "publish_file", publish)


def exclusive_end() -> AbstractContextManager[Any]:
    """The end is created under its name, and written afterwards."""

    def publish(
        self: Aside, data: bytes, directory: Directory, name: str, mode: int, batch: Batch
    ) -> None:
        if name == layout.END:
            write_new(directory, name, data, mode)
        else:
            _publish_file(self, data, directory, name, mode, batch)

    return patch.object(Aside, "publish_file", publish)


@dataclass
class NoHold:
    """What a mover has that holds nothing."""

    run: Directory
    start: Any = field(default_factory=lambda: SimpleNamespace(uid=""))
    address: Address | None = None
    is_away: bool = False
    place: Directory | None = None

    def close(self) -> None:
        """Let go."""
        self.run.close()


def move_without_hold() -> AbstractContextManager[Any]:
    """The mover looks, then renames."""

    def start_run(site: Site, address: Address, **_: Any) -> NoHold:
        run = site.enter(layout.scope_path(address))
        attempt.settle(site, run, look_at(run), address)
        return NoHold(run)

    return patch.multiple(
        removal, start_run=start_run, end_attempt=lambda *_, **__: None, read_end=lambda *_: None
    )


def _judged(judge: Callable[[Process, Process], Life]) -> AbstractContextManager[Any]:
    return patch.object(look, "judge", lambda asked: judge(asked, owner.current()))


def pid_only() -> AbstractContextManager[Any]:
    """A pid that exists is the owner, whenever it was started."""

    def judge(asked: Process, _: Process) -> Life:
        life, player = owner.judge(asked), current_player()
        if life is not Life.DEAD or player is None:
            return life
        exists = player.world.machine.kill0(player.process.owner.place, asked.pid)
        return Life.ALIVE if exists else Life.DEAD

    return _judged(judge)


def dead_across_namespaces() -> AbstractContextManager[Any]:
    """Of an owner of another boot or pid namespace, ESRCH is believed."""

    def judge(asked: Process, here: Process) -> Life:
        near = asked._replace(boot_id=here.boot_id, pid_namespace=here.pid_namespace)
        return owner.judge(near)

    return _judged(judge)


def one_time_namespace() -> AbstractContextManager[Any]:
    """Start times are compared across time namespaces."""

    def judge(asked: Process, here: Process) -> Life:
        return owner.judge(asked._replace(time_namespace=here.time_namespace))

    return _judged(judge)


def invisible_is_dead() -> AbstractContextManager[Any]:
    """A process that is hidden counts as dead."""

    def judge(asked: Process, here: Process) -> Life:
        life = owner.judge(asked)
        near = (asked.boot_id, asked.pid_namespace) == (here.boot_id, here.pid_namespace)
        return Life.DEAD if near and life is Life.UNKNOWN else life

    return _judged(judge)


def no_look_after_request() -> AbstractContextManager[Any]:
    """A request is written after the look for an end, and not doubted afterwards."""
    return patch.object(requests, "read_end", lambda *_: None)


class _Unlike(str):
    """A text that is like no other."""

    __slots__ = ()
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        return False


def start_overtakes_cancel() -> AbstractContextManager[Any]:
    """A start that was under way does not know the cancel of a pending run."""
    return patch.object(attempt, "PENDING_CANCELLED", _Unlike(attempt.PENDING_CANCELLED))


def never_closed() -> AbstractContextManager[Any]:
    """Nobody finishes the closing that a killed owner began."""
    return patch.object(reaping, "close_files", lambda *_: None)


def own_clock() -> AbstractContextManager[Any]:
    """Whoever reads a beat compares it with their own clock."""

    def is_silent(site: Site, place: Directory) -> bool:
        touched = place.stat(layout.LEDGER).st_mtime
        return time.time() - touched >= SILENT_BEATS * site.beat

    return patch.object(look, "is_silent", is_silent)


def delete_whole() -> AbstractContextManager[Any]:
    """An execution that is deleted takes its number with it."""

    def delete(site: Site, address: Address, number: int, reason: str | None) -> None:
        path = f"{layout.scope_path(address)}/{layout.execution_name(number)}"
        said = {"kind": "removed", "format": 1, "at": now(), "writer": site.writer, "by": "me"}
        removed = Removed.make(uid=new_uid(), path=path, **said)
        with closing(site.batch()) as batch:
            trash.remove(site.root, removed, site.aside, batch, site.modes.directory)

    return patch.object(removal, "delete_execution", delete)


TWINS: dict[Twin, str] = {
    no_look_at_place: "a run lives in the trash",
    next_number_blindly: "two live owners",
    settle_without_looking: "two live owners",
    rename_over_end: "two terminal states",
    exclusive_end: "an end is torn",
    move_without_hold: "a live run was moved",
    pid_only: "a dead owner was not found",
    dead_across_namespaces: "a live owner was declared dead",
    one_time_namespace: "a live owner was declared dead",
    invisible_is_dead: "a live owner was declared dead",
    no_look_after_request: "an ended execution took a request",
    start_overtakes_cancel: "a start went on past the cancel of its pending run",
    never_closed: "an ended execution stayed open",
    own_clock: "a beating owner read unknown",
    delete_whole: "a number vanished",
}
"""The promise that each breaks."""
