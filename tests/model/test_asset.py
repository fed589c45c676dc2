"""Assets: each comes back as the class of its kind, and the registry of kinds is open."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from math import isnan, nan
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import pytest

from molexp.errors import (
    AlreadyExistsError,
    FormatError,
    FormatVersionError,
    InvalidInputError,
)
from molexp.model.asset import (
    ArtifactAsset,
    Asset,
    CheckpointAsset,
    DataAsset,
    ErrorTraceAsset,
    ExecutionStateAsset,
    LogAsset,
    OutputAsset,
    Producer,
    kinds,
    parse_asset,
    register_kind,
)
from molexp.model.codec import MAX_RECORD_BYTES

ROOT = Path(__file__).parents[2]
UID = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
OTHER = "01ARZ3NDEKTSV4RRFFQ69G5FAW"
ARTIFACT: dict[str, Any] = {
    "asset_id": UID,
    "kind": "artifact",
    "name": "figure.png",
    "created_at": "2026-11-20T12:00:00Z",
    "version": 2,
    "path": "artifacts/figure.png",
    "size": 3,
    "mime": "image/png",
    "content_hash": "sha256:" + "0" * 64,
    "producer": {"run": OTHER, "execution": 1, "task": "plot", "consumed": [OTHER]},
    "tags": {"final": True, "for": "paper"},
    "meta": {"dpi": 300, "score": "NaN"},
}
OWN: dict[type[Asset], dict[str, Any]] = {
    DataAsset: {"format": 1, "kind": "data", "origin": "qm9.xyz", "refers_to": OTHER},
    ArtifactAsset: {"kind": "artifact"},
    LogAsset: {"kind": "log"},
    CheckpointAsset: {"kind": "checkpoint", "parent": OTHER, "step": 7},
    ErrorTraceAsset: {"kind": "error_trace", "type": "ValueError", "message": "no"},
    ExecutionStateAsset: {"kind": "execution_state"},
    OutputAsset: {"kind": "output", "value": {"loss": ["NaN", "\\NaN", None]}},
}


# In a process of its own, for a kind once registered stays.
ANOTHER_PACKAGE = """
import json, sys
from typing import Literal

import molexp as me
from molexp.model.asset import Asset, kinds, register_kind

document = json.loads(sys.argv[1])
assert type(me.parse_asset(document)) is Asset

@register_kind
class Sample(Asset):
    kind: Literal["sample"] = "sample"
    amount: int

assert kinds()["sample"] is Sample
asset = me.parse_asset(document)
assert type(asset) is Sample and asset.amount == 3
assert json.loads(asset.to_json()) == document
try:
    me.parse_asset({**document, "amount": "3"}, "ledger.jsonl")
except me.errors.FormatError as error:
    assert error.details == {"path": "ledger.jsonl", "place": "amount"}, error.details
else:
    raise AssertionError("it is not checked")
assert register_kind(Sample) is Sample, "once more is no harm"
assert type(me.parse_asset({**document, "kind": "artifact"})) is me.ArtifactAsset
print("all of it")
"""


def test_these_kinds_are_there_from_the_start() -> None:
    assert {asset_class: own["kind"] for asset_class, own in OWN.items()} == {
        asset_class: kind for kind, asset_class in kinds().items()
    }


@pytest.mark.parametrize(("asset_class", "own"), OWN.items())
def test_each_kind_comes_back_as_its_class(asset_class: type[Asset], own: dict[str, Any]) -> None:
    document = {**ARTIFACT, **own, "later": {"x": None}}
    text = json.dumps(document)
    asset = parse_asset(text)
    assert type(asset) is asset_class is kinds()[asset.kind]
    assert json.loads(asset.to_json()) == document
    for data in (text.encode(), document, MappingProxyType(document), asset.to_json()):
        assert repr(parse_asset(data)) == repr(asset)
    assert repr(asset_class.from_json(asset.to_json(), "asset.json")) == repr(asset)
    assert asset.producer == Producer(run=OTHER, execution=1, task="plot", consumed=(OTHER,))


def test_an_output_is_any_value() -> None:
    now = parse_asset(ARTIFACT).created_at
    asset = OutputAsset.make(asset_id=UID, name="o", created_at=now, value=(nan, "NaN"))
    again = parse_asset(asset.to_json())
    assert isinstance(again, OutputAsset)
    assert repr(again.value) == "[nan, 'NaN']"


def test_a_kind_that_nobody_registered_keeps_all_its_members() -> None:
    document = {**ARTIFACT, "kind": "hologram", "depth": [1, None], "NaN": "NaN", "parent": 5}
    asset = parse_asset(document)
    assert type(asset) is Asset
    assert asset.kind == "hologram"
    assert asset.unknown == {"depth": [1, None], "NaN": "NaN", "parent": 5}
    assert json.loads(asset.to_json()) == document


def test_another_package_adds_a_kind_of_its_own() -> None:
    document = json.dumps({**ARTIFACT, "kind": "sample", "amount": 3})
    child = subprocess.run(
        [sys.executable, "-W", "error", "-c", ANOTHER_PACKAGE, document],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (child.returncode, child.stdout, child.stderr) == (0, "all of it\n", "")


def test_two_classes_cannot_have_one_kind() -> None:
    class Picture(Asset):
        kind: Literal["artifact"] = "artifact"

    class Special(ArtifactAsset):
        pass

    for asset_class in (Picture, Special):
        with pytest.raises(AlreadyExistsError, match=r"belongs to .*ArtifactAsset") as caught:
            register_kind(asset_class)
        assert caught.value.details["key"] == "artifact"
    assert type(parse_asset(ARTIFACT)) is ArtifactAsset


def test_a_class_that_does_not_fix_its_kind_is_refused_and_spoils_nothing() -> None:
    class Loose(Asset):
        kind: str = "loose"

    class Several(Asset):
        kind: Literal["one", "two"] = "one"

    before = kinds()
    for asset_class in (Asset, Loose, Several):
        with pytest.raises(InvalidInputError, match="does not say of which kind"):
            register_kind(asset_class)
    assert kinds() == before
    assert type(parse_asset(ARTIFACT)) is ArtifactAsset


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"asset_id": "x"}, "asset_id"),
        ({"kind": 5}, "kind"),
        ({"kind": None}, "kind"),
        ({"version": 0}, "version"),
        ({"size": -1}, "size"),
        ({"content_hash": "sha256:" + "A" * 64}, "content_hash"),
        ({"content_hash": "md5:" + "0" * 32}, "content_hash"),
        ({"producer": {"execution": 0}}, "producer/execution"),
        ({"meta": []}, "meta"),
        ({"kind": "output", "value": nan}, "value"),
        ({"kind": "checkpoint", "step": -1}, "step"),
        ({"kind": "hologram", "name": 3}, "name"),
    ],
)
def test_a_damaged_asset_is_refused_with_its_place(change: dict[str, Any], place: str) -> None:
    with pytest.raises(FormatError) as caught:
        parse_asset({**ARTIFACT, **change}, "asset.json")
    assert caught.value.details == {"path": "asset.json", "place": place}


def test_an_asset_without_a_kind_is_refused() -> None:
    document = {name: value for name, value in ARTIFACT.items() if name != "kind"}
    with pytest.raises(FormatError) as caught:
        parse_asset(document)
    assert caught.value.details["place"] == "kind"


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"nonsense", "\ud800", {"a": object()}, {**ARTIFACT, "name": "\ud800"},
     b"[" * 9999, b"\xff", b" " * (MAX_RECORD_BYTES + 1)],
)  # fmt: skip
def test_what_is_no_asset_at_all_is_refused(data: Any) -> None:
    with pytest.raises(FormatError) as caught:
        parse_asset(data, "asset.json")
    assert caught.value.details["path"] == "asset.json"


def test_an_asset_cut_anywhere_is_refused() -> None:
    data = parse_asset(ARTIFACT).to_json()
    for size in range(len(data)):
        with pytest.raises(FormatError):
            parse_asset(data[:size])


def test_data_of_a_newer_format_is_refused_and_without_one_it_is_no_document() -> None:
    data = {**ARTIFACT, "kind": "data"}
    with pytest.raises(FormatVersionError, match="pip install --upgrade"):
        parse_asset({**data, "format": 2})
    with pytest.raises(FormatError) as caught:
        DataAsset.from_json(json.dumps(data).encode(), "asset.json")
    assert caught.value.details["place"] == "format"


class Shelf:
    """Where an asset lies, for a test that has no disk."""

    def __init__(self, data: bytes, scope: str = "p/e/r", below: str = "/lab") -> None:
        self.data, self.scope, self.below = data, scope, below

    def at(self, scope_dir: str | os.PathLike[str]) -> Shelf:
        return Shelf(self.data, self.scope, os.fspath(scope_dir))

    def absolute(self, asset: Asset) -> Path:
        return Path(self.below, asset.path or "")

    def read(self, asset: Asset) -> bytes:
        return self.data

    def export(self, asset: Asset, target: str | os.PathLike[str]) -> Path:
        return Path(target)


def on_shelf(data: bytes, mime: str | None = None) -> ArtifactAsset:
    fixed = {"asset_id": "0" * 26, "name": "a", "created_at": datetime(2026, 1, 1, tzinfo=UTC)}
    return ArtifactAsset.make(**fixed, path="artifacts/a", mime=mime).placed(Shelf(data))


def test_an_asset_that_was_found_reads_its_bytes() -> None:
    asset = on_shelf(b'{"loss": "NaN"}')
    assert asset.scope == "p/e/r"
    assert asset.read_bytes() == asset.load() == b'{"loss": "NaN"}'
    assert asset.read_text() == '{"loss": "NaN"}'
    assert isnan(asset.read_json()["loss"])
    assert asset.absolute_path() == Path("/lab/artifacts/a")
    assert asset.absolute_path("/moved") == Path("/moved/artifacts/a")
    assert asset.export("/copy") == Path("/copy")


@pytest.mark.parametrize(
    ("mime", "value"),
    [
        ("application/json", [1, 2]),
        ("text/plain", "[1, 2]"),
        ("text/csv; charset=utf-8", "[1, 2]"),
        ("application/octet-stream", b"[1, 2]"),
        (None, b"[1, 2]"),
    ],
)
def test_an_asset_is_loaded_as_its_media_type_says(mime: str | None, value: object) -> None:
    assert on_shelf(b"[1, 2]", mime).load() == value


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"[" * 100_000, b"[1] [2]"])
def test_a_file_that_is_not_what_it_is_read_as_names_itself(data: bytes) -> None:
    asset = on_shelf(data, "application/json")
    with pytest.raises(FormatError, match="artifacts/a is not JSON"):
        asset.load()
    with pytest.raises(FormatError, match="not UTF-8 text"):
        on_shelf(b"\xff", "text/plain").load()


def test_an_asset_that_is_only_a_record_does_not_know_where_it_lies() -> None:
    asset = parse_asset(on_shelf(b"x").to_json())
    for ask in (asset.read_bytes, asset.absolute_path, asset.load, lambda: asset.scope):
        with pytest.raises(InvalidInputError, match="does not know where it lies"):
            ask()


def test_where_an_asset_lies_is_no_part_of_what_it_is() -> None:
    asset = on_shelf(b"x")
    record = parse_asset(asset.to_json())
    assert b"shelf" not in asset.to_json().lower()
    assert record.model_dump() == asset.model_dump()


def test_a_checkpoint_names_itself_and_the_one_before_it() -> None:
    fixed = {"name": "c", "created_at": datetime(2026, 1, 1, tzinfo=UTC)}
    first = CheckpointAsset.make(asset_id="0" * 26, **fixed)
    second = CheckpointAsset.make(asset_id="1" * 26, parent=first.ckpt_id, **fixed)
    assert (first.ckpt_id, first.parent_ckpt_id) == ("0" * 26, None)
    assert (second.ckpt_id, second.parent_ckpt_id) == ("1" * 26, "0" * 26)
