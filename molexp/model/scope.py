"""The four scopes, where each lies, and the record that makes a directory one of them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, ClassVar, Literal, Self, TypeVar

from pydantic import Field

from molexp.errors import FormatError, InvalidInputError, InvalidNameError
from molexp.model.ids import check_run_id
from molexp.model.names import is_slug
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


class ScopeKind(StrEnum):
    """What a scope is; the order is that of depth."""

    WORKSPACE = "workspace"
    PROJECT = "project"
    EXPERIMENT = "experiment"
    RUN = "run"


_KINDS = tuple(ScopeKind)


class Address(tuple[str, ...]):
    """Where a scope lies: project, experiment and run, as many as it has.

    >>> Address.parse("qm9/baseline").kind
    <ScopeKind.EXPERIMENT: 'experiment'>
    """

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """The address that ``text`` spells; raises InvalidNameError for what cannot be one."""
        parts = text.split("/") if text else []
        if len(parts) > len(_KINDS) - 1:
            raise InvalidNameError(
                f"the address {text!r} has {len(parts)} parts",
                cure="write project/experiment/run, or fewer",
                name=text,
                rule="address",
            )
        for part in parts[:2]:
            if not is_slug(part):
                raise InvalidNameError(
                    f"the address {text!r} is refused: {part!r} is not a slug",
                    cure="use the directory's name: lower-case letters, digits and '-'",
                    name=text,
                    rule="address",
                )
        for part in parts[2:]:
            check_run_id(part)
        return cls(parts)

    @property
    def kind(self) -> ScopeKind:
        """What lies here."""
        return _KINDS[len(self)]

    @property
    def parent(self) -> Address:
        """The scope that holds this one; raises InvalidInputError for the workspace."""
        if not self:
            raise InvalidInputError(
                "the workspace lies in no other scope",
                cure="ask for the parent of a project, experiment or run",
                argument="address",
            )
        return Address(self[:-1])

    def holds(self, other: Address) -> bool:
        """Whether ``other`` is this scope or lies in it."""
        return other[: len(self)] == self

    def __truediv__(self, name: str) -> Address:
        return Address.parse("/".join((*self, name)))

    def __str__(self) -> str:
        return "/".join(self)


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
