from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

import molexp as me
from molexp.errors import (
    AlreadyExistsError,
    ConflictError,
    FormatError,
    InvalidInputError,
    InvalidNameError,
    NotFoundError,
)
from tests.recording.lab import broken_rules, files, make_run, python


def test_nothing_is_made_until_something_is_recorded(tmp_path: Path) -> None:
    ws = me.Workspace(tmp_path / "deep" / "lab", name="Lab")
    assert ws.list_projects() == []
    assert ws.get_project("QM9") is None
    assert ws.data_assets.list_assets() == []
    assert [*ws.data_assets] == []
    assert ws.trash.list() == []
    for look in (
        lambda: ws.find("qm9"),
        lambda: ws.data_assets.get("x"),
        lambda: ws.delete_project("QM9"),
        lambda: ws.trash.restore("x"),
        lambda: ws.trash.empty("x"),
        lambda: ws.record,
        ws.problems,
    ):
        with pytest.raises(NotFoundError):
            look()
    assert list(tmp_path.iterdir()) == []
    ws.project("QM9")
    assert ws.record.name == "Lab"
    assert [each.name for each in ws.list_projects()] == ["QM9"]


def test_loading_wants_something_to_be_there(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(NotFoundError, match="no workspace"):
            me.Workspace.load(path)
    with pytest.raises(me.errors.MolexpError):
        me.Workspace.load(tmp_path / "file")
    made = me.Workspace(tmp_path / "lab").materialize()
    assert me.Workspace.load(tmp_path / "lab").uid == made.uid
    assert me.Workspace(root=tmp_path / "lab").uid == made.uid
    assert made.root == tmp_path / "lab"
    assert made.name == "lab"


@pytest.mark.parametrize(
    ("was", "becomes", "place"),
    [
        (b'"format":1', b'"format":2', "format"),
        (b'"format":1', b'"format":"1"', "format"),
        (b'"kind":"workspace"', b'"kind":"project"', "kind"),
        (b'"format":1,', b"", "format"),
        (b"{", b"[{", ""),
        (b"{", b"[" * 100_000, ""),
        (b"{", b"\xff{", ""),
    ],
)
def test_loading_refuses_what_is_no_workspace_of_ours(
    tmp_path: Path, was: bytes, becomes: bytes, place: str
) -> None:
    me.Workspace(tmp_path / "lab").materialize().close()
    meta = tmp_path / "lab" / "meta.json"
    data = meta.read_bytes()
    assert was in data
    meta.unlink()
    meta.write_bytes(data.replace(was, becomes, 1))
    with pytest.raises(FormatError) as caught:
        me.Workspace.load(tmp_path / "lab")
    assert place in str(caught.value.details["place"])


def test_other_damage_is_told_when_the_record_is_read(tmp_path: Path) -> None:
    uid = me.Workspace(tmp_path / "lab").materialize().uid
    meta = tmp_path / "lab" / "meta.json"
    data = meta.read_bytes()
    meta.unlink()
    meta.write_bytes(data.replace(uid.encode(), b"none"))
    ws = me.Workspace.load(tmp_path / "lab")
    with pytest.raises(FormatError) as caught:
        ws.list_projects()
    assert caught.value.details["place"] == "uid"


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"path": "a", "root": "b"},
        {"path": "a", "durability": "x"},
        {"path": "a", "access": "x"},
    ],
)
def test_a_workspace_that_is_none_is_refused_at_once(said: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError):
        me.Workspace(**said)


def test_a_directory_with_other_things_in_it_is_no_workspace(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(InvalidInputError, match=r"thesis\.tex"):
        me.Workspace(tmp_path).project("QM9")
    assert files(tmp_path) == {"thesis.tex"}


def test_a_project_is_got_or_made(workspace: me.Workspace) -> None:
    project = workspace.project("QM9, second", description="d", tags={"a": "b"})
    assert workspace.project("QM9, second") is project
    assert workspace.add_project("QM9, second") is project
    assert workspace.get_project("QM9, second") is project
    assert (project.id, project.name) == ("qm9-second", "QM9, second")
    assert (project.record.description, project.record.tags) == ("d", {"a": "b"})
    with pytest.raises(AlreadyExistsError, match="'QM9, second'"):
        workspace.project("qm9 second")
    assert workspace.project("QM9, second", description="e").record.description == "e"
    for name in ("", "…", "../..", "con"):
        with pytest.raises(InvalidNameError):
            workspace.project(name)
    assert workspace.get_project("none") is None


def test_deleting_what_is_not_there_raises(workspace: me.Workspace, run: me.Run) -> None:
    with pytest.raises(NotFoundError, match="did you mean 'qm9'"):
        workspace.delete_project("qm8")
    with pytest.raises(NotFoundError):
        run.experiment.project.delete_experiment("none")
    with pytest.raises(NotFoundError):
        run.experiment.delete_run("none")
    with pytest.raises(NotFoundError):
        run.delete_execution(1)
    run.experiment.delete_run(run)
    with pytest.raises(NotFoundError):
        run.experiment.delete_run(run)
    with pytest.raises(NotFoundError):
        run.start()


def test_a_project_at_work_is_not_deleted_and_comes_back_whole(
    workspace: me.Workspace, run: me.Run
) -> None:
    with run.start(capture=False) as ctx:
        with pytest.raises(ConflictError):
            workspace.delete_project("QM9")
        ctx.artifact.save("a", b"a")
    workspace.delete_project("QM9", reason="old")
    assert workspace.list_projects() == []
    (removed,) = workspace.trash.list()
    assert removed.reason == "old"
    workspace.trash.restore("qm9")
    assert run.assets.get("a").read_bytes() == b"a"
    assert broken_rules(workspace.root) == []


def test_scopes_are_found_by_their_address(workspace: me.Workspace, run: me.Run) -> None:
    for address in ("qm9", "qm9/baseline", "qm9/baseline/first"):
        assert workspace.find(address).address == address
    assert workspace.find("qm9/baseline/first") == run
    with pytest.raises(NotFoundError, match="did you mean 'baseline'"):
        workspace.find("qm9/basline/first")
    for address in ("../x", "qm9/../qm9", "/qm9", "qm9/baseline/first/0001", "QM9/x/y/z"):
        with pytest.raises((InvalidInputError, NotFoundError)):
            workspace.find(address)


def test_two_handles_on_one_workspace_see_the_same(workspace: me.Workspace, run: me.Run) -> None:
    other = me.Workspace(workspace.root).find("qm9/baseline/first")
    assert isinstance(other, me.Run)
    assert other == run
    assert hash(other) == hash(run)
    with run.start(capture=False) as ctx:
        assert other.status == "running"
        ctx.set_result("x", 1)
        with pytest.raises(ConflictError):
            other.start()
        other.edit(notes="by the other")
    assert run.record.notes == "by the other"
    assert other.get_result("x") == 1


def _record(root: Path) -> me.Run:
    run = make_run(root, durability="process")
    with run.start(capture=False) as ctx:
        asset = ctx.artifact.save("a.txt", "a")
        ctx.publish(asset)
        ctx.log("l").append("1")
    return run


def test_a_workspace_works_where_it_was_moved_or_copied_to(tmp_path: Path) -> None:
    run = _record(tmp_path / "lab")
    run.workspace.close()
    shutil.copytree(tmp_path / "lab", tmp_path / "copy", symlinks=True)
    (tmp_path / "lab").rename(tmp_path / "moved")
    for name in ("copy", "moved"):
        found = me.Workspace.load(tmp_path / name).find("qm9/baseline/first")
        assert isinstance(found, me.Run)
        asset = found.assets.get("a.txt")
        assert asset.read_text() == "a"
        assert asset.absolute_path().is_relative_to(tmp_path / name)
        published = found.experiment.data_assets.get("a.txt")
        assert published.absolute_path().is_relative_to(tmp_path / name)
        with found.start(capture=False, again=True) as ctx:
            assert ctx.find_asset("a.txt").read_text() == "a"
        assert broken_rules(tmp_path / name) == []


def test_a_run_that_is_moved_or_copied_by_hand_lies_where_it_now_is(tmp_path: Path) -> None:
    run = _record(tmp_path / "lab")
    other = run.experiment.project.experiment("other")
    other.run(id="there")
    target = other.experiment_dir / "runs"
    shutil.copytree(run.run_dir, target / "copied")
    run.run_dir.rename(target / "moved")
    assert run.experiment.list_runs() == []
    assert [each.id for each in other.list_runs()] == ["copied", "moved", "there"]
    for name in ("copied", "moved"):
        found = other.get_run(name)
        assert found is not None
        assert found.address == f"qm9/other/{name}"
        assert found.assets.get("a.txt").read_text() == "a"
        with found.start(capture=False, again=True) as ctx:
            ctx.set_result("x", 1)
    twins = [each for each in run.workspace.problems() if "twins" in str(each)]
    assert len(twins) == 1
    assert "qm9/other/copied" in str(twins[0])
    assert "qm9/other/moved" in str(twins[0])


@pytest.mark.parametrize("name", ["with space", "ünï cödé 分子", "a'b\"c", "-rf", "50%"])
def test_a_workspace_lies_at_any_path(tmp_path: Path, name: str) -> None:
    run = _record(tmp_path / name / "lab")
    assert run.assets.get("a.txt").read_text() == "a"
    told = python(
        "import sys, molexp as me\n"
        "print(me.Workspace.load(sys.argv[1]).find('qm9/baseline/first').status)",
        tmp_path / name / "lab",
    )
    assert told == "succeeded\n"
    assert broken_rules(tmp_path / name / "lab") == []


def test_a_closed_workspace_is_opened_again_by_its_handles(run: me.Run) -> None:
    with run.workspace as ws:
        assert ws.list_projects()
    assert run.status == "pending"
    with run.start(capture=False):
        pass
    assert run.status == "succeeded"


def test_one_run_costs_five_files_and_four_directories(tmp_path: Path) -> None:
    experiment = make_run(tmp_path / "lab", durability="process").experiment
    before = set((tmp_path / "lab").rglob("*"))
    run = experiment.run(parameters={f"p{number}": number for number in range(10)})
    with run.start(capture=False) as ctx:
        ctx.artifact.save("a.bin", bytes(4096))
        for line in range(10):
            ctx.log("train").append(str(line))
    new = set((tmp_path / "lab").rglob("*")) - before
    new = {each for each in new if ".molexp" not in each.parts}
    assert sorted(each.name for each in new if each.is_file()) == [
        "a.bin",
        "end.json",
        "ledger.jsonl",
        "meta.json",
        "train.log",
    ]
    assert sorted(each.name for each in new if each.is_dir()) == sorted(
        [run.id, "0001", "artifacts", "logs"]
    )
    run.edit(tags={"keep": "yes"})
    run.edit(notes="more")
    more = set((tmp_path / "lab").rglob("*")) - before - new
    (edits,) = [each for each in more if ".molexp" not in each.parts]
    assert edits.name.startswith("edits-")
    assert edits.parent == run.run_dir


def test_what_dead_processes_left_open_is_reaped(tmp_path: Path) -> None:
    code = """
import os, sys
import molexp as me
exp = me.Workspace(sys.argv[1]).project("QM9").experiment("baseline")
for name in ("a", "b"):
    exp.run(id=name).start(capture=False)
os._exit(0)
"""
    python(code, tmp_path / "lab")
    ws = me.Workspace.load(tmp_path / "lab")
    assert ws.find("qm9/baseline/a").status == "failed"  # type: ignore[union-attr]
    reaped = ws.reap()
    assert sorted(str(each.address) for each in reaped) == ["qm9/baseline/a", "qm9/baseline/b"]
    assert ws.reap() == []
    assert broken_rules(tmp_path / "lab") == []


def test_a_damaged_record_hides_nothing_else(workspace: me.Workspace, run: me.Run) -> None:
    other = run.experiment.run(id="second")
    with other.start(capture=False) as ctx:
        ctx.artifact.save("a", b"")
    (run.run_dir / "meta.json").write_text('{"format": 1')
    assert any("first" in str(each) for each in workspace.problems())
    assert [each.name for each in workspace.assets.list("artifact", recursive=True)] == ["a"]
    assert workspace.find("qm9/baseline/second").address == other.address
    assert os.path.isdir(workspace)
