"""The assets of a scope, found by reading its files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import get_close_matches

from molexp.disk import layout
from molexp.errors import ConflictError, MolexpError, NotFoundError
from molexp.lifecycle import data, survey
from molexp.lifecycle.place import Place, in_execution
from molexp.lifecycle.reaping import runs_below
from molexp.lifecycle.site import Site
from molexp.lifecycle.survey import ExecutionSurvey
from molexp.model.address import Address, ScopeKind
from molexp.model.asset import Asset, ExecutionStateAsset, Producer
from molexp.model.scope import META
from molexp.recording.find import resolved


class Assets:
    """What was left behind on purpose in a scope: its data, and what its runs made.

    A run's own are those of its executions. Those of the scopes below are there with
    ``recursive=True``. What cannot be read is passed over here; ``ws.problems()`` tells of it.
    """

    def __init__(self, site: Site, address: Address) -> None:
        self._site = site
        self._address = address

    def list(self, kind: str | None = None, *, recursive: bool = False) -> list[Asset]:
        """All of them, of one kind if that is given."""
        return [*self.query(kind=kind, recursive=recursive)]

    def get(self, key: str, kind: str | None = None) -> Asset:
        """The newest of a name, or the one with this asset_id; raises NotFoundError."""
        found = self.list(kind, recursive=True)
        named = [each for each in found if key in (each.name, each.asset_id)]
        if named:
            return max(named, key=_newness)
        near = get_close_matches(key, {each.name for each in found})
        raise NotFoundError(
            f"no asset of {self._address or 'the workspace'} is called {key!r}",
            cure=f"did you mean {' or '.join(map(repr, near))}?" if near else "`list()` them all",
            kind="asset",
            key=key,
            near=near,
        )

    def query(
        self,
        *,
        kind: str | None = None,
        name: str | None = None,
        tag: str | None = None,
        producer_task: str | None = None,
        recursive: bool = False,
    ) -> Sequence[Asset]:
        """Those that are all that is said; a ``tag`` is a name, or ``name=value``."""
        return [
            each
            for each in self._all(recursive=recursive)
            if kind in (None, each.kind)
            and name in (None, each.name)
            and (tag is None or _is_tagged(each, tag))
            and (
                producer_task is None
                or (each.producer is not None and each.producer.task == producer_task)
            )
        ]

    def __iter__(self) -> Iterator[Asset]:
        return iter(self.list())

    def _all(self, *, recursive: bool) -> Iterator[Asset]:
        for address in _scopes(self._site, self._address, recursive=recursive):
            for each in data.versions(self._site, address):
                yield resolved(self._site, each)
            if address.kind is ScopeKind.RUN:
                yield from run_assets(self._site, address)


def run_assets(site: Site, address: Address) -> Iterator[Asset]:
    """The assets of a run's executions, those of deleted ones left out; the oldest first."""
    for each in executions(site, address):
        if each.start is not None:
            yield from _of_execution(site, address, each, each.start.run)


def executions(site: Site, address: Address) -> list[ExecutionSurvey]:
    """A run's executions, deleted ones left out; an empty list if it is gone."""
    problems: list[MolexpError] = []
    try:
        with site.enter(layout.scope_path(address)) as directory:
            meta = survey.scope_record(directory, META[address.kind], problems)
            return [each for each in survey.shown(directory, meta, problems) if each.start]
    except MolexpError:
        return []


def _of_execution(
    site: Site, address: Address, execution: ExecutionSurvey, run: str
) -> Iterator[Asset]:
    """Each with its producer, and where it lies; the execution itself is one as well."""
    start = execution.start
    scope_dir = site.root.where(layout.scope_path(address))
    if start is not None and not any(
        isinstance(each, ExecutionStateAsset) for each in execution.assets
    ):
        state = ExecutionStateAsset(
            asset_id=start.uid,
            name=layout.execution_name(execution.number),
            created_at=start.at,
            producer=Producer(run=run, execution=execution.number),
        )
        yield state.placed(Place(scope_dir, str(address)))
    for each in execution.assets:
        producer = (each.producer or Producer()).evolve(run=run, execution=execution.number)
        place = in_execution(scope_dir, str(address), execution.number, each)
        yield each.evolve(producer=producer).placed(place)


def _scopes(site: Site, address: Address, *, recursive: bool) -> Iterator[Address]:
    yield address
    if not recursive or address.kind is ScopeKind.RUN:
        return
    seen = {address}
    for run in runs_below(site, address):
        for depth in range(len(address) + 1, len(run) + 1):
            at = Address(run[:depth])
            if at not in seen:
                seen.add(at)
                yield at


def _newness(asset: Asset) -> tuple[int, int, str, str]:
    execution = asset.producer.execution if asset.producer is not None else None
    return execution or 0, asset.version, asset.created_at.isoformat(), asset.asset_id


def _is_tagged(asset: Asset, tag: str) -> bool:
    name, equals, value = tag.partition("=")
    if not equals:
        return bool(asset.tags.get(name))
    return asset.tags.get(name) == value


def check_unpublished(site: Site, address: Address, made: Sequence[Asset] | None = None) -> None:
    """Raises ConflictError if anything that a scope's runs made is published outside of it.

    ``made`` are the assets that count, if not all of them.
    """
    if made is None:
        made = [each for run in runs_below(site, address) for each in run_assets(site, run)]
    around = [Address(address[:depth]) for depth in range(len(address))]
    for each in data.published(site, around, {asset.asset_id for asset in made}):
        raise ConflictError(
            f"{each.name!r} is published from {address}, and would be lost",
            cure="say `force=True` if that is what you want",
            holder=each.asset_id,
            since=each.created_at.isoformat(),
        )
