from __future__ import annotations

import pytest

import molexp as me
from molexp.errors import AlreadyExistsError, InvalidInputError, NotFoundError
from tests.recording.lab import broken_rules


def test_what_was_removed_is_listed_and_put_back(run: me.Run) -> None:
    with run.start(capture=False) as ctx:
        ctx.artifact.save("a", b"a")
    uid = run.uid
    run.experiment.delete_run(run, reason="wrong")
    trash = run.workspace.trash
    (removed,) = trash.list()
    assert (removed.of, removed.reason) == (uid, "wrong")
    for key in (run.id,):
        trash.restore(key)
    assert run.assets.get("a").read_bytes() == b"a"
    assert trash.list() == []
    for key in (uid, removed.uid):
        run.experiment.delete_run(run)
        trash.restore(key if key == uid else trash.list()[0].uid)
    assert broken_rules(run.workspace.root) == []


def test_nothing_is_put_over_what_lies_there_and_nothing_is_guessed(run: me.Run) -> None:
    experiment, trash = run.experiment, run.workspace.trash
    experiment.delete_run(run)
    experiment.run(id="first")
    with pytest.raises(AlreadyExistsError):
        trash.restore("first")
    experiment.delete_run("first")
    with pytest.raises(InvalidInputError, match="2 times"):
        trash.restore("first")
    with pytest.raises(NotFoundError):
        trash.restore("never")
    assert len(trash.list()) == 2


def test_the_trash_is_emptied_on_command(run: me.Run) -> None:
    other = run.experiment.run(id="second")
    for each in (run, other):
        with each.start(capture=False):
            pass
        run.experiment.delete_run(each)
    trash = run.workspace.trash
    with pytest.raises(NotFoundError):
        trash.empty("never")
    first, _ = trash.list()
    assert trash.empty(first.uid) == 1
    assert trash.empty() == 1
    assert trash.empty() == 0
    with pytest.raises(NotFoundError):
        trash.restore("second")
    assert broken_rules(run.workspace.root) == []
