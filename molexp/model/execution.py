"""Executions: the records that tell who owns one, how it starts, what it does and how it ends.

A line of a ledger is an object with one member, whose name says what the line records.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field

from molexp.model.codec import MAX_MANIFEST_BYTES
from molexp.model.digest import sum_text
from molexp.model.ids import Process
from molexp.model.record import (
    Count,
    Digest,
    Document,
    Edit,
    Free,
    FreeMapping,
    Int64,
    Number,
    Record,
    Uid,
    UtcTime,
)
from molexp.model.state import ExecutionState

MAX_MESSAGES = 1000  # of the warnings that an end repeats


class Owner(Record):
    """One process, told apart from every other that ever lived on any machine."""

    host: str
    boot_id: str
    pid_namespace: str
    time_namespace: str = ""
    pid: Annotated[int, Field(ge=1)]
    started: Count

    @classmethod
    def of(cls, process: Process) -> Self:
        """The record of a process."""
        return cls.sure(**process._asdict())

    @property
    def process(self) -> Process:
        """The process that it names."""
        return Process(
            self.host,
            self.boot_id,
            self.pid_namespace,
            self.time_namespace,
            self.pid,
            self.started,
        )

    def __str__(self) -> str:
        return str(self.process)


class CapturedFile(Record):
    """A file that no commit holds: its bytes are an object, or were left out for a reason."""

    path: str
    size: Count
    mtime_ns: Int64
    object: Digest | None = None
    left_out: str | None = None


class CodeSnapshot(Record):
    """Where the code stood: a commit, and exactly what differed from it.

    ``dirty`` is null where nobody looked whether anything did.
    """

    source: Literal["git", "files"]
    commit: str | None = None
    branch: str | None = None
    tag: str | None = None
    remote: str | None = None
    dirty: bool | None = None
    patch: Digest | None = None
    files: tuple[CapturedFile, ...] = ()


class EnvironmentSnapshot(Record):
    """What the code ran in. ``packages`` and ``lock_files`` are objects."""

    python: str
    platform: str
    executable: str | None = None
    argv: tuple[str, ...] = ()
    cwd: str | None = None
    packages: Digest | None = None
    lock_files: dict[str, Digest] = Field(default_factory=dict)
    variables: dict[str, str] = Field(default_factory=dict)
    hardware: FreeMapping = Field(default_factory=dict)


class Snapshot(Record):
    """The essentials stand inline in an execution's first line; whatever is long is an object."""

    code: CodeSnapshot | None = None
    environment: EnvironmentSnapshot | None = None
    problems: tuple[str, ...] = ()


class Start(Document):
    """The first line of a ledger: who started it, when, with which configuration and code."""

    uid: Uid
    run: Uid
    purpose: Literal["run", "hold"] = "run"
    links: bool = True
    owner: Owner
    writer: str
    at: UtcTime
    durability: Literal["power", "process"] = "power"
    profile: str | None = None
    config: FreeMapping = Field(default_factory=dict)
    config_hash: Digest | None = None
    snapshot: Snapshot = Field(default_factory=Snapshot)
    resumed_from: Uid | None = None
    resumed_step: Count | None = None


class Input(Record):
    """What the execution used: an asset, or a value or path given by name."""

    at: UtcTime
    asset: Uid | None = None
    name: str | None = None
    value: Free = None
    path: str | None = None
    content_hash: Digest | None = None
    task: str | None = None


class StateChange(Record):
    """A pause or a resumption, and on whose request."""

    at: UtcTime
    by: str | None = None
    reason: str | None = None


class Problem(Record):
    """An exception, as an end tells it; its traceback is the asset."""

    type: str
    message: str
    trace: Uid | None = None


class MetricSummary(Record):
    """One metric over a whole execution."""

    first: Number
    last: Number
    min: Number
    max: Number
    count: Count


class Message(Record):
    """A log record: a line of ``logs/records.jsonl``, and in an end if it is a warning or worse."""

    at: UtcTime
    level: str
    logger: str
    text: str


class Metric(Record):
    """One value of a metric, a line of ``metrics.jsonl``."""

    at: UtcTime
    key: str
    value: Number
    step: Count | None = None


LINES: dict[str, type[Record]] = {
    "start": Start,
    "input": Input,
    "paused": StateChange,
    "resumed": StateChange,
    "metric": Metric,
    "message": Message,
    "edit": Edit,
}
"""Lines by the name of their one member; an ``asset`` line is parsed by its kind."""


class FileEntry(Record):
    """One file: ``content_hash`` is null for a file that nobody has read whole."""

    path: str
    size: Count
    mtime_ns: Int64
    content_hash: Digest | None = None


def _ascending(entries: tuple[FileEntry, ...]) -> tuple[FileEntry, ...]:
    for one, other in pairwise(entries):
        if one.path >= other.path:
            raise ValueError(f"{other.path!r} follows {one.path!r}: paths ascend, each comes once")
    return entries


Manifest = Annotated[tuple[FileEntry, ...], AfterValidator(_ascending)]
"""All files of an execution; paths ascend and each comes once."""


def in_order(entries: Iterable[FileEntry]) -> tuple[FileEntry, ...]:
    """The entries as a manifest wants them."""
    return tuple(sorted(entries, key=lambda entry: entry.path))


def digests(entries: Iterable[FileEntry]) -> dict[str, str]:
    """The digest of each file that was read."""
    return {entry.path: entry.content_hash for entry in entries if entry.content_hash}


def checksums(entries: Iterable[FileEntry]) -> str:
    """Text for ``sha256sum -c``, of the files that were read."""
    return sum_text(digests(entries))


class End(Document):
    """``end.json``: it closes an execution. Created once; from then on nothing changes."""

    max_bytes = MAX_MANIFEST_BYTES

    uid: Uid
    status: Literal[
        ExecutionState.SUCCEEDED,
        ExecutionState.FAILED,
        ExecutionState.CANCELLED,
        ExecutionState.SUSPENDED,
    ]
    ended_at: UtcTime
    ended_by: Owner | None = None
    error: Problem | None = None
    reason: str | None = None
    last_step: Count | None = None
    metrics: dict[str, MetricSummary] = Field(default_factory=dict)
    messages: tuple[Message, ...] = Field(default=(), max_length=MAX_MESSAGES)
    manifest: Manifest = ()


class Request(Document):
    """What someone else asks of the owner of an execution."""

    uid: Uid
    verb: Literal["cancel", "pause", "resume"]
    execution: Uid
    at: UtcTime
    writer: str
    by: str
    reason: str | None = None


class FoundExecution(Record):
    """An execution that a search found: where, how it began and, if it has, how it ended."""

    address: str
    number: Count
    uid: Uid | None = None
    status: ExecutionState
    started_at: UtcTime | None = None
    ended_at: UtcTime | None = None
    host: str | None = None
    pid: Count | None = None
    durability: str | None = None
    profile: str | None = None
    config: FreeMapping = Field(default_factory=dict)
    config_hash: Digest | None = None
    git_commit: str | None = None
    resumed_from: Uid | None = None
    resumed_step: Count | None = None
    last_step: Count | None = None
    reason: str | None = None
    error_type: str | None = None
    error_message: str | None = None
    error_trace: Uid | None = None
