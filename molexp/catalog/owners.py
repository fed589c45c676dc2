"""Who lives, asked about owners as they stand in documents that no record was made of."""

from __future__ import annotations

from typing import Any

from molexp.disk import owner
from molexp.disk.owner import Life
from molexp.model.execution import Owner


def here() -> tuple[str, str]:
    """This host, and its boot."""
    current = owner.current()
    return current.host, current.boot_id


def life(said: Any) -> Life:
    """What is known of the process that a document names."""
    try:
        return owner.judge(Owner.sure(**said))
    except (TypeError, AttributeError):
        return Life.UNKNOWN


def is_dead(said: Any) -> bool:
    """Whether it is proven dead."""
    return life(said) is Life.DEAD
