"""What was captured of the code and the environment when an execution started."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from molexp.model.record import Count, Digest, FreeMapping, Int64, Record


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
