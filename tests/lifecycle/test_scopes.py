"""Scopes are made once, whole; whoever comes later reads them, or edits what may change."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from molexp.disk import layout
from molexp.disk.beneath import Directory
from molexp.errors import (
    AlreadyExistsError,
    FormatError,
    InvalidInputError,
    MolexpError,
    NotFoundError,
)
from molexp.lifecycle.scopes import (
    create,
    edit,
    find_scope,
    get_or_create,
    make_workspace,
    open_workspace,
)
from molexp.lifecycle.site import Site, new_uid, now
from molexp.model.address import Address
from molexp.model.scope import ExperimentMeta, ProjectMeta, RunMeta, WorkspaceMeta
from tests.disk import fork_each, meet
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


def run(**said: Any) -> RunMeta:
    return RunMeta.make(**{"uid": new_uid(), "name": "first", "created_at": now(), **said})


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


def test_nothing_is_made_in_a_scope_that_is_gone(site: Site, lab: Path) -> None:
    get_or_create(site, PROJECT, project())
    with pytest.raises(NotFoundError):
        create(site, EXPERIMENT / "first", run())
    assert not (lab / "projects/qm9/experiments").exists()


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
    get_or_create(site, PROJECT, project(tags={"a": "1"}))
    edit(site, PROJECT, {"notes": "seen", "tags": {"a": None}}, reason="tidy")
    after = find_scope(site, PROJECT, ProjectMeta)
    assert after is not None
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
    get_or_create(site, PROJECT, project())
    with pytest.raises(InvalidInputError):
        edit(site, PROJECT, patch)
    assert edits(lab, PROJECT) == []


def test_runs_lie_under_their_ids(site: Site, lab: Path) -> None:
    get_or_create(site, PROJECT, project())
    get_or_create(site, EXPERIMENT, experiment())
    meta = run(parameters={"lr": 0.1})
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


def workspace(**said: Any) -> WorkspaceMeta:
    fixed = {"uid": new_uid(), "name": "Lab", "created_at": now()}
    return WorkspaceMeta.make(**{**fixed, **said})


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize(("access", "mode"), [("private", 0o700), ("group", 0o2770)])
@pytest.mark.parametrize("umask", [0, 0o002, 0o022, 0o077])
def test_a_new_workspace_shuts_others_out(
    tmp_path: Path, access: str, mode: int, umask: int
) -> None:
    script = (
        f"import os; os.umask({umask})\n"
        "from pathlib import Path\n"
        "from molexp.lifecycle.scopes import make_workspace\n"
        "from molexp.lifecycle.site import new_uid, now\n"
        "from molexp.model.scope import WorkspaceMeta\n"
        f"meta = WorkspaceMeta(uid=new_uid(), name='Lab', created_at=now(), access={access!r})\n"
        f"make_workspace(Path({str(tmp_path / 'new/lab')!r}), meta).close()\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=Path(__file__).parents[2])
    assert mode_of(tmp_path / "new/lab") == mode
    assert mode_of(tmp_path / "new") == mode
    assert broken_rules(tmp_path / "new/lab") == []


def test_a_workspace_is_made_once_and_opened_from_then_on(tmp_path: Path) -> None:
    path = tmp_path / "lab"
    assert open_workspace(path) is None
    made = make_workspace(path, workspace(access="group"))
    again = make_workspace(path, workspace(name="Other"), "process")
    opened = open_workspace(path)
    assert opened is not None
    assert again.modes == opened.modes == made.modes == layout.ACCESS["group"]
    assert (again.durability, opened.durability) == ("process", "power")
    for each in (made, again, opened):
        each.close()
    assert '"name":"Lab"' in (path / "meta.json").read_text()


def test_an_empty_directory_becomes_a_workspace_and_keeps_its_mode(tmp_path: Path) -> None:
    for name in (".DS_Store", ".nfs0001"):
        (tmp_path / name).touch()
    tmp_path.chmod(0o750)
    assert open_workspace(tmp_path) is None
    make_workspace(tmp_path, workspace()).close()
    assert mode_of(tmp_path) == 0o750


@pytest.mark.parametrize("other", ["thesis.tex", "src/", "edits-a-b.jsonl", "link"])
def test_a_directory_with_other_things_is_refused_and_left_as_it_is(
    tmp_path: Path, other: str
) -> None:
    if other == "link":
        (tmp_path / other).symlink_to("/etc")
    elif other.endswith("/"):
        (tmp_path / other).mkdir()
    else:
        (tmp_path / other).touch()
    with pytest.raises(InvalidInputError, match=other.rstrip("/")):
        make_workspace(tmp_path, workspace())
    assert [path.name for path in tmp_path.iterdir()] == [other.rstrip("/")]


@pytest.mark.parametrize("damage", [b"", b"{", b'{"format":2}', b'{"format":1,"kind":"project"}'])
def test_a_damaged_workspace_is_neither_opened_nor_made_anew(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "meta.json").write_bytes(damage)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(FormatError, match=r"meta\.json"):
        open_workspace(tmp_path)
    with pytest.raises(FormatError, match=r"meta\.json"):
        make_workspace(tmp_path, workspace())
    assert (tmp_path / "meta.json").read_bytes() == damage
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("planted", ["file", "dangling link", "link to a file"])
def test_what_is_no_directory_is_no_workspace(tmp_path: Path, planted: str) -> None:
    path = tmp_path / "lab"
    (tmp_path / "file").write_bytes(b"mine")
    if planted == "file":
        path.write_bytes(b"mine")
    else:
        path.symlink_to("gone" if planted == "dangling link" else "file")
    with pytest.raises(MolexpError):
        make_workspace(path, workspace())
    assert (tmp_path / "file").read_bytes() == b"mine"
    assert not (tmp_path / "gone").exists()


def test_of_eight_who_make_one_workspace_all_get_the_same(tmp_path: Path) -> None:
    path = tmp_path / "new/lab"

    def work(number: int) -> str:
        meet(tmp_path / "met", str(number), 8)
        access = "group" if number % 2 else "private"
        made = make_workspace(path, workspace(access=access))
        get_or_create(made, PROJECT, project())
        edit(made, Address(), {"tags": {f"n{number}": True}})
        found = find_scope(made, Address(), WorkspaceMeta)
        assert found is not None
        assert made.modes == layout.ACCESS[found.access]
        return found.uid

    said = fork_each([partial(work, number) for number in range(8)])
    assert None not in said
    assert len(set(said)) == 1
    with Directory.open(path) as root:
        found = find_scope(Site(root), Address(), WorkspaceMeta)
    assert found is not None
    assert len(found.tags) == 8
    assert broken_rules(path) == []


def test_an_edit_reads_nothing_of_what_it_changes(site: Site, lab: Path) -> None:
    get_or_create(site, PROJECT, project())
    (lab / "projects/qm9/meta.json").write_bytes(b"{damaged")
    edit(site, PROJECT, {"notes": "all-the-same"})
    assert len(edits(lab, PROJECT)) == 1
    with pytest.raises(NotFoundError):
        edit(site, Address.parse("gone"), {"notes": "x"})


@pytest.mark.parametrize(
    "patch",
    [
        {"nots": "a misspelt field"},
        {"deleted": {"x": True}},
        {"tags": {"a": "\ud800"}},
        {"tags": {5: "a"}},
        {"notes": b"bytes"},
        {"tags": {"a": {"b": None, "c": 1}}},
        {"aliases": {"best": "no uid"}},
        {"access": "group"},
    ],
)
def test_no_edit_is_written_that_no_reader_would_heed(
    site: Site, lab: Path, patch: dict[str, Any]
) -> None:
    get_or_create(site, PROJECT, project())
    with pytest.raises(InvalidInputError):
        edit(site, PROJECT, patch)
    assert edits(lab, PROJECT) == []


def test_an_edit_of_any_depth_is_written_or_refused(site: Site, lab: Path) -> None:
    get_or_create(site, PROJECT, project())
    deep: Any = "x"
    for _ in range(5000):
        deep = {"a": deep}
    with pytest.raises(InvalidInputError):
        edit(site, PROJECT, {"tags": deep})
    assert edits(lab, PROJECT) == []


@pytest.mark.parametrize("place", ["projects", "projects/qm9", "projects/qm9/experiments"])
def test_a_planted_link_takes_no_scope_and_no_edit(site: Site, lab: Path, place: str) -> None:
    get_or_create(site, PROJECT, project())
    get_or_create(site, EXPERIMENT, experiment())
    outside = lab.parent / "outside"
    outside.mkdir()
    os.rename(lab / place, lab.parent / "away")
    (lab / place).symlink_to(outside)
    for act in (
        lambda: get_or_create(site, EXPERIMENT, experiment()),
        lambda: create(site, EXPERIMENT.parent / "other", experiment()),
        lambda: edit(site, EXPERIMENT, {"notes": "x"}),
    ):
        with pytest.raises(MolexpError):
            act()
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize("kind", ["link", "directory", "fifo"])
def test_edits_go_into_a_file_or_nowhere(site: Site, lab: Path, kind: str) -> None:
    get_or_create(site, PROJECT, project())
    place = lab / "projects/qm9" / site.edits
    (lab.parent / "other").write_bytes(b"untouched")
    if kind == "link":
        place.symlink_to(lab.parent / "other")
    elif kind == "directory":
        place.mkdir()
    else:
        os.mkfifo(place)
    with pytest.raises(MolexpError):
        edit(site, PROJECT, {"notes": "x"})
    assert (lab.parent / "other").read_bytes() == b"untouched"
