"""The schemas in docs/format are those of the models."""

from __future__ import annotations

import json

from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # ships no types

from molexp.testing.schemas import SUFFIX, schemas, spell
from tests.format.lab import DOCS

COMMITTED = DOCS / "schemas"


def test_the_committed_schemas_are_those_that_are_made() -> None:
    made = {f"{name}{SUFFIX}": spell(schema) for name, schema in schemas().items()}
    committed = {path.name: path.read_text(encoding="utf-8") for path in COMMITTED.iterdir()}
    again = "run `python -m molexp.testing.schemas docs/format/schemas`"
    assert sorted(committed) == sorted(made), again
    assert [name for name in made if made[name] != committed[name]] == [], again


def test_each_is_a_schema_that_allows_members_it_does_not_know() -> None:
    for path in COMMITTED.iterdir():
        schema = json.loads(path.read_text(encoding="utf-8"))
        Draft202012Validator.check_schema(schema)
        assert schema.get("additionalProperties", True) is True
