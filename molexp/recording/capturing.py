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
from molexp.lifecycle import data, manifest
from molexp.lifecycle.site import Site
from molexp.model.asset import LogAsset
from molexp.model.execution import Message
from molexp.model.scope import WorkflowSource
from molexp.model.snapshot import CapturedFile, CodeSnapshot, Snapshot
from molexp.recording.log import RUN
from molexp.recording.recorder import Recorder
from molexp.recording.writing import Writing

ELSEWHERE = "what is printed is kept by another run of this process, and not here"


class Capturing:
    """The streams and log records of one execution."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._streams: Streams | None = None

    @cached_property
    def handler(self) -> MessageHandler:
        """What keeps log records; those of the run's own logger at any time."""
        return MessageHandler(self._keep)

    @cached_property
    def logger(self) -> logging.Logger:
        """A logger whose records are kept, whether or not those of others are."""
        return self.handler.logger()

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
        if streams is None:
            return
        streams.end()
        writing = self._recorder.unchecked()
        logs = writing.inside(layout.LOGS)
        for name, size in streams.sizes.items():
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
        with suppress(OSError):
            door.rmdir(writing.place.fd, layout.LOGS)

    def messages(self, writing: Writing) -> tuple[Message, ...]:
        """The first warnings of all who write in the execution."""
        if writing.is_alone:
            return tuple(self.handler.messages) if "handler" in self.__dict__ else ()
        return manifest.warnings(writing.place)

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
        except MolexpError as error:
            problems.append(str(error))
    environment = capture_environment()
    return Snapshot(code=code, environment=environment, problems=tuple(problems))


def _code(site: Site, path: Path) -> CodeSnapshot:
    status = path.stat()
    kept = data.keep_object(site, read_source(path))
    commit = commit_of(path)
    file = CapturedFile(
        path=str(path), size=status.st_size, mtime_ns=status.st_mtime_ns, object=kept
    )
    source = "files" if commit is None else "git"
    return CodeSnapshot.make(source=source, commit=commit, files=(file,))
