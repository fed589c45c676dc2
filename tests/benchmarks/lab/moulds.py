"""Records as molexp prints them, with holes: the library makes one of each, the rest is pasting.

So the bytes follow the library, whatever it comes to print, and cost a hundredth of a record.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from molexp.model.asset import ArtifactAsset, Asset, ErrorTraceAsset, OutputAsset
from molexp.model.codec import join_line
from molexp.model.digest import hex_of, of_bytes
from molexp.model.execution import (
    End,
    FileEntry,
    Message,
    Metric,
    MetricSummary,
    Owner,
    Problem,
    Start,
)
from molexp.model.ids import ENTROPY_BYTES, ulid
from molexp.model.record import Edit, Record
from molexp.model.scope import RunMeta, WorkflowSource

OWNER = Owner.make(
    host="lab-ws1",
    boot_id="5f0c9b2e-7d3a-4c1e-9a55-2f8f0e6d1c34",
    pid_namespace="pid:[4026531836]",
    time_namespace="time:[4026531834]",
    pid=4242,
    started=1048576,
)
_KERNEL = "\n".join((OWNER.boot_id, OWNER.pid_namespace, OWNER.time_namespace))
WRITER = f"{hex_of(of_bytes(_KERNEL.encode()))[:10]}-{OWNER.pid}-{OWNER.started}-5eed01"
EDITS = "edits-lab-ws1-ada.jsonl"

WORKFLOW = WorkflowSource.make(git_commit="71df111ee86369251e4a6ab4e46720051a16ae2a")

_UIDS = [ulid(number, bytes(ENTROPY_BYTES)) for number in range(1, 4)]
_TIMES = [datetime(1971, 2, 3, 4, 5, second, 6, tzinfo=UTC) for second in range(3)]
_DIGEST = "sha256:" + "0123456789abcdef" * 4
_NUMBERS = [11.0625, 22.0625, 33.0625, 44.0625]
_COUNT = 918273645
_WORD = "hole-in-the-mould"


class Mould:
    """A record, or what else was printed, with holes where these values stand, in this order."""

    def __init__(self, printed: bytes, *holes: object) -> None:
        rest, parts = printed, []
        for hole in holes:
            before, found, rest = rest.partition(_printed(hole))
            if not found:
                raise ValueError(f"{hole!r} is not where it should be in {printed!r}")
            parts.append(before.replace(b"%", b"%%"))
        self.text = b"%b".join([*parts, rest.replace(b"%", b"%%")])

    def fill(self, *values: bytes) -> bytes:
        """The record with these values, as they are printed."""
        return self.text % values


def _printed(value: object) -> bytes:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z").encode()
    return str(value).encode() if not isinstance(value, bytes) else value


def _line(name: str, record: Record, *holes: object) -> Mould:
    return Mould(join_line(name, record.to_json()), *holes)


def _asset(kind: type[Asset], *holes: object, **members: Any) -> Mould:
    made = kind.make(asset_id=_UIDS[0], created_at=_TIMES[0], **members)
    return _line("asset", made, _UIDS[0], _TIMES[0], *holes)


RUN = Mould(
    RunMeta.make(
        format=1,
        kind="run",
        uid=_UIDS[0],
        name=_WORD,
        created_at=_TIMES[0],
        parameters={"hole": 1},
        workflow=WORKFLOW,
    ).to_json(),
    *(_UIDS[0], _WORD, _TIMES[0], b'{"hole":1}'),
)
"""uid, name, time, parameters."""

START = _line(
    "start",
    Start.make(
        format=1,
        uid=_UIDS[0],
        run=_UIDS[1],
        owner=OWNER,
        writer=WRITER,
        at=_TIMES[0],
        durability="process",
    ),
    *(_UIDS[0], _UIDS[1], _TIMES[0]),
)
"""uid, the run's uid, time."""


def artifact(name: str, path: str, size: int) -> Mould:
    """The line of an artifact: uid, time, digest."""
    mime = "application/octet-stream"
    members = {"name": name, "path": path, "size": size, "mime": mime, "content_hash": _DIGEST}
    return _asset(ArtifactAsset, _DIGEST, **members)


def output(name: str) -> Mould:
    """The line of an output: uid, time, value."""
    return _asset(OutputAsset, _NUMBERS[0], name=name, value=_NUMBERS[0])


def trace(path: str, size: int, error: tuple[str, str]) -> Mould:
    """The line of a trace: uid, time, digest."""
    kind, message = error
    return _asset(
        ErrorTraceAsset,
        _DIGEST,
        name="error",
        path=path,
        size=size,
        mime="text/plain",
        content_hash=_DIGEST,
        type=kind,
        message=message,
    )


METRIC = _line(
    "metric",
    Metric.make(at=_TIMES[0], key="loss", value=_NUMBERS[0], step=_COUNT),
    *(_TIMES[0], _NUMBERS[0], _COUNT),
)
"""time, value, step."""

_SUMMARY = MetricSummary.make(
    **dict(zip(("first", "last", "min", "max"), _NUMBERS, strict=True)), count=_COUNT
)
SUMMARY = Mould(_SUMMARY.to_json(), *_NUMBERS, _COUNT)
"""first, last, min, max, count."""

_MESSAGE = Message.make(at=_TIMES[0], level="WARNING", logger="molexp.run", text=_WORD)
MESSAGE = Mould(_MESSAGE.to_json(), _TIMES[0], _WORD)
"""time, text."""

EDIT = _line(
    "edit",
    Edit.make(at=_TIMES[0], writer=WRITER, by="ada@lab-ws1", patch={"tags": {"keep": _WORD}}),
    *(_TIMES[0], _WORD),
)
"""time, value of the tag."""


def file_entry(path: str) -> Mould:
    """A file in a manifest: size, mtime_ns, digest."""
    entry = FileEntry.make(path=path, size=_COUNT, mtime_ns=_COUNT, content_hash=_DIGEST)
    return Mould(entry.to_json(), _COUNT, _COUNT, _DIGEST)


def end(error: tuple[str, str] | None) -> Mould:
    """An end: uid, time, the trace's uid if it failed, metrics, messages, manifest."""
    problem: Problem | None = None
    holes: list[object] = [_UIDS[0], _TIMES[0]]
    if error is not None:
        problem = Problem.make(type=error[0], message=error[1], trace=_UIDS[1])
        holes.append(_UIDS[1])
    record = End.make(
        format=1,
        uid=_UIDS[0],
        status="succeeded" if error is None else "failed",
        ended_at=_TIMES[0],
        ended_by=OWNER,
        error=problem,
    )
    printed = record.to_json()
    for member in (b'"metrics":{', b'"messages":[', b'"manifest":['):
        printed = printed.replace(member, member + _WORD.encode())
    return Mould(printed, *holes, _WORD, _WORD, _WORD)
