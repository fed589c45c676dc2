"""The JSON Schemas of every record, made from the models: ``python -m molexp.testing.schemas DIR``.

They say what a stranger's JSON library can check. What relates two records, or a record and the
files it names, is checked by :mod:`molexp.integrity.conformance`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from molexp.disk.trash import Removed
from molexp.model.asset import Asset, kinds
from molexp.model.execution import LINES, End, Request
from molexp.model.profile import Profile
from molexp.model.record import Document, Record
from molexp.model.scope import META

Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
SUFFIX = ".schema.json"


def schemas() -> dict[str, Schema]:
    """Every schema by its name: ``meta-run``, ``end``, ``asset-log``, ``line-start`` and so on.

    An asset is ``asset-`` and its kind, a line ``line-`` and what it records; ``asset`` and
    ``line-asset`` take any kind. What an ``asset.json`` holds is ``asset-data``.
    """
    made = {f"meta-{kind.value}": _of(model) for kind, model in META.items()}
    made |= {"end": _of(End), "request": _of(Request), "removed": _of(Removed)}
    made["profile"] = _of(Profile)
    made |= {f"asset-{kind}": _of(model) for kind, model in kinds().items()}
    made["asset"] = _any_asset()
    made |= {f"line-{name}": _line(name, _of(model)) for name, model in LINES.items()}
    made["line-asset"] = _line("asset", made["asset"])
    return {name: {"$schema": DIALECT, **schema} for name, schema in sorted(made.items())}


def spell(schema: Schema) -> str:
    """A schema as its file says it."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def write(directory: Path) -> None:
    """Write every schema into a directory, each under its name."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, schema in schemas().items():
        (directory / f"{name}{SUFFIX}").write_text(spell(schema), encoding="utf-8")


def _of(model: type[Record]) -> Schema:
    schema = model.model_json_schema(mode="validation")
    required = set(schema.get("required", ()))
    if issubclass(model, Document):
        required.add("format")
    if "kind" in model.model_fields:
        required.add("kind")  # it tells which record this is, so no default stands in for it
    schema["required"] = [name for name in schema["properties"] if name in required]
    timed: Schema = schema
    return timed


def _any_asset() -> Schema:
    """An asset of any kind; of a kind that no one registered only the common members are known."""
    other = _of(Asset)
    other["properties"]["kind"] = {"type": "string", "not": {"enum": [*kinds()]}}
    definitions: Schema = {}
    parts = [_hoisted(_of(model), definitions) for model in kinds().values()]
    parts.append(_hoisted(other, definitions))
    return {"title": "AnyAsset", "anyOf": parts, "$defs": definitions}


def _line(name: str, inner: Schema) -> Schema:
    definitions: Schema = {}
    inner = _hoisted(dict(inner), definitions)
    return {
        "title": f"Line of {name}",
        "type": "object",
        "properties": {name: inner},
        "required": [name],
        "maxProperties": 1,
        "$defs": definitions,
    }


def _hoisted(schema: Schema, definitions: Schema) -> Schema:
    """The schema without its definitions, which go where references to them lead."""
    definitions |= schema.pop("$defs", {})
    return schema


if __name__ == "__main__":
    write(Path(sys.argv[1]))
