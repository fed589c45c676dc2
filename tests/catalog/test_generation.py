"""A generation is used if somebody who may be trusted made it as this release does."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

import molexp as me
from molexp.catalog import generation
from molexp.catalog.engine import connect
from molexp.catalog.generation import (
    KEPT,
    YOUNG_SECONDS,
    Shelf,
    collect,
    is_whole,
    locked,
    make_name,
)
from molexp.catalog.view import View
from molexp.disk import layout
from molexp.disk.beneath import Directory
from molexp.rows import tables
from tests.catalog.small import addresses, make_lab, open_view
from tests.users import NOBODY, User


def newest(workspace: me.Workspace) -> Path:
    """The file of the newest generation."""
    return max((workspace.root / layout.CATALOG).iterdir())


def is_used(workspace: me.Workspace) -> bool:
    """Whether a reader takes one of the generations."""
    with closing(Directory.open(workspace.root)) as root, closing(connect()) as connection:
        found = Shelf(root).newest(connection, None)
        if found is not None:
            os.close(found.fd)
        return found is not None


@pytest.fixture
def folded(lab: me.Workspace, view: View) -> me.Workspace:
    view.fold()
    return lab


def test_a_generation_is_used(folded: me.Workspace) -> None:
    assert is_used(folded)


def test_one_that_everybody_may_write_to_is_not(folded: me.Workspace) -> None:
    newest(folded).chmod(0o666)
    assert not is_used(folded)


def test_one_that_another_release_made_is_not(
    folded: me.Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(me, "__version__", "99.0")
    assert not is_used(folded)


def said(key: str, value: str) -> str:
    """What lets a generation say something else of itself."""
    return f"UPDATE state SET value = '{value}' WHERE key = '{key}'"


@pytest.mark.parametrize(
    "damage",
    [
        "DROP TABLE state",
        "DELETE FROM state",
        said("fingerprint", "x"),
        said("packed", "x"),
        said("knowledge", "{"),
        said("knowledge", "[]"),
        said("knowledge", "{}"),
        said("knowledge", "[" * 5000),
        said("knowledge", '{"marks":1,"journals":{},"boots":[]}'),
        said("knowledge", '{"marks":[],"journals":[],"boots":[]}'),
        "UPDATE state SET value = NULL WHERE key = 'knowledge'",
        "ALTER TABLE state DROP COLUMN value",
    ],
)
def test_one_whose_state_is_damaged_is_not_used_and_the_answer_is_right(
    folded: me.Workspace, damage: str
) -> None:
    path = newest(folded)
    with closing(connect()) as connection:
        connection.execute(f"ATTACH '{path}' AS g")
        connection.execute("USE g")
        connection.execute(damage)
        connection.execute("CHECKPOINT")
    assert not is_used(folded)
    with closing(open_view(folded)) as view:
        assert addresses(view) == ["qm9/baseline/first"]


@pytest.mark.parametrize("content", [b"", b"x" * 5000, b"\0" * 4096])
def test_one_that_is_no_database_is_not_used(folded: me.Workspace, content: bytes) -> None:
    path = newest(folded)
    other = path.with_name(make_name(99))
    other.write_bytes(content)
    assert is_used(folded)
    path.unlink()
    assert not is_used(folded)


def test_a_link_is_no_generation(folded: me.Workspace) -> None:
    path = newest(folded)
    aside = folded.root / ".molexp" / "aside"
    os.rename(path, aside)
    path.symlink_to(aside)
    assert not is_used(folded)


@pytest.mark.users
def test_one_that_a_stranger_made_is_not_used(user: User) -> None:
    def body() -> tuple[bool, bool, bool]:
        workspace = make_lab(user.directory / "lab")
        with closing(open_view(workspace)) as view:
            view.fold()
        mine = is_used(workspace)
        if os.geteuid():
            return mine, False, True
        os.chown(newest(workspace), NOBODY, NOBODY)
        theirs = is_used(workspace)
        os.chown(workspace.root, NOBODY, NOBODY)
        return mine, theirs, is_used(workspace)

    assert user.run(body) == (True, False, True)


@pytest.mark.users
def test_one_that_somebody_of_the_group_made_is_used_in_a_workspace_of_the_group(
    user: User,
) -> None:
    def body() -> tuple[bool, bool]:
        workspace = make_lab(user.directory / "lab", access="group")
        with closing(open_view(workspace, "group")) as view:
            view.fold()
        if os.geteuid():
            return is_used(workspace), False
        group = workspace.root.stat().st_gid
        os.chown(newest(workspace), NOBODY, group)
        of_group = is_used(workspace)
        os.chown(newest(workspace), NOBODY, NOBODY)
        return of_group, is_used(workspace)

    assert user.run(body) == (True, False)


@pytest.mark.users
def test_a_workspace_that_cannot_be_written_has_its_generations_in_the_user_s_cache(
    user: User,
) -> None:
    def body() -> tuple[list[str], bool]:
        os.environ["XDG_CACHE_HOME"] = str(user.directory / "cache")
        workspace = make_lab(user.directory / "lab")
        workspace.close()
        (workspace.root / ".molexp").rename(user.directory / "aside")
        workspace.root.chmod(0o555)
        with closing(open_view(workspace)) as view:
            found = addresses(view)
            view.fold()
            found += addresses(view)
        in_cache = [*(user.directory / "cache").rglob("*.duckdb")]
        workspace.root.chmod(0o755)
        return found, bool(in_cache) or os.geteuid() == 0

    assert user.run(body) == (["qm9/baseline/first"] * 2, True)


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Directory]:
    with Directory.open(tmp_path) as directory:
        yield directory


def test_the_newest_three_and_the_young_are_kept(shelf: Directory, tmp_path: Path) -> None:
    names = [make_name(number) for number in range(8)]
    for number, name in enumerate(names):
        (tmp_path / name).touch()
        if number != 2:
            old = time.time() - YOUNG_SECONDS - 10
            os.utime(tmp_path / name, (old, old))
    (tmp_path / "notes.txt").touch()
    collect(shelf)
    assert sorted(each.name for each in tmp_path.iterdir()) == sorted(
        [*names[-KEPT:], names[2], "notes.txt"]
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_only_one_s_own_generations_are_collected(shelf: Directory, tmp_path: Path) -> None:
    names = [make_name(number) for number in range(5)]
    for name in names:
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (0, 0))
    os.chown(tmp_path / names[0], NOBODY, NOBODY)
    collect(shelf)
    assert sorted(each.name for each in tmp_path.iterdir()) == [names[0], *names[2:]]


def test_another_set_of_tables_is_another_fingerprint(monkeypatch: pytest.MonkeyPatch) -> None:
    before = generation.fingerprint()
    some = dict(tables.tables())
    some.pop("params")
    monkeypatch.setattr(generation, "tables", lambda: some)
    assert generation.fingerprint() != before


def test_who_holds_the_lock_is_alone_and_nobody_waits(folded: me.Workspace) -> None:
    with closing(Directory.open(folded.root)) as root:
        one, other = Shelf(root), Shelf(root)
        with locked(one, 0o755) as is_mine, locked(other, 0o755) as is_theirs:
            assert (is_mine, is_theirs) == (True, False)
        with locked(other, 0o755) as is_theirs:
            assert is_theirs


def test_one_that_is_attached_is_found_whole(folded: me.Workspace) -> None:
    with closing(connect()) as connection, Directory.open(folded.root) as root:
        found = Shelf(root).newest(connection, None)
        assert found is not None
        assert is_whole(found)
