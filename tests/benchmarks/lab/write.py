"""Write a workspace of any size: its bytes are pasted, and put down by plain calls.

Files have the modes and times that the records say, so that nothing tells them from recorded ones
but their regularity.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from molexp.disk import layout
from molexp.disk.layout import ACCESS, ROOT_MODES
from molexp.model.address import Address
from molexp.model.codec import join_line
from molexp.model.ids import ulid
from molexp.model.scope import ExperimentMeta, ProjectMeta, ScopeMeta, WorkspaceMeta
from tests.benchmarks.lab import moulds
from tests.benchmarks.lab.facts import (
    BEGAN,
    EXPERIMENTS,
    LUCK_BYTES,
    PROJECTS,
    Plan,
    RunFacts,
    experiment_address,
    runs,
)

_EXECUTION = layout.execution_name(1)
_MODES = ACCESS["private"]
_BYTES = 8
"""So many bytes has an artifact: enough to be told from every other."""

_ERROR = ("ValueError", "the loss is not finite")
_TRACE = """Traceback (most recent call last):
  File "fit.py", line 17, in <module>
    fit(seed=%06d)
  File "fit.py", line 9, in fit
    raise ValueError("the loss is not finite")
ValueError: the loss is not finite
"""
_OUTPUTS = (1, 6)  # of ten assets; the others are artifacts
_VALUES = 3  # that a measured run has of its metric

Report = Callable[[int], object]
"""Is told now and then how many runs there are."""


class _File(NamedTuple):
    path: str
    data: bytes
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class _Moment:
    """A time as records print it, and as file systems and uids count it."""

    second: str
    since: int
    micro: int

    @classmethod
    def at(cls, milliseconds: int, micro: int) -> _Moment:
        """Some microseconds after a millisecond, and never at a full second."""
        since, rest = divmod(milliseconds, 1000)
        return cls(_second(since), since, rest * 1000 + micro + 1)

    def text(self, later: int = 0) -> bytes:
        """So many microseconds later, in the same second."""
        return f"{self.second}.{self.micro + later:06d}Z".encode()

    def nanoseconds(self, later: int = 0) -> int:
        return (self.since * 1_000_000 + self.micro + later) * 1000


class _Texts:
    """What a run's files say."""

    def __init__(self, assets: int) -> None:
        names = [f"result-{index:02d}.bin" for index in range(assets)]
        paths = [f"{layout.ARTIFACTS}/{name}" for name in names]
        self._artifacts = [
            (path, moulds.artifact(name, path, _BYTES), moulds.file_entry(path))
            for name, path in zip(names, paths, strict=True)
        ]
        self._outputs = {
            index: moulds.output(f"output-{index:02d}")
            for index in range(assets)
            if index % 10 in _OUTPUTS
        }
        self._trace = moulds.trace(layout.ERROR, len(_TRACE % 0), _ERROR)
        others = (layout.ERROR, layout.LEDGER, layout.METRICS, layout.RECORDS)
        self._entries = {path: moulds.file_entry(path) for path in others}
        self._ends = {False: moulds.end(None), True: moulds.end(_ERROR)}

    def files_of(self, facts: RunFacts) -> tuple[str, bytes, list[_File], bytes]:
        """The run's id, its meta.json, the files of its execution, and the line of its edit."""
        luck, made = facts.luck, _Moment.at(facts.milliseconds, facts.luck[30])
        uids = [uid.encode() for uid in facts.uids()]
        identity = facts.name
        given = json.dumps(facts.parameters, separators=(",", ":")).encode()
        meta = moulds.RUN.fill(uids[0], identity.encode(), made.text(), given)
        ended = _later(made, 1 + luck[24] % 20)
        files, lines = self._assets(facts, uids[2:], made)
        start = moulds.START.fill(uids[1], uids[0], made.text(400))
        last = ended if facts.is_failed else made
        files.append(_File(layout.LEDGER, start + b"".join(lines), last.nanoseconds()))
        metrics, messages = self._told(facts, made, files)
        files.sort()
        trace = (uids[-1],) if facts.is_failed else ()
        manifest = b",".join(self._entry(file) for file in files)
        end = self._ends[facts.is_failed].fill(
            uids[1], ended.text(), *trace, metrics, messages, manifest
        )
        files.append(_File(layout.END, end, ended.nanoseconds()))
        edit = b"\n" + moulds.EDIT.fill(_later(ended, 5).text(), b"yes") if facts.is_edited else b""
        return identity, meta, files, edit

    def _assets(
        self, facts: RunFacts, uids: list[bytes], made: _Moment
    ) -> tuple[list[_File], list[bytes]]:
        """What the run saved; a failed one stopped before the last, and left its trace instead."""
        files, lines = [], []
        for index, uid in enumerate(uids[:-1] if facts.is_failed else uids):
            later = 1000 + 500 * index
            if index in self._outputs:
                value = b"%r" % (facts.luck[index % LUCK_BYTES] / 8)
                lines.append(self._outputs[index].fill(uid, made.text(later), value))
                continue
            path, line, _ = self._artifacts[index]
            data = facts.number.to_bytes(4, "big") + index.to_bytes(4, "big")
            files.append(_File(path, data, made.nanoseconds(later)))
            lines.append(line.fill(uid, made.text(later), _digest(data)))
        if facts.is_failed:
            data = (_TRACE % facts.number).encode()
            later = 1000 + 500 * len(lines)
            files.append(_File(layout.ERROR, data, made.nanoseconds(later)))
            lines.append(self._trace.fill(uids[-1], made.text(later), _digest(data)))
        return files, lines

    def _told(self, facts: RunFacts, made: _Moment, files: list[_File]) -> tuple[bytes, bytes]:
        """The metrics and messages of the end; the lines that say them go to the files."""
        metrics = messages = b""
        if facts.is_measured:
            values = [(1 + facts.luck[25]) / (1 + step) for step in range(_VALUES)]
            printed = [b"%r" % value for value in values]
            lines = [
                moulds.METRIC.fill(made.text(900 + step), value, b"%d" % step)
                for step, value in enumerate(printed)
            ]
            files.append(_File(layout.METRICS, b"".join(lines), made.nanoseconds(900)))
            summary = (printed[0], printed[-1], printed[-1], printed[0], b"%d" % _VALUES)
            metrics = b'"loss":' + moulds.SUMMARY.fill(*summary)
        if facts.is_warned:
            messages = moulds.MESSAGE.fill(made.text(950), b"step %d is slow" % facts.luck[26])
            line = join_line("message", messages)
            files.append(_File(layout.RECORDS, line, made.nanoseconds(950)))
        return metrics, messages

    def _entry(self, file: _File) -> bytes:
        mould = self._entries.get(file.path)
        if mould is None:
            mould = self._artifacts[int(file.path[-6:-4])][2]
        return mould.fill(b"%d" % len(file.data), b"%d" % file.mtime_ns, _digest(file.data))


def _later(moment: _Moment, seconds: int) -> _Moment:
    since = moment.since + seconds
    return _Moment(_second(since), since, moment.micro)


def _second(since: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(since))


def _digest(data: bytes) -> bytes:
    return b"sha256:" + sha256(data).hexdigest().encode()


def make(root: Path, plan: Plan, report: Report = lambda _: None) -> None:
    """Make a workspace where nothing is."""
    os.mkdir(root, ROOT_MODES["private"])
    before = os.umask(0o022)
    try:
        with ExitStack() as stack:
            places = {
                place: stack.enter_context(_Place(root / layout.scope_path(place) / layout.RUNS))
                for place in _make_scopes(root, plan)
            }
            texts = _Texts(plan.assets)
            for facts in runs(plan):
                address = Address.parse(facts.experiment_address)
                _put_run(places[address].fd, *texts.files_of(facts), plan.files)
                if facts.number % 10_000 == 9_999:
                    report(facts.number + 1)
    finally:
        os.umask(before)


class _Place:
    """An open directory."""

    def __init__(self, path: Path) -> None:
        self.fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)

    def __enter__(self) -> _Place:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.fd)


def _make_scopes(root: Path, plan: Plan) -> list[Address]:
    """The workspace, its projects, and their experiments, whose addresses these are."""
    began = datetime.fromtimestamp(BEGAN, UTC) - timedelta(days=1) + timedelta(microseconds=7)
    common = {"format": 1, "created_at": began}
    uids = (ulid(BEGAN * 1000, sha256(b"%d" % n).digest()[:16]) for n in range(10_000))
    labels = plan.to_labels()
    found = WorkspaceMeta.make(
        kind="workspace", uid=next(uids), name="bench", labels=labels, **common
    )
    _put_scope(root, Address(), found)
    experiments = []
    for project in range(PROJECTS):
        above = Address((f"p{project}",))
        made = ProjectMeta.make(kind="project", uid=next(uids), name=f"P{project}", **common)
        _put_scope(root, above, made)
        for number in range(EXPERIMENTS):
            place = Address.parse(experiment_address(project, number))
            recipe = ExperimentMeta.make(
                kind="experiment",
                uid=next(uids),
                name=f"E{number}",
                params={"recipe": number},
                workflow=moulds.WORKFLOW,
                **common,
            )
            _put_scope(root, place, recipe)
            experiments.append(place)
    return experiments


def _put_scope(root: Path, address: Address, meta: ScopeMeta) -> None:
    place = root / layout.scope_path(address)
    below = place / layout.BELOW[address.kind]
    os.makedirs(below, _MODES.directory)
    with _Place(place) as directory:
        _put(directory.fd, layout.META, meta.to_json(), _MODES.file)


def _put_run(
    place: int, name: str, meta: bytes, files: Iterable[_File], edit: bytes, with_bytes: bool
) -> None:
    execution = f"{name}/{_EXECUTION}"
    os.mkdir(name, _MODES.directory, dir_fd=place)
    _put(place, f"{name}/{layout.META}", meta, _MODES.file)
    os.mkdir(execution, _MODES.directory, dir_fd=place)
    made = []
    for path, data, mtime_ns in files:
        above, _, _ = path.rpartition("/")
        if above == layout.ARTIFACTS and not with_bytes:
            continue
        if above and above not in made:
            os.mkdir(f"{execution}/{above}", _MODES.directory, dir_fd=place)
            made.append(above)
        _put(place, f"{execution}/{path}", data, _MODES.ended_file, mtime_ns)
    for above in (*(f"{execution}/{each}" for each in made), execution):
        os.chmod(above, _MODES.ended_directory, dir_fd=place)
    if edit:
        _put(place, f"{name}/{moulds.EDITS}", edit, _MODES.file)


def _put(place: int, name: str, data: bytes, mode: int, mtime_ns: int | None = None) -> None:
    file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode, dir_fd=place)
    os.write(file, data)
    if mtime_ns is not None:
        os.utime(file, ns=(mtime_ns, mtime_ns))
    os.close(file)
