from __future__ import annotations

import molexp as me
from molexp.errors import NotFoundError
from molexp.model.address import Address
from molexp.workspace.listing import not_there, scopes_in


def test_what_lies_in_a_scope_is_listed_by_its_directories(run: me.Run) -> None:
    run.experiment.run(id="second")
    runs = run.experiment.experiment_dir / "runs"
    (runs / "no-run").mkdir()
    (runs / ".DS_Store").touch()
    (runs / "file").touch()
    site = run.workspace.site()
    found = scopes_in(site, Address.parse("qm9/baseline"))
    assert [str(each) for each in found] == ["qm9/baseline/first", "qm9/baseline/second"]
    assert scopes_in(site, Address.parse("qm9/never")) == []
    assert [each.id for each in run.experiment.list_runs()] == ["first", "second"]


def test_what_is_not_there_is_told_with_what_is_near(run: me.Run) -> None:
    error = not_there(run.experiment, "run", "frist", ["first", "second"])
    assert isinstance(error, NotFoundError)
    assert "did you mean 'first'" in str(error)
    assert "list the runs" in str(not_there(run.experiment, "run", "x", []))
