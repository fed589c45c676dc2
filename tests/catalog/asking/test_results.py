from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import molexp as me
from molexp.catalog.asking.query import Query
from molexp.model.asset import Asset, kinds
from molexp.model.scope import FoundRun
from tests.catalog.lab import Viewed, ask, view
from tests.recording.lab import make_run

Ask = Callable[[str], Query]


@pytest.fixture
def query(source: Viewed) -> Ask:
    return lambda table: ask(source, table)


def _by_id(assets: list[Asset]) -> dict[str, tuple[str, Asset]]:
    return {each.asset_id: (type(each).__name__, each) for each in assets}


def _same(one: Any, other: Any) -> bool:
    """Equal, and a value that is not a number equal to itself."""
    return repr(one) == repr(other)


def test_assets_are_those_that_the_files_give(query: Ask, recorded: me.Workspace) -> None:
    from_files = _by_id(recorded.assets.list(recursive=True))
    from_rows = _by_id(query("assets").all())
    assert {each.kind for _, each in from_files.values()} == {*kinds()}
    assert from_rows.keys() == from_files.keys()
    for asset_id, found in from_files.items():
        assert _same(from_rows[asset_id], found), asset_id
        assert from_rows[asset_id][1].scope == found[1].scope


def test_assets_read_their_bytes(query: Ask, recorded: me.Workspace) -> None:
    read = 0
    for each in recorded.assets.list(recursive=True):
        found = query("assets").filter(asset_id=each.asset_id).first()
        try:
            wanted = each.read_bytes()
        except me.errors.MolexpError as error:
            with pytest.raises(type(error)):
                found.read_bytes()
        else:
            read += 1
            assert found.read_bytes() == wanted
            assert found.absolute_path() == each.absolute_path()
    assert read == 27


def test_published_data_reads_what_it_refers_to(query: Ask) -> None:
    [published] = query("assets").filter(kind="data", scope="qm9/baseline")
    assert published.refers_to is not None
    assert published.read_json() == {"w": [0]}
    [far] = query("assets").filter(kind="data", scope="qm9")
    assert (far.path, far.read_text()) == (None, "far")


def test_scopes_are_the_records_that_their_files_give(query: Ask, recorded: me.Workspace) -> None:
    for table in ("projects", "experiments", "runs"):
        for found in query(table):
            record = recorded.find(found.address).record
            assert isinstance(found, type(record))
            for name in type(record).model_fields:
                assert _same(getattr(found, name), getattr(record, name)), name


def test_a_run_says_how_it_went(query: Ask, recorded: me.Workspace) -> None:
    for found in query("runs"):
        assert isinstance(found, FoundRun)
        run = recorded.find(found.address)
        assert isinstance(run, me.Run)
        said = run.metadata
        assert found.status == said.status
        assert found.executions == len(said.execution_history)
        assert (found.started_at, found.ended_at) == (said.started_at, said.finished_at)
        assert found.id == run.id
        if said.error is not None:
            assert (found.error_type, found.error_message) == (said.error.type, said.error.message)


def test_executions_are_what_their_files_say(query: Ask, recorded: me.Workspace) -> None:
    for found in query("executions"):
        run = recorded.find(found.address)
        assert isinstance(run, me.Run)
        [said] = [e for e in run.metadata.execution_history if e.number == found.number]
        assert (found.uid, found.status) == (said.execution_id, said.status)
        assert (found.started_at, found.ended_at) == (said.started_at, said.finished_at)
        assert _same(found.config, said.start.config)
        assert (found.host, found.pid) == (said.owner.host, said.owner.pid)
        assert (found.reason, found.last_step) == (said.reason, said.last_step)


def test_rows_without_a_record_stay_dictionaries(query: Ask) -> None:
    assert {type(each) for each in query("tags")} == {dict}
    assert query("params").filter(key="n").all() == query("params").filter(key="n").rows()


def test_a_member_that_this_release_does_not_know_is_handed_on(tmp_path: Path) -> None:
    run = make_run(tmp_path / "lab", durability="process")
    path = run.directory / "meta.json"
    said = json.loads(path.read_text())
    path.write_text(json.dumps({**said, "mood": "", "colors": [], "size": {"of": "NaN"}}))
    source = view(run.workspace)
    found = ask(source, "runs").first()
    source.close()
    assert dict(found.unknown) == dict(run.record.unknown)
    assert found.unknown["mood"] == ""
