"""Logs: lines of text that a task appends to, each of them there once the call returns."""

from __future__ import annotations

from collections.abc import Iterator

from molexp.disk import layout
from molexp.disk.beneath import Directory
from molexp.disk.ledger import LineReader, entries, tail
from molexp.errors import InvalidInputError, MolexpError, NotFoundError
from molexp.model.asset import Asset, LogAsset
from molexp.model.execution import Input, Start, StateChange
from molexp.model.names import check_path
from molexp.recording.recorder import Recorder
from molexp.recording.writing import Writing

RUN = "run"
"""The log that begins with the story of the execution, and goes on with what was printed."""


class Log:
    """``ctx.log(name)``: one log of an execution, in which several processes may write."""

    def __init__(self, recorder: Recorder, name: str) -> None:
        self.name = check_path(name)
        self._recorder = recorder
        self._path = f"{layout.LOGS}/{name}.log"

    def append(self, text: str) -> None:
        """Add a line; it survives the death of this process once the call returns.

        Raises InvalidInputError for what is no text, and StorageError.
        """
        if not isinstance(text, str):
            raise InvalidInputError(
                f"a log takes text, and got a {type(text).__qualname__}",
                cure="say `append(str(value))`, or record a value with `ctx.metric`",
                argument="text",
            )
        writing = self._recorder.writing()
        file = writing.files.get(self._path)
        if file is None:
            writing.know(layout.LOGS, self.name)
            file = writing.lines(self._path, lambda path: self._register(writing, path))
        writing.append(file, f"{text}\n".encode("utf-8", "backslashreplace"))

    def tail(self, lines: int = 10) -> list[str]:
        """The last lines, of all who write in it."""
        place = self._recorder.reading().place
        found: list[str] = []
        for path in paths(place, self.name):
            found += [line.decode("utf-8", "replace") for line in tail(place, path, lines)]
        if self.name == RUN and len(found) < lines:
            found = [*story(place), *found]
        return found[-lines:] if lines > 0 else []

    def read(self) -> str:
        """All of it; of several writers, one after the other."""
        place = self._recorder.reading().place
        return read_log(place, self.name)

    def _register(self, writing: Writing, path: str) -> None:
        self._recorder.tell_asset(LogAsset, writing, name=self.name, path=path, mime="text/plain")


def read_log(place: Directory, name: str) -> str:
    """What a log of an execution says; of several writers, one after the other."""
    told = [f"{line}\n" for line in story(place)] if name == RUN else []
    read = [place.read(path, 1 << 62).decode("utf-8", "replace") for path in paths(place, name)]
    return "".join([*told, *read])


def paths(place: Directory, name: str) -> list[str]:
    """The files of one log, the owner's first, then by the time of their last line."""
    above, _, base = f"{layout.LOGS}/{name}".rpartition("/")
    try:
        with place.enter(above) as directory:
            names = [
                each
                for each in directory.names()
                if each == f"{base}.log" or _is_joined(each, base)
            ]
            names.sort(key=lambda each: (each != f"{base}.log", directory.stat(each).st_mtime_ns))
    except NotFoundError:
        return []
    return [f"{above}/{each}" for each in names]


def _is_joined(entry: str, base: str) -> bool:
    """Whether a file is the part of a log that somebody who joined wrote."""
    if not entry.startswith(f"{base}-") or not entry.endswith(".log"):
        return False
    return layout.is_writer(entry[len(base) + 1 : -len(".log")])


def story(place: Directory) -> Iterator[str]:
    """What the ledger tells of an execution, a line each."""
    try:
        for entry in entries(LineReader(place, layout.LEDGER)):
            record = entry.record
            if isinstance(record, Start):
                yield f"{record.at:%Y-%m-%d %H:%M:%S} UTC  started by {record.owner}"
            elif isinstance(record, StateChange):
                why = f" ({record.reason})" if record.reason else ""
                who = f" by {record.by}" if record.by else ""
                yield f"{record.at:%Y-%m-%d %H:%M:%S} UTC  {entry.name}{who}{why}"
            elif isinstance(record, Asset):
                yield f"{record.created_at:%Y-%m-%d %H:%M:%S} UTC  {record.kind} {record.name}"
            elif isinstance(record, Input):
                used = record.name or record.asset
                yield f"{record.at:%Y-%m-%d %H:%M:%S} UTC  used {used}"
    except MolexpError:
        return  # a story that cannot be told hides nothing that was printed
