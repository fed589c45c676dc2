"""A fold reads what changed, and a rebuild all; what either gives is proven by the stories."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import molexp as me
from molexp.catalog.engine import Connection, connect
from molexp.catalog.fold import GROWN
from molexp.catalog.generation import Generation, Shelf
from molexp.catalog.view import View
from molexp.disk.beneath import Directory
from tests.catalog import truth
from tests.catalog.small import find_run, open_view, rows


def test_a_rebuild_counts_what_is_there(lab: me.Workspace) -> None:
    with find_run(lab).start(capture=False) as ctx:
        ctx.artifact.save("x.json", {})
    report = lab.catalog.rebuild()
    assert (report.workspaces, report.projects, report.experiments, report.runs) == (1, 1, 1, 1)
    assert (report.executions, report.assets) == (1, 2)  # the execution is an asset as well
    assert report.errors == []


def test_one_damaged_record_is_named_and_hides_nothing(lab: me.Workspace) -> None:
    other = lab.project("QM9").experiment("baseline").run(id="second")
    (other.run_dir / "meta.json").chmod(0o644)
    (other.run_dir / "meta.json").write_bytes(b"no record")
    report = lab.catalog.rebuild()
    assert [str(other.run_dir) in error.message for error in report.errors] == [True]
    assert lab.catalog.runs().addresses() == ["qm9/baseline/first"]


def test_a_fold_reads_only_what_changed(lab: me.Workspace, view: View) -> None:
    for number in range(5):
        lab.project("QM9").experiment("baseline").run(id=f"r{number}")
    view.rebuild()
    view.rebuild()  # the first one may have been within the tick of what it read
    find_run(lab).edit(notes="new")
    assert view.fold().runs == 1
    assert rows(open_view(lab), "SELECT notes FROM runs WHERE notes <> ''") == [("new",)]


def test_progress_is_told(lab: me.Workspace) -> None:
    told: list[int] = []
    lab.catalog.rebuild(progress=told.append)
    assert told == [1, 2, 3, 4]


@contextmanager
def newest(root: Path) -> Iterator[tuple[Connection, Generation]]:
    """The newest generation, attached to a connection."""
    with closing(connect()) as connection, Directory.open(root) as directory:
        found = Shelf(directory).newest(connection, None)
        assert found is not None
        yield connection, found


def test_a_generation_that_grew_by_half_is_packed_again(lab: me.Workspace, view: View) -> None:
    root = Path(lab.root)
    view.rebuild()
    sizes: list[tuple[int, int]] = []
    while len({packed for packed, _ in sizes}) < 2:
        with newest(root) as (_, generation):
            sizes.append((generation.packed, generation.size))
        find_run(lab).edit(notes=os.urandom(20_000).hex())
        view.fold()
    packed = sizes[0][0]
    assert max(size for _, size in sizes[:-2]) <= packed * GROWN < sizes[-2][1]
    assert truth.ask(root) == truth.from_files(root)


def test_what_is_null_is_found_in_a_generation(lab: me.Workspace, view: View) -> None:
    find_run(lab).edit(tags={"keep": "yes"})
    view.rebuild()
    nulls = "SELECT count(*) FROM tags WHERE asset IS NULL"
    assert rows(open_view(lab), nulls) == [(1,)]
    with newest(Path(lab.root)) as (connection, generation):
        how = f"SELECT DISTINCT compression FROM pragma_storage_info('{generation.alias}.tags')"
        assert "DICT_FSST" not in [name for (name,) in connection.execute(how).fetchall()]
