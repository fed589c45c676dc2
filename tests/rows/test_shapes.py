"""Shapes have the members of the records that they stand for, no more and no fewer."""

from __future__ import annotations

import re
from datetime import date, timedelta

import pytest
from msgspec import ValidationError, json

from molexp.model.address import ScopeKind
from molexp.model.asset import Asset, DataAsset, kinds
from molexp.model.execution import LINES, End
from molexp.model.record import Record
from molexp.model.scope import META
from molexp.rows import shapes

RECORDS: dict[str, type[Record]] = {**LINES, "end": End}


@pytest.mark.parametrize("source", sorted(shapes.SHAPES.keys() - {"asset", "data"}))
def test_a_document_has_the_members_of_its_record(source: str) -> None:
    mine = {*shapes.SHAPES[source].__struct_fields__} - {"unknown"}
    assert mine == {*RECORDS[source].model_fields}


@pytest.mark.parametrize("kind", sorted(shapes.SCOPES))
def test_a_scope_has_the_members_of_its_record(kind: str) -> None:
    assert {*shapes.SCOPES[kind].__struct_fields__} == {*META[ScopeKind(kind)].model_fields}


def test_an_asset_has_the_members_of_all_its_kinds() -> None:
    members = {"value", "parent", "step", "type", "message"}
    in_executions = [each for each in kinds().values() if each is not DataAsset]
    of_ours = [each for each in in_executions if each.__module__ == Asset.__module__]
    assert {*shapes.Asset.__struct_fields__} - {"unknown"} == {*Asset.model_fields} | members
    assert {name for each in of_ours for name in each.model_fields} >= members
    mine = {*shapes.Data.__struct_fields__} - {"unknown"} - members
    assert mine == {*DataAsset.model_fields}


def test_the_days_of_a_year_are_times_and_no_others_are() -> None:
    is_time = re.compile(shapes.TIME).fullmatch
    day = date(2025, 1, 1)
    while day.year == 2025:
        assert is_time(f"{day:%Y-%m-%d}T23:59:59Z")
        day += timedelta(days=1)
    for wrong in ("02-29", "02-30", "04-31", "06-31", "09-31", "11-31", "00-01", "13-01", "01-00"):
        assert not is_time(f"2025-{wrong}T00:00:00Z")


def test_no_document_brings_unknown_members_of_its_own() -> None:
    assert shapes.Input(at="", unknown=None).unknown is None
    for value in ("{}", "1", '{"x":1}'):
        raw = f'{{"at":"2025-01-01T00:00:00Z","unknown":{value}}}'
        with pytest.raises(ValidationError):
            json.decode(raw, type=shapes.Input)
