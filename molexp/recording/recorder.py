"""What the accessors of a context share: this process's writing, and how an asset is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from typing import Any, TypeVar

from molexp.disk import owner
from molexp.errors import InvalidInputError, TransitionError
from molexp.lifecycle.place import Place, in_execution
from molexp.lifecycle.site import new_uid, now
from molexp.model.asset import Asset, Producer
from molexp.model.execution import Input
from molexp.recording.writing import Writing

AnyAsset = TypeVar("AnyAsset", bound=Asset)

_tasks: ContextVar[Mapping[str, str | None]] = ContextVar("molexp_tasks")
"""The task that is at work here, by execution: a thread has its own once it says so."""


class Recorder:
    """One execution, as the task that is recorded sees it, in whatever process it is."""

    def __init__(self, writing: Writing, join: Callable[[], Writing]) -> None:
        self.start = writing.start
        self.number = writing.number
        self.assets: dict[str, Asset] = {}
        """What this process made here, the newest of each name."""
        self.last_step: int | None = None
        """The step of the newest checkpoint."""
        self._writing = writing
        self._join = join
        self._task: str | None = None
        self._used: set[tuple[str, str | None]] = set()

    def writing(self) -> Writing:
        """What this process writes; raises if nothing may be written any more, or waits."""
        writing = self._writing
        if writing.forks != owner.forks:
            writing = self.unchecked()
        writing.check()
        return writing

    def unchecked(self) -> Writing:
        """What this process writes, whether or not it may go on."""
        if self._writing.forks != owner.forks:
            self._writing = self._join()  # this is a forked child: a writer of its own
        return self._writing

    @property
    def is_here(self) -> bool:
        """Whether this process has opened it, and not only one that it was forked from."""
        return self._writing.forks == owner.forks

    def reading(self) -> Writing:
        """Where what was written is read; raises TransitionError once this context is left."""
        writing = self.unchecked()
        if writing.is_closed:
            raise TransitionError(
                f"{writing.place.path} was left, and this context reads nothing any more",
                cure="ask the run: `run.get_result(…)`, `run.log(…)`, `run.assets`",
                current="left",
                wanted="running",
                allowed=[],
            )
        return writing

    @property
    def task(self) -> str | None:
        """The task that is at work."""
        return _tasks.get({}).get(self.start.uid, self._task)

    @task.setter
    def task(self, name: str | None) -> None:
        self._task = name
        _tasks.set({**_tasks.get({}), self.start.uid: name})

    def said(
        self,
        tags: Mapping[str, str | bool] | None = None,
        meta: Mapping[str, Any] | None = None,
        consumed: Sequence[Asset | str] = (),
    ) -> dict[str, Any]:
        """What is said of an asset, checked before anything of it is written."""
        said: dict[str, Any] = {}
        if tags or meta:
            said = {"tags": dict(tags or {}), "meta": meta or {}}
            draft = Asset.make(asset_id=_NOBODY, kind="", name="", created_at=now(), **said)
            said = {"tags": draft.tags, "meta": draft.meta}
        task = self.task
        if consumed or task is not None:
            said["producer"] = Producer.make(task=task, consumed=tuple(map(_uid_of, consumed)))
        return said

    def tell_asset(self, kind: type[AnyAsset], writing: Writing, **values: Any) -> AnyAsset:
        """Write down an asset whose bytes are there."""
        values.setdefault("asset_id", new_uid())
        asset = kind.sure(created_at=now(), **values)
        writing.tell("asset", asset.to_json())
        self.assets[asset.name] = asset
        return asset.placed(place_of(writing, writing.number, asset))

    def use(self, asset: Asset, name: str | None = None) -> None:
        """Write down that the active task used an asset, under a name; once is enough."""
        key = (asset.asset_id, self.task)
        if key not in self._used:
            self._used.add(key)
            used = Input.make(
                at=now(), asset=asset.asset_id, name=name or asset.name, task=self.task
            )
            self.writing().tell("input", used.to_json())


def place_of(writing: Writing, number: int, asset: Asset) -> Place:
    """Where an asset of one of the run's executions lies."""
    return in_execution(writing.run.path, str(writing.address), number, asset)


def _uid_of(asset: Asset | str) -> str:
    if isinstance(asset, str):
        return asset
    if isinstance(asset, Asset):
        return asset.asset_id
    raise InvalidInputError(
        f"{asset!r} is no asset",
        cure="give what `ctx.find_asset` or `ctx.artifact.save` returned, or its asset_id",
        argument="consumed",
    )


_NOBODY = "0" * 26
