"""The heartbeat: one thread per process that says for all its executions that their owner lives."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress

from molexp.errors import MolexpError

Beat = Callable[[], None]


class Heart:
    """Calls every beat once in a while, from a thread that starts with the first of them.

    A beat that the disk refuses is left out: the next one comes.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._beats: list[Beat] = []
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def add(self, beat: Beat) -> None:
        """Call ``beat`` from now on; the first time after one interval."""
        with self._changed:
            self._beats.append(beat)
            if self._thread is None:
                name = "molexp-heartbeat"
                self._thread = threading.Thread(target=self._run, name=name, daemon=True)
                self._thread.start()
            elif len(self._beats) == 1:
                self._changed.notify()

    def remove(self, beat: Beat) -> None:
        """Call it no more; one that is under way may still be heard."""
        with self._changed, suppress(ValueError):
            self._beats.remove(beat)

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._beats:
                    self._changed.wait()
            _pause(self._seconds)
            with self._changed:
                beats = tuple(self._beats)
            for beat in beats:
                with suppress(OSError, MolexpError):
                    beat()


def _pause(seconds: float) -> None:
    threading.Event().wait(seconds)


def heart(seconds: float) -> Heart:
    """This process's heart of that rhythm; a forked child has its own."""
    return _hearts.get(seconds) or _hearts.setdefault(seconds, Heart(seconds))


_hearts: dict[float, Heart] = {}

os.register_at_fork(after_in_child=_hearts.clear)
