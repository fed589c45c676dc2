"""Folding and rebuilding cut short, at every call and at any moment: what comes next is right.

The engine writes its files past the door. It is killed in them by the limit of a file's size, at
one size after another, and at random moments.
"""

from __future__ import annotations

import os
import random
import resource
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import pytest

import molexp as me
from molexp.disk import layout, owner
from molexp.disk.beneath import Directory
from molexp.disk.trash import sweep
from molexp.testing.kill import kill_everywhere
from molexp.testing.trial import run_in_child
from molexp.testing.workload import Ack, Step, Workload
from tests.catalog import truth
from tests.conftest import PROFILE

NIGHTLY = PROFILE == "nightly"
HOUR = 3600


@cache
def _template() -> tuple[Path, str]:
    """A small workspace with the journals of a process that closed its own and of one that died."""
    root = Path(mkdtemp(prefix="molexp-template-")) / "lab"
    truth.fill(root, runs=2).close()

    def die() -> None:
        workspace = me.Workspace.load(root, durability="process")
        workspace.project("Left").experiment("alone").run(id="last", parameters={"a": None})

    truth.in_child(die)
    wanted = truth.in_child(lambda: truth.digest(truth.ask(root)))
    return root, wanted


@pytest.fixture(scope="module", autouse=True)
def _forget() -> Iterator[None]:
    yield
    if _template.cache_info().currsize:
        shutil.rmtree(_template()[0].parent)


def _rebuild(root: Path) -> None:
    with closing(truth.view(root)) as view:
        view.rebuild()


def _wrong(root: Path, wanted: str) -> list[str]:
    """What goes wrong with the workspace after somebody was killed in it."""

    def look(say: Callable[[object], None]) -> None:
        def compare(when: str, dump: truth.Dump) -> None:
            if truth.digest(dump) != wanted:
                say(f"{when}: another answer: {dump}")

        compare("at first", truth.ask(root))
        with closing(truth.view(root)) as view:
            view.fold()
            compare("folded", view.ask(truth.shown))
        compare("after that", truth.ask(root))
        with Directory.open(root) as directory:
            sweep(directory)
        left = [name for name in truth.beneath(root) if not name.startswith(owner.writer())]
        if left:
            say(f"never swept: {left}")
        journals = [each for each in os.listdir(root / layout.JOURNAL) if each.endswith(".jsonl")]
        if journals:
            say(f"never removed: {journals}")

    ending = run_in_child(look)
    return [*ending.said, *([ending.raised] if ending.raised else [])]


class Folding(Workload):
    """A fold over another one, which removes journals, marks and old generations."""

    writers = (owner.writer().partition("-")[0],)

    def __init__(self) -> None:
        self.template, self.wanted = _template()

    def prepare(self, root: Path) -> None:
        shutil.copytree(self.template, root, dirs_exist_ok=True)
        (root / layout.CATALOG).mkdir()
        for number in range(4):
            path = root / layout.CATALOG / f"catalog-{number:08d}-{number:012d}.duckdb"
            path.write_text("too old to be of use")
            os.utime(path, (time.time() - HOUR, time.time() - HOUR))
        self.made_before(root)

    def made_before(self, root: Path) -> None:
        """A generation, over which there is something to do."""
        truth.fold(root)
        me.Workspace.load(root, durability="process").close()
        shutil.copytree(self.template / layout.JOURNAL, root / layout.JOURNAL, dirs_exist_ok=True)

    def steps(self, root: Path) -> Sequence[Step]:
        def act() -> Ack:
            self.act(root)
            return {"generations": len(truth.generations(root))}

        return [Step("fold", act)]

    def act(self, root: Path) -> None:
        """What is cut short."""
        truth.fold(root)

    def check(self, root: Path, acks: Sequence[Ack]) -> list[str]:
        return _wrong(root, self.wanted)


class FoldingFirst(Folding):
    """The first fold of all, where nothing is there to begin with."""

    def made_before(self, root: Path) -> None:
        """Not even the directories."""
        shutil.rmtree(root / layout.CACHE)


class Rebuilding(Folding):
    """A rebuild beside what is there."""

    def act(self, root: Path) -> None:
        _rebuild(root)


@pytest.mark.parametrize(
    "workload", [Folding, FoldingFirst, Rebuilding], ids=lambda kind: kind.__name__
)
def test_after_a_kill_at_any_call_answers_are_right(workload: type[Workload]) -> None:
    report = kill_everywhere(workload())
    assert report.tried > 8
    assert report.complaints == [], str(report)


class Forgetful(Folding):
    """Its oracle wants what is not there."""

    def __init__(self) -> None:
        super().__init__()
        self.wanted = "another one"


def test_the_oracle_finds_another_answer(tmp_path: Path) -> None:
    workload = Forgetful()
    workload.prepare(tmp_path)
    assert len(workload.check(tmp_path, [])) == 3


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A copy of the small workspace, without a generation."""
    copy = tmp_path / "lab"
    shutil.copytree(_template()[0], copy)
    return copy


def _limited(size: int, reaction: signal.Handlers) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGXFSZ, reaction)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def _sizes(root: Path) -> list[int]:
    """Where to stop the engine: at every page while it begins, and in every block."""
    truth.in_child(lambda: _rebuild(root))
    whole = truth.generations(root)[0].stat().st_size
    beginning = [0, 1, *range(4096, 10 * 4096, 4096)]
    rest = list(range(10 * 4096, whole, 4096 if NIGHTLY else 640 * 1024))
    return (beginning if NIGHTLY else beginning[::6]) + rest


@pytest.mark.parametrize("act", [truth.fold, _rebuild])
def test_after_the_engine_was_killed_at_any_size_answers_are_right(
    root: Path, act: Callable[[Path], None]
) -> None:
    killed = 0
    for size in _sizes(root):

        def work(say: object, size: int = size) -> None:
            _limited(size, signal.SIG_DFL)
            act(root)

        ending = run_in_child(work)
        killed += str(int(signal.SIGXFSZ)) in ending.raised
        wrong = truth.in_child(lambda: truth.digest(truth.ask(root))) != _template()[1]
        assert not wrong, size
    assert killed > 3
    assert _wrong(root, _template()[1]) == []


@pytest.mark.parametrize("act", [truth.fold, _rebuild])
def test_after_kills_at_random_moments_answers_are_right(
    root: Path, act: Callable[[Path], None]
) -> None:
    luck = random.Random(7)
    killed = 0
    for _ in range(300 if NIGHTLY else 4):
        child = os.fork()
        if not child:
            try:
                while True:
                    act(root)
            finally:
                os._exit(1)
        time.sleep(luck.uniform(0.05, 0.4))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        killed += os.WIFSIGNALED(status)
        assert truth.in_child(lambda: truth.digest(truth.ask(root))) == _template()[1]
    assert killed == (300 if NIGHTLY else 4)
    assert _wrong(root, _template()[1]) == []
