"""What others than its owner do to a run: reap, cancel, ask, move, purge, sweep."""

from __future__ import annotations

import json
import os
import shutil
from contextlib import suppress
from pathlib import Path

from tests.models.ownership import CLOSED, PENDING, Protocol, Refused
from tests.models.ownership_door import Entry, Look, Record, Steps, owner_of
from tests.models.ownership_flaws import Flaw
from tests.models.ownership_machine import Owner, Place


def reap(p: Protocol, path: Path, confirm: bool = False) -> Steps[None]:
    """End what is proven dead, or what reads `unknown` if a person says so; finish closings that
    a killed process began.
    """
    look = yield from p.look(path)
    if (entry := look.newest) and entry.start and not entry.end:
        try:
            yield from p.settle(look)
        except Refused as refusal:
            asked = refusal.args[0] == "conflict" and confirm
            if asked and (yield from p.unknown(look, entry)):
                p.confirmed.append(owner_of(entry.start))
                yield from p.end(look, entry, "failed", "confirmed")
    for entry in look.entries if p.flaw is not Flaw.NEVER_CLOSED else []:
        if entry.end:
            where, fd = p.at(look.at, entry.name)
            mode = (yield from p.do(os.stat, where, dir_fd=fd)).st_mode
            if mode & 0o7777 != CLOSED:
                yield from p.close(look, entry)


def cancel(p: Protocol, path: Path) -> Steps[None]:
    """Cancel: a pending run gets an execution born cancelled, a dead owner's is ended at once, a
    live owner is asked.
    """
    for _ in range(9):
        look = yield from p.look(path)
        entry = look.execution
        if entry is None:
            yield from p.settle(look)
            if (yield from cancel_pending(p, look)):
                return
        elif entry.end or entry.start is None:
            raise Refused("ended", entry.name)
        elif (yield from p.dead(owner_of(entry.start))):
            yield from p.end(look, entry, "cancelled", "died")
            return
        else:
            yield from request(p, look, entry, "cancel")
            return


def cancel_pending(p: Protocol, look: Look) -> Steps[bool]:
    """Publish an execution that is born with its end; whether it was first."""
    staged, line = yield from p.stage(look, "run")
    size = (yield from p.do((staged / "ledger.jsonl").stat)).st_size
    end: Record = {"status": "cancelled", "cause": PENDING, "owner": p.me, "uid": line["uid"]}
    end["sizes"] = {"ledger.jsonl": size}
    # Never with exist_ok: that would make again a directory that a sweeper took.
    if "/" in p.end_name(line):
        yield from p.do((staged / "end").mkdir)
    yield from p.do(p.write, staged, p.end_name(line), json.dumps(end), True)
    born = yield from p.publish(look, staged, line)
    if born is None:
        return False
    p.tell("cancel pending", line["uid"], look.uid, 0)
    yield from p.close(look, born)
    return True


def request(p: Protocol, look: Look, entry: Entry, verb: str) -> Steps[None]:
    """Ask the owner of an execution: write, then look for an end that came between."""
    where, fd = p.at(look.at, "requests")
    with suppress(FileExistsError):
        yield from p.do(os.mkdir, where, dir_fd=fd)
    ident, asked_at = f"{p.machine.clock:06d}.{p.me.pid}", p.machine.clock
    if p.flaw is Flaw.REQUEST_NAMED_BY_VERB:
        ident = f"{p.me.pid}"
    name, text = f"{entry.name}-{ident}-{verb}.json", json.dumps({"execution": entry.uid})
    with suppress(FileExistsError):  # it was asked before
        yield from p.do(p.write, look.at, f"requests/{name}", text, True)
    looks = p.flaw is not Flaw.NO_LOOK_AFTER_REQUEST
    if looks and (yield from p.end_of(look.at, entry.name, entry.line)):
        raise Refused("ended", entry.name)
    p.tell(verb, entry.uid, look.uid, asked_at)


def move(p: Protocol, path: Path, to: Path) -> Steps[None]:
    """Move, trash or restore a run: take its next number as a hold, rename, end the hold."""
    for _ in range(9):
        look = yield from p.look(path)
        yield from p.settle(look)
        if p.flaw is Flaw.MOVE_WITHOUT_HOLD:
            yield from p.do(os.rename, path, to)
            return
        staged, line = yield from p.stage(look, "hold")
        hold = yield from p.publish(look, staged, line)
        if hold is None:
            continue
        try:
            if (yield from p.end_of(look.at, hold.name, line)):
                raise Refused("ended", hold.name)
            yield from p.do(os.rename, path, to)
        except OSError:  # another run has the name
            yield from p.end(look, hold, "failed", "not moved")
            raise Refused("exists", to) from None
        yield from p.end(look, hold, "succeeded", "moved")
        return


def delete_execution(p: Protocol, path: Path) -> Steps[None]:
    """Purge the newest execution: what it made goes to the trash; its number, ledger and end
    stay.
    """
    look = yield from p.look(path)
    if not (entry := look.newest) or not entry.end:
        raise Refused("conflict", path)
    purged = entry.name if p.flaw is Flaw.DELETE_WHOLE else f"{entry.name}/artifacts"
    where, fd = p.at(look.at, purged)
    trash = p.root / "trash" / f"artifacts.{p.me.pid}.{p.machine.clock}"
    yield from p.do(os.rename, where, trash, src_dir_fd=fd)


def sweep(p: Protocol, patient: bool) -> Steps[None]:
    """Sweep tmp of what dead (or, after seven days, silent) writers left: first away from its
    name, then to nothing.
    """
    for name in (yield from p.do(p.names, p.root, "tmp")):
        host, boot, pidns, timens, pid, start, *_ = name.split(".")
        place = Place(host, int(boot), int(pidns), int(timens))
        writer = Owner(place, int(pid), int(start))
        if writer == p.me or (patient and not (yield from p.dead(writer))):
            continue
        litter = p.root / "tmp" / name
        if p.flaw is Flaw.SWEEP_IN_PLACE:
            for path in sorted(litter.glob("*.*")):
                yield from p.do(path.unlink, missing_ok=True)
        away = p.root / "swept" / f"{name}.{p.machine.clock}"
        with suppress(OSError):  # another sweeper was here
            yield from p.do(os.rename, litter, away)
            yield from p.do(shutil.rmtree, away)
