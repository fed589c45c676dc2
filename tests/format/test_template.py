"""The template, the schemas and docs/format say the same."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # ships no types

from molexp.disk import layout
from molexp.disk.tree import open_tree
from molexp.integrity.conformance import check_workspace
from molexp.model.asset import kinds
from molexp.model.record import Document, Record
from molexp.model.scope import META
from molexp.model.state import TERMINAL, ExecutionState
from molexp.testing.schemas import schemas
from tests.format import gap_model
from tests.format.lab import BEST, CANCELLED, DATA, DIVERGED, DOCS, FAILED, SUCCEEDED, TEMPLATE, Lab
from tests.format.make_template import make
from tests.format.seal import seal, seal_text

FILES = sorted(
    path.relative_to(TEMPLATE).as_posix() for path in TEMPLATE.rglob("*") if path.is_file()
)
SPEC = "\n".join(path.read_text() for path in sorted(DOCS.glob("*.md")))


def lines(path: str) -> list[dict[str, Any]]:
    """The lines of a file of the template."""
    return [json.loads(line) for line in (TEMPLATE / path).read_text().splitlines() if line]


def records() -> Iterator[tuple[str, str, Any]]:
    """Each record of the template with its place and the schema that it is held against."""
    for path in FILES:
        name = path.rpartition("/")[2]
        if name == layout.META:
            said = json.loads((TEMPLATE / path).read_bytes())
            yield path, f"meta-{said['kind']}", said
        elif name == layout.ASSET:
            yield path, "asset-data", json.loads((TEMPLATE / path).read_bytes())
        elif name == layout.END:
            yield path, "end", json.loads((TEMPLATE / path).read_bytes())
        elif f"/{layout.REQUESTS}/" in path:
            yield path, "request", json.loads((TEMPLATE / path).read_bytes())
        elif name.endswith(".jsonl"):
            for line in lines(path):
                yield path, f"line-{next(iter(line))}", line


def test_the_template_conforms() -> None:
    with open_tree(TEMPLATE) as tree:
        assert check_workspace(tree) == []


def test_the_template_is_what_its_script_makes(tmp_path: Path) -> None:
    make(tmp_path)
    made = {
        path.relative_to(tmp_path).as_posix(): path.read_bytes()
        for path in tmp_path.rglob("*")
        if path.is_file()
    }
    assert sorted(made) == FILES
    assert [path for path in FILES if made[path] != (TEMPLATE / path).read_bytes()] == []


def test_every_record_of_the_template_is_valid_under_its_schema() -> None:
    known = schemas()
    seen = set()
    for path, name, said in records():
        problems = [error.message for error in Draft202012Validator(known[name]).iter_errors(said)]
        assert (path, problems) == (path, [])
        seen.add(name)
    assert {"line-start", "line-asset", "line-input", "line-edit", "request", "end"} <= seen


@pytest.mark.parametrize("name", ["meta-run", "asset-data", "end", "request", "line-start"])
def test_a_schema_refuses_what_lacks_its_format(name: str) -> None:
    said = next(said for _, schema, said in records() if schema == name)
    validator = Draft202012Validator(schemas()[name])
    inner = said["start"] if name == "line-start" else said
    del inner["format"]
    assert "'format' is a required property" in [
        error.message for error in validator.iter_errors(said)
    ]


def test_the_template_holds_every_kind_of_asset_scope_and_line() -> None:
    found = list(records())
    assets = {said["asset"]["kind"] for _, name, said in found if name == "line-asset"}
    assets |= {said["kind"] for _, name, said in found if name == "asset-data"}
    assert assets == kinds().keys()
    assert {name for _, name, _ in found if name.startswith("meta-")} == {
        f"meta-{kind.value}" for kind in META
    }
    written = {name for name in schemas() if name.startswith("line-")}
    assert {name for _, name, _ in found if name.startswith("line-")} == written


def test_the_template_tells_how_runs_end() -> None:
    ends = {
        path: json.loads((TEMPLATE / path / layout.END).read_bytes())
        for path in (FAILED, SUCCEEDED, CANCELLED)
    }
    assert [end["status"] for end in ends.values()] == ["failed", "succeeded", "cancelled"]
    assert {ExecutionState(end["status"]) for end in ends.values()} < TERMINAL
    saved = ends[FAILED]["last_step"]
    checkpoint = lines(f"{SUCCEEDED}/ledger.jsonl")[0]["start"]["resumed_from"]
    assert checkpoint in (TEMPLATE / FAILED / layout.LEDGER).read_text()
    assert json.loads((TEMPLATE / FAILED / "checkpoints/fit.json").read_bytes())["step"] == saved


def test_the_study_in_the_template_is_what_its_script_computes() -> None:
    text = (TEMPLATE / DATA / "files/qm9-sample.csv").read_text()
    *_, (weight, bias, loss) = gap_model.fit(gap_model.read(text), 0.1, 40)
    model = json.loads((TEMPLATE / SUCCEEDED / "artifacts/model.json").read_bytes())
    assert model == {"weight": weight, "bias": bias}
    output = next(
        line["asset"]["value"]
        for line in lines(f"{SUCCEEDED}/ledger.jsonl")
        if line.get("asset", {}).get("kind") == "output"
    )
    assert output == loss
    assert json.loads((TEMPLATE / DIVERGED / "meta.json").read_bytes())["parameters"]["lr"] == 1.0


def test_the_spec_names_every_name_of_the_layout() -> None:
    constants = {
        name: value
        for name, value in vars(layout).items()
        if name.isupper() and isinstance(value, str)
    }
    assert len(constants) > 20
    missing = [name for name, value in constants.items() if f"{value}" not in SPEC]
    assert missing == []


def test_the_spec_names_every_kind_of_file_in_the_template() -> None:
    drawn = re.search(r"```\n(.+?)```", (DOCS / "layout.md").read_text(), re.DOTALL)
    assert drawn is not None
    for path in FILES:
        name = path.rpartition("/")[2]
        general = re.sub(r"edits-.*\.jsonl", "edits-<host>-<user>.jsonl", name)
        general = re.sub(r"^\d{4}-.+-\w+\.json$", "<execution>-<uid>-<verb>.json", general)
        general = re.sub(r"^[0-9a-f]{64}$", "<sha256>", general)
        if f"/{layout.LOGS}/" in path:
            general = general.replace("fit.log", "<name>.log")
        inner = {layout.ARTIFACTS, layout.CHECKPOINTS, layout.WORK, layout.FILES} & {
            *path.split("/")
        }
        assert general in drawn[1] or any(f"{place}/" in drawn[1] for place in inner), path


def test_the_spec_quotes_files_that_are_there_and_the_seal() -> None:
    index = (DOCS / "index.md").read_text()
    links = re.findall(r"\]\((?!http)([^)#]+)\)", SPEC)
    assert len(links) > 10
    assert [link for link in links if not (DOCS / link).exists()] == []
    assert seal(TEMPLATE) in index
    identity = (DOCS / "identity.md").read_text()
    assert seal_text(TEMPLATE / DIVERGED).strip() in identity
    assert BEST.rpartition("/")[2] in index


def test_the_spec_names_every_member_of_every_document() -> None:
    def names(model: type[Record]) -> set[str]:
        return set(model.model_fields)

    documents: list[type[Record]] = [*META.values(), *kinds().values(), *Document.__subclasses__()]
    ours = [model for model in documents if model.__module__.startswith("molexp.")]
    wanted = {name for model in ours for name in names(model)}
    assert len(wanted) > 40
    assert [name for name in sorted(wanted) if f"`{name}`" not in SPEC] == []


def test_a_lab_is_a_copy(lab: Lab) -> None:
    lab.remove("meta.json")
    assert (TEMPLATE / "meta.json").is_file()
