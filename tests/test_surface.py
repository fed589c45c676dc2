from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from types import FunctionType
from typing import get_type_hints

import pytest

import molexp

PUBLIC = [
    "ArtifactAsset",
    "Asset",
    "CheckpointAsset",
    "DataAsset",
    "DataAssetLibrary",
    "ErrorTraceAsset",
    "ExecutionState",
    "ExecutionStateAsset",
    "Experiment",
    "LogAsset",
    "OutputAsset",
    "ParameterSet",
    "Profile",
    "Project",
    "Run",
    "RunContext",
    "Workspace",
    "errors",
    "parse_asset",
]

HEAVY = ["ctypes", "duckdb", "fsspec", "git", "numpy", "pydantic", "ray", "starlette", "watchdog"]


def test_the_public_names_are_these() -> None:
    assert molexp.__all__ == PUBLIC
    assert sorted(PUBLIC) == PUBLIC


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_is_there_and_has_a_docstring(name: str) -> None:
    assert getattr(molexp, name).__doc__


def test_dir_lists_the_public_names() -> None:
    assert set(PUBLIC) <= set(dir(molexp))


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'molexp' has no attribute 'Wrkspace'"):
        getattr(molexp, "Wrkspace")  # noqa: B009 - a type checker refuses the attribute itself


def test_the_stub_says_where_each_name_lives() -> None:
    stub = ast.parse(Path(molexp.__file__).with_suffix(".pyi").read_text(encoding="utf-8"))
    homes = {}
    for node in stub.body:
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                assert alias.asname == alias.name, "a stub exports only what is renamed to itself"
                homes[alias.name] = f"{node.module}"
    assert sorted(homes) == PUBLIC
    for name, home in homes.items():
        thing = getattr(molexp, name)
        assert (thing.__name__ if name == "errors" else thing.__module__) == (
            f"{home}.errors" if name == "errors" else home
        )


# What a query stands on: whoever asks does not wait for what only recording needs.
LIGHT = [
    "molexp.disk.beneath",
    "molexp.disk.commit",
    "molexp.disk.door",
    "molexp.disk.journal",
    "molexp.disk.layout",
    "molexp.disk.ledger",
    "molexp.disk.owner",
    "molexp.disk.record",
    "molexp.disk.tree",
    "molexp.disk.walk",
    "molexp.model.address",
    "molexp.model.codec",
    "molexp.model.digest",
    "molexp.model.ids",
    "molexp.model.names",
    "molexp.model.parameters",
    "molexp.model.state",
]
SLOW = {*HEAVY, "asyncio", "dataclasses", "inspect", "logging", "subprocess"}


@pytest.mark.parametrize("module", LIGHT)
def test_what_a_query_stands_on_is_light(module: str) -> None:
    assert not _loaded(f"import {module}") & SLOW


@pytest.mark.parametrize("call", ["Workspace('lab')", "Workspace.load(template)"])
def test_a_workspace_that_nobody_has_asked_for_a_record_is_light(call: str) -> None:
    template = Path(molexp.__file__).parents[1] / "workspace_template"
    loaded = _loaded(f"import molexp as me; template = {str(template)!r}; me.{call}")
    assert not loaded & SLOW
    rooms = {".".join(name.split(".")[:2]) for name in loaded if name.startswith("molexp.")}
    floors = {"molexp.disk", "molexp.errors", "molexp.late", "molexp.model", "molexp.workspace"}
    assert rooms == floors


@pytest.mark.parametrize("handle", [molexp.Workspace, molexp.Project])
def test_annotations_of_handles_mean_something_when_the_program_runs(handle: type) -> None:
    for value in vars(handle).values():
        function = value.fget if isinstance(value, property) else value
        function = getattr(function, "__func__", function)
        if isinstance(function, FunctionType):
            assert set(get_type_hints(function)) == set(function.__annotations__)


def _loaded(code: str) -> set[str]:
    """The packages that a fresh process has loaded once it has run some code."""
    show = [sys.executable, "-c", f"import sys\n{code}\nprint(*sys.modules)"]
    done = subprocess.run(show, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "statement",
    ["import molexp", "import molexp; molexp.errors", "import molexp.errors"],
)
def test_it_loads_nothing_heavy(statement: str) -> None:
    loaded = _loaded(statement)
    assert not loaded & set(HEAVY)
    assert "molexp" in loaded
