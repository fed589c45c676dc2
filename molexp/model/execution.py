"""Executions: who owns one, the states it goes through, and the records that tell of it.

A line of a ledger is an object with one member, whose name says what the line records.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from molexp.errors import TransitionError
from molexp.model.manifest import Manifest
from molexp.model.record import (
    MAX_MANIFEST_BYTES,
    Count,
    Digest,
    Document,
    Edit,
    Free,
    FreeMapping,
    Number,
    Record,
    Uid,
    UtcTime,
)
from molexp.model.snapshot import Snapshot

MAX_MESSAGES = 1000  # of the warnings that an end repeats


class ExecutionState(StrEnum):
    """The states of a run; ``unknown`` is read from an owner's silence and never stored."""

    PENDING = "pending"
    RUNNING = "running"
    PAUSED = "paused"
    SUSPENDED = "suspended"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"

    @property
    def is_terminal(self) -> bool:
        """Whether an execution ends in it."""
        return self in TERMINAL


TERMINAL = frozenset(
    [
        ExecutionState.SUCCEEDED,
        ExecutionState.FAILED,
        ExecutionState.CANCELLED,
        ExecutionState.SUSPENDED,
    ]
)
"""The states in which an execution ends."""

TRANSITIONS: dict[ExecutionState, frozenset[ExecutionState]] = {
    ExecutionState.PENDING: frozenset([ExecutionState.RUNNING, ExecutionState.CANCELLED]),
    ExecutionState.RUNNING: TERMINAL | {ExecutionState.PAUSED},
    ExecutionState.PAUSED: TERMINAL | {ExecutionState.RUNNING},
    ExecutionState.SUSPENDED: frozenset(),
    ExecutionState.SUCCEEDED: frozenset(),
    ExecutionState.FAILED: frozenset(),
    ExecutionState.CANCELLED: frozenset(),
}
"""From each state of an execution, the states that may follow. Another start is another one."""


def check_transition(current: ExecutionState, wanted: ExecutionState) -> None:
    """Raises TransitionError unless ``wanted`` may follow ``current``."""
    allowed = TRANSITIONS.get(current, frozenset())
    if wanted in allowed:
        return
    if allowed:
        cure = f"from {current} it can become {', '.join(sorted(allowed))}"
    elif current is ExecutionState.UNKNOWN:
        cure = "start it again where its owner ran, or say `reap(confirm=True)` if that is over"
    else:
        cure = "an execution that ended never changes: start the run again"
    raise TransitionError(
        f"an execution that is {current} cannot become {wanted}",
        cure=cure,
        current=current,
        wanted=wanted,
        allowed=sorted(allowed),
    )


class Owner(Record):
    """One process, told apart from every other that ever lived on any machine."""

    host: str
    boot_id: str
    pid_namespace: str
    time_namespace: str = ""
    pid: Annotated[int, Field(ge=1)]
    started: Count

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


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
