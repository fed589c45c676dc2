"""A stream that a notebook or a test put in a standard one's place, and a file beside it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from typing import Any


class Tee:
    """Hands everything on to a stream, and its text to ``keep`` as well.

    Where ``keep`` fails, ``failed`` is told, and the stream shows the text all the same. In a
    forked child text goes to ``keep`` alone: what a stream of the parent would do there with it,
    nobody knows, and what is kept the parent shows. Bytes given to its ``buffer`` are not kept.
    """

    def __init__(
        self, stream: Any, keep: Callable[[str], None], failed: Callable[[OSError], None]
    ) -> None:
        self.stream = stream
        self._keep: Callable[[str], None] | None = keep
        self._failed = failed
        self._pid = os.getpid()

    def write(self, text: str) -> int:
        """Keep the text, then show it."""
        keep = self._keep
        if keep is not None and isinstance(text, str):
            try:
                keep(text)
                if os.getpid() != self._pid:
                    return len(text)
            except OSError as error:
                self._failed(error)
        return self.stream.write(text)  # type: ignore[no-any-return]

    def writelines(self, lines: Iterable[str]) -> None:
        """Keep and show each of them."""
        for line in lines:
            self.write(line)

    def stop(self) -> None:
        """Keep nothing more; whoever holds this object still reaches the stream."""
        self._keep = None

    def __getattr__(self, name: str) -> Any:
        if name == "stream":  # asked of a copy that has nothing yet
            raise AttributeError(name)
        return getattr(self.stream, name)


def leads_to_descriptor(stream: object) -> bool:
    """Whether what a stream is given reaches descriptor 1 or 2, where it is kept anyway.

    A stream of a user's own that has the standard one in an attribute is taken to hand on to it.
    """
    if number_of(stream) in (1, 2):
        return True
    standard = [each for each in (sys.__stdout__, sys.__stderr__) if each is not None]
    held = list(getattr(stream, "__dict__", {}).values())
    return any(value is each for value in held for each in standard)


def number_of(stream: object) -> int:
    """The descriptor under a stream; -1 if there is none."""
    try:
        number = stream.fileno()  # type: ignore[attr-defined]
    except Exception:  # noqa: BLE001 - the stream may be a user's own, and lack this or anything
        return -1
    return number if isinstance(number, int) else -1


def flush(stream: object) -> None:
    """Let a stream write what it holds back, as far as it can."""
    try:
        stream.flush()  # type: ignore[attr-defined]
    except Exception:  # noqa: BLE001 - a user's own, closed, or full: it keeps what it holds
        return
