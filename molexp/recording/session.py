"""An execution from its start to its end: who is at work in it, and how it ends."""

from __future__ import annotations

import asyncio
import os
import traceback
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from molexp.capture.redact import redacted_text
from molexp.disk import layout
from molexp.disk.beneath import Directory
from molexp.disk.digest import HashingWriter
from molexp.disk.record import read
from molexp.errors import CancelledError, ConflictError, MolexpError, NotFoundError, TransitionError
from molexp.lifecycle import survey
from molexp.lifecycle.attempt import Attempt, end_attempt, start_run
from molexp.lifecycle.heart import heart
from molexp.lifecycle.look import Look, look_at
from molexp.lifecycle.manifest import Account
from molexp.lifecycle.site import Site
from molexp.model.address import Address, ScopeKind
from molexp.model.asset import Asset, ErrorTraceAsset
from molexp.model.execution import FileEntry, Problem
from molexp.model.profile import config_hash
from molexp.model.scope import RunMeta, WorkspaceMeta
from molexp.model.state import ExecutionState
from molexp.recording.artifact import Artifacts
from molexp.recording.capturing import Capturing, snapshot
from molexp.recording.find import History, resume_point
from molexp.recording.metric import Metrics
from molexp.recording.recorder import Recorder
from molexp.recording.writing import Writing, ended

if TYPE_CHECKING:
    from molexp.recording.context import RunContext

VARIABLE = "MOLEXP_EXECUTION"
"""Names the execution that a process is at work in to the processes that it starts."""

# The executions that this process owns, by uid; a forked child owns none of them.
_active: dict[str, Session] = {}

# Those that it has joined: it has one ledger in each, however often it opens them.
_joined: dict[str, Session] = {}


class Session:
    """An execution that this process owns, or has joined."""

    def __init__(self, writing: Writing, meta: RunMeta, *, capture: bool = False) -> None:
        self.meta = meta
        self.context: RunContext | None = None
        self.recorder = Recorder(writing, lambda: _join_again(writing))
        self.history = History(self.recorder)
        self.artifacts = Artifacts(self.recorder)
        self.account = Account()
        self.metrics = Metrics(self.recorder, self.account.metrics)
        self.capturing = Capturing(self.recorder, self.account)
        self._error: BaseException | None = None  # kept for when an end that was refused is made
        self._trace: Asset | None = None
        self._site_of_its_own: Site | None = None
        if writing.is_owner:
            self._begin(writing, capture=capture)

    @property
    def is_over(self) -> bool:
        """Whether nothing may be written any more."""
        return self.recorder.unchecked().over is not None

    def end_by(self, error: BaseException | None) -> None:
        """End as the block that was recorded ended; one who joined leaves."""
        if not self.recorder.unchecked().is_owner:
            self._leave("the block in which this process had joined is left")
        elif error is None or (isinstance(error, SystemExit) and error.code in (None, 0)):
            self.end(ExecutionState.SUCCEEDED)
        elif _is_cancelled(error):
            asked = error.details.get("reason") if isinstance(error, CancelledError) else None
            self.end(ExecutionState.CANCELLED, reason=str(asked or "cancelled on request"))
        elif isinstance(error, KeyboardInterrupt):
            self.end(ExecutionState.CANCELLED, reason="interrupted from the keyboard")
        else:
            self.end(ExecutionState.FAILED, error=error)

    def end(
        self,
        status: ExecutionState,
        *,
        step: int | None = None,
        reason: str | None = None,
        error: BaseException | None = None,
    ) -> None:
        """End the execution; called again after a StorageError, this goes on where it stopped.

        Raises ConflictError if somebody else has ended it, and NotFoundError if it was removed.
        """
        writing = self.recorder.unchecked()
        attempt = writing.attempt
        if writing.over is not None:
            raise writing.over()
        if attempt is None:
            raise ended(writing.place.path, "for those who joined: its owner ends it")
        try:
            writing.stop()
            self._end(writing, attempt, status, step, reason, error)
        except ConflictError:
            self._leave("by somebody else")
            attempt.close()
            raise
        except NotFoundError:
            if os.fstat(writing.place.fd).st_nlink:
                writing.go_on()
            else:  # it was removed, and nothing makes that good
                self._leave("removed by somebody else")
                attempt.close()
            raise
        except BaseException:
            writing.go_on()  # this process is still at work, and may end it once that is cured
            raise
        self._leave(status)

    def _end(
        self,
        writing: Writing,
        attempt: Attempt,
        status: ExecutionState,
        step: int | None,
        reason: str | None,
        error: BaseException | None,
    ) -> None:
        error = self._error = error or self._error
        self.capturing.end()
        self.artifacts.close(failed=error is not None)
        said: dict[str, Any] = {"reason": None if reason is None else str(reason)}
        said["last_step"] = self.recorder.last_step if step is None else step
        if error is not None:
            self._trace = self._trace or self._tell_trace(writing, error)
            uid = self._trace.asset_id if self._trace is not None else None
            said["error"] = Problem(type=_name(error), message=_text(error), trace=uid)
        writing.finish()
        attempt.account, attempt.is_fresh = self.account, writing.is_fresh
        end_attempt(writing.site, attempt, status, **said)

    def joined(self, site: Site) -> Session:
        """This one, which lets go of the workspace that was opened for it when it leaves."""
        self._site_of_its_own = site
        return self

    def leave_if_ended(self) -> None:
        """Let go of an execution that was joined, if it has ended."""
        if not self.recorder.is_here:
            return  # a forked child that never used it has nothing of it to let go
        try:
            self.recorder.unchecked().check_not_ended()
        except TransitionError:
            self._leave("by its owner")

    def _begin(self, writing: Writing, *, capture: bool) -> None:
        """Beat, let others join, and keep what is printed and logged."""
        is_only = not _active
        _active[self.recorder.start.uid] = self
        heart(writing.site.beat).add(writing.beat)
        if is_only:
            os.environ[VARIABLE] = writing.place.path
        if capture:
            try:
                self.capturing.begin()
            except BaseException as error:
                with suppress(MolexpError, OSError):  # then the next start ends it
                    self.end(ExecutionState.FAILED, error=error)
                raise

    def _leave(self, how: str) -> None:
        """Be at work no more."""
        writing = self.recorder.unchecked()
        path = writing.place.path
        writing.over = lambda: ended(path, how)
        heart(writing.site.beat).remove(writing.beat)
        writing.close()
        if self._site_of_its_own is not None and self._site_of_its_own is writing.site:
            self._site_of_its_own.close()
        _joined.pop(self.recorder.start.uid, None)
        was_active = _active.pop(self.recorder.start.uid, None) is not None
        if was_active and os.environ.get(VARIABLE) == path:
            del os.environ[VARIABLE]

    def _tell_trace(self, writing: Writing, error: BaseException) -> Asset | None:
        """Keep the traceback; where that is refused, the end tells the error alone."""
        text = redacted_text("".join(traceback.format_exception(error)))
        mode = writing.site.modes.ended_file
        try:
            with HashingWriter(writing.place, layout.ERROR, mode) as file:
                file.write(text.encode("utf-8", "backslashreplace"))
            writing.batch.wrote(writing.place, layout.ERROR)
            measured: dict[str, Any] = {"size": file.size, "content_hash": file.content_hash}
            writing.known[layout.ERROR] = FileEntry.make(
                path=layout.ERROR, mtime_ns=file.mtime_ns, **measured
            )
            return self.recorder.tell_asset(
                ErrorTraceAsset,
                writing,
                name="error",
                path=layout.ERROR,
                mime="text/plain",
                type=_name(error),
                message=_text(error),
                **measured,
            )
        except (OSError, MolexpError):
            return None


def start(
    site: Site,
    address: Address,
    *,
    again: bool = False,
    capture: bool = True,
    profile: str | None = None,
    config: Mapping[str, Any] | None = None,
) -> Session:
    """Own a new execution of a run, with what is captured of where it starts.

    Raises what :func:`molexp.lifecycle.attempt.start_run` raises.
    """
    said: dict[str, Any] = {} if profile is None else {"profile": profile}
    if config:
        said |= {"config": dict(config), "config_hash": config_hash(config)}

    def prepare(run: Directory, found: Look) -> dict[str, Any]:
        more: dict[str, Any] = {}
        if capture:
            more["snapshot"] = snapshot(site, found.meta.workflow)
        if found.executions:
            shown = {each.number for each in found.executions}
            before = [each for each in survey.executions(run, []) if each.number in shown]
            more["resumed_from"], more["resumed_step"] = resume_point(before)
        return more

    attempt = start_run(site, address, again=again, prepare=prepare, **said)
    writing = Writing(
        site, address, attempt.run, attempt.place, attempt.number, attempt.start, attempt
    )
    return Session(writing, attempt.meta, capture=capture)


def check_unused(site: Site) -> None:
    """Raises ConflictError while this process records a run in that open workspace."""
    for each in _active.values():
        writing = each.recorder.unchecked()
        if writing.site is site:
            raise ConflictError(
                f"{writing.place.path} is being recorded, and its workspace cannot be closed",
                cure="leave the block of the run first",
                holder="this process",
                since=writing.start.at.isoformat(),
            )


def join(path: str | os.PathLike[str] | None) -> Session:
    """Write in an execution that is at work already, or read one that has ended.

    Raises NotFoundError if there is none.
    """
    place = os.environ.get(VARIABLE) if path is None else os.fspath(path)
    if not place:
        raise NotFoundError(
            f"no execution is at work here: {VARIABLE} is not set",
            cure="give the directory of a run or of an execution",
            kind="execution",
            key="",
        )
    root, address, number = _locate(Path(os.path.abspath(place)))
    with Directory.open(root) as directory:
        access = read(directory, layout.META, WorkspaceMeta).access
        run = directory.enter(layout.scope_path(address))
    found = look_at(run)
    meant = [each for each in found.executions if number in (None, each.number)]
    if not meant:
        run.close()
        raise NotFoundError(
            f"{place} has no execution",
            cure="start the run: `with run.start() as ctx`",
            kind="execution",
            key=place,
        )
    start = meant[-1].start
    there = _active.get(start.uid) or _joined.get(start.uid)
    if there is not None and not there.is_over:
        run.close()
        return there
    _leave_ended()
    site = Site(Directory.open(root), access, start.durability)
    inside = run.enter(layout.execution_name(meant[-1].number))
    writing = Writing(site, address, run, inside, meant[-1].number, start)
    joined = Session(writing, found.meta).joined(site)
    if meant[-1].end is None:
        _joined[start.uid] = joined
    return joined


def _leave_ended() -> None:
    """Let go of what ended since it was joined."""
    for each in [*_joined.values()]:
        each.leave_if_ended()


def _locate(path: Path) -> tuple[Path, Address, int | None]:
    """The workspace, the run and the number that the directory of a run or an execution means."""
    number = layout.execution_number(path.name)
    if number is not None and path.parent.parent.name == layout.RUNS:
        path = path.parent
    else:
        number = None
    steps = path.parts[-6:]
    address = layout.address_of("/".join(steps))
    if address is None or address.kind is not ScopeKind.RUN:
        raise NotFoundError(
            f"{path} is not the directory of a run",
            cure="give `run.run_dir`, or the directory of one of its executions",
            kind="run",
            key=str(path),
        )
    return path.parents[5], address, number


def _join_again(writing: Writing) -> Writing:
    """For a forked child: the same execution, in which it is one who joined."""
    run = Directory(os.dup(writing.run.fd), writing.run.path)
    place = Directory(os.dup(writing.place.fd), writing.place.path)
    return Writing(writing.site, writing.address, run, place, writing.number, writing.start)


def _is_cancelled(error: BaseException) -> bool:
    """Whether it was cancelled, in each of its tasks that raised if it had several."""
    if isinstance(error, BaseExceptionGroup):
        return all(map(_is_cancelled, error.exceptions))
    return isinstance(error, CancelledError | asyncio.CancelledError)


def _name(error: BaseException) -> str:
    kind = type(error)
    return (
        kind.__qualname__
        if kind.__module__ == "builtins"
        else f"{kind.__module__}.{kind.__qualname__}"
    )


def _text(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception as another:  # noqa: BLE001 - it is the user's own code
        text = f"it cannot be shown: its own text raised a {_name(another)}"
    return redacted_text(text).encode("utf-8", "backslashreplace").decode()


def _forget() -> None:
    """A forked child owns no execution of its parent."""
    _joined.update(_active)
    _active.clear()


os.register_at_fork(after_in_child=_forget)
