"""What a catalog shows, as one value to compare, and the workspaces that the tests damage."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

import molexp as me
from molexp.catalog import view as views
from molexp.catalog.engine import connect
from molexp.catalog.journals import Knowledge
from molexp.catalog.view import View
from molexp.disk import layout
from molexp.rows.tables import tables
from molexp.testing.trial import Say, run_in_child

T = TypeVar("T")

NOTHING = Knowledge()

Dump = dict[str, list[str]]


def shown(connection: Any) -> Dump:
    """All rows of all tables in order, the numbers of scopes replaced by their addresses."""
    rows: Dump = {}
    for name in tables():
        query = (
            f"SELECT scopes.address AS at, {name}.* EXCLUDE (scope)"
            f" FROM {name} JOIN scopes USING (scope)"
        )
        rows[name] = sorted(map(repr, connection.execute(query).fetchall()))
        (number,) = connection.execute(f"SELECT count(*) FROM {name}").fetchone()
        assert number == len(rows[name]), f"rows of no scope, or of several, in {name}"
    for name, query in {
        "scopes": "SELECT address, kind, project, experiment, run FROM scopes",
        "ids": "SELECT address, hash, name FROM ids JOIN scopes USING (scope)",
    }.items():
        rows[name] = sorted(map(repr, connection.execute(query).fetchall()))
    return rows


def digest(dump: Dump) -> str:
    """A short name for what is shown."""
    return hashlib.sha256(repr(sorted(dump.items())).encode()).hexdigest()


def differences(found: Dump, wanted: Dump) -> list[str]:
    """What is there and should not be, and what is missing."""
    said = []
    for name, rows in wanted.items():
        there, expected = Counter(found[name]), Counter(rows)
        said += [f"{name}: twice or wrong: {row}" for row in there - expected]
        said += [f"{name}: missing: {row}" for row in expected - there]
    return said


def view(root: Path, access: str = "private") -> View:
    """A view as a process that has just begun opens it."""
    return View(root, layout.ACCESS[access])


def ask(root: Path) -> Dump:
    """What a new view shows."""
    with closing(view(root)) as opened:
        return opened.ask(shown)


def fold(root: Path) -> None:
    """Fold, as a process that has just begun."""
    with closing(view(root)) as opened:
        opened.fold()


def tell(generation: Path, statement: str) -> None:
    """Change what a generation says, as another release or a stranger would have written it."""
    with closing(connect()) as connection:
        connection.execute(f"ATTACH '{generation}' AS told")
        connection.execute("USE told")
        connection.execute(statement)
        connection.execute("USE memory")
        connection.execute("DETACH told")


def from_files(root: Path) -> Dump:
    """What the files alone say: asked where no generation and no hint lies, and none is made."""
    hidden, many = root.parent / f"{root.name}.hidden", views.MANY
    if (root / layout.CACHE).exists():
        os.rename(root / layout.CACHE, hidden)
    views.MANY = 1 << 40
    try:
        return ask(root)
    finally:
        views.MANY = many
        if hidden.exists():
            os.rename(hidden, root / layout.CACHE)


def generations(root: Path) -> list[Path]:
    """The generations of a workspace, the newest first."""
    return sorted((root / layout.CATALOG).glob("catalog-*.duckdb"), reverse=True)


def fill(root: Path, runs: int = 6, name: str = "Lab") -> me.Workspace:
    """A workspace with runs of every outcome, and with something in every table."""
    workspace = me.Workspace(root, name=name, durability="process")
    experiment = workspace.project("QM9").experiment("baseline", params={"lr": 0.1})
    for number in range(runs):
        run = experiment.run(id=f"run-{number:02d}", parameters={"lr": number / 8, "o": {"n": 1}})
        if number % 3 == 2:
            continue
        try:
            with run.start(capture=False) as ctx:
                source = ctx.artifact.save("a.json", {"n": number}, tags={"best": "yes"})
                ctx.input("source", source.asset_id)
                ctx.metric("loss", 0.5, step=1)
                ctx.log("train").append("epoch 1")
                ctx.set_result("final", number)
                if number % 3 == 1:
                    raise ValueError(number)
        except ValueError:
            pass
        run.edit(tags={"number": str(number)}, notes="x")
    return workspace


def said_by(work: Callable[[Say], None]) -> list[Any]:
    """What a forked child says; that it crashes or raises fails the test."""
    ending = run_in_child(work)
    assert not ending.raised, ending.raised
    assert not ending.killed
    return ending.said


def in_child(work: Callable[[], T]) -> T:
    """What ``work`` gives, as JSON has it, in a process of its own."""
    [said] = said_by(lambda say: say(work()))
    return said  # type: ignore[no-any-return]


def beneath(root: Path) -> Iterator[str]:
    """The names of what lies aside in a workspace, being made or left."""
    tmp = root / layout.TMP
    yield from sorted(os.listdir(tmp)) if tmp.is_dir() else []
