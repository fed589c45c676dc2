"""Locks that are refused to all programs, two who publish at once, threads, forks and twins."""

from __future__ import annotations

import ctypes
import errno
import platform
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

import molexp as me
from molexp.catalog import view as views
from molexp.catalog.view import View
from molexp.disk import door
from molexp.errors import CatalogError
from molexp.testing.trial import run_in_child
from tests.catalog import truth

ROOT = Path(__file__).parents[2]

_FCNTL_AND_FLOCK = {"x86_64": (72, 73), "aarch64": (25, 32)}
_NO_NEW_PRIVILEGES, _SECCOMP, _FILTER = 38, 22, 2
_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000
_SETLK, _SETLKW = 6, 7


def _refuse_all_locks() -> bool:
    """Let the kernel refuse every lock to this process, whoever asks; False where it cannot."""
    numbers = _FCNTL_AND_FLOCK.get(platform.machine())
    if platform.system() != "Linux" or numbers is None:
        return False
    refuse = _REFUSE | errno.ENOLCK
    program = [
        (_LOAD, 0, 0, 0),  # the number of the call
        (_EQUAL, 5, 0, numbers[1]),
        (_EQUAL, 0, 3, numbers[0]),
        (_LOAD, 0, 0, 24),  # its second argument
        (_EQUAL, 2, 0, _SETLK),
        (_EQUAL, 1, 0, _SETLKW),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, refuse),
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *each) for each in program))
    given = ctypes.create_string_buffer(
        struct.pack("HxxxxxxP", len(program), ctypes.addressof(code))
    )
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0):
        return False
    return not libc.prctl(_SECCOMP, _FILTER, given, 0, 0)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A small workspace that was folded."""
    root = tmp_path / "lab"
    truth.fill(root, runs=3).close()
    truth.in_child(lambda: truth.fold(root))
    return root


def test_answers_are_right_where_nobody_gets_any_lock(root: Path) -> None:
    """The engine itself opens no file then: all is read from the files, and no query fails."""
    wanted = truth.in_child(lambda: truth.ask(root))

    def work() -> str:
        views.MANY, views.RESTS = 0, 0.0
        if not _refuse_all_locks():
            return "cannot"
        with closing(truth.view(root)) as view:
            for _ in range(2):
                if view.ask(truth.shown) != wanted:
                    return "another answer"
            try:
                view.fold()
            except CatalogError:
                pass
            return "right" if view.ask(truth.shown) == wanted else "another answer after a fold"

    said = truth.in_child(work)
    if said == "cannot":
        pytest.skip("this system lets no process refuse itself a call")
    assert said == "right"


def _publishing_between(root: Path, deed: Callable[[], object]) -> Callable[..., Any]:
    """A gate that lets something happen just before a generation gets its name, once."""
    waiting = [deed]

    def gate(operation: str, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        if operation == "rename" and str(arguments[3]).endswith(".duckdb") and waiting:
            waiting.pop()()
        return function(*arguments)

    return gate


@pytest.mark.parametrize("first", ["fold", "rebuild"])
@pytest.mark.parametrize("second", ["fold", "rebuild"])
def test_two_may_publish_one_number(root: Path, first: str, second: str) -> None:
    def work() -> Any:
        workspace = me.Workspace.load(root, durability="process")
        run: Any = workspace.find("qm9/baseline/run-00")

        def meanwhile() -> None:
            run.edit(tags={"meanwhile": "yes"})
            workspace.close()  # so that its journal is finished, and removed
            with closing(truth.view(root)) as other:
                getattr(other, second)()

        with closing(truth.view(root)) as view, door.gated(_publishing_between(root, meanwhile)):
            getattr(view, first)()
            mine = view.ask(truth.shown)
        numbers = [path.name.split("-")[1] for path in truth.generations(root)]
        wanted, found = truth.from_files(root), [mine, truth.ask(root)]
        for path in truth.generations(root):  # each of them alone says the same
            hidden = path.with_suffix(".aside")
            path.rename(hidden)
            found.append(truth.ask(root))
            hidden.rename(path)
        assert any("meanwhile" in row for row in wanted["tags"])
        return [len(numbers) - len(set(numbers)), *(truth.differences(f, wanted) for f in found)]

    same, *wrong = truth.in_child(work)
    assert same == 1
    assert [each for each in wrong if each] == []


def test_threads_ask_one_view(root: Path) -> None:
    def work() -> list[str]:
        workspace = me.Workspace.load(root, durability="process")
        shared: Any = workspace.find("qm9/baseline/run-00")
        wrong: list[str] = []

        def live(view: View, number: int) -> None:
            try:
                for count in range(5):
                    shared.edit(tags={f"{number}-{count}": "yes"})
                    tags = "".join(view.ask(truth.shown)["tags"])
                    if f"'{number}-{count}'" not in tags:
                        wrong.append(f"{number}-{count} is not shown")
                    if number == 0:
                        view.fold()
            except Exception as error:  # noqa: BLE001 - it is the code on trial
                wrong.append(repr(error))

        with closing(truth.view(root)) as view:
            threads = [Thread(target=live, args=(view, number)) for number in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            shown = view.ask(truth.shown)
        return wrong + truth.differences(shown, truth.from_files(root))

    assert truth.in_child(work) == []


def test_parent_and_child_of_a_fork_ask_one_view(root: Path) -> None:
    def work() -> list[str]:
        wrong = []
        run: Any = me.Workspace.load(root, durability="process").find("qm9/baseline/run-00")
        with closing(truth.view(root)) as view:
            view.ask(truth.shown)

            def child(say: Callable[[object], None]) -> None:
                run.edit(tags={"child": "yes"})
                say(any("'child'" in row for row in view.ask(truth.shown)["tags"]))
                view.fold()
                say(view.ask(truth.shown) == truth.from_files(root))
                view.close()

            for _ in range(2):
                ending = run_in_child(child)
                if ending.raised or ending.said != [True, True]:
                    wrong.append(f"{ending}")
                run.edit(tags={"parent": "yes"})
                wrong += truth.differences(view.ask(truth.shown), truth.from_files(root))
        return wrong

    assert truth.in_child(work) == []


LEAVING = """
import os, sys
from tests.catalog import truth
view = truth.view(sys.argv[1])
view.ask(truth.shown)
child = os.fork()
if not child:
    if sys.argv[2] == "asked":
        view.ask(truth.shown)
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
view.ask(truth.shown)
"""


@pytest.mark.parametrize("what", ["asked", "idle"])
def test_a_forked_child_ends_as_any_other(root: Path, what: str) -> None:
    """Its interpreter destroys all that it has, and would wait for threads that it has not."""
    command = [sys.executable, "-W", "ignore", "-c", LEAVING, str(root), what]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("what", ["run", "experiment", "project", "workspace"])
def test_twins_both_stay(root: Path, what: str) -> None:
    """A copy made by hand has the same uids: each is shown where it lies."""
    source = {
        "run": "projects/qm9/experiments/baseline/runs/run-00",
        "experiment": "projects/qm9/experiments/baseline",
        "project": "projects/qm9",
        "workspace": "",
    }[what]
    target = f"{source.rpartition('/')[0]}/copy" if source else "projects/copy-of-all"
    place = root.parent / "other" if what == "workspace" else root / target
    shutil.copytree(root / source, place)

    def work() -> Any:
        asked = root.parent / "other" if what == "workspace" else root
        with closing(truth.view(asked)) as view:
            view.sync()
            shown, uids = view.ask(lambda c: (truth.shown(c), _twins(c)))
        return [truth.differences(shown, truth.from_files(asked)), uids, len(shown["runs"])]

    wrong, uids, runs = truth.in_child(work)
    assert wrong == []
    assert runs == {"run": 4, "experiment": 6, "project": 6, "workspace": 3}[what]
    twins = [addresses for _, addresses in uids if len(addresses) > 1]
    assert len(twins) == {"run": 1, "experiment": 3, "project": 3, "workspace": 0}[what]
    assert all(len(set(addresses)) == 2 for addresses in twins)


def _twins(connection: Any) -> list[Any]:
    query = "SELECT uid, list(address ORDER BY address) FROM runs GROUP BY uid ORDER BY uid"
    return [list(row) for row in connection.execute(query).fetchall()]
