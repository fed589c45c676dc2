"""Scopes are made once, whole; whoever comes later reads them, or edits what may change."""

from __future__ import annotations

import os
from collections.abc import Iterator
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from molexp.disk.beneath import Directory
from molexp.errors import AlreadyExistsError, InvalidInputError
from molexp.lifecycle.scopes import edit, find_scope, get_or_create
from molexp.lifecycle.site import Site, new_uid, now
from molexp.model.scope import Address, ExperimentMeta, ProjectMeta, RunMeta, WorkspaceMeta
from tests.lifecycle.lab import broken_rules, open_site, put

FORK = get_context("fork")
PROJECT = Address.parse("qm9")
EXPERIMENT = Address.parse("qm9/baseline")


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    path = tmp_path / "lab"
    put(path, "", WorkspaceMeta(uid=new_uid(), name="Lab", created_at=now()))
    return path


@pytest.fixture
def site(lab: Path) -> Iterator[Site]:
    made = open_site(lab)
    yield made
    made.close()


def project(**said: Any) -> ProjectMeta:
    return ProjectMeta.make(**{"uid": new_uid(), "name": "QM9", "created_at": now(), **said})


def experiment(**said: Any) -> ExperimentMeta:
    fixed = {"uid": new_uid(), "name": "Baseline", "created_at": now()}
    return ExperimentMeta.make(**{**fixed, **said})


def edits(lab: Path, address: Address) -> list[str]:
    """The lines of all edits of a scope."""
    place = lab / "/".join(f"{kind}/{name}" for kind, name in zip(
        ("projects", "experiments", "runs"), address, strict=False))  # fmt: skip
    return [line for path in place.glob("edits-*") for line in path.read_text().split()]


def test_a_scope_is_made_once_and_read_from_then_on(site: Site, lab: Path) -> None:
    first = get_or_create(site, PROJECT, project(description="sizes"))
    assert get_or_create(site, PROJECT, project()) == first
    assert find_scope(site, PROJECT, ProjectMeta) == first
    assert edits(lab, PROJECT) == []
    assert broken_rules(lab) == []


def test_what_is_not_there_is_none(site: Site) -> None:
    assert find_scope(site, PROJECT, ProjectMeta) is None


def test_another_name_with_the_same_slug_is_refused_and_names_the_first(site: Site) -> None:
    get_or_create(site, PROJECT, project())
    with pytest.raises(AlreadyExistsError, match="'QM9', which is here already"):
        get_or_create(site, PROJECT, project(name="qm9!"))


def test_other_parameters_are_another_experiment(site: Site) -> None:
    get_or_create(site, PROJECT, project())
    first = get_or_create(site, EXPERIMENT, experiment(params={"lr": 1}))
    assert get_or_create(site, EXPERIMENT, experiment(params={"lr": 1})) == first
    assert get_or_create(site, EXPERIMENT, experiment()) == first
    with pytest.raises(AlreadyExistsError, match="other params"):
        get_or_create(site, EXPERIMENT, experiment(params={"lr": 1.0}))


def test_other_differences_become_one_edit(site: Site, lab: Path) -> None:
    get_or_create(site, PROJECT, project(tags={"a": "1"}))
    for _ in range(3):
        found = get_or_create(site, PROJECT, project(description="later", tags={"b": True}))
        assert (found.description, found.tags) == ("later", {"a": "1", "b": True})
    assert len(edits(lab, PROJECT)) == 1
    assert broken_rules(lab) == []


def test_an_edit_is_kept_with_who_and_why(site: Site, lab: Path) -> None:
    meta = get_or_create(site, PROJECT, project(tags={"a": "1"}))
    after = edit(site, PROJECT, meta, {"notes": "seen", "tags": {"a": None}}, reason="tidy")
    assert (after.notes, after.tags) == ("seen", {})
    (line,) = edits(lab, PROJECT)
    assert '"reason":"tidy"' in line
    assert f"@{os.uname().nodename}" in line


@pytest.mark.parametrize(
    "patch", [{"uid": "x"}, {"created_at": None}, {"tags": {"a": 5}}, {"notes": ["x"]}]
)
def test_an_edit_that_a_reader_would_refuse_is_not_written(
    site: Site, lab: Path, patch: dict[str, Any]
) -> None:
    meta = get_or_create(site, PROJECT, project())
    with pytest.raises(InvalidInputError):
        edit(site, PROJECT, meta, patch)
    assert edits(lab, PROJECT) == []


def test_runs_lie_under_their_ids(site: Site, lab: Path) -> None:
    get_or_create(site, PROJECT, project())
    get_or_create(site, EXPERIMENT, experiment())
    meta = RunMeta(uid=new_uid(), name="first", created_at=now(), parameters={"lr": 0.1})
    assert get_or_create(site, EXPERIMENT / "first", meta) == meta
    assert broken_rules(lab) == []


def _make(lab: Path, pipe: Connection) -> None:
    site = Site(Directory.open(lab))
    made = get_or_create(site, PROJECT, project(tags={str(os.getpid()): True}))
    pipe.send(made.uid)
    site.close()


def test_of_eight_who_make_one_scope_all_get_the_same(lab: Path) -> None:
    pipes, children = [], []
    for _ in range(8):
        mine, theirs = FORK.Pipe(duplex=False)
        children.append(FORK.Process(target=_make, args=(lab, theirs)))
        children[-1].start()
        theirs.close()
        pipes.append(mine)
    uids = {pipe.recv() for pipe in pipes}
    for child in children:
        child.join()
    assert len(uids) == 1
    with Directory.open(lab) as root:
        found = find_scope(Site(root), PROJECT, ProjectMeta)
    assert found is not None
    assert len(found.tags) == 8, "what each of them said of it is kept"
    assert broken_rules(lab) == []
