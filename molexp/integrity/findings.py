"""What lies in a workspace, what its records say, and which rules of docs/format they break."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Never, TypeVar
from zipfile import BadZipFile

from molexp.disk import layout
from molexp.disk.tree import Tree
from molexp.disk.walk import EntryType, is_litter
from molexp.errors import FormatError, FormatVersionError, MolexpError
from molexp.model.asset import Asset, parse_asset
from molexp.model.codec import MAX_RECORD_BYTES, split_line
from molexp.model.digest import new_hash, spell, total
from molexp.model.execution import LINES
from molexp.model.record import Record

AnyRecord = TypeVar("AnyRecord", bound=Record)

_CHUNK = 1 << 20
_DISPOSABLE = (layout.CACHE, layout.VIEWS)
_UNREADABLE = (OSError, EOFError, RuntimeError, zlib.error, BadZipFile, MolexpError)
"""What reading a file may raise, a damaged zip's among it."""
_TIMES = frozenset(["at", "created_at", "ended_at"])
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_RUN = r"projects/[^/]+/experiments/[^/]+/runs/[^/]+"
_UNRULED = re.compile(
    rf"({_RUN}/[0-9]{{4,}}/{layout.WORK}|{layout.TRASH}/[^/]+/{layout.CONTENT})(/.*)?", re.DOTALL
)


class Violation(NamedTuple):
    """A rule of docs/format, the file or directory that breaks it, and how."""

    rule: str
    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path or '.'}: {self.message} [{self.rule}]"


@dataclass
class Findings:
    """What lies in the workspace, what its records said, and what is wrong with them."""

    tree: Tree
    violations: list[Violation] = field(default_factory=list)
    types: dict[str, EntryType] = field(default_factory=dict)
    below: dict[str, list[str]] = field(default_factory=lambda: {"": []})
    places: dict[str, list[str]] = field(default_factory=dict)
    """Where each uid is said to be."""
    assets: dict[str, Asset] = field(default_factory=dict)
    references: list[tuple[str, str, str | None]] = field(default_factory=list)
    """Who refers to an asset: the path, the asset's uid and the digest that it expects."""
    objects: list[tuple[str, str]] = field(default_factory=list)
    """Who refers to an object: the path and the object's digest."""
    _sums: dict[str, tuple[str, int]] = field(default_factory=dict)

    def report(self, rule: str, path: str, message: str) -> None:
        """Add a violation; names that are not UTF-8 are spelt so that they can be printed."""
        self.violations.append(Violation(rule, _sayable(path), _sayable(message)))

    def look(self) -> None:
        """Walk the workspace once; litter and what is disposable is passed over."""
        problems: list[MolexpError] = []
        for found in self.tree.walk(problems=problems):
            above, _, name = found.path.rpartition("/")
            if found.path.partition("/")[0] in _DISPOSABLE or is_litter(name):
                continue
            self.types[found.path] = found.type
            self.below.setdefault(above, []).append(name)
            if found.type is EntryType.DIRECTORY:
                self.below.setdefault(found.path, [])
            elif found.type is not EntryType.FILE and not is_unruled(above):
                self.report("LAYOUT-9", found.path, f"is a {found.type}")
        for problem in problems:
            rule = "LAYOUT-12" if isinstance(problem, FormatError) else "RECORD-12"
            self.report(rule, "", str(problem))

    def only(self, directory: str, kind: str, wanted: Mapping[str, EntryType]) -> None:
        """Report what lies in a directory of this kind and is not among what is wanted there."""
        for name in self.below.get(directory, ()):
            path = f"{directory}/{name}" if directory else name
            if name not in wanted:
                self.report("LAYOUT-3", path, f"{kind} holds no such entry")
            elif self.types[path] is not wanted[name]:
                self.report("LAYOUT-3", path, f"is a {self.types[path]}, not a {wanted[name]}")

    def is_file(self, path: str) -> bool:
        """Whether a regular file lies there."""
        return self.types.get(path) is EntryType.FILE

    def files(self, directory: str) -> Iterator[str]:
        """The paths of all files beneath a directory, in order."""
        for name in sorted(self.below.get(directory, ())):
            path = f"{directory}/{name}"
            if self.is_file(path):
                yield path
            yield from self.files(path)

    def sum_of(self, path: str) -> tuple[str, int]:
        """The digest and size of a file, or of a directory as one asset."""
        if path not in self._sums:
            self._sums[path] = self._add_up(path)
        return self._sums[path]

    def digest_of_first(self, path: str, size: int) -> str:
        """The digest of the first bytes of a file; of all, if it has fewer."""
        raw_hash = new_hash()
        try:
            with self.tree.open(path) as file:
                while chunk := file.read(min(_CHUNK, size)):
                    raw_hash.update(chunk)
                    size -= len(chunk)
        except _UNREADABLE as error:
            self.report("WRITE-3", path, f"cannot be read: {error}")
        return spell(raw_hash)

    def _add_up(self, path: str) -> tuple[str, int]:
        if not self.is_file(path):
            sums = {file[len(path) + 1 :]: self.sum_of(file) for file in self.files(path)}
            digest = total({file: one for file, (one, _) in sums.items()})
            return digest, sum(size for _, size in sums.values())
        raw_hash, size = new_hash(), 0
        try:
            with self.tree.open(path) as file:
                while chunk := file.read(_CHUNK):
                    raw_hash.update(chunk)
                    size += len(chunk)
        except _UNREADABLE as error:
            self.report("WRITE-3", path, f"cannot be read: {error}")
        return spell(raw_hash), size

    def record(self, path: str, kind: type[AnyRecord]) -> AnyRecord | None:
        """The record in a file; what is wrong with it is reported."""
        if not self.is_file(path):
            self.report("WRITE-3", path, "a record that should be here is not")
            return None
        try:
            data = self.tree.read(path, kind.max_bytes)
        except FormatError as error:
            self.report("RECORD-2", path, error.message)
            return None
        except _UNREADABLE as error:
            self.report("WRITE-3", path, f"cannot be read: {error}")
            return None
        return self.parsed(path, data, lambda: kind.from_json(data, path))

    def parsed(self, path: str, data: bytes, parse: Callable[[], AnyRecord]) -> AnyRecord | None:
        """What ``parse`` makes of some JSON; what is wrong with it is reported."""
        try:
            said = _load(data)
        except _NotJsonError as error:
            self.report(error.rule, path, str(error))
            return None
        try:
            record = parse()
        except FormatError as error:
            self.report(_rule_of(error), path, error.message)
            return None
        self._check_said(path, record, said)
        return record

    def _check_said(self, path: str, record: Record, said: Mapping[str, object]) -> None:
        """Report what a model makes sense of, and yet breaks a rule."""
        for name in said.keys() & _TIMES:
            if not _TIME.fullmatch(str(said[name])):
                self.report("RECORD-11", path, f"{name!r} is no time: {said[name]!r}")
        writer = said.get("writer", "")
        if writer and "writer" in type(record).model_fields and not layout.is_writer(str(writer)):
            self.report("ID-3", path, f"{writer!r} is no writer's id")

    def lines(
        self, path: str, names: Iterable[str], *, live: bool = False
    ) -> Iterator[tuple[str, Record]]:
        """The records in a file of lines, of which only ``names`` belong there.

        The last line of a ``live`` file may still be being written.
        """
        try:
            with self.tree.open(path) as file:
                while line := file.readline(MAX_RECORD_BYTES + 2):
                    if len(line) > MAX_RECORD_BYTES + 1:
                        self.report("LINE-5", path, f"a line has over {MAX_RECORD_BYTES:,} bytes")
                        while line and not line.endswith(b"\n"):
                            line = file.readline(_CHUNK)
                    elif line.endswith(b"\n"):
                        yield from self._line(path, line, names)
                    elif not live:
                        self.report("LINE-4", path, f"the last {len(line)} bytes end no line")
        except _UNREADABLE as error:
            self.report("WRITE-3", path, f"cannot be read: {error}")

    def _line(self, path: str, line: bytes, names: Iterable[str]) -> Iterator[tuple[str, Record]]:
        if line == b"\n":
            return
        try:
            name, inner = split_line(line)
            json.loads(inner)
        except RecursionError:
            self.report("RECORD-10", path, f"{line[:40]!r}: nested too deep to be read")
            return
        except ValueError as error:
            self.report("LINE-1", path, f"{line[:40]!r}: {error}")
            return
        if name != "asset" and name not in LINES:
            return  # a newer release wrote it
        if name not in names:
            self.report("LINE-6", path, f"a line of {name!r} does not belong here")
        elif name == "asset":
            if asset := self.parsed(path, inner, lambda: parse_asset(inner, path)):
                yield name, asset
        elif record := self.parsed(path, inner, lambda: LINES[name].from_json(inner, path)):
            yield name, record

    def name(self, uid: str, path: str) -> None:
        """Take down that a uid names what lies at ``path``."""
        self.places.setdefault(uid, []).append(path)

    def refer(self, path: str, uid: str | None, digest: str | None = None) -> None:
        """Take down that a record refers to an asset."""
        if uid is not None:
            self.references.append((path, uid, digest))

    def need(self, path: str, digest: str | None) -> None:
        """Take down that a record refers to an object."""
        if digest is not None:
            self.objects.append((path, digest))


def is_unruled(directory: str) -> bool:
    """Whether names and links in a directory are nobody's business.

    In an execution's ``work/`` a user's code rules, and what was removed is no part of the
    workspace.
    """
    return _UNRULED.fullmatch(directory) is not None


def _sayable(text: str) -> str:
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


class _NotJsonError(ValueError):
    """Text that is no JSON object, and the rule that it breaks."""

    def __init__(self, rule: str, message: str) -> None:
        super().__init__(message)
        self.rule = rule


def _load(data: bytes) -> dict[str, object]:
    """The JSON object in some bytes, by the letter of the standard."""
    try:
        value = json.loads(
            data.decode(), object_pairs_hook=_unique, parse_constant=_refuse_constant
        )
    except RecursionError as error:
        raise _NotJsonError("RECORD-10", "nested too deep to be read") from error
    except _NotJsonError:
        raise
    except ValueError as error:
        raise _NotJsonError("RECORD-1", f"not JSON in UTF-8: {error}") from error
    if not isinstance(value, dict):
        raise _NotJsonError("RECORD-1", "not an object")
    return value


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise _NotJsonError("RECORD-1", "a member comes twice in one object")
    return made


def _refuse_constant(text: str) -> Never:
    raise _NotJsonError("RECORD-8", f"{text} is no JSON number, and is written as a string")


def _rule_of(error: FormatError) -> str:
    """The rule that a record breaks which could not be read."""
    if isinstance(error, FormatVersionError):
        return "RECORD-4"
    return "RECORD-3" if error.details["place"] == "format" else "RECORD-5"
