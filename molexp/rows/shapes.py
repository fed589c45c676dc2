"""The documents of a workspace as the catalog takes them, decoded and typed in one go.

A document has a shape here if it is right beyond doubt; of every other one the record of the model
itself says what it is. So this may be stricter than ``molexp.model``, never laxer.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

Json = dict[str, Any]

UID = r"[0-7][0-9A-HJKMNP-TV-Z]{25}"
DIGEST = r"sha256:[0-9a-f]{64}"
TIME = (
    r"(?!0000)[0-9]{4}-(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])"
    r"|(?:0[13-9]|1[0-2])-(?:29|30)|(?:0[13578]|1[02])-31)"
    r"T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{6})?Z"
)
"""Any time but those of a leap day."""

_LEAST, _MOST = -(2**63), 2**63 - 1
_MAX_MESSAGES = 1000

_Uid = Annotated[str, Meta(pattern=rf"\A{UID}\Z")]
_Digest = Annotated[str, Meta(pattern=rf"\A{DIGEST}\Z")]
_Time = Annotated[str, Meta(pattern=rf"\A{TIME}\Z")]
_Count = Annotated[int, Meta(ge=0, le=_MOST)]
_Ordinal = Annotated[int, Meta(ge=1, le=_MOST)]
_Integer = Annotated[int, Meta(ge=_LEAST, le=_MOST)]
_Number = _Integer | float | Literal["NaN", "Infinity", "-Infinity"]
_Tags = dict[str, str | bool]
_Empty = Annotated[Json, Meta(max_length=0)]


class Part(Struct, forbid_unknown_fields=True, gc=False):
    """What stands within a document, or in a line that is none."""


class Shape(Part):
    """A document. What stands within it stays as JSON, of which ``parts`` says what it has to be.

    ``free`` are the members that may be any JSON.
    """

    parts: ClassVar[type[Part] | None] = None
    free: ClassVar[tuple[str, ...]] = ()

    unknown: MappingProxyType[str, Any] | None = None
    """Members of a later release; none is decoded to this type, not even one of this name."""


class Producer(Part, kw_only=True):
    """What made an asset."""

    run: _Uid | None = None
    execution: _Ordinal | None = None
    task: str | None = None
    consumed: list[_Uid] = []


class _OfAsset(Part, kw_only=True):
    producer: Producer | None = None


# Of these a record asks nothing but what is said here; others may have rules of their own.
Kind = Literal["artifact", "log", "checkpoint", "error_trace", "execution_state", "output"]


class Asset(Shape, kw_only=True):
    """An asset. Its texts of a fixed form are looked at together with those of others."""

    parts = _OfAsset
    free = ("meta", "value")

    asset_id: str
    kind: Kind
    name: str
    created_at: str
    version: _Ordinal = 1
    path: str | None = None
    size: _Count | None = None
    mime: str | None = None
    content_hash: str | None = None
    producer: Json | None = None
    tags: _Tags = {}
    meta: Json = {}
    value: Any = None
    parent: _Uid | None = None
    step: _Count | None = None
    type: str = ""
    message: str = ""


class Data(Asset, kw_only=True):
    """Imported or published data."""

    format: Literal[1]
    kind: Literal["data"]  # type: ignore[assignment]  # of no execution
    origin: str | None = None
    refers_to: _Uid | None = None


class Owner(Part, kw_only=True):
    """A process."""

    host: str
    boot_id: str
    pid_namespace: str
    time_namespace: str = ""
    pid: _Ordinal
    started: _Count


class _File(Part, kw_only=True):
    path: str
    size: _Count
    mtime_ns: _Integer
    object: _Digest | None = None
    left_out: str | None = None


class _Code(Part, kw_only=True):
    source: Literal["git", "files"]
    commit: str | None = None
    branch: str | None = None
    tag: str | None = None
    remote: str | None = None
    dirty: bool | None = None
    patch: _Digest | None = None
    files: list[_File] = []


class _Environment(Part, kw_only=True):
    python: str
    platform: str
    executable: str | None = None
    argv: list[str] = []
    cwd: str | None = None
    packages: _Digest | None = None
    lock_files: dict[str, _Digest] = {}
    variables: dict[str, str] = {}
    hardware: Json = {}


class _Snapshot(Part, kw_only=True):
    code: _Code | None = None
    environment: _Environment | None = None
    problems: list[str] = []


class _OfStart(Part, kw_only=True):
    owner: Owner
    snapshot: _Snapshot


class Start(Shape, kw_only=True):
    """The first line of a ledger."""

    parts = _OfStart
    free = ("config", "snapshot")

    format: Literal[1]
    uid: _Uid
    run: _Uid
    purpose: Literal["run", "hold"] = "run"
    links: bool = True
    owner: Json
    writer: str
    at: _Time
    durability: Literal["power", "process"] = "power"
    profile: str | None = None
    config: Json = {}
    config_hash: _Digest | None = None
    snapshot: Json = {}
    resumed_from: _Uid | None = None
    resumed_step: _Count | None = None


class Input(Shape, kw_only=True):
    """What an execution used."""

    free = ("value",)

    at: _Time
    asset: _Uid | None = None
    name: str | None = None
    value: Any = None
    path: str | None = None
    content_hash: _Digest | None = None
    task: str | None = None


class Change(Shape, kw_only=True):
    """A pause, or that it is over."""

    at: _Time
    by: str | None = None
    reason: str | None = None


class Edit(Shape, kw_only=True):
    """A change of a scope's record."""

    free = ("patch",)

    at: _Time
    writer: str
    by: str
    patch: Json
    reason: str | None = None


class _Problem(Part, kw_only=True):
    type: str
    message: str
    trace: _Uid | None = None


class _Metric(Part, kw_only=True):
    first: _Number
    last: _Number
    min: _Number
    max: _Number
    count: _Count


class Message(Part, kw_only=True):
    """A log record."""

    at: _Time
    level: str
    logger: str
    text: str


class Measured(Part, kw_only=True):
    """One value of a metric."""

    at: _Time
    key: str
    value: _Number
    step: _Count | None = None


class LiveLine(Struct, forbid_unknown_fields=True, gc=False):
    """A line of metrics or of log records: exactly one of these is there."""

    metric: Measured | UnsetType = UNSET
    message: Message | UnsetType = UNSET


class Entry(Part, kw_only=True):
    """A file of an execution."""

    path: str
    size: _Count
    mtime_ns: _Integer
    content_hash: _Digest | None = None


class _OfEnd(Part, kw_only=True):
    ended_by: Owner | None
    error: _Problem | None
    metrics: dict[str, _Metric]
    messages: Annotated[list[Message], Meta(max_length=_MAX_MESSAGES)]


class End(Shape, kw_only=True):
    """The end of an execution."""

    parts = _OfEnd

    format: Literal[1]
    uid: _Uid
    status: Literal["succeeded", "failed", "cancelled", "suspended"]
    ended_at: _Time
    ended_by: Json | None = None
    error: Json | None = None
    reason: str | None = None
    last_step: _Count | None = None
    metrics: Json = {}
    messages: list[Json] = []
    manifest: list[Entry] = []


class Line(Struct, forbid_unknown_fields=True, gc=False):
    """A line of a ledger or of edits: exactly one of these is there."""

    asset: Asset | UnsetType = UNSET
    start: Start | UnsetType = UNSET
    input: Input | UnsetType = UNSET
    paused: Change | UnsetType = UNSET
    resumed: Change | UnsetType = UNSET
    edit: Edit | UnsetType = UNSET


class _Workflow(Part, kw_only=True):
    path: str | None = None
    type: str | None = None
    object: _Digest | None = None
    git_commit: str | None = None


class Scope(Part, kw_only=True):
    """The record of a scope, of which none is made: it is taken as JSON, if it is one of these."""

    format: Literal[1]
    uid: _Uid
    name: str
    created_at: _Time
    description: str = ""
    notes: str = ""
    tags: _Tags = {}
    labels: _Tags = {}
    aliases: _Empty = {}


class _Workspace(Scope, kw_only=True):
    kind: Literal["workspace"]
    access: Literal["private", "group"] = "private"


class _Project(Scope, kw_only=True):
    kind: Literal["project"]


class _Experiment(Scope, kw_only=True):
    kind: Literal["experiment"]
    params: Json = {}
    workflow: _Workflow | None = None
    n_replicas: _Ordinal = 1
    seeds: list[_Integer] = []


class _Run(Scope, kw_only=True):
    kind: Literal["run"]
    parameters: Json = {}
    workflow: _Workflow | None = None
    replica: _Count | None = None
    deleted: _Tags = {}


SCOPES: dict[str, type[Scope]] = {
    "workspace": _Workspace,
    "project": _Project,
    "experiment": _Experiment,
    "run": _Run,
}
"""The records of scopes, by what they are of."""

SHAPES: dict[str, type[Shape]] = {
    "asset": Asset,
    "data": Data,
    "start": Start,
    "input": Input,
    "paused": Change,
    "resumed": Change,
    "edit": Edit,
    "end": End,
}
"""All other documents."""
