"""What `docs/reference/api.md` lists: the classes, and which of their names are public."""

from __future__ import annotations

import inspect
import re
from typing import Any

import molexp as me
from molexp.catalog.asking.query import Page, Query
from molexp.catalog.asking.sql import Answer
from molexp.catalog.catalog import Catalog
from molexp.catalog.fold import Report
from molexp.disk.trash import Removed
from molexp.lifecycle.reaping import Reaped
from molexp.model.asset import Producer
from molexp.model.execution import FoundExecution, MetricSummary, Problem
from molexp.model.record import Document, Record
from molexp.model.scope import FoundExperiment, FoundProject, FoundRun, ScopeMeta
from molexp.recording.artifact import Artifacts, BinaryArtifact, TextArtifact
from molexp.recording.checkpoint import Checkpoints
from molexp.recording.context import Config
from molexp.recording.log import Log
from molexp.recording.metric import Metrics
from molexp.workspace.assets import Assets
from molexp.workspace.metadata import ExecutionInfo, RunMetadata
from molexp.workspace.scope import Scope
from molexp.workspace.trash import Trash

CLASSES: tuple[Any, ...] = (
    me.Workspace,
    me.Project,
    me.Experiment,
    me.Run,
    Scope,
    me.RunContext,
    Artifacts,
    BinaryArtifact,
    TextArtifact,
    Log,
    Metrics,
    Checkpoints,
    Config,
    Assets,
    me.DataAssetLibrary,
    Trash,
    Removed,
    Reaped,
    RunMetadata,
    ExecutionInfo,
    Problem,
    MetricSummary,
    me.Asset,
    Producer,
    me.DataAsset,
    me.ArtifactAsset,
    me.LogAsset,
    me.CheckpointAsset,
    me.ErrorTraceAsset,
    me.ExecutionStateAsset,
    me.OutputAsset,
    me.ExecutionState,
    me.ParameterSet,
    me.Profile,
    ScopeMeta,
    Catalog,
    Query,
    Page,
    Answer,
    Report,
    FoundProject,
    FoundExperiment,
    FoundRun,
    FoundExecution,
)
"""The classes of the page, in its order."""

_MADE_BY_USERS = (me.Workspace, me.ParameterSet)
"""Those whose arguments are listed, under their own name."""

_ATTRIBUTE = re.compile(r"^ +self\.([a-z]\w*)(?:, self\.\w+)*(?:: [^=\n]+)? = ", re.MULTILINE)


def public_names(thing: Any) -> dict[str, Any]:
    """The public names of a class; those of documented and of foreign bases are left out."""
    bases = [base for base in thing.__mro__[1:] if base in CLASSES]
    above = {name for base in bases for name in _names(base)}
    return {name: value for name, value in _names(thing).items() if name not in above}


def _names(thing: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for each in reversed(thing.__mro__):
        if each in (Record, Document) or not each.__module__.startswith(("molexp.", "tests.")):
            continue
        own = {**vars(each), **dict.fromkeys(vars(each).get("__annotations__", {}))}
        found |= {name: value for name, value in own.items() if _is_public(name)}
        init = own.get("__init__")
        if inspect.isfunction(init) and "__dataclass_fields__" not in own:
            found |= dict.fromkeys(_ATTRIBUTE.findall(inspect.getsource(init)))
        if "__call__" in own:
            found["__call__"] = own["__call__"]
        if each is thing and thing in _MADE_BY_USERS:
            found[thing.__name__] = init
    return found | dict.fromkeys(filter(_is_public, getattr(thing, "model_fields", {})))


def _is_public(name: str) -> bool:
    return not name.startswith(("_", "model_"))


def signature(value: Any) -> str | None:
    """The arguments of a method as the page writes them; None for what is no method."""
    if not (inspect.isfunction(value) or isinstance(value, classmethod | staticmethod)):
        return None
    function = value if inspect.isfunction(value) else value.__func__
    parameters = list(inspect.signature(function).parameters.values())
    bare = [each.replace(annotation=inspect.Parameter.empty) for each in parameters]
    return str(inspect.Signature(bare if isinstance(value, staticmethod) else bare[1:]))
