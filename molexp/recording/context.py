"""What a task sees of the run that it is: everything that it reads, writes and leaves behind."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from molexp.disk import layout
from molexp.disk.beneath import Directory
from molexp.disk.digest import hash_file
from molexp.errors import InvalidInputError, MolexpError, NotFoundError
from molexp.lifecycle import data
from molexp.lifecycle.place import check_source
from molexp.lifecycle.site import Site, new_uid, now
from molexp.model.address import Address, ScopeKind
from molexp.model.asset import Asset, CheckpointAsset, DataAsset, OutputAsset, Producer
from molexp.model.codec import Json, encode
from molexp.model.execution import Input
from molexp.model.names import check_path
from molexp.model.parameters import ParameterSet
from molexp.model.state import TERMINAL, ExecutionState
from molexp.recording import session
from molexp.recording.artifact import Artifacts
from molexp.recording.checkpoint import Checkpoints, check_step
from molexp.recording.find import History, find_asset, resolved
from molexp.recording.log import Log
from molexp.recording.metric import Metrics
from molexp.recording.recorder import Recorder
from molexp.recording.session import Session, join


class Config(dict[str, Any]):
    """The configuration of an execution; ``name`` is that of its profile, or None."""

    name: str | None = None


class Facts:
    """What the execution is that a context records: where, with what, and going on from where."""

    def __init__(self, recorded: Session) -> None:
        self._session = recorded
        self._recorder: Recorder = recorded.recorder

    @property
    def run_dir(self) -> Path:
        """The directory of the run."""
        return Path(os.path.abspath(self._recorder.unchecked().run.path))

    @property
    def execution_dir(self) -> Path:
        """The directory of this execution."""
        return self.run_dir / layout.execution_name(self._recorder.number)

    @property
    def execution_id(self) -> str:
        """The uid of this execution."""
        return self._recorder.start.uid

    @property
    def work_dir(self) -> Path:
        """A directory for whatever the task, or a program that it calls, writes by itself."""
        self._recorder.writing().inside(layout.WORK)
        return self.execution_dir / layout.WORK

    @property
    def params(self) -> Mapping[str, Json]:
        """The parameters of the run."""
        return ParameterSet(self._session.meta.parameters)

    @property
    def config(self) -> Config:
        """The configuration of this execution."""
        config = Config(self._recorder.start.config)
        config.name = self._recorder.start.profile
        return config

    @property
    def logger(self) -> logging.Logger:
        """A logger whose records are kept with time, level and name."""
        return self._session.capturing.logger

    @property
    def resumed_step(self) -> int | None:
        """The step that this execution goes on from; None if it began anew."""
        return self._recorder.start.resumed_step


class Uses(Facts):
    """What a task uses, and what it lets others use."""

    def __init__(self, recorded: Session) -> None:
        super().__init__(recorded)
        self._history: History = recorded.history

    def find_asset(self, name: str) -> Asset:
        """The asset that a name means here, written down as used by the active task.

        This run's executions come first, the newest before others; then the data of its experiment,
        project and workspace. Raises NotFoundError naming what is near and where it looked.
        """
        if not isinstance(name, str):
            raise InvalidInputError(
                f"no asset is called {name!r}", cure="give its name, a text", argument="name"
            )
        writing = self._recorder.writing()
        asset = find_asset(writing.site, writing.address, self._history, name)
        own = self._recorder.assets.get(name)
        if own is None or own.asset_id != asset.asset_id:
            self._recorder.use(asset)
        return asset

    def use(self, asset: Asset) -> None:
        """Write down that the active task used an asset that was found elsewhere."""
        self._recorder.use(asset)

    def input(
        self, name: str, value: Any = None, *, path: str | os.PathLike[str] | None = None
    ) -> None:
        """Write down what was used: a value, or a file or folder by its path.

        A file's digest is taken. Raises NotFoundError and InvalidInputError.
        """
        encode(value, f"the input {name!r}")
        said: dict[str, Any] = {"name": name, "task": self._recorder.task}
        if path is None:
            said["value"] = value
        else:
            check_source(Path(path))
            real = Path(os.path.realpath(path))
            said["path"] = str(real)
            if real.is_file():
                with Directory.open(real.parent) as above:
                    said["content_hash"] = hash_file(above, real.name).content_hash
        self._recorder.writing().tell("input", Input.make(at=now(), **said).to_json())

    def publish(
        self,
        asset: Asset,
        scope: Literal["experiment", "project", "workspace"] = "experiment",
        *,
        name: str | None = None,
    ) -> DataAsset:
        """Let all that a scope holds find an asset of this run by its name; no bytes are copied.

        Raises InvalidInputError for what is no asset of this run, or no scope of it.
        """
        writing = self._recorder.writing()
        address = writing.address
        kinds = [ScopeKind.WORKSPACE, ScopeKind.PROJECT, ScopeKind.EXPERIMENT]
        if scope not in kinds:
            raise InvalidInputError(
                f"nothing is published to {scope!r}",
                cure="say 'experiment', 'project' or 'workspace'",
                argument="scope",
            )
        producer = self._history.producer(asset)
        if producer is None:
            raise InvalidInputError(
                f"{asset.name!r} was not made by this run",
                cure="publish it from the run that made it",
                argument="asset",
            )
        if asset.content_hash is None:
            raise InvalidInputError(
                f"the {asset.kind} {asset.name!r} has no bytes that are final",
                cure="publish an artifact; a log is final when its execution has ended",
                argument="asset",
            )
        execution, run = producer, self._recorder.start.run
        task = asset.producer.task if asset.producer is not None else None
        said = Producer.make(run=run, execution=execution, task=task)
        target = type(address)(address[: kinds.index(ScopeKind(scope))])
        label = name or asset.name.rpartition("/")[2]
        site = writing.site
        made = data.publish_asset(site, target, label, asset, said, str(address))
        return resolved(site, made)

    def get_data_dir(self, name: str, fallback: str | os.PathLike[str] | None = None) -> Path:
        """The directory of the data that a name means, else ``fallback``; written down as used."""
        try:
            asset = self.find_asset(name)
        except NotFoundError:
            if fallback is None:
                raise
            check_source(Path(fallback))
            self.input(name, path=fallback)
            return Path(fallback)
        found = asset.absolute_path()
        return found if found.is_dir() else found.parent


class RunContext(Uses):
    """A run while it is recorded; leaving the block ends its execution.

    Every call may raise CancelledError once somebody asked for that, and TransitionError after
    the end.
    """

    def __init__(self, recorded: Session) -> None:
        super().__init__(recorded)
        self._logs: dict[str, Log] = {}
        self.artifact: Artifacts = recorded.artifacts
        self.metrics: Metrics = recorded.metrics
        self.checkpoint = Checkpoints(self._recorder, self._history)
        recorded.context = self

    @classmethod
    def open(cls, path: str | os.PathLike[str] | None = None) -> Self:
        """The execution in a directory, or the newest of the run in it, to write in it as well.

        Without a path it is the one that the process which started this one is at work in. Raises
        NotFoundError. What has ended can be read, and not be written to.
        """
        joined = join(path)
        if isinstance(joined.context, cls):
            return joined.context
        return cls(joined)

    def log(self, name: str) -> Log:
        """The log of a name; the one called ``run`` begins with the story of the execution."""
        found = self._logs.get(name)
        if found is None:
            found = self._logs.setdefault(name, Log(self._recorder, name))
        return found

    def metric(self, key: str, value: float, *, step: int | None = None) -> None:
        """Add one value of a metric; raises InvalidInputError for what is no number."""
        self.metrics.scalar(key, value, step=step)

    def checkpoint_step(self, step: int, data: Any = None) -> CheckpointAsset:
        """A checkpoint that is called after its step."""
        return self.checkpoint(f"step-{step}", data, step=step)

    def set_result(self, name: str, value: Any) -> OutputAsset:
        """Leave a value as a result; setting it again replaces it.

        Raises InvalidNameError, and InvalidInputError for what JSON cannot say.
        """
        check_path(name)
        encode(value, f"the result {name!r}")
        writing = self._recorder.writing()
        before = self._recorder.assets.get(name)
        uid = before.asset_id if isinstance(before, OutputAsset) else new_uid()
        said = self._recorder.said()
        return self._recorder.tell_asset(
            OutputAsset, writing, asset_id=uid, name=name, value=value, **said
        )

    def get_result(self, name: str, default: Any = None) -> Any:
        """A result of this execution, else of the newest before it that has one."""
        found = self._history.result(name)
        return found.value if found is not None else default

    def set_active_task(self, name: str | None) -> None:
        """Say which task makes and uses what comes next in this thread."""
        self._recorder.task = name

    def check(self) -> None:
        """Look at once whether somebody asked to pause or to cancel."""
        self._recorder.unchecked().heed()

    def sync(self) -> None:
        """Return when everything written so far survives power loss; raises StorageError."""
        self._recorder.writing().batch.commit()

    def suspend(self, at_step: int | None = None, reason: str | None = None) -> None:
        """End this execution on purpose; the next start goes on from there. Leave the block now."""
        if at_step is not None:
            check_step(at_step)
        self._session.end(ExecutionState.SUSPENDED, step=at_step, reason=reason)

    def end(self, status: str = "succeeded", reason: str | None = None) -> None:
        """End this execution; leaving the block does it, and after a StorageError this does.

        Raises ConflictError if somebody else has ended it.
        """
        ends = sorted(TERMINAL)
        if status not in ends:
            raise InvalidInputError(
                f"an execution does not end as {status!r}",
                cure=f"say {' or '.join(map(repr, map(str, ends)))}",
                argument="status",
            )
        self._session.end(ExecutionState(status), reason=reason)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._session.is_over:
            return
        try:
            self._session.end_by(error)
        except (MolexpError, OSError) as refusal:
            if error is None:
                raise
            error.add_note(f"the end of this run could not be written down: {refusal}")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.__exit__(kind, error, trace)

    def __reduce__(self) -> tuple[Callable[[str], RunContext], tuple[str]]:
        return type(self).open, (str(self.execution_dir),)

    def __repr__(self) -> str:
        return f"RunContext({str(self.execution_dir)!r})"


def start(
    site: Site,
    address: Address,
    *,
    again: bool = False,
    capture: bool = True,
    profile: str | None = None,
    config: Mapping[str, Any] | None = None,
    inputs: Mapping[str, Any] | None = None,
) -> RunContext:
    """Begin an execution of a run; its ``inputs`` are looked at before, and written down then.

    Raises what :func:`molexp.recording.session.start` raises, and NotFoundError for an input that
    is a path where nothing lies.
    """
    used = inputs or {}
    for name, value in used.items():
        if isinstance(value, os.PathLike):
            check_source(Path(value))
        elif not isinstance(value, Asset):
            encode(value, f"the input {name!r}")
    started = session.start(
        site, address, again=again, capture=capture, profile=profile, config=config
    )
    context = RunContext(started)
    try:
        for name, value in used.items():
            if isinstance(value, Asset):
                started.recorder.use(value, name)
            elif isinstance(value, os.PathLike):
                context.input(name, path=value)
            else:
                context.input(name, value)
    except BaseException as error:
        context.__exit__(type(error), error, error.__traceback__)
        raise
    return context
