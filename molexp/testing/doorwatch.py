"""Proof from outside that every change passes the door: Python's own audit events are compared.

In ``with watching(root) as watch:`` every change beneath ``root`` is either counted in
``watch.passed`` or listed in ``watch.violations``. Seen is what Python code does through ``os``,
``open``, ``pathlib`` and ``shutil``, a file object around a descriptor of the door included; not
seen are ``os.write`` and what a native library does by itself.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from molexp.disk import door

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

# The audit events of a change, with where its paths stand among the arguments, each with its
# directory's descriptor if the event carries one.
_CHANGES: Final[dict[str, tuple[tuple[int, int | None], ...]]] = {
    "open": ((0, None),),
    "os.rename": ((0, 2), (1, 3)),
    "os.link": ((0, 2), (1, 3)),
    "os.symlink": ((1, 2),),
    "os.mkdir": ((0, 2),),
    "os.rmdir": ((0, 1),),
    "os.remove": ((0, 1),),
    "os.chmod": ((0, 2),),
    "os.chown": ((0, 3),),
    "os.chflags": ((0, None),),
    "os.utime": ((0, 3),),
    "os.truncate": ((0, None),),
    "os.setxattr": ((0, None),),
    "os.removexattr": ((0, None),),
    "shutil.copyfile": ((1, None),),
    "shutil.copymode": ((1, None),),
    "shutil.copystat": ((1, None),),
    "shutil.copytree": ((1, None),),
    "shutil.move": ((0, None), (1, None)),
    "shutil.rmtree": ((0, None),),
    "shutil.unpack_archive": ((1, None),),
    "sqlite3.connect": ((0, None),),
}
_LIBRARY = os.path.dirname(os.__file__)


@dataclass
class Watch:
    """What changed beneath a directory, by the door and beside it."""

    root: str
    passed: int = 0
    """How many calls passed the door: if none did, that nothing passed beside it proves nothing."""
    violations: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        head = f"{self.passed:,} calls passed the door, {len(self.violations):,} did not"
        return "\n".join([head, *(f"  {violation}" for violation in self.violations)])


_watch: Watch | None = None
_hooked = False
_thread = threading.local()


@contextmanager
def watching(root: Path, inner: door.Gate | None = None) -> Iterator[Watch]:
    """Record each change beneath ``root`` that does not pass the door, in any thread.

    ``inner`` is another gate to stand in the door meanwhile. A relative path in an ``open`` counts
    as beneath the root, since the event does not tell relative to what it is.
    """
    global _watch, _hooked
    if not _hooked:
        sys.addaudithook(_audit)  # it cannot be taken away again, hence the switch
        _hooked = True
    if _watch is not None:
        raise RuntimeError("another directory is watched already")
    watch = Watch(os.path.realpath(root))
    with door.gated(_marking(watch, inner)):
        _watch = watch
        try:
            yield watch
        finally:
            _watch = None


def _marking(watch: Watch, inner: door.Gate | None) -> door.Gate:
    """A gate that marks its thread while the door's own function runs, but not for ``inner``."""

    def gate(operation: str, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        def passing(*given: Any) -> Any:
            watch.passed += 1
            _thread.passing = True
            try:
                return function(*given)
            finally:
                _thread.passing = False

        return passing(*arguments) if inner is None else inner(operation, passing, arguments)

    return gate


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    watch = _watch
    if watch is None or event not in _CHANGES or getattr(_thread, "passing", False):
        return
    if event == "open" and not (isinstance(arguments[2], int) and arguments[2] & _WRITING):
        return
    for position, directory in _CHANGES[event]:
        above = arguments[directory] if directory is not None else -1
        if _lies_beneath(watch.root, arguments[position], above, unsure=event == "open"):
            said = arguments[position]
            watch.violations.append(f"{event} of {said!r} {_caller()}")
            return


def _lies_beneath(root: str, path: Any, directory: Any, *, unsure: bool) -> bool:
    """Whether a path leads to ``root`` or below it, through links or as it is written."""
    if isinstance(path, int):
        return _contains(root, _path_of(path))
    text = os.fsdecode(path)
    if not os.path.isabs(text):
        if isinstance(directory, int) and directory >= 0:
            text = os.path.join(_path_of(directory), text)
        elif unsure:
            return True
    above, name = os.path.split(os.path.abspath(text))
    entry = os.path.join(os.path.realpath(above), name)
    return _contains(root, entry) or _contains(root, os.path.realpath(entry))


def _contains(root: str, path: str) -> bool:
    return path == root or path.startswith(root + "/")


def _path_of(descriptor: int) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")
    except OSError:
        return ""


def _caller() -> str:
    """The nearest line of code outside the standard library."""
    frame = sys._getframe(2)  # noqa: SLF001 - the only way to ask who calls without a traceback
    while frame.f_back is not None and frame.f_code.co_filename.startswith((_LIBRARY, "<")):
        frame = frame.f_back
    return f"at {frame.f_code.co_filename}:{frame.f_lineno}"
