"""The four scopes: the record that makes a directory one of them, and how its edits change it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Annotated, ClassVar, Literal, TypeVar

from pydantic import Field

from molexp.errors import FormatError
from molexp.model.address import ScopeKind
from molexp.model.record import (
    Count,
    Digest,
    Document,
    Edit,
    FreeMapping,
    Int64,
    Record,
    Tags,
    Uid,
    UtcTime,
    merge_patch,
)
from molexp.model.state import ExecutionState


class ScopeMeta(Document):
    """What all scopes' ``meta.json`` say: identity, and what was said of it at creation."""

    identity: ClassVar[frozenset[str]] = frozenset(
        ["format", "kind", "uid", "name", "created_at", "access", "params", "parameters"]
    )
    """What no edit may change."""

    kind: ScopeKind
    uid: Uid
    name: str
    created_at: UtcTime
    description: str = ""
    notes: str = ""
    tags: Tags = Field(default_factory=dict)
    labels: Tags = Field(default_factory=dict)
    aliases: dict[str, Uid] = Field(default_factory=dict)


class WorkspaceMeta(ScopeMeta):
    """A workspace's ``meta.json``."""

    kind: Literal[ScopeKind.WORKSPACE] = ScopeKind.WORKSPACE
    access: Literal["private", "group"] = "private"


class ProjectMeta(ScopeMeta):
    """A project's ``meta.json``."""

    kind: Literal[ScopeKind.PROJECT] = ScopeKind.PROJECT


class WorkflowSource(Record):
    """Where a recipe is: its path, the object that keeps its bytes, the commit."""

    path: str | None = None
    type: str | None = None
    object: Digest | None = None
    git_commit: str | None = None


class ExperimentMeta(ScopeMeta):
    """An experiment's ``meta.json``: the recipe."""

    kind: Literal[ScopeKind.EXPERIMENT] = ScopeKind.EXPERIMENT
    params: FreeMapping = Field(default_factory=dict)
    workflow: WorkflowSource | None = None
    n_replicas: Annotated[int, Field(ge=1)] = 1
    seeds: tuple[Int64, ...] = ()


class RunMeta(ScopeMeta):
    """A run's ``meta.json``: one realization of the recipe. Its ``name`` is its id.

    ``deleted`` names executions by uid, each with the reason or ``true``: readers hide them.
    """

    kind: Literal[ScopeKind.RUN] = ScopeKind.RUN
    parameters: FreeMapping = Field(default_factory=dict)
    workflow: WorkflowSource | None = None
    replica: Count | None = None
    deleted: Tags = Field(default_factory=dict)


class FoundProject(ProjectMeta):
    """A project that a search found: as it reads now, and where it lies."""

    address: str


class FoundExperiment(ExperimentMeta):
    """An experiment that a search found: as it reads now, and where it lies."""

    address: str


class FoundRun(RunMeta):
    """A run that a search found: as it reads now, where it lies, how its newest execution went."""

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


META: dict[ScopeKind, type[ScopeMeta]] = {
    ScopeKind.WORKSPACE: WorkspaceMeta,
    ScopeKind.PROJECT: ProjectMeta,
    ScopeKind.EXPERIMENT: ExperimentMeta,
    ScopeKind.RUN: RunMeta,
}
"""The record of each kind of scope."""

AnyMeta = TypeVar("AnyMeta", bound=ScopeMeta)


def effective(meta: AnyMeta, edits: Iterable[Edit]) -> tuple[AnyMeta, list[FormatError]]:
    """The record as it now reads, with the edits that did not fit.

    ``edits`` come in the order of their lines; they are applied in the order of (time, writer,
    line). One that would leave the record invalid is passed over and reported, so that a bad line
    hides neither the record nor the other edits; members this release does not know are no edits
    of it.
    """
    refused: list[FormatError] = []
    in_order = sorted(edits, key=lambda edit: (edit.at, edit.writer))
    if not in_order:
        return meta, refused
    kind = type(meta)
    editable = kind.model_fields.keys() - meta.identity
    state = json.loads(meta.to_json())
    fixed = {name: state[name] for name in meta.identity if name in state}
    for edit in in_order:
        patch = {name: change for name, change in edit.patch.items() if name in editable}
        # Fields are valid each for itself, so that only those that change are looked at.
        changed = merge_patch({name: state[name] for name in patch if name in state}, patch)
        try:
            kind.from_json(json.dumps({**fixed, **changed}).encode(), f"the edit of {edit.at}")
        except FormatError as error:
            refused.append(error)
            continue
        for name in patch:
            state.pop(name, None)
        state.update(changed)
    return kind.from_json(json.dumps(state).encode(), "the edited record"), refused
