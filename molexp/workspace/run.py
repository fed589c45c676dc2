"""A run: one realization of an experiment, and every attempt at it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from molexp.disk import layout
from molexp.errors import InvalidInputError, MolexpError
from molexp.lifecycle import removal, requests
from molexp.lifecycle.look import look_at, state_of, status_of
from molexp.lifecycle.reaping import Reaped, reap_below
from molexp.model.address import Address
from molexp.model.profile import Profile
from molexp.model.scope import RunMeta
from molexp.model.state import ExecutionState
from molexp.recording.context import RunContext, start
from molexp.recording.find import newest_result
from molexp.recording.log import read_log
from molexp.workspace.assets import check_unpublished, executions, run_assets
from molexp.workspace.metadata import ExecutionInfo, RunMetadata
from molexp.workspace.scope import Scope

if TYPE_CHECKING:
    from molexp.workspace.experiment import Experiment
    from molexp.workspace.workspace import Workspace

Configuration = Profile | Mapping[str, Any]


class Run(Scope[RunMeta]):
    """A handle on a run; ``with run.start() as ctx`` records an attempt at it."""

    def __init__(self, experiment: Experiment, address: Address) -> None:
        super().__init__(experiment.workspace, address)
        self._experiment = experiment
        self._contexts: list[RunContext] = []

    @property
    def experiment(self) -> Experiment:
        """The experiment that holds it."""
        return self._experiment

    @property
    def id(self) -> str:
        """Its id: the name of its directory."""
        return self._address[-1]

    name = id

    @property
    def run_dir(self) -> Path:
        """Its directory."""
        return self.directory

    @property
    def parameters(self) -> dict[str, Any]:
        """What it was made with."""
        return self.record.parameters

    @property
    def status(self) -> ExecutionState:
        """That of its newest execution, judged now."""
        site = self._site
        with site.enter(layout.scope_path(self._address)) as run:
            return status_of(site, run, look_at(run))

    @property
    def metadata(self) -> RunMetadata:
        """Everything that its files tell of it now."""
        site = self._site
        with site.enter(layout.scope_path(self._address)) as run:
            found = look_at(run)
            history = tuple(
                ExecutionInfo(each.number, state_of(site, run, each), each.start, each.end)
                for each in found.executions
            )
        status = history[-1].status if history else ExecutionState.PENDING
        return RunMetadata(found.meta, status, history)

    def start(
        self,
        profile_config: Configuration | None = None,
        *,
        inputs: Mapping[str, Any] | None = None,
        again: bool = False,
        capture: bool = True,
    ) -> RunContext:
        """Begin an execution, which the block that it is used in ends.

        ``profile_config`` is a profile, or any mapping; ``inputs`` are what it uses, by name:
        assets, paths or values. ``capture=False`` keeps neither prints, log records, nor the
        machine. Raises ConflictError while somebody is at work in it, and TransitionError if it
        succeeded and ``again`` is not said.
        """
        profile, config = None, profile_config
        if isinstance(profile_config, Profile):
            profile, config = profile_config.name, profile_config.values
        elif config is not None and not isinstance(config, Mapping):
            raise InvalidInputError(
                f"a configuration is no {type(config).__qualname__}",
                cure="give a mapping, or a `molexp.Profile`",
                argument="profile_config",
            )
        return start(
            self._workspace.site_to_write(),
            self._address,
            again=again,
            capture=capture,
            profile=profile,
            config=config,
            inputs=inputs or {},
        )

    def cancel(self, reason: str | None = None) -> ExecutionState | None:
        """Ask its owner to stop, or end what has none; raises TransitionError if it has ended."""
        return requests.ask(self._workspace.site_to_write(), self._address, "cancel", reason)

    def pause(self, reason: str | None = None) -> None:
        """Ask its owner to wait; raises TransitionError if it does not run."""
        requests.ask(self._workspace.site_to_write(), self._address, "pause", reason)

    def resume(self, reason: str | None = None) -> None:
        """Ask its owner to go on; raises TransitionError if it is not paused."""
        requests.ask(self._workspace.site_to_write(), self._address, "resume", reason)

    def reap(self, *, confirm: bool = False) -> list[Reaped]:
        """End what a dead owner left open; ``confirm`` says that one who is silent is over."""
        problems: list[MolexpError] = []
        found = reap_below(
            self._workspace.site_to_write(), self._address, problems, confirm=confirm
        )
        if problems:
            raise problems[0]
        return found

    def get_result(self, name: str, default: Any = None) -> Any:
        """A result of its newest execution that has one."""
        found = newest_result(reversed(executions(self._site, self._address)), name)
        return found.value if found is not None else default

    def log(self, name: str = "run", execution: int | None = None) -> str:
        """What a log says, of the newest execution or the one given; empty if there is none."""
        known = self.metadata.execution_history
        number = execution or (known[-1].number if known else 0)
        path = f"{layout.scope_path(self._address)}/{layout.execution_name(number)}"
        if number not in [each.number for each in known]:
            return ""
        with self._site.enter(path) as place:
            return read_log(place, name)

    def move_to(self, experiment: Experiment) -> Run:
        """Move it to another experiment of the workspace; this handle follows.

        Raises ConflictError while somebody is at work in it, and AlreadyExistsError.
        """
        if experiment.workspace.root != self._workspace.root:
            raise InvalidInputError(
                f"{experiment!r} lies in another workspace",
                cure="export the run, and import it there",
                argument="experiment",
            )
        target = experiment.run_address(self.id)
        removal.move_run(self._workspace.site_to_write(), self._address, target)
        self._address, self._experiment = target, experiment
        return self

    def delete_execution(
        self, number: int, *, reason: str | None = None, force: bool = False
    ) -> None:
        """Move what an execution left into the trash and hide it; its number is not used again.

        Raises ConflictError while somebody is at work in it, or if an asset of it is published and
        ``force`` is not said, and NotFoundError.
        """
        if not force:
            made = [
                each
                for each in run_assets(self._site, self._address)
                if each.producer is not None and each.producer.execution == number
            ]
            check_unpublished(self._site, self._address, made)
        site = self._workspace.site_to_write()
        removal.delete_execution(site, self._address, number, reason)

    def __enter__(self) -> RunContext:
        self._contexts.append(self.start())
        return self._contexts[-1].__enter__()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._contexts.pop().__exit__(kind, error, trace)

    async def __aenter__(self) -> RunContext:
        return self.__enter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.__exit__(kind, error, trace)

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopen, (type(self._workspace), os.fspath(self._workspace.root), self.address)


def _reopen(workspace: type[Workspace], root: str, address: str) -> Any:
    """A run's handle in another process."""
    return workspace.load(root).find(address)
