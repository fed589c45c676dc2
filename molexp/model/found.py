"""What a search finds: the records of scopes with where they lie, and how their runs went."""

from __future__ import annotations

from pydantic import Field

from molexp.model.record import Count, Digest, FreeMapping, Record, Uid, UtcTime
from molexp.model.scope import ExperimentMeta, ProjectMeta, RunMeta
from molexp.model.state import ExecutionState


class FoundProject(ProjectMeta):
    """A project as it reads now, and where it lies."""

    address: str


class FoundExperiment(ExperimentMeta):
    """An experiment as it reads now, and where it lies."""

    address: str


class FoundRun(RunMeta):
    """A run as it reads now, where it lies, and how its newest execution went."""

    address: str
    status: ExecutionState
    executions: Count
    started_at: UtcTime | None = None
    ended_at: UtcTime | None = None
    error_type: str | None = None
    error_message: str | None = None

    @property
    def id(self) -> str:
        """Its id: the name of its directory."""
        return self.address.rpartition("/")[2]

    @property
    def finished_at(self) -> UtcTime | None:
        """When its newest execution ended."""
        return self.ended_at


class FoundExecution(Record):
    """One attempt at a run: how it began and, if it has, how it ended."""

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
