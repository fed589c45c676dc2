"""What the files of one scope say now: taken apart, and no record made of them.

A whole workspace passes here. What cannot be read joins the problems and hides nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from molexp.disk import layout
from molexp.disk.beneath import Directory
from molexp.errors import FormatError, MolexpError
from molexp.late import late
from molexp.model.codec import split_line
from molexp.rows.edits import edited
from molexp.rows.glance import Glance, read, read_summed
from molexp.rows.plain import SPELLINGS, Json, checked, document, is_plain_text, parse

if TYPE_CHECKING:
    from molexp.rows import live
else:
    live = late("molexp.rows.live")

_KNOWN_LINES = frozenset(
    ["start", "asset", "input", "paused", "resumed", "metric", "message", "edit"]
)
_OF_JOINED = ("asset", "input", "paused", "resumed")
_OF_OWNER = ("start", *_OF_JOINED)
_SUMMED = (layout.METRICS, layout.METRICS_PREFIX, layout.LOGS)


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
    directory: Directory, address: tuple[str, ...], scope: int, problems: list[MolexpError]
) -> Gathered:
    """Everything that the files in the directory of a scope say.

    Raises NotFoundError if no scope lies there any more.
    """
    kind = KINDS[len(address)]
    seen, data = read(directory, kind, problems)
    found = Gathered(scope, address, kind, seen)
    _Reader(directory, data, problems).fill(found)
    return found


class _Reader:
    """The files of one scope, by their paths in it, while they are taken apart."""

    def __init__(
        self, directory: Directory, data: dict[str, bytes], problems: list[MolexpError]
    ) -> None:
        self._directory = directory
        self._where = directory.path
        self._data = data
        self._problems = problems

    def fill(self, found: Gathered) -> None:
        """Take them all apart."""
        executions: dict[str, list[str]] = {}
        for path in self._data:
            top, slash, _ = path.partition("/")
            if not slash:
                continue
            if top == layout.DATA:
                asset = self._document(path, "data")
                if asset is not None:
                    found.data.append((path.rpartition("/")[0], asset))
            else:
                executions.setdefault(top, []).append(path)
        self._record(found)
        for name, paths in executions.items():
            attempt = self._execution(found, name, paths)
            if attempt is None:
                continue
            if attempt.end is None:
                found.unended.append(attempt)
            if attempt.start.get("purpose") != "hold":
                found.attempts.append(attempt)
        hidden = (found.meta or {}).get("deleted")
        if hidden:
            found.attempts = [each for each in found.attempts if each.uid not in hidden]

    def _record(self, found: Gathered) -> None:
        """What the scope is, and all that was changed about it."""
        for path, data in self._data.items():
            if path.startswith(layout.EDITS_PREFIX):
                lines = self._lines(path, data, ("edit",), has_ended=False)
                found.edits += [said for _, said in lines]
        meta = self._document(layout.META, found.kind)
        if meta is not None and found.edits:
            where = f"{self._where}/{layout.META}"
            meta = edited(found.kind, meta, found.edits, where, self._problems)
        found.meta = meta

    def _execution(self, found: Gathered, at: str, paths: list[str]) -> Attempt | None:
        """One attempt, or hold."""
        path = f"{at}/{layout.LEDGER}"
        ledger = self._data.get(path)
        if not ledger:
            return None  # only a power loss takes its start: nobody who lives ever owned it
        attempt = Attempt(int(at))
        ends = [f"{at}/{layout.END}", f"{at}/{layout.END_WITHOUT_LINKS}"]
        for each in ends:
            if each in self._data:
                attempt.end = self._document(each, "end")
        end = attempt.end
        if end is None and any(each in found.glance.files for each in ends):
            self._data |= (rest := read_summed(self._directory, at))  # an end that says nothing
            paths += rest
        manifest = {each["path"]: each for each in end.get("manifest", ())} if end else {}
        self._owned(path, ledger, attempt, manifest.get(layout.LEDGER))
        for each in paths:
            name = each[len(at) + 1 :]
            if name.startswith(layout.LEDGER_PREFIX):
                size = manifest.get(name, {}).get("size", 0) if end is not None else None
                self._joined(each, attempt, size)
        if end is not None:
            attempt.state = end["status"]
            attempt.metrics = end.get("metrics", {})
            attempt.messages = end.get("messages", [])
            _measure(attempt, manifest)
            return attempt
        attempt.beat = found.glance.files[path][2] / 1e9
        summed = [each for each in paths if each.startswith(_SUMMED, len(at) + 1)]
        if summed:
            attempt.metrics, attempt.messages = live.live([self._data[each] for each in summed])
        return attempt

    def _owned(self, path: str, data: bytes, attempt: Attempt, entry: Json | None) -> None:
        """The ledger of the owner, who wrote nothing after the end; ``entry`` is what that says."""
        if entry is not None and entry["size"] < len(data):
            self._wrong(path, entry["size"], "it grew after the end")
            data = data[: entry["size"]]
        has_ended = attempt.end is not None
        for line, said in self._lines(path, data, _OF_OWNER, has_ended=has_ended):
            if line == "asset":
                attempt.assets[said["asset_id"]] = said, False
            elif line == "input":
                attempt.inputs.append((said, False))
            elif line == "start":
                attempt.start = said
            else:
                attempt.state = "paused" if line == "paused" else "running"

    def _joined(self, path: str, attempt: Attempt, size: int | None) -> None:
        """The ledger of one who joined; what it says beyond ``size``, that of its end, is late."""
        data = self._data[path]
        parts = [(data, False)] if size is None else [(data[:size], False), (data[size:], True)]
        for part, is_late in parts:
            for line, said in self._lines(path, part, _OF_JOINED, has_ended=size is not None):
                if line == "asset":
                    attempt.assets[said["asset_id"]] = said, is_late
                elif line == "input":
                    attempt.inputs.append((said, is_late))

    def _lines(
        self, path: str, data: bytes, wanted: tuple[str, ...], *, has_ended: bool
    ) -> Iterator[tuple[str, Json]]:
        """The lines of a file that belong there: what each records, and the document.

        What stands after the last newline may still be being written, until it ``has_ended``.
        """
        *lines, rest = data.split(b"\n")
        is_plain = is_plain_text(data)
        for index, line in enumerate(lines):
            if not line:
                continue
            try:
                found = parse(line.decode()) if is_plain else None
            except ValueError:
                found = None
            if type(found) is dict and len(found) == 1:
                [(kind, said)] = found.items()
                belongs = kind in wanted and (kind != "start" or index == 0)
                if belongs and SPELLINGS[kind].holds(said):
                    yield kind, said
                    continue
            odd = self._odd(path, line, wanted, _offset(lines, index))
            if odd is not None:
                yield odd
        if rest and has_ended:
            offset = _offset(lines, len(lines))
            self._wrong(path, offset, f"the last {len(rest)} bytes end no line")

    def _odd(
        self, path: str, line: bytes, wanted: tuple[str, ...], offset: int
    ) -> tuple[str, Json] | None:
        """A line that is not plainly right, if the records take it where it stands."""
        try:
            kind, raw = split_line(line)
            if kind in wanted and not (kind == "start" and offset):
                return kind, checked(kind, raw, f"{self._where}/{path}, byte {offset}")
        except ValueError as error:
            self._wrong(path, offset, str(error))
        except FormatError as error:
            within = error.details.get("place")
            error.details["path"] = f"{self._where}/{path}"
            error.details["place"] = f"byte {offset}{f', {within}' if within else ''}"
            self._problems.append(error)
        else:
            if kind in _KNOWN_LINES:
                self._wrong(path, offset, f"a line of {kind!r} does not belong here")
        return None  # a line of an unknown name was written by a later release

    def _document(self, path: str, source: str) -> Json | None:
        """A file that is one document; None if it cannot be read, or is none."""
        raw = self._data.get(path)
        if raw is None:
            return None
        try:
            return document(source, raw, f"{self._where}/{path}")
        except FormatError as error:
            self._problems.append(error)
            return None

    def _wrong(self, path: str, offset: int, wrong: str) -> None:
        full = f"{self._where}/{path}"
        self._problems.append(
            FormatError(
                f"{full}, byte {offset}: {wrong}",
                cure="it is passed over, and all other lines are read",
                path=full,
                place=f"byte {offset}",
            )
        )


def _offset(lines: list[bytes], index: int) -> int:
    """Where a line begins in its file."""
    return sum(map(len, lines[:index])) + index


def _measure(attempt: Attempt, manifest: dict[str, Json]) -> None:
    """Give what grew until the end, as a log does, the size and digest that it came to."""
    for asset_id, (asset, is_late) in attempt.assets.items():
        path = asset.get("path")
        if asset.get("content_hash") is None and path in manifest:
            entry = manifest[path]
            grown = {"size": entry["size"], "content_hash": entry.get("content_hash")}
            attempt.assets[asset_id] = {**asset, **grown}, is_late
