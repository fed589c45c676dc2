"""What the files of one scope say now: read, parsed, and no record made of them.

A whole workspace passes here, so that each file is opened once. What cannot be read joins the
problems and hides nothing else.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from molexp.disk import layout
from molexp.disk.beneath import Directory, explained
from molexp.errors import FormatError, MolexpError, NotFoundError
from molexp.model.codec import split_line
from molexp.rows.edits import edited
from molexp.rows.glance import Glance, glance
from molexp.rows.plain import SPELLINGS, Json, checked, document, parse

_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CHUNK = 1 << 24

_KNOWN_LINES = frozenset(
    ["start", "asset", "input", "paused", "resumed", "metric", "message", "edit"]
)
_OF_JOINED = ("asset", "input", "paused", "resumed")
_OF_OWNER = ("start", *_OF_JOINED)


@dataclass(slots=True)
class Attempt:
    """An execution: the documents that tell of it."""

    number: int
    state: str = "running"
    start: Json = field(default_factory=dict)
    end: Json | None = None
    beat: float = 0.0
    """When its ledger changed last, in seconds by the file system's clock."""
    assets: dict[str, tuple[Json, bool]] = field(default_factory=dict)
    """What was made in it by asset_id, and whether that was told too late."""
    inputs: list[tuple[Json, bool]] = field(default_factory=list)
    metrics: Json = field(default_factory=dict)
    messages: list[Json] = field(default_factory=list)

    @property
    def uid(self) -> str | None:
        """Its identity, from whichever of its records can be read."""
        found = self.start.get("uid") or (self.end or {}).get("uid")
        return found if isinstance(found, str) else None


@dataclass(slots=True)
class Gathered:
    """One scope: its record with all edits, its data, and its executions if it is a run.

    ``meta`` is None where the record itself is damaged. ``scope`` is the number of its rows.
    """

    scope: int
    address: tuple[str, ...]
    kind: str
    glance: Glance
    meta: Json | None = None
    edits: list[Json] = field(default_factory=list)
    data: list[tuple[str, Json]] = field(default_factory=list)
    """Each version of its data, by the directory that it lies in."""
    attempts: list[Attempt] = field(default_factory=list)
    """The attempts at a run; those that were deleted, and holds, are none."""
    unended: list[Attempt] = field(default_factory=list)
    """What may still be written to, holds among it."""


KINDS = ("workspace", "project", "experiment", "run")


def gather(
    directory: Directory,
    address: tuple[str, ...],
    scope: int,
    problems: list[MolexpError],
    seen: Glance | None = None,
) -> Gathered:
    """Everything that the files in the directory of a scope say, if it was ``seen`` just now.

    Raises NotFoundError if no scope lies there any more.
    """
    kind = KINDS[len(address)]
    reader = _Reader(Gathered(scope, address, kind, seen or glance(directory, kind)), problems)
    reader.read(directory)
    return reader.found


class _Reader:
    """One scope while it is read; ``at`` is always the path of a directory in it."""

    def __init__(self, found: Gathered, problems: list[MolexpError]) -> None:
        self.found = found
        self._problems = problems

    def read(self, directory: Directory) -> None:
        """All of it."""
        executions: dict[str, list[str]] = {}
        for path in self.found.glance.files:
            top, _, below = path.partition("/")
            if not below:
                continue
            if top == layout.DATA:
                self._data(directory, path)
            else:
                executions.setdefault(top, []).append(below)
        self._record(directory)
        for name, files in executions.items():
            try:
                with directory.enter(name) as inside:
                    self._execution(inside, int(name), files)
            except NotFoundError:
                continue  # it was moved or removed since
            except MolexpError as error:
                self._problems.append(error)
        hidden = (self.found.meta or {}).get("deleted")
        if hidden:
            self.found.attempts = [each for each in self.found.attempts if each.uid not in hidden]

    def _record(self, directory: Directory) -> None:
        """What the scope is, and all that was changed about it."""
        found = self.found
        for name in found.glance.files:
            if name.startswith(layout.EDITS_PREFIX):
                data = self._read(directory, name) or b""
                lines = self._lines(data, directory, name, ("edit",), has_ended=False)
                found.edits += [said for _, said in lines]
        meta = self._document(directory, layout.META, found.kind)
        if meta is not None and found.edits:
            where = directory.where(layout.META)
            meta = edited(found.kind, meta, found.edits, where, self._problems)
        found.meta = meta

    def _data(self, directory: Directory, path: str) -> None:
        """One version of its data."""
        asset = self._document(directory, path, "data")
        if asset is not None:
            self.found.data.append((path.rpartition("/")[0], asset))

    def _execution(self, directory: Directory, number: int, files: list[str]) -> None:
        """One attempt: its end first, for after that its owner writes nothing any more."""
        attempt = Attempt(number)
        for name in (layout.END, layout.END_WITHOUT_LINKS):
            if attempt.end is None and name in files:
                attempt.end = self._document(directory, name, "end")
        has_ended = attempt.end is not None
        manifest = {each["path"]: each for each in (attempt.end or {}).get("manifest", ())}
        ledger = self._read(directory, layout.LEDGER) if layout.LEDGER in files else None
        if not ledger:
            return  # only a power loss takes its start: nobody who lives ever owned it
        size = manifest.get(layout.LEDGER, {}).get("size", len(ledger))
        if size < len(ledger):
            self._wrong(directory, layout.LEDGER, size, "it grew after the end")
        self._ledger(directory, attempt, ledger[:size], has_ended=has_ended)
        for name in files:
            if name.startswith(layout.LEDGER_PREFIX):
                size = manifest.get(name, {}).get("size", 0) if has_ended else None
                self._joined(directory, name, attempt, size)
        if attempt.end is not None:
            attempt.state = attempt.end["status"]
            attempt.metrics = attempt.end.get("metrics", {})
            attempt.messages = attempt.end.get("messages", [])
            _measure(attempt, manifest)
        else:
            ledger_file = f"{layout.execution_name(number)}/{layout.LEDGER}"
            attempt.beat = self.found.glance.files[ledger_file][2] / 1e9
            self._live(directory, attempt, files)
            self.found.unended.append(attempt)
        if attempt.start.get("purpose") != "hold":
            self.found.attempts.append(attempt)

    def _ledger(
        self, directory: Directory, attempt: Attempt, data: bytes, *, has_ended: bool
    ) -> None:
        """The owner's ledger."""
        lines = self._lines(data, directory, layout.LEDGER, _OF_OWNER, has_ended=has_ended)
        for line, said in lines:
            if line == "asset":
                attempt.assets[said["asset_id"]] = said, False
            elif line == "input":
                attempt.inputs.append((said, False))
            elif line == "start":
                attempt.start = said
            else:
                attempt.state = "paused" if line == "paused" else "running"

    def _joined(self, directory: Directory, name: str, attempt: Attempt, size: int | None) -> None:
        """The ledger of one who joined; what it says beyond ``size``, that of its end, is late."""
        data = self._read(directory, name) or b""
        parts = [(data, False)] if size is None else [(data[:size], False), (data[size:], True)]
        for part, late in parts:
            lines = self._lines(part, directory, name, _OF_JOINED, has_ended=size is not None)
            for line, said in lines:
                if line == "asset":
                    attempt.assets[said["asset_id"]] = said, late
                elif line == "input":
                    attempt.inputs.append((said, late))

    def _live(self, directory: Directory, attempt: Attempt, files: list[str]) -> None:
        """What an end will say of metrics and warnings, as far as that is known."""
        summed = [path for path in files if path.startswith(("metrics", layout.LOGS))]
        if summed:
            from molexp.rows.live import live  # the records of single lines: for what is at work

            attempt.metrics, attempt.messages = live(directory, summed)

    def _lines(
        self,
        data: bytes,
        directory: Directory,
        name: str,
        wanted: tuple[str, ...],
        *,
        has_ended: bool,
    ) -> Iterator[tuple[str, Json]]:
        """The lines of a file that belong there: what each records, and the document.

        What stands after the last newline may still be being written, until it ``has_ended``.
        """
        offset = 0
        *lines, rest = data.split(b"\n")
        for line in lines:
            if line:
                found = self._line(line, directory, name, wanted, offset)
                if found is not None:
                    yield found
            offset += len(line) + 1
        if rest and has_ended:
            self._wrong(directory, name, offset, f"the last {len(rest)} bytes end no line")

    def _line(
        self, line: bytes, directory: Directory, name: str, wanted: tuple[str, ...], offset: int
    ) -> tuple[str, Json] | None:
        try:
            kind, found = _split(line)
            if kind in wanted and kind not in SPELLINGS:
                return kind, {}  # a pause or its end: that it is there says all
            if kind in wanted and SPELLINGS[kind].holds(found):
                if kind == "start" and offset:
                    raise ValueError("a start is the first line, and no other")
                return kind, found
            if kind in wanted:
                raw = split_line(line)[1]
                return kind, checked(kind, raw, f"{directory.where(name)}, byte {offset}")
        except ValueError as error:
            self._wrong(directory, name, offset, str(error))
        except FormatError as error:
            self._problems.append(error)
        else:
            if kind in _KNOWN_LINES:
                self._wrong(directory, name, offset, f"a line of {kind!r} does not belong here")
        return None  # a line of an unknown name was written by a later release

    def _document(self, directory: Directory, name: str, source: str) -> Json | None:
        """A file that is one document; None if it is gone, or is none."""
        raw = self._read(directory, name)
        if raw is None:
            return None
        try:
            return document(source, raw, directory.where(name))
        except FormatError as error:
            self._problems.append(error)
            return None

    def _read(self, directory: Directory, name: str) -> bytes | None:
        """The bytes of a file; None if it is gone, or cannot be read."""
        try:
            return _read(directory, name)
        except NotFoundError:
            return None
        except MolexpError as error:
            self._problems.append(error)
            return None

    def _wrong(self, directory: Directory, name: str, offset: int, wrong: str) -> None:
        path = directory.where(name)
        self._problems.append(
            FormatError(
                f"{path}, byte {offset}: {wrong}",
                cure="it is passed over, and all other lines are read",
                path=path,
                place=f"byte {offset}",
            )
        )


def _split(line: bytes) -> tuple[str, Any]:
    """What a line records, and that document; None if it is not plainly JSON."""
    try:
        found = parse(line)
    except ValueError:
        found = None
    if type(found) is dict and len(found) == 1:
        [(kind, inner)] = found.items()
        return kind, inner
    return split_line(line)[0], None


def _measure(attempt: Attempt, manifest: dict[str, Json]) -> None:
    """Give what grew until the end, as a log does, the size and digest that it came to."""
    for asset_id, (asset, late) in attempt.assets.items():
        path = asset.get("path")
        if asset.get("content_hash") is None and path in manifest:
            entry = manifest[path]
            grown = {"size": entry["size"], "content_hash": entry.get("content_hash")}
            attempt.assets[asset_id] = {**asset, **grown}, late


def _read(directory: Directory, name: str) -> bytes:
    """The bytes of a regular file."""
    if "/" in name:
        above, _, name = name.rpartition("/")
        with directory.enter(above) as inner:
            return _read(inner, name)
    try:
        fd = os.open(name, _FILE, dir_fd=directory.fd)
    except OSError as error:
        raise explained(error, directory.where(name)) from error
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise FormatError(
                f"{directory.where(name)} is not a regular file",
                cure="molexp wrote a file there: move away what took its place",
                path=directory.where(name),
                place="",
            )
        data = os.read(fd, status.st_size + 1)
        if len(data) != status.st_size:
            while more := os.read(fd, _CHUNK):  # it grew meanwhile, or is very large
                data += more
        return data
    except OSError as error:
        raise explained(error, directory.where(name)) from error
    finally:
        os.close(fd)
