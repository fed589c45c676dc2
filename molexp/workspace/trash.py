"""What was removed: listed, put back, or gone for good."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from molexp.disk import trash
from molexp.disk.trash import Removed
from molexp.errors import NotFoundError
from molexp.lifecycle import removal
from molexp.lifecycle.site import Site


class Trash:
    """What lies in a workspace's trash."""

    def __init__(self, site: Callable[[], Site]) -> None:
        self._site = site

    def list(self) -> list[Removed]:
        """All of it, the oldest first; what cannot be read there is passed over."""
        try:
            return trash.removals(self._site().root)[0]
        except NotFoundError:
            return []  # nothing was made yet

    def restore(self, key: str) -> Sequence[Removed]:
        """Put back what was removed, named by its id, its uid, or the uid of the removal.

        Raises NotFoundError, AlreadyExistsError if something has its place by now, and
        InvalidInputError if the id was removed more than once.
        """
        return removal.restore(self._site(), key)

    def empty(self, uid: str | None = None) -> int:
        """Delete for good what was removed, or one removal by its uid; how many went.

        Raises NotFoundError.
        """
        there = [each.uid for each in self.list() if uid in (None, each.uid, each.of)]
        if uid is not None and not there:
            raise NotFoundError(
                f"nothing in the trash is {uid!r}",
                cure="`list()` says what there is",
                kind="removal",
                key=uid,
            )
        for each in there:
            trash.empty(self._site().root, each)
        return len(there)
