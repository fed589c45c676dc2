"""One scope is taken apart: what is good is given, what is not joins the problems."""

from __future__ import annotations

from pathlib import Path

import pytest

import molexp as me
from molexp.disk.beneath import Directory
from molexp.errors import MolexpError, NotFoundError
from molexp.rows.gather import Gathered, gather
from molexp.rows.scopes import path_of


@pytest.fixture
def run(tmp_path: Path) -> me.Run:
    """A run that ended, with a bit of everything."""
    workspace = me.Workspace(tmp_path / "lab", durability="process")
    run = workspace.project("p").experiment("e").run(id="r", parameters={"lr": 0.1})
    with run.start(capture=False) as ctx:
        ctx.artifact.save("a.json", {"x": 1})
        ctx.log("train").append("one")
        ctx.metric("loss", 0.5)
        ctx.input("seed", value=3)
    run.edit(tags={"keep": "yes"})
    return run


def look(run: me.Run) -> tuple[Gathered, list[MolexpError]]:
    """What is gathered of it."""
    problems: list[MolexpError] = []
    root = run.experiment.project.workspace.root
    address = ("p", "e", "r")
    with Directory.open(root) as directory, directory.enter(path_of(address)) as scope:
        return gather(scope, address, 7, problems), problems


def test_a_run_is_given_with_all_that_its_files_say(run: me.Run) -> None:
    found, problems = look(run)
    assert not problems
    assert found.meta is not None
    assert found.meta["tags"] == {"keep": "yes"}
    [attempt] = found.attempts
    assert attempt.state == "succeeded"
    assert {each.name for each, _ in attempt.assets.values()} == {"a.json", "train"}
    assert attempt.metrics["loss"]["last"] == 0.5
    assert [each.value for each, _ in attempt.inputs] == [3]
    assert not found.unended
    assert found.glance.signature == look(run)[0].glance.signature


def test_a_log_has_the_size_that_it_came_to(run: me.Run) -> None:
    [attempt] = look(run)[0].attempts
    sizes = {each.name: each.size for each, _ in attempt.assets.values()}
    assert sizes["train"] == len("one\n")


def test_a_damaged_end_hides_nothing_else(run: me.Run) -> None:
    end = run.run_dir / "0001" / "end.json"
    end.parent.chmod(0o755)
    end.chmod(0o644)
    end.write_bytes(b"no record")
    found, [problem] = look(run)
    assert str(end) in problem.message
    [attempt] = found.attempts
    assert attempt.end is None
    assert attempt.metrics["loss"]["last"] == 0.5
    assert found.unended == [attempt]


def test_an_end_that_was_only_begun_without_links_hides_nothing(run: me.Run) -> None:
    execution = run.run_dir / "0001"
    execution.chmod(0o755)
    (execution / "end.json").unlink()
    (execution / "end").mkdir()
    found, problems = look(run)
    assert not problems
    assert found.attempts[0].metrics["loss"]["last"] == 0.5


def test_what_is_wrong_is_told_with_its_file_and_its_place(run: me.Run) -> None:
    ledger = run.run_dir / "0001" / "ledger.jsonl"
    before = ledger.read_bytes()
    ledger.chmod(0o644)
    ledger.write_bytes(before + b'{"paused":{}}\n')
    found, [problem] = look(run)
    assert problem.details["path"] == str(ledger)
    assert str(problem.details["place"]).startswith(f"byte {len(before)}")
    assert found.attempts[0].state == "succeeded"


def test_a_start_that_was_cut_is_told_before_there_is_an_end(run: me.Run) -> None:
    ledger = run.run_dir / "0001" / "ledger.jsonl"
    (run.run_dir / "0001" / "end.json").unlink()
    ledger.write_bytes(ledger.read_bytes()[:50])
    found, [problem] = look(run)
    assert [each.start for each in found.attempts] == [None]
    assert problem.details["path"] == str(ledger)
    assert "no execution's start stands there; restore it from a copy" in str(problem)


def test_a_damaged_line_hides_no_other(run: me.Run) -> None:
    ledger = run.run_dir / "0001" / "ledger.jsonl"
    lines = ledger.read_bytes().splitlines(keepends=True)
    lines[1] = b"#" * (len(lines[1]) - 1) + b"\n"
    ledger.chmod(0o644)
    ledger.write_bytes(b"".join(lines))
    found, problems = look(run)
    assert len(problems) == 1
    assert str(ledger) in problems[0].message
    assert [each.name for each, _ in found.attempts[0].assets.values()] == ["train"]


def test_a_damaged_record_hides_no_execution(run: me.Run) -> None:
    (run.run_dir / "meta.json").chmod(0o644)
    (run.run_dir / "meta.json").write_bytes(b'{"format": 1,')
    found, problems = look(run)
    assert found.meta is None
    assert len(found.attempts) == len(problems) == 1


def test_what_the_owner_wrote_after_the_end_is_no_row(run: me.Run) -> None:
    ledger = run.run_dir / "0001" / "ledger.jsonl"
    before = len(look(run)[0].attempts[0].inputs)
    ledger.chmod(0o644)
    with ledger.open("ab") as file:
        file.write(b'{"input":{"at":"2026-01-01T00:00:00Z","name":"late"}}\n')
    found, problems = look(run)
    assert len(found.attempts[0].inputs) == before
    assert "after the end" in problems[0].message


def test_a_place_without_a_record_is_no_scope(run: me.Run) -> None:
    (run.run_dir / "meta.json").unlink()
    with pytest.raises(NotFoundError):
        look(run)
