"""What hints say: where to look, and when nothing short of looking everywhere will do.

The rules are those of docs/design/0003: journals are read before marks are listed, marks before a
generation is opened, and that before any scope is looked at.
"""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import Any, NamedTuple

from molexp.disk import layout
from molexp.disk.beneath import Directory
from molexp.disk.journal import MARK_PREFIX
from molexp.errors import FormatError, MolexpError, NotFoundError, StorageError
from molexp.rows.scopes import EVERYTHING

SILENT_SECONDS = 24 * 3600.0
"""After this long a journal that nobody wrote to is that of a writer who is gone."""

_ENDING = ".jsonl"
_FIRST = 1 << 14  # more than the first line of any journal has

# Nothing, or at most three names, and perhaps what lies below.
_PREFIX = re.compile(r"(?:(?!\.{1,2}(?:/|$))[^/\0]{1,255}(?:/(?!$)|$)){0,4}")

_DONE = re.compile(rb'\{"done":(0|[1-9]\d{0,17})\}')
_TOUCH = re.compile(rb'\{"touch":\{"n":(0|[1-9]\d{0,17}),"at":\["([ !#-\[\]-~]*)"\]\}\}')

Boot = tuple[str, str]
"""A host, and one of its boots."""


class Known(NamedTuple):
    """What a reader remembers of one journal."""

    inode: int
    offset: int
    tail: str
    """The last line before the offset: no two of a journal are equal."""
    open: Mapping[int, tuple[str, ...]] = MappingProxyType({})
    finished: bool = False


Mark = tuple[str, int, int]
"""A mark by its name, its inode and the time when it was made: a copy is another one."""


class Knowledge(NamedTuple):
    """What was read of hints, and what is trusted because of it; a generation keeps it."""

    marks: frozenset[Mark] = frozenset()
    journals: Mapping[str, Known] = MappingProxyType({})
    boots: frozenset[Boot] = frozenset()

    def to_json(self) -> str:
        """As a generation keeps it."""
        journals = {
            name: [each.inode, each.offset, each.tail, [*each.open.items()], each.finished]
            for name, each in self.journals.items()
        }
        said = {"marks": [*self.marks], "journals": journals, "boots": [*self.boots]}
        return json.dumps(said)

    @classmethod
    def from_json(cls, text: str) -> Knowledge:
        """What a generation kept."""
        said = json.loads(text)
        journals = {
            name: Known(inode, offset, tail, {n: tuple(at) for n, at in open_}, finished)
            for name, (inode, offset, tail, open_, finished) in said["journals"].items()
        }
        marks = frozenset((name, inode, ctime) for name, inode, ctime in said["marks"])
        return cls(marks, journals, frozenset((host, boot) for host, boot in said["boots"]))


class Journal(NamedTuple):
    """One journal as it was found."""

    known: Known
    named: frozenset[str]
    """What the lines name that were new."""
    is_same: bool
    """Whether the bytes that were read before still stand in it."""
    boot: Boot | None
    """Of its writer; None where the first line is damaged."""
    is_dead: bool = False
    is_silent: bool = False


class Hints(NamedTuple):
    """All journals and marks, as they were found at about one time."""

    journals: Mapping[str, Journal]
    marks: frozenset[Mark]


Dead = Callable[[Any], bool]
"""Whether the owner that a journal's first line names is proven dead."""


def read_hints(
    root: Directory, known: Mapping[str, Known], dead: Dead | None = None, moment: float = 0.0
) -> Hints:
    """Read what is new in every journal, and then list the marks.

    Who gives ``dead`` has each owner judged before its lines are read, and by ``moment``, now by
    the file system's clock, whether it was silent for a day.
    """
    while True:
        try:
            with root.enter(layout.JOURNAL) as directory:
                found = {
                    name: journal
                    for name in directory.names()
                    if name.endswith(_ENDING)
                    and (journal := _read(directory, name, known.get(name), dead, moment))
                }
                return Hints(found, _marks(directory))
        except NotFoundError:
            if not root.exists(layout.JOURNAL):
                return Hints({}, frozenset())
        except FormatError:
            return Hints({}, frozenset())  # as long as something else lies there, all is looked at


def _read(
    directory: Directory, name: str, known: Known | None, dead: Dead | None, moment: float
) -> Journal | None:
    """What one journal says; None if that is none."""
    try:
        fd = directory.open_file(name)
    except FormatError:
        return None  # it is no file, so that nobody ever wrote a hint there
    except StorageError as error:
        if error.errno != errno.EACCES:
            raise
        anything = {0: (EVERYTHING,)}  # as long as it cannot be read, all is looked at
        return Journal(Known(0, 0, "", anything), frozenset(), is_same=False, boot=None)
    try:
        status = os.fstat(fd)
        owner = _owner(os.pread(fd, _FIRST, 0))
        is_dead = dead is not None and owner is not None and dead(owner)
        is_silent = dead is not None and moment - status.st_mtime > SILENT_SECONDS
        is_same = known is not None and known.inode == status.st_ino and _holds(fd, known)
        begin = known.offset if known is not None and is_same else 0
        text = _rest(fd, begin)
    finally:
        os.close(fd)
    now, named = _replay(status.st_ino, begin, known if is_same else None, text)
    return Journal(now, named, is_same, _boot(owner), is_dead, is_silent)


def _holds(fd: int, known: Known) -> bool:
    tail = known.tail.encode(errors="surrogateescape")
    return os.pread(fd, len(tail), known.offset - len(tail)) == tail


def _rest(fd: int, begin: int) -> bytes:
    parts = []
    while part := os.pread(fd, 1 << 20, begin):
        parts.append(part)
        begin += len(part)
    return b"".join(parts)


def _replay(
    inode: int, begin: int, known: Known | None, text: bytes
) -> tuple[Known, frozenset[str]]:
    """Read whole lines: what stays open, and all that they name."""
    hints = dict(known.open) if known is not None else {}
    finished = known is not None and known.finished
    named: set[str] = set()
    places: dict[bytes, tuple[str]] = {}
    *lines, torn = text.split(b"\n")
    for line in lines:
        if (touch := _TOUCH.fullmatch(line)) is not None:  # it and what follows are most lines
            if touch[2] not in places:
                places[touch[2]] = (_prefix(touch[2].decode()),)
            said: dict[str, Any] = {"touch": {"n": int(touch[1]), "at": places[touch[2]]}}
        else:
            done = _DONE.fullmatch(line)
            said = {"done": int(done[1])} if done is not None else _parsed(line)
        if "touch" in said:
            hints[said["touch"]["n"]] = at = tuple(said["touch"]["at"])
            named.update(at)
        elif "done" in said:
            named.update(hints.pop(said["done"], ()))
        elif "closed" in said:
            finished = True
    tail = known.tail if known is not None else ""
    if lines:
        tail = (lines[-1] + b"\n").decode(errors="surrogateescape")
    offset = begin + len(text) - len(torn)
    return Known(inode, offset, tail, hints, finished), frozenset(named)


def _parsed(line: bytes) -> dict[str, Any]:
    """A line that says something that is known; else nothing."""
    try:
        said = json.loads(line) if line else {}
        if "touch" in said:
            touch = said["touch"]
            return {"touch": {"n": _number(touch["n"]), "at": [*map(_prefix, touch["at"])]}}
        if "done" in said:
            return {"done": _number(said["done"])}
    except (ValueError, TypeError, KeyError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _number(value: Any) -> int:
    if type(value) is not int:
        raise ValueError("a hint has a whole number")
    return value


def _prefix(value: Any) -> str:
    """Where to look; everywhere, if it is not said in a way that is known."""
    if not isinstance(value, str) or _PREFIX.fullmatch(value) is None:
        return EVERYTHING
    if value.removesuffix("/**").count("/") > 2:
        return EVERYTHING
    value.encode()  # half a character is no name
    return value


def _owner(first: bytes) -> dict[str, Any] | None:
    line, newline, _ = first.partition(b"\n")
    said = _parsed(line) if newline else {}
    owner = said.get("writer")
    return owner if isinstance(owner, dict) else None


def _boot(owner: dict[str, Any] | None) -> Boot | None:
    if owner is None or not all(isinstance(owner.get(each), str) for each in ("host", "boot_id")):
        return None
    return owner["host"], owner["boot_id"]


def _marks(directory: Directory) -> frozenset[Mark]:
    found = []
    for name in directory.names():
        if name.startswith(MARK_PREFIX):
            with suppress(MolexpError):  # it was removed by whoever folded and made another one
                found.append(mark(directory, name))
    return frozenset(found)


def mark(directory: Directory, name: str) -> Mark:
    """What tells one mark from every other, now that it is there."""
    status = directory.stat(name)
    return name, status.st_ino, status.st_ctime_ns


def is_alarm(root: Directory, knowledge: Knowledge, hints: Hints, here: Boot) -> bool:
    """Whether hints may be missing, so that only looking everywhere can tell what has changed."""
    if not hints.marks or hints.marks - knowledge.marks:
        return True
    for name, known in knowledge.journals.items():
        journal = hints.journals.get(name)
        if journal is not None:
            if known.offset and not journal.is_same:
                return True
        elif not known.finished and not root.exists(f"{layout.JOURNAL}/{name}"):
            return True
    new = [each for name, each in hints.journals.items() if name not in knowledge.journals]
    if any(each.boot is None for each in new):
        return True
    boots = {*knowledge.boots, here, *(each.boot for each in new if each.boot is not None)}
    hosts = [host for host, _ in boots]
    return any(hosts.count(host) > 1 for host, _ in boots - knowledge.boots)


def due(hints: Hints) -> frozenset[str]:
    """Every prefix that a hint says to look at: all that are open, and all that are new."""
    prefixes: set[str] = set()
    for each in hints.journals.values():
        prefixes |= each.named
        for at in each.known.open.values():
            prefixes.update(at)
    return frozenset(prefixes)


def learned(knowledge: Knowledge, hints: Hints, here: Boot, *, scanned: bool) -> Knowledge:
    """What is known once all that is due was looked at."""
    journals = {name: each.known for name, each in hints.journals.items()}
    gone = {} if scanned else {n: k for n, k in knowledge.journals.items() if n not in journals}
    boots = {each.boot for each in hints.journals.values() if each.boot is not None}
    return Knowledge(hints.marks, {**gone, **journals}, knowledge.boots | boots | {here})


def retired(knowledge: Knowledge, hints: Hints) -> Knowledge:
    """The same without the hints of the dead and of the silent, whose scopes were read since."""
    journals = dict(knowledge.journals)
    for name, each in hints.journals.items():
        open_ = {} if each.is_dead or each.is_silent else each.known.open
        finished = each.is_dead or (each.known.finished and not open_)
        journals[name] = each.known._replace(open=open_, finished=finished)
    return knowledge._replace(journals=journals)
