"""A fold reads what changed, and a rebuild all; what either gives is proven by the stories."""

from __future__ import annotations

import molexp as me
from molexp.catalog.view import View
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
