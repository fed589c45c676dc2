"""molexp.testing.schemas."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # ships no types

from molexp.model.execution import FoundExecution
from molexp.model.record import Document, Record
from molexp.model.scope import FoundExperiment, FoundProject, FoundRun, ScopeMeta
from molexp.testing.schemas import SUFFIX, schemas, write

ROOT = Path(__file__).parents[2]
ASSET = {
    "asset_id": "01KJPX50B00000000000000000",
    "kind": "artifact",
    "name": "x",
    "created_at": "2026-03-02T12:00:00Z",
}


def refuses(name: str, said: Any) -> bool:
    """Whether a value is not valid under a schema."""
    return not Draft202012Validator(schemas()[name]).is_valid(said)


def test_every_record_has_a_schema_or_a_place_in_one() -> None:
    def below(model: type[Record]) -> list[type[Record]]:
        return [inner for child in model.__subclasses__() for inner in (child, *below(child))]

    named = {schema["title"] for schema in schemas().values()}
    named |= {
        inner["title"]
        for schema in schemas().values()
        for inner in schema.get("$defs", {}).values()
    }
    named |= {
        part["title"]
        for schema in schemas().values()
        for part in (*schema.get("anyOf", ()), *schema.get("properties", {}).values())
        if "title" in part
    }
    ours = {model.__name__ for model in below(Record) if model.__module__.startswith("molexp.")}
    found = {FoundProject, FoundExperiment, FoundRun, FoundExecution}  # by a search, never written
    assert ours - named == {each.__name__ for each in (Document, ScopeMeta, *found)}


def test_times_kinds_and_formats_are_held() -> None:
    assert not refuses("asset", ASSET)
    assert refuses("asset", {**ASSET, "created_at": "2026-03-02T12:00:00"})
    assert refuses("asset", {name: value for name, value in ASSET.items() if name != "kind"})
    assert refuses("asset-data", {**ASSET, "kind": "data"})
    assert not refuses("asset-data", {**ASSET, "kind": "data", "format": 1})


def test_an_asset_of_an_unknown_kind_has_the_common_members_alone() -> None:
    assert not refuses("asset", {**ASSET, "kind": "resource", "shelf": 3})
    assert refuses("asset", {**ASSET, "kind": "resource", "version": 0})
    assert refuses("asset", {**ASSET, "version": 0})


def test_a_line_has_one_member() -> None:
    metric = {"at": "2026-03-02T12:00:00Z", "key": "loss", "value": "NaN"}
    assert not refuses("line-metric", {"metric": metric})
    assert refuses("line-metric", {"metric": metric, "more": 1})
    assert refuses("line-metric", {})
    assert refuses("line-metric", {"metric": {**metric, "value": "nan"}})


def test_the_command_writes_every_schema(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "molexp.testing.schemas", str(tmp_path / "new")]
    subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    write(tmp_path)
    names = sorted(path.name for path in tmp_path.glob(f"*{SUFFIX}"))
    assert names == sorted(f"{name}{SUFFIX}" for name in schemas())
    assert [
        name
        for name in names
        if (tmp_path / name).read_bytes() != (tmp_path / "new" / name).read_bytes()
    ] == []


@pytest.mark.parametrize("name", ["meta-workspace", "end", "request", "removed", "line-start"])
def test_unknown_members_are_allowed(name: str) -> None:
    schema = schemas()[name]
    inner = schema["properties"].get("start", schema)
    assert inner["additionalProperties"] is True
    assert "format" in inner["required"]
