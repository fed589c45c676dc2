"""What the files of one scope say now: taken apart, and no record made of them.

A whole workspace passes here. What cannot be read joins the problems and hides nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from molexp.disk import layout
from molexp.disk.beneath import Directory
from molexp.errors import FormatError, MolexpError
from molexp.late import late
from molexp.model.codec import split_line
from molexp.rows.edits import edited
from molexp.rows.glance import Glance, read, read_summed

if TYPE_CHECKING:
    from molexp.rows import live, plain
    from molexp.rows.plain import Said
    from molexp.rows.shapes import Asset, Edit, End, Entry, Input, Json, Start
else:
    live = late("molexp.rows.live")
    plain = late("molexp.rows.plain")

T = TypeVar("T")

_PASSED_OVER = "it is passed over, and all other lines are read"
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
    start: Start | None = None
    end: End | None = None
    beat: float = 0.0
    """When its ledger changed last, in seconds by the file system's clock."""
    assets: dict[str, tuple[Asset, bool]] = field(default_factory=dict)
    """What was made in it by asset_id, and whether that was told too late."""
    inputs: list[tuple[Input, bool]] = field(default_factory=list)
    metrics: Json = field(default_factory=dict)
    messages: list[Json] = field(default_factory=list)

    @property
    def uid(self) -> str | None:
        """Its identity, from whichever of its records can be read."""
        found = self.start or self.end
        return found.uid if found is not None else None


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
    edits: list[Edit] = field(default_factory=list)
    data: list[tuple[str, Asset]] = field(default_factory=list)
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
            if attempt.start is None or attempt.start.purpose != "hold":
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
        meta = self._told(layout.META, plain.scope, found.kind)
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
        manifest = {each.path: each for each in end.manifest} if end is not None else {}
        told = len(self._problems)
        self._owned(path, ledger, attempt, manifest.get(layout.LEDGER))
        if attempt.start is None and len(self._problems) == told:
            cure = "restore it from a copy, or move its directory out of the run"
            self._wrong(path, 0, "no execution's start stands there", cure)
        for each in paths:
            name = each[len(at) + 1 :]
            if name.startswith(layout.LEDGER_PREFIX):
                entry = manifest.get(name)
                known = 0 if entry is None else entry.size
                self._joined(each, attempt, None if end is None else known)
        if end is not None:
            attempt.state = end.status
            attempt.metrics = end.metrics
            attempt.messages = end.messages
            _measure(attempt, manifest)
            return attempt
        attempt.beat = found.glance.files[path][2] / 1e9
        summed = [each for each in paths if each.startswith(_SUMMED, len(at) + 1)]
        if summed:
            attempt.metrics, attempt.messages = live.live([self._data[each] for each in summed])
        return attempt

    def _owned(self, path: str, data: bytes, attempt: Attempt, entry: Entry | None) -> None:
        """The ledger of the owner, who wrote nothing after the end; ``entry`` is what that says."""
        if entry is not None and entry.size < len(data):
            self._wrong(path, entry.size, "it grew after the end")
            data = data[: entry.size]
        has_ended = attempt.end is not None
        for line, said in self._lines(path, data, _OF_OWNER, has_ended=has_ended):
            if line == "asset":
                attempt.assets[said.asset_id] = said, False
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
                    attempt.assets[said.asset_id] = said, is_late
                elif line == "input":
                    attempt.inputs.append((said, is_late))

    def _lines(
        self, path: str, data: bytes, wanted: tuple[str, ...], *, has_ended: bool
    ) -> Iterator[Said]:
        """The lines of a file that belong there: what each records, and the document.

        What stands after the last newline may still be being written, until it ``has_ended``.
        """
        whole = data.rfind(b"\n") + 1
        try:
            found = plain.lines(data[:whole])
        except plain.NOT_PLAIN:
            found = None
        if found is not None and _belong(found, wanted):
            yield from found
        else:
            offset = 0
            for line in data[:whole].split(b"\n"):
                odd = self._odd(path, line, wanted, offset) if line else None
                offset += len(line) + 1
                if odd is not None:
                    yield odd
        if whole < len(data) and has_ended:
            self._wrong(path, whole, f"the last {len(data) - whole} bytes end no line")

    def _odd(self, path: str, line: bytes, wanted: tuple[str, ...], offset: int) -> Said | None:
        """A line of a file in which not all are plainly right, if it can be taken."""
        try:
            kind, raw = split_line(line)
            if kind in wanted and not (kind == "start" and offset):
                return kind, plain.document(kind, raw, f"{self._where}/{path}, byte {offset}")
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

    def _document(self, path: str, source: str) -> Any:
        """A file that is one document; None if it cannot be read, or is none."""
        return self._told(path, plain.document, source)

    def _told(self, path: str, act: Callable[[str, bytes, str], T], source: str) -> T | None:
        raw = self._data.get(path)
        if raw is None:
            return None
        try:
            return act(source, raw, f"{self._where}/{path}")
        except FormatError as error:
            self._problems.append(error)
            return None

    def _wrong(self, path: str, offset: int, wrong: str, cure: str = _PASSED_OVER) -> None:
        full = f"{self._where}/{path}"
        self._problems.append(
            FormatError(
                f"{full}, byte {offset}: {wrong}",
                cure=cure,
                path=full,
                place=f"byte {offset}",
            )
        )


def _belong(found: list[Said], wanted: tuple[str, ...]) -> bool:
    """Whether lines stand where they may: a start is the first."""
    for index, (kind, _) in enumerate(found):
        if kind not in wanted or (kind == "start" and index):
            return False
    return True


def _measure(attempt: Attempt, manifest: dict[str, Entry]) -> None:
    """Give what grew until the end, as a log does, the size and digest that it came to."""
    for asset, _ in attempt.assets.values():
        if asset.content_hash is None and asset.path in manifest:
            entry = manifest[asset.path]
            asset.size, asset.content_hash = entry.size, entry.content_hash
