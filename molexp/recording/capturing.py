"""What is kept of an execution without its task saying so: prints, log records, code, machine."""

from __future__ import annotations

import logging
from contextlib import suppress
from functools import cached_property
from pathlib import Path

from molexp.capture.environment import capture_environment
from molexp.capture.records import MessageHandler
from molexp.capture.source import commit_of, read_source
from molexp.capture.streams import Streams
from molexp.disk import door, layout
from molexp.errors import MolexpError
from molexp.lifecycle import data
from molexp.lifecycle.manifest import Account
from molexp.lifecycle.site import Site
from molexp.model.asset import LogAsset
from molexp.model.execution import CapturedFile, CodeSnapshot, Snapshot
from molexp.model.scope import WorkflowSource
from molexp.recording.log import RUN
from molexp.recording.recorder import Recorder

ELSEWHERE = "what is printed is kept by another run of this process, and not here"


class Capturing:
    """The streams and log records of one execution."""

    def __init__(self, recorder: Recorder, account: Account) -> None:
        self._recorder = recorder
        self._account = account
        self._streams: Streams | None = None
        self._printed: dict[str, int] = {}

    @cached_property
    def handler(self) -> MessageHandler:
        """What keeps log records; those of the run's own logger at any time."""
        handler = MessageHandler(self._keep)
        self._account.messages = handler.messages
        return handler

    @cached_property
    def logger(self) -> logging.Logger:
        """A logger whose records are kept, whether or not those of others are."""
        logger = self.handler.logger()
        if not self.handler.is_attached:
            logger.addHandler(self.handler)
        return logger

    def begin(self) -> None:
        """Keep what is logged, and what is printed if no other run of this process does."""
        writing = self._recorder.writing()
        writer, logs = writing.site.writer, writing.inside(layout.LOGS)
        names = (f"{RUN}-{writer}.log", f"{RUN}-stderr-{writer}.log")
        self._streams = Streams.begin(logs, names, writing.site.modes.file)
        self.handler.attach()
        if self._streams is None:
            self.logger.warning(ELSEWHERE)

    def end(self) -> None:
        """Let everything lead where it led; what was printed is an asset."""
        if "handler" in self.__dict__ and self.handler.is_attached:
            self.handler.detach()
        streams, self._streams = self._streams, None
        if streams is not None:
            streams.end()
            self._printed.update(streams.sizes)
        if not self._printed:
            return
        writing = self._recorder.unchecked()
        logs = writing.inside(layout.LOGS)
        for name, size in [*self._printed.items()]:
            if size:
                writing.batch.wrote(logs, name)
                self._recorder.tell_asset(
                    LogAsset,
                    writing,
                    name=name.removesuffix(f"-{writing.site.writer}.log"),
                    path=f"{layout.LOGS}/{name}",
                    mime="text/plain",
                )
            else:  # nothing was printed: no file says so
                with suppress(OSError):
                    door.unlink(logs.fd, name)
            del self._printed[name]  # an end that is refused meanwhile goes on with the rest
        with suppress(OSError):
            door.rmdir(writing.place.fd, layout.LOGS)

    def _keep(self, line: bytes) -> None:
        writing = self._recorder.unchecked()
        if writing.over is None:
            file = writing.files.get(layout.RECORDS) or writing.lines(layout.RECORDS)
            file.append(line)


def snapshot(site: Site, workflow: WorkflowSource | None) -> Snapshot:
    """The machine, and the entry point as it is now; what cannot be captured is said."""
    problems: list[str] = []
    code: CodeSnapshot | None = None
    if workflow is not None and workflow.path is not None:
        try:
            code = _code(site, Path(workflow.path))
        except (MolexpError, OSError) as error:
            problems.append(str(error))
    environment = capture_environment()
    return Snapshot(code=code, environment=environment, problems=tuple(problems))


def _code(site: Site, path: Path) -> CodeSnapshot:
    kept = data.keep_object(site, read_source(path))
    status = path.stat()
    commit = commit_of(path)
    file = CapturedFile(
        path=str(path), size=status.st_size, mtime_ns=status.st_mtime_ns, object=kept
    )
    source = "files" if commit is None else "git"
    return CodeSnapshot.make(source=source, commit=commit, files=(file,))
