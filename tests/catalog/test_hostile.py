"""Others' rights and others' rubbish: who may not write still asks, and nothing stops a query."""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from errno import EACCES, EIO, EMFILE, ENOSPC, EROFS
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import molexp as me
from molexp.catalog import view as views
from molexp.disk import door, layout
from molexp.errors import CatalogError, StorageError
from tests.catalog import truth
from tests.conftest import PROFILE
from tests.users import NOBODY, User

NIGHTLY = PROFILE == "nightly"
AS_ROOT = os.geteuid() == 0


def _fill(root: Path) -> None:
    truth.fill(root, runs=3).close()


@pytest.mark.users
def test_whoever_may_not_write_there_has_a_cache_at_home(user: User) -> None:
    root = user.directory.parent / "lab"
    truth.in_child(lambda: _fill(root))
    wanted = truth.in_child(lambda: truth.from_files(root))
    _open_to_readers(root)
    before = _names(root)

    def body() -> list[Any]:
        def work() -> list[Any]:
            os.environ["XDG_CACHE_HOME"] = str(user.directory / "cache")
            views.MANY, views.RESTS = 0, 0.0
            found = [truth.ask(root) for _ in range(2)]
            with closing(truth.view(root)) as view:
                view.fold()
                found.append(view.ask(truth.shown))
            return found

        return truth.said_by(lambda say: say(work()))[0]  # type: ignore[no-any-return]

    for found in user.run(body):
        assert truth.differences(found, wanted) == []
    cached = list((user.directory / "cache" / "molexp").rglob("*.duckdb"))
    if user.uid != 0:
        assert cached
        assert _names(root) == before
    else:
        assert truth.generations(root)


def _open_to_readers(root: Path) -> None:
    """Everybody may read all of it, and nobody but root write to any of it."""
    for at, directories, files in os.walk(root):
        for name in directories:
            os.chmod(os.path.join(at, name), 0o555)
        for name in files:
            os.chmod(os.path.join(at, name), 0o444)
    os.chmod(root, 0o555)


def _names(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*")}


@pytest.mark.users
def test_what_a_reader_may_not_look_into_hides_nothing_else(user: User) -> None:
    root = user.directory / "lab"

    def body() -> list[Any]:
        def work() -> list[Any]:
            _fill(root)
            runs = root / "projects/qm9/experiments/baseline/runs"
            os.chmod(runs / "run-00", 0o000)
            os.chmod(runs / "run-01" / "meta.json", 0o000)
            os.chmod(next((root / layout.JOURNAL).glob("*.jsonl")), 0o000)
            with closing(truth.view(root)) as view:
                asked = view.ask(truth.shown)
                report = view.fold()
                folded = view.ask(truth.shown)
            return [asked["runs"], folded["runs"], len(report.errors), truth.ask(root)["runs"]]

        return truth.said_by(lambda say: say(work()))[0]  # type: ignore[no-any-return]

    asked, folded, errors, again = user.run(body)
    assert asked == folded == again
    assert any("run-02" in row for row in asked)
    if user.uid != 0:
        assert errors >= 2
        assert len(asked) == 1


@pytest.mark.skipif(not AS_ROOT, reason="another user is needed, whom only root can be")
def test_two_users_of_a_group_share_generations() -> None:
    def member(root: Path, act: Callable[[], Any]) -> Any:
        def work() -> Any:
            os.environ["XDG_CACHE_HOME"] = str(root.parent / "cache")
            os.umask(0o007)
            os.setgroups([NOBODY])
            os.setresuid(NOBODY - 1, NOBODY - 1, NOBODY - 1)
            return act()

        return truth.in_child(work)

    base = Path(tempfile.mkdtemp(prefix="molexp-group-"))
    base.chmod(0o755)
    root = base / "lab"
    root.mkdir()
    os.chown(root, -1, NOBODY)
    root.chmod(0o2770)

    def make() -> None:
        workspace = me.Workspace(root, name="Lab", durability="process", access="group")
        run = workspace.project("QM9").experiment("baseline").run(id="mine")
        run.edit(tags={"by": "root"})
        workspace.close()
        with closing(truth.view(root, "group")) as view:
            view.fold()

    def share() -> truth.Dump:
        workspace = me.Workspace.load(root, durability="process")
        found: Any = workspace.find("qm9/baseline/mine")
        found.edit(tags={"also": "theirs"})
        workspace.close()
        with closing(truth.view(root, "group")) as view:
            first = view.ask(truth.shown)
            view.fold()
            assert view.ask(truth.shown) == first
        return first

    truth.in_child(make)
    theirs = member(root, share)
    assert "theirs" in "".join(theirs["tags"])
    assert truth.differences(truth.in_child(lambda: truth.ask(root)), theirs) == []
    owners = {path.stat().st_uid for path in truth.generations(root)}
    shutil.rmtree(base)
    assert owners == {0, NOBODY - 1}


@pytest.mark.skipif(not AS_ROOT, reason="another user is needed, whom only root can be")
def test_what_a_stranger_planted_is_not_read(tmp_path: Path) -> None:
    root = tmp_path / "lab"
    truth.in_child(lambda: _fill(root))
    wanted = truth.in_child(lambda: truth.ask(root))
    truth.in_child(lambda: truth.fold(root))
    [newest] = truth.generations(root)
    truth.in_child(lambda: truth.tell(newest, "UPDATE runs SET status = 'a lie'"))
    assert truth.in_child(lambda: truth.ask(root)) != wanted  # from somebody who is trusted
    os.chown(newest, NOBODY, NOBODY)
    data = newest.read_bytes()
    assert truth.in_child(lambda: truth.ask(root)) == wanted
    truth.in_child(lambda: truth.fold(root))
    assert truth.in_child(lambda: truth.ask(root)) == wanted
    assert newest.read_bytes() == data


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A small workspace that was folded."""
    root = tmp_path / "lab"
    truth.in_child(lambda: _fill(root))
    truth.in_child(lambda: truth.fold(root))
    return root


def _remove_generations(root: Path) -> None:
    """So that a query folds before it answers, of however few scopes."""
    for path in truth.generations(root):
        path.unlink()


def _refusing(at: int, reason: int, calls: list[str]) -> door.Gate:
    def gate(operation: str, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        calls.append(operation)
        if len(calls) >= at > 0:
            raise OSError(reason, os.strerror(reason))
        return function(*arguments)

    return gate


@pytest.mark.parametrize("reason", [ENOSPC, EIO, EROFS, EACCES, EMFILE] if NIGHTLY else [ENOSPC])
def test_a_query_answers_whatever_refuses_its_fold(root: Path, reason: int) -> None:
    """From each call on all that follow are refused, as on a full disk."""
    wanted = truth.in_child(lambda: truth.from_files(root))

    def work() -> list[Any]:
        views.MANY, views.RESTS, views.FAILED_RESTS = -9, 0.0, 0.0
        wrong: list[Any] = []
        calls: list[str] = []
        _remove_generations(root)
        with closing(truth.view(root)) as view, door.gated(_refusing(0, reason, calls)):
            view.ask(truth.shown)
        for at in range(1, len(calls) + 1):
            _remove_generations(root)
            with closing(truth.view(root)) as view:
                with door.gated(_refusing(at, reason, [])):
                    wrong += truth.differences(view.ask(truth.shown), wanted)
                    with suppress(CatalogError, StorageError):
                        view.rebuild()
                    wrong += truth.differences(view.ask(truth.shown), wanted)
                view.fold()
                wrong += truth.differences(view.ask(truth.shown), wanted)
        return [len(calls), wrong, list(truth.beneath(root))]

    tried, wrong, left = truth.in_child(work)
    assert tried > 4
    assert wrong == []
    assert all(name.count("-") == 3 for name in left)


def test_a_query_answers_where_the_engine_finds_no_space(root: Path) -> None:
    wanted = truth.in_child(lambda: truth.from_files(root))

    def work() -> list[Any]:
        views.MANY, views.RESTS, views.FAILED_RESTS = -9, 0.0, 0.0
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        wrong: list[Any] = []
        failed = 0
        for size in range(1, 3 << 20, 4096 * (8 if NIGHTLY else 96)):
            _remove_generations(root)
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
            with closing(truth.view(root)) as view:
                wrong += truth.differences(view.ask(truth.shown), wanted)
                for act in (view.rebuild, view.fold):
                    try:
                        act()
                    except (CatalogError, StorageError):
                        failed += 1
                wrong += truth.differences(view.ask(truth.shown), wanted)
                resource.setrlimit(
                    resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
                )
                view.fold()
                wrong += truth.differences(view.ask(truth.shown), wanted)
        return [failed, wrong, list(truth.beneath(root))]

    failed, wrong, left = truth.in_child(work)
    assert failed > 3
    assert wrong == []
    assert left == []


LINES = [
    b"",
    b"x",
    b"5",
    b'"touch"',
    b"[]",
    b"null",
    b'{"touch":1}',
    b'{"touch":{"n":1e999,"at":["qm9"]}}',
    b'{"done":Infinity}',
    b'{"done":[]}',
    b'{"touch":{"n":[],"at":["qm9"]}}',
    b'{"touch":{"n":1,"at":["a/b/c/d"]}}',
    b'{"touch":{"n":1,"at":["a/b/c/d/**"]}}',
    b'{"touch":{"n":2,"at":["qm9\\u0000/x"]}}',
    b'{"touch":{"n":3,"at":["../../../etc","/","//","/**","**/**","qm9//baseline"]}}',
    b'{"touch":{"n":4,"at":["\\ud800"]}}',
    b'{"touch":{"n":5,"at":"qm9"}}',
    b'{"touch":{"n":6,"at":[1]}}',
    b'{"touch":{"n":7,"at":["' + b"x" * 5000 + b'"]}}',
    b"[" * 100_000,
    b'{"done":' + b"9" * 5000 + b"}",
    b"\xff\xfe",
    b'{"closed":7}',
]


def _first(writer: object = None) -> bytes:
    owner = {"host": "a", "boot_id": "b", "pid": 1} if writer is None else writer
    return json.dumps({"writer": owner}).encode() + b"\n"


WRITERS = [1, [], {}, {"host": 1, "boot_id": []}, {"host": "a", "boot_id": "b", "pid": "x"}]


def _plant(place: Path, data: bytes) -> Callable[[], object]:
    return lambda: place.write_bytes(data)


def _rubbish(directory: Path) -> Iterator[tuple[str, Callable[[], object]]]:
    """What may lie among the journals, and how it comes there."""
    journal = directory / "0123456789-1-1-abcdef.1.jsonl"
    for line in LINES:
        yield repr(line[:40]), _plant(journal, _first() + line + b"\n" + line)
    for writer in WRITERS:
        hint = b'{"touch":{"n":1,"at":["qm9"]}}\n'
        yield repr(writer), _plant(journal, _first(writer) + hint)
    for name in (b"a.jsonl", b"mark.a", b"\xff.jsonl", b"mark.\xff"):
        place = directory / os.fsdecode(name)
        yield f"directory {name!r}", place.mkdir
        yield f"link {name!r}", partial(place.symlink_to, "nowhere")
        yield f"fifo {name!r}", partial(os.mkfifo, place)
        yield f"empty {name!r}", place.touch
        yield f"closed {name!r}", partial(place.touch, 0o000)


@pytest.mark.users
def test_no_rubbish_among_the_journals_stops_a_query(user: User) -> None:
    root = user.directory / "lab"

    def work(say: Callable[[object], None]) -> None:
        _fill(root)
        truth.fold(root)
        journals = root / layout.JOURNAL
        luck = random.Random(10)
        rubbish = list(_rubbish(journals))
        for what, make in rubbish if NIGHTLY else luck.sample(rubbish, 10):
            before = set(journals.iterdir())
            make()
            try:
                wrong = _differences(root, folds=True)
            except Exception as error:  # noqa: BLE001 - it is the code on trial
                wrong = [ascii(error)]
            if wrong:
                say(f"{what}: {wrong}")
            for each in set(journals.iterdir()) - before:
                if each.is_dir():
                    each.rmdir()
                elif not each.name.startswith("mark.0"):
                    each.unlink()

    assert user.run(lambda: truth.said_by(work)) == []


@pytest.mark.parametrize("where", [layout.CACHE, layout.JOURNAL, layout.CATALOG, layout.TMP])
@pytest.mark.parametrize("what", ["file", "link"])
def test_nothing_in_place_of_a_directory_stops_a_query(root: Path, where: str, what: str) -> None:
    place = root / where
    place.mkdir(exist_ok=True)
    place.rename(root.parent / "aside")
    if what == "file":
        place.touch()
    else:
        place.symlink_to(root.parent / "aside")
    _survives(root, folds=False)


def _survives(root: Path, *, folds: bool = True) -> None:
    assert truth.in_child(lambda: _differences(root, folds=folds)) == []


def _differences(root: Path, *, folds: bool) -> list[str]:
    """What a view shows that is not what the files say: before a fold, after it, and anew."""
    views.MANY, views.RESTS = -9, 0.0
    wanted = truth.from_files(root)
    with closing(truth.view(root)) as view:
        found = [view.ask(truth.shown)]
        try:
            view.fold()
        except (CatalogError, StorageError):
            assert not folds
        found.append(view.ask(truth.shown))
    found.append(truth.ask(root))
    return [text for each in found for text in truth.differences(each, wanted)]
