"""The states that an execution goes through, and the one table of which may follow which."""

from __future__ import annotations

from enum import StrEnum

from molexp.errors import TransitionError


class ExecutionState(StrEnum):
    """The states of a run; ``unknown`` is read from an owner's silence and never stored."""

    PENDING = "pending"
    RUNNING = "running"
    PAUSED = "paused"
    SUSPENDED = "suspended"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"

    @property
    def is_terminal(self) -> bool:
        """Whether an execution ends in it."""
        return self in TERMINAL


TERMINAL = frozenset(
    [
        ExecutionState.SUCCEEDED,
        ExecutionState.FAILED,
        ExecutionState.CANCELLED,
        ExecutionState.SUSPENDED,
    ]
)
"""The states in which an execution ends."""

TRANSITIONS: dict[ExecutionState, frozenset[ExecutionState]] = {
    ExecutionState.PENDING: frozenset([ExecutionState.RUNNING, ExecutionState.CANCELLED]),
    ExecutionState.RUNNING: TERMINAL | {ExecutionState.PAUSED},
    ExecutionState.PAUSED: TERMINAL | {ExecutionState.RUNNING},
    ExecutionState.SUSPENDED: frozenset(),
    ExecutionState.SUCCEEDED: frozenset(),
    ExecutionState.FAILED: frozenset(),
    ExecutionState.CANCELLED: frozenset(),
}
"""From each state of an execution, the states that may follow. Another start is another one."""


def check_transition(current: ExecutionState, wanted: ExecutionState) -> None:
    """Raises TransitionError unless ``wanted`` may follow ``current``."""
    allowed = TRANSITIONS.get(current, frozenset())
    if wanted in allowed:
        return
    if allowed:
        cure = f"from {current} it can become {', '.join(sorted(allowed))}"
    elif current is ExecutionState.UNKNOWN:
        cure = "start it again where its owner ran, or say `reap(confirm=True)` if that is over"
    else:
        cure = "an execution that ended never changes: start the run again"
    raise TransitionError(
        f"an execution that is {current} cannot become {wanted}",
        cure=cure,
        current=current,
        wanted=wanted,
        allowed=sorted(allowed),
    )
