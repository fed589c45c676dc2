"""A glance tells whether anything of a scope has changed, and a reading sees the same files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import molexp as me
from molexp.disk.beneath import Directory
from molexp.errors import NotFoundError
from molexp.rows.glance import Glance, glance, read


@pytest.fixture
def run(tmp_path: Path) -> me.Run:
    """A run that ended."""
    workspace = me.Workspace(tmp_path / "lab", durability="process")
    run = workspace.project("p").experiment("e").run(id="r")
    with run.start(capture=False) as ctx:
        ctx.metric("loss", 1.0)
    return run


def at(run: me.Run) -> Glance:
    """A glance at it."""
    with Directory.open(run.run_dir) as directory:
        return glance(directory, "run")


def test_reading_sees_what_a_glance_sees(run: me.Run) -> None:
    with Directory.open(run.run_dir) as directory:
        seen, data = read(directory, "run", [])
    assert seen == at(run)
    assert data.keys() == seen.files.keys() == {"meta.json", "0001/end.json", "0001/ledger.jsonl"}


def test_an_edit_a_start_and_an_end_show(run: me.Run) -> None:
    seen = {at(run).signature}
    run.edit(notes="x")
    seen.add(at(run).signature)
    with run.start(again=True, capture=False) as ctx:
        seen.add(at(run).signature)
        ctx.metric("loss", 2.0)
        seen.add(at(run).signature)
    seen.add(at(run).signature)
    assert len(seen) == 5


def test_an_edit_of_equal_size_with_its_time_put_back_shows(run: me.Run) -> None:
    before, meta = at(run).signature, run.run_dir / "meta.json"
    status, data = meta.stat(), meta.read_bytes()
    meta.chmod(0o644)
    meta.write_bytes(data.replace(b'"r"', b'"s"'))
    os.utime(meta, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert at(run).signature != before


def test_a_link_is_not_followed_and_joins_the_problems(run: me.Run, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere.json"
    elsewhere.write_text("{}")
    (run.run_dir / "meta.json").unlink()
    (run.run_dir / "meta.json").symlink_to(elsewhere)
    problems: list[me.errors.MolexpError] = []
    with Directory.open(run.run_dir) as directory:
        _, data = read(directory, "run", problems)
    assert "meta.json" not in data
    assert len(problems) == 1


def test_an_empty_directory_is_no_scope(tmp_path: Path) -> None:
    with Directory.open(tmp_path) as directory, pytest.raises(NotFoundError):
        glance(directory, "run")
