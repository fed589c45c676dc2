"""What a run's files tell of it, gathered at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from molexp.model.execution import End, MetricSummary, Owner, Problem, Snapshot, Start
from molexp.model.scope import RunMeta, WorkflowSource
from molexp.model.state import ExecutionState


@dataclass(frozen=True, repr=False)
class ExecutionInfo:
    """One attempt at a run: how it began and, if it has, how it ended."""

    number: int
    status: ExecutionState
    start: Start
    end: End | None

    def __repr__(self) -> str:
        ended = (
            f", finished_at={self.finished_at:%Y-%m-%dT%H:%M:%SZ}"
            if self.finished_at is not None
            else ""
        )
        said = f"number={self.number}, status={self.status.value!r}"
        return f"ExecutionInfo({said}, started_at={self.started_at:%Y-%m-%dT%H:%M:%SZ}{ended})"

    @property
    def execution_id(self) -> str:
        """Its uid."""
        return self.start.uid

    @property
    def started_at(self) -> datetime:
        """When it began."""
        return self.start.at

    @property
    def finished_at(self) -> datetime | None:
        """When it ended."""
        return self.end.ended_at if self.end is not None else None

    @property
    def owner(self) -> Owner:
        """The process that started it."""
        return self.start.owner

    @property
    def error(self) -> Problem | None:
        """The exception that ended it."""
        return self.end.error if self.end is not None else None

    @property
    def reason(self) -> str | None:
        """Why it ended as it did, if somebody said so."""
        return self.end.reason if self.end is not None else None

    @property
    def last_step(self) -> int | None:
        """The step of its last checkpoint, or at which it was suspended."""
        return self.end.last_step if self.end is not None else None

    @property
    def metrics(self) -> Mapping[str, MetricSummary]:
        """Its metrics, summed up."""
        return self.end.metrics if self.end is not None else {}


@dataclass(frozen=True)
class RunMetadata:
    """A run's record, its status and all its executions, as they were when this was asked for."""

    record: RunMeta
    status: ExecutionState
    execution_history: tuple[ExecutionInfo, ...]

    @property
    def latest(self) -> ExecutionInfo | None:
        """The newest execution."""
        return self.execution_history[-1] if self.execution_history else None

    @property
    def uid(self) -> str:
        """The run's identity."""
        return self.record.uid

    @property
    def created_at(self) -> datetime:
        """When the run was made."""
        return self.record.created_at

    @property
    def parameters(self) -> dict[str, Any]:
        """The run's parameters."""
        return self.record.parameters

    parameter_space = parameters

    @property
    def tags(self) -> dict[str, str | bool]:
        """Names, each with a text or true."""
        return self.record.tags

    @property
    def workflow_snapshot(self) -> WorkflowSource | None:
        """The recipe: path, commit, and the object that keeps its bytes."""
        return self.record.workflow

    @property
    def error(self) -> Problem | None:
        """The exception that ended the newest execution."""
        return self.latest.error if self.latest is not None else None

    @property
    def started_at(self) -> datetime | None:
        """When the newest execution began."""
        return self.latest.started_at if self.latest is not None else None

    @property
    def finished_at(self) -> datetime | None:
        """When the newest execution ended."""
        return self.latest.finished_at if self.latest is not None else None

    @property
    def last_step(self) -> int | None:
        """The step that the newest execution got to."""
        return self.latest.last_step if self.latest is not None else None

    @property
    def profile(self) -> str | None:
        """The name of the newest execution's configuration."""
        return self.latest.start.profile if self.latest is not None else None

    @property
    def config(self) -> dict[str, Any]:
        """The newest execution's configuration."""
        return self.latest.start.config if self.latest is not None else {}

    @property
    def config_hash(self) -> str | None:
        """The fingerprint of that configuration."""
        return self.latest.start.config_hash if self.latest is not None else None

    @property
    def snapshot(self) -> Snapshot:
        """The code and environment that the newest execution started with."""
        return self.latest.start.snapshot if self.latest is not None else Snapshot()
