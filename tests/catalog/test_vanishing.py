"""The disposable part of a workspace deleted between any two steps: no answer is another one.

A step is a call that the code of the catalog makes, in Python or into what is compiled.
"""

from __future__ import annotations

import random
import shutil
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import molexp as me
from molexp.catalog import view as views
from molexp.catalog.view import View
from molexp.disk import layout
from molexp.errors import CatalogError, StorageError
from tests.catalog import truth
from tests.conftest import PROFILE

NIGHTLY = PROFILE == "nightly"
TRIALS = 300 if NIGHTLY else 4

_PLACES = tuple(
    str(Path(me.__file__).parent / each) for each in ("catalog", "rows", "disk/journal.py")
)


class Stepping:
    """Does something before the step of a number, while the block runs; counts all steps."""

    def __init__(self, at: int, deed: Callable[[], object]) -> None:
        self.steps = 0
        self._at = at
        self._deed = deed

    def __enter__(self) -> Stepping:
        sys.setprofile(self._seen)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    def _seen(self, frame: FrameType, event: str, _: Any) -> None:
        if event in ("call", "c_call") and frame.f_code.co_filename.startswith(_PLACES):
            self.steps += 1
            if self.steps == self._at:
                sys.setprofile(None)
                self._deed()
                sys.setprofile(self._seen)


def _ask_anew(root: Path, _: View) -> None:
    truth.ask(root)


def _ask_again(root: Path, view: View) -> None:
    view.ask(truth.shown)


def _fold(root: Path, view: View) -> None:
    try:
        view.fold()
    except (CatalogError, StorageError):
        pass  # what it makes has lost its place


def _rebuild(root: Path, view: View) -> None:
    try:
        view.rebuild()
    except (CatalogError, StorageError):
        pass


def _sync(root: Path, view: View) -> None:
    try:
        view.sync()
    except (CatalogError, StorageError):
        pass


def _ask_and_fold(root: Path, view: View) -> None:
    views.MANY, views.RESTS = 0, 0.0
    view.ask(truth.shown)


ACTS = (_ask_anew, _ask_again, _fold, _rebuild, _sync, _ask_and_fold)
GONE = (layout.CACHE, layout.CACHE, layout.JOURNAL, layout.CATALOG, layout.TMP)


class Trial:
    """One workspace, in which something is done again and again while parts of it vanish."""

    def __init__(self, root: Path, act: Callable[[Path, View], None]) -> None:
        self.root = root
        self.act = act
        self.run: Any = truth.fill(root, runs=2).find("qm9/baseline/run-00")
        self.count = 0

    def once(self, at: int, gone: str) -> int:
        """Let something vanish before a step; how many steps there were."""
        with closing(truth.view(self.root)) as view:
            view.fold()
            view.ask(truth.shown)
            self.count += 1
            self.run.edit(tags={"count": str(self.count)})
            stepping = Stepping(at, lambda: shutil.rmtree(self.root / gone, ignore_errors=True))
            with stepping:
                self.act(self.root, view)
            wanted = truth.from_files(self.root)
            assert f"'{self.count}'" in "".join(wanted["tags"])
            for found in (view.ask(truth.shown), truth.ask(self.root)):
                assert truth.differences(found, wanted) == []
            views.MANY, views.RESTS = 200, 10.0
        return stepping.steps


@pytest.mark.parametrize("act", ACTS, ids=lambda act: act.__name__.strip("_"))
def test_what_vanishes_between_two_steps_changes_no_answer(
    tmp_path: Path, act: Callable[[Path, View], None]
) -> None:
    def work(say: Callable[[object], None]) -> None:
        trial = Trial(tmp_path / "lab", act)
        whole = trial.once(0, layout.CACHE)
        luck = random.Random(8)
        steps = range(1, whole + 1)
        for at in luck.sample(steps, min(TRIALS, whole)):
            gone = luck.choice(GONE)
            try:
                trial.once(at, gone)
            except Exception as error:  # noqa: BLE001 - it is the code on trial
                say(f"{gone} before step {at} of {whole}: {error!r}")

    assert truth.said_by(work) == []
