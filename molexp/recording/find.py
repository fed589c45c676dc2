"""What a name means to a run: its own executions, the newest first, then data around it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from difflib import get_close_matches

from molexp.disk import layout
from molexp.disk.record import read
from molexp.errors import MolexpError, NotFoundError
from molexp.lifecycle import data, survey
from molexp.lifecycle.place import in_execution
from molexp.lifecycle.reaping import runs_below
from molexp.lifecycle.site import Site
from molexp.lifecycle.survey import ExecutionSurvey
from molexp.model.address import Address
from molexp.model.asset import Asset, CheckpointAsset, DataAsset, OutputAsset
from molexp.model.scope import RunMeta
from molexp.model.state import ExecutionState
from molexp.recording.recorder import Recorder, place_of


class History:
    """The executions of the run that is recorded, up to now.

    What has ended does not change, and is read once; the one that is recorded is read each time,
    for other processes may write in it.
    """

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._before: list[ExecutionSurvey] | None = None

    def executions(self) -> Iterator[ExecutionSurvey]:
        """This one, and those before it that were not deleted."""
        writing = self._recorder.reading()
        yield survey.execution(writing.number, writing.place, [])
        yield from self.before()

    def before(self) -> list[ExecutionSurvey]:
        """The executions before this one, the newest first."""
        if self._before is None:
            run = self._recorder.reading().run
            shown = survey.shown(run, survey.scope_record(run, RunMeta, []), [])
            self._before = [each for each in shown if each.number < self._recorder.number][::-1]
        return self._before

    def find(self, name: str) -> Asset | None:
        """The newest asset of a name: of the newest execution, and in it of the highest version."""
        own = self._recorder.assets.get(name)
        writing = self._recorder.reading()
        if own is not None and writing.is_alone:
            return own
        for each in self.executions():
            named = [asset for asset in each.assets if asset.name == name]
            if named:
                newest = max(named, key=lambda asset: (asset.version, asset.created_at))
                return newest.placed(place_of(writing, each.number, newest))
        return None

    def producer(self, asset: Asset) -> int | None:
        """The number of the execution of this run that made an asset."""
        own = self._recorder.assets.get(asset.name)
        if own is not None and own.asset_id == asset.asset_id:
            return self._recorder.number
        for each in self.executions():
            if any(made.asset_id == asset.asset_id for made in each.assets):
                return each.number
        return None

    def names(self) -> set[str]:
        """The names of all assets."""
        return {asset.name for each in self.executions() for asset in each.assets}

    def result(self, name: str) -> OutputAsset | None:
        """The newest result of a name."""
        return newest_result(self.executions(), name)

    def latest_checkpoint(self) -> CheckpointAsset | None:
        """The newest checkpoint to go on from; none from before an execution that succeeded."""
        for each in self.executions():
            is_this = each.number == self._recorder.number
            if not is_this and each.status is ExecutionState.SUCCEEDED:
                return None
            found = newest_checkpoint(each)
            if found is not None:
                writing = self._recorder.reading()
                return found.placed(place_of(writing, each.number, found))
        return None


def newest_checkpoint(execution: ExecutionSurvey) -> CheckpointAsset | None:
    """The checkpoint that an execution made last."""
    made = [asset for asset in execution.assets if isinstance(asset, CheckpointAsset)]
    return max(made, key=lambda asset: (asset.created_at, asset.asset_id), default=None)


def newest_result(executions: Iterable[ExecutionSurvey], name: str) -> OutputAsset | None:
    """The result of a name that the first of these executions left which has one."""
    for each in executions:
        named = [
            asset for asset in each.assets if isinstance(asset, OutputAsset) and asset.name == name
        ]
        if named:
            return max(named, key=lambda asset: asset.created_at)
    return None


def resume_point(executions: list[ExecutionSurvey]) -> tuple[str | None, int | None]:
    """The checkpoint, and the step, that the next execution of a run goes on from.

    A run that succeeded begins anew. One that was suspended at a step goes on there.
    """
    step: int | None = None
    for each in reversed(executions):
        if each.status is ExecutionState.SUCCEEDED:
            break
        if step is None and each.status is ExecutionState.SUSPENDED and each.end is not None:
            step = each.end.last_step
        found = newest_checkpoint(each)
        if found is not None:
            return found.asset_id, found.step if step is None else step
    return None, step


def find_asset(site: Site, address: Address, history: History, name: str) -> Asset:
    """The asset that a name means to a run; raises NotFoundError saying where it was looked for.

    What the run made comes first, the newest execution's before others; then the data of the run,
    its experiment, project and workspace, the newest version of each.
    """
    found: Asset | None = history.find(name)
    if found is not None:
        return found
    known = history.names()
    looked: list[str] = []
    for depth in range(len(address), -1, -1):
        at = Address(address[:depth])
        all_of_it = data.versions(site, at)
        looked.append(f"{at.kind} {at}".strip())
        known |= {each.name for each in all_of_it}
        for each in all_of_it:
            if each.name == name:
                return resolved(site, each)
    near = get_close_matches(name, known)
    said = " or ".join(map(repr, near)) if near else ""
    raise NotFoundError(
        f"no asset is called {name!r}; looked in {', '.join(looked)}",
        cure=f"did you mean {said}?" if near else "import it: `ws.data_assets.import_asset(…)`",
        kind="asset",
        key=name,
        near=near,
    )


def resolved(site: Site, asset: DataAsset) -> DataAsset:
    """Published data that knows where the bytes lie which it refers to.

    It still says that it refers to an asset if that is nowhere to be found: reading it raises.
    """
    if asset.refers_to is None or asset.producer is None or asset.producer.run is None:
        return asset
    hint = asset.origin or ""
    run = _run_at(site, hint, asset.producer.run) or _search(site, asset.producer.run)
    if run is None or asset.producer.execution is None:
        return asset
    path, number = layout.scope_path(run), asset.producer.execution
    try:
        with site.enter(f"{path}/{layout.execution_name(number)}") as place:
            for each in survey.execution(number, place, []).assets:
                if each.asset_id == asset.refers_to and each.path is not None:
                    where = site.root.where(path)
                    return asset.placed(in_execution(where, asset.scope, number, each))
    except MolexpError:
        pass  # whoever reads its bytes is told that they are not there
    return asset


def _run_at(site: Site, address: str, uid: str) -> Address | None:
    """The address, if the run with this uid lies there."""
    try:
        parsed = Address.parse(address)
        with site.enter(layout.scope_path(parsed)) as directory:
            return parsed if read(directory, layout.META, RunMeta).uid == uid else None
    except MolexpError:
        return None


def _search(site: Site, uid: str) -> Address | None:
    """Look for a run everywhere: it was moved since its address was written down."""
    return next(
        (each for each in runs_below(site, Address()) if _run_at(site, str(each), uid)), None
    )
