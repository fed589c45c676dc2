"""Who lives, asked about owners as they stand in documents that no record was made of."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from molexp.disk import owner
from molexp.disk.owner import Life
from molexp.model.ids import Process

if TYPE_CHECKING:
    from molexp.rows.gather import Attempt

SILENT_SECONDS = 60.0
"""Six beats: an owner of whom nothing is known, and who is silent for so long, reads unknown."""


def here() -> tuple[str, str]:
    """This host, and its boot."""
    current = owner.current()
    return current.host, current.boot_id


def is_dead(said: Any) -> bool:
    """Whether the process that a document names is proven dead."""
    return _life(said) is Life.DEAD


def judged(attempt: Attempt) -> str | None:
    """The state of an execution without an end, if that is another one than its files say."""
    life = _life(attempt.start.owner if attempt.start is not None else None)
    if life is Life.DEAD:
        return "failed"
    if life is Life.UNKNOWN and time.time() - attempt.beat > SILENT_SECONDS:
        return "unknown"
    return None


def _life(said: Any) -> Life:
    try:
        return owner.judge(
            Process(
                said["host"],
                said["boot_id"],
                said["pid_namespace"],
                said.get("time_namespace", ""),
                said["pid"],
                said["started"],
            )
        )
    except (TypeError, KeyError, AttributeError):
        return Life.UNKNOWN
