"""What a fault harness runs: changes that are acknowledged, and an oracle over plain files."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from molexp.disk import layout

Ack = dict[str, Any]
"""What a step promised when it returned, as JSON has it: the oracle is given these alone.

``durable: True`` says that this promise survives power loss from here on, and ``commits: True``
that it does together with every promise before it.
"""


@dataclass(frozen=True)
class Step:
    """One change: ``act`` makes it and returns the ack.

    After a refused call the very same ``act`` is called again with the cause gone, and then has to
    succeed. ``fresh_after_sync`` says that a failed sync is the end of the object behind it: called
    again it refuses, and what :meth:`Workload.steps` then returns anew goes on from here.
    ``tolerates`` are the operations whose refusal need not reach the caller: the removal of what a
    sweep would find as well.
    """

    name: str
    act: Callable[[], Ack]
    fresh_after_sync: bool = False
    tolerates: frozenset[str] = frozenset()


class Workload(ABC):
    """A history of changes beneath one directory; every harness runs the same one.

    It has to make the same calls each time it is run. A fault is never injected into ``prepare``,
    ``recover`` or ``check``, nor into the call of ``steps`` itself.
    """

    writers: Collection[str] = ("writer",)
    """What the names in ``.molexp/tmp`` may begin with, for a sweep to find their writer."""

    @property
    def name(self) -> str:
        """What reports call it."""
        return type(self).__name__

    @abstractmethod
    def prepare(self, root: Path) -> None:
        """Make what is there before the first step, in an empty directory."""

    @abstractmethod
    def steps(self, root: Path) -> Sequence[Step]:
        """The steps, as a process that has just begun would take them."""

    def recover(self, root: Path) -> None:
        """What the next process does after a death, before anything is looked at."""

    @abstractmethod
    def check(self, root: Path, acks: Sequence[Ack]) -> list[str]:
        """What is wrong with the files, given what was promised; empty if nothing is.

        The step after the last ack may have been under way, and have left anything that it may.
        """


def judge(
    workload: Workload, root: Path, acks: Sequence[Ack], *, after_death: bool = False
) -> list[str]:
    """All that is wrong beneath ``root``, what raises while it is looked at included."""
    found = [
        f"{path} does not begin with its writer's id"
        for path in find_unsweepable(root, workload.writers)
    ]
    try:
        if after_death:
            workload.recover(root)
        return found + workload.check(root, acks)
    except Exception as error:  # noqa: BLE001 - it is the code on trial
        return [*found, f"looking at it raised {error!r}"]


def find_unsweepable(root: Path, writers: Collection[str]) -> list[str]:
    """The names in ``.molexp/tmp`` which do not say whose they are, so that no sweep takes them."""
    tmp = root / layout.TMP
    names = sorted(path.name for path in tmp.iterdir()) if tmp.is_dir() else []
    return [f"{layout.TMP}/{name}" for name in names if not name.startswith(tuple(writers))]


def durable_acks(acks: Sequence[Ack]) -> list[Ack]:
    """Those promises that survive power loss."""
    last = max((index for index, ack in enumerate(acks) if ack.get("commits")), default=-1)
    return [ack for index, ack in enumerate(acks) if index <= last or ack.get("durable")]
