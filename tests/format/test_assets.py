"""The rules of docs/format/records.md for assets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from molexp.disk.beneath import Directory
from molexp.disk.digest import hash_tree
from molexp.errors import FormatError, InvalidInputError
from molexp.model.asset import Asset, kinds, parse_asset, register_kind
from tests.format.lab import CANCELLED, DATA, FAILED, PUBLISHED, SUCCEEDED, Lab, Refusals
from tests.format.seal import by_hand

COMMON = {
    "asset_id": "01KJPX50B00000000000000000",
    "name": "x",
    "created_at": "2026-03-02T12:00:00Z",
}


def line_of(lab: Lab, execution: str, kind: str) -> int:
    """Which line of a ledger says the last asset of a kind."""
    lines = lab.at(f"{execution}/ledger.jsonl").read_text().splitlines()
    return max(n for n, line in enumerate(lines) if f'"kind":"{kind}"' in line)


@pytest.mark.rule("ASSET-1")
@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        ("data", {"refers_to": "the model"}),
        ("artifact", {"version": 0}),
        ("log", {"size": -1}),
        ("checkpoint", {"step": 1.5}),
        ("error_trace", {"message": 5}),
        ("execution_state", {"created_at": "today"}),
        ("output", {"meta": [1]}),
    ],
)
def test_an_asset_has_the_members_of_its_kind(
    refused: Refusals, kind: str, wrong: dict[str, Any]
) -> None:
    said = {**COMMON, "kind": kind, "format": 1}
    assert type(parse_asset(said)) is kinds()[kind]
    with refused.by(FormatError, next(iter(wrong))):
        parse_asset({**said, **wrong})
    for name in ("asset_id", "name", "created_at", "kind"):
        with refused.by(FormatError, name):
            parse_asset({key: value for key, value in said.items() if key != name})


@pytest.mark.rule("ASSET-2")
def test_an_asset_of_an_unknown_kind_is_read_by_what_is_common(lab: Lab, refused: Refusals) -> None:
    said = {**COMMON, "kind": "resource", "location": "shelf 3", "amount": {"value": 2.5}}
    asset = parse_asset(said)
    assert type(asset) is Asset
    assert {name: json.loads(asset.to_json())[name] for name in said} == said
    lab.append(f"{CANCELLED}/ledger.jsonl", f'{{"asset":{json.dumps(said)}}}\n')
    assert {violation.rule for violation in lab.check()} == {"END-5"}
    with refused.by(FormatError, "created_at"):
        parse_asset({**said, "created_at": 3})
    with refused.by(InvalidInputError, "does not say of which kind"):
        register_kind(Asset)


@pytest.mark.rule("ASSET-3")
def test_a_version_is_the_number_that_is_written(lab: Lab, refused: Refusals) -> None:
    asset = parse_asset({**COMMON, "kind": "artifact", "path": "artifacts/x.v7", "version": 2})
    assert asset.version == 2
    refused.unequal(asset.version, 7)
    with refused.by(FormatError, "version"):
        parse_asset({**COMMON, "kind": "artifact", "version": "v7"})


@pytest.mark.rule("ASSET-4")
@pytest.mark.parametrize("path", ["../secret", "/etc/passwd", "artifacts//model.json", ".", ""])
def test_a_path_leads_straight_down(lab: Lab, refused: Refusals, path: str) -> None:
    ledger = f"{SUCCEEDED}/ledger.jsonl"
    line = line_of(lab, SUCCEEDED, "artifact")
    lab.change_line(ledger, line, lambda asset: asset.update(path=path))
    refused.in_lab(lab, ledger)


@pytest.mark.rule("ASSET-5")
def test_a_ledger_leaves_its_place_to_where_it_lies(lab: Lab, refused: Refusals) -> None:
    lab.change(f"{PUBLISHED}/asset.json", producer={"run": COMMON["asset_id"]})
    refused.in_lab(lab, f"{PUBLISHED}/asset.json")
    ledger = f"{SUCCEEDED}/ledger.jsonl"
    line = line_of(lab, SUCCEEDED, "output")
    lab.change_line(ledger, line, lambda asset: asset["producer"].update(execution=2))
    refused.in_lab(lab, ledger)


@pytest.mark.rule("ASSET-6")
@pytest.mark.parametrize("kind", ["log", "checkpoint", "error_trace"])
def test_size_and_digest_are_those_of_the_bytes(lab: Lab, refused: Refusals, kind: str) -> None:
    ledger, line = f"{FAILED}/ledger.jsonl", line_of(lab, FAILED, kind)
    lab.change_line(ledger, line, lambda asset: asset.update(size=None, content_hash=None))
    assert {violation.rule for violation in lab.check()} == {"END-5"}
    lab.change_line(ledger, line, lambda asset: asset.update(size=1))
    refused.in_lab(lab, ledger)


@pytest.mark.rule("ASSET-6")
def test_one_changed_byte_of_imported_data_is_seen(lab: Lab, refused: Refusals) -> None:
    data = lab.at(f"{DATA}/files/qm9-sample.csv")
    data.write_bytes(data.read_bytes().replace(b"0.5048", b"0.5049"))
    refused.in_lab(lab, f"{DATA}/asset.json")


@pytest.mark.rule("ASSET-7")
def test_the_digest_of_a_directory_is_that_of_its_sums(
    lab: Lab, refused: Refusals, tmp_path: Path
) -> None:
    place = lab.at(f"{SUCCEEDED}/artifacts/residuals")
    names = sorted(path.name for path in place.iterdir())
    sums = [by_hand((place / name).read_text())[7:] for name in names]
    text = "".join(f"{total}  {name}\n" for total, name in zip(sums, names, strict=True))
    (place / ".DS_Store").write_bytes(b"litter")
    with Directory.open(place) as directory:
        assert hash_tree(directory).content_hash == by_hand(text)
    assert lab.check() == []
    (place / "two-heavy-atoms.txt").rename(place / "two.txt")
    refused.in_lab(lab, f"{SUCCEEDED}/ledger.jsonl")
    (place / "link").symlink_to(tmp_path)
    with Directory.open(place) as directory, refused.by(FormatError, "is a link"):
        hash_tree(directory)


@pytest.mark.rule("ASSET-8")
@pytest.mark.parametrize(
    "members", [{"content_hash": "sha256:" + "0" * 64}, {"content_hash": None}]
)
def test_what_is_published_is_referred_to_by_uid_and_digest(
    lab: Lab, refused: Refusals, members: dict[str, Any]
) -> None:
    lab.change(f"{PUBLISHED}/asset.json", **members)
    refused.in_lab(lab, f"{PUBLISHED}/asset.json")


@pytest.mark.rule("ASSET-9")
def test_an_execution_is_an_asset_under_its_own_uid(lab: Lab, refused: Refusals) -> None:
    ledger, line = f"{SUCCEEDED}/ledger.jsonl", line_of(lab, SUCCEEDED, "execution_state")
    lines = lab.at(ledger).read_text().splitlines(keepends=True)
    said = json.loads(lines[line])["asset"]
    assert said["asset_id"] == json.loads(lines[0])["start"]["uid"]
    lab.write(ledger, "".join(lines[:line] + lines[line + 1 :]))
    assert {violation.rule for violation in lab.check()} == {"END-5"}, "no line needs to say it"
    said["asset_id"] = COMMON["asset_id"]
    lab.append(ledger, json.dumps({"asset": said}) + "\n")
    refused.in_lab(lab, SUCCEEDED)


@pytest.mark.rule("ASSET-10")
@pytest.mark.parametrize("member", ["origin", "size", "content_hash"])
def test_what_is_registered_in_place_says_what_lay_where(
    lab: Lab, refused: Refusals, member: str
) -> None:
    lab.remove(f"{DATA}/files")
    lab.change(f"{DATA}/asset.json", path=..., origin="/data/qm9-sample.csv")
    assert lab.check() == []
    lab.change(f"{DATA}/asset.json", origin="qm9-sample.csv")
    refused.in_lab(lab, f"{DATA}/asset.json")
    lab.change(f"{DATA}/asset.json", **{"origin": "/data/qm9-sample.csv", member: ...})
    refused.in_lab(lab, f"{DATA}/asset.json")


@pytest.mark.rule("ASSET-8")
def test_an_input_expects_the_bytes_that_the_asset_has(lab: Lab, refused: Refusals) -> None:
    ledger = f"{CANCELLED}/ledger.jsonl"
    lab.change_line(ledger, 1, lambda said: said.update(asset=COMMON["asset_id"]))
    assert {violation.rule for violation in lab.check()} == {"END-5"}
    lab.change_line(
        f"{SUCCEEDED}/ledger.jsonl", 1, lambda said: said.update(content_hash="sha256:" + "0" * 64)
    )
    refused.in_lab(lab, f"{SUCCEEDED}/ledger.jsonl")
