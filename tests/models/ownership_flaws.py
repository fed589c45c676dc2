"""The known-bad twins of the ownership protocol: each leaves one of its rules out."""

from __future__ import annotations

from enum import Enum, auto


class Flaw(Enum):
    """A known-bad twin: one rule of the protocol left out."""

    # A run is reached by its path again and again, not through one open directory.
    PATHS_NOT_DIRECTORIES = auto()
    # The mover looks, then renames.
    MOVE_WITHOUT_HOLD = auto()
    # The starter does not ask whether its directory still lies where it was opened.
    NO_LOOK_AT_PLACE = auto()
    # Without links: exclusive creation; a torn end reads as failed once the owner is dead.
    EXCLUSIVE_END = auto()
    # A request is written after the look for an end, and not doubted afterwards.
    NO_LOOK_AFTER_REQUEST = auto()
    # The second pause of one writer has the name of its first.
    REQUEST_NAMED_BY_VERB = auto()
    # A start that was under way goes on past the cancel of its pending run.
    START_OVERTAKES_CANCEL = auto()
    # A process that ended but was not waited for counts as alive.
    DEFUNCT_IS_ALIVE = auto()
    # Start times are compared across time namespaces.
    ONE_TIME_NAMESPACE = auto()
    # An abandoned staging directory is emptied where it lies.
    SWEEP_IN_PLACE = auto()
    # Nobody finishes the closing that a killed owner began.
    NEVER_CLOSED = auto()
    # The beat and its reader use their hosts' clocks, not the file system's.
    OWN_CLOCK = auto()
    # Readers believe ledger lines beyond the length in the manifest.
    WHOLE_LEDGER = auto()
    # Look for end.json, then rename over it.
    RENAME_OVER_END = auto()
    # A taken number is answered with the next one, without looking again.
    NEXT_NUMBER_BLINDLY = auto()
    # A hidden /proc entry counts as death.
    INVISIBLE_IS_DEAD = auto()
    # ESRCH is believed for an owner of another boot or pid namespace.
    DEAD_ACROSS_NAMESPACES = auto()
    # A pid that exists is the owner, whenever it was started.
    PID_ONLY = auto()
    # The next number is len() + 1.
    NUMBER_BY_COUNT = auto()
    # The execution is made in place and its start line written afterwards.
    MKDIR_THEN_OWNER = auto()
    # delete_execution removes the directory with its number.
    DELETE_WHOLE = auto()
