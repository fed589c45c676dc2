"""`molexp ls`: what an address holds: projects, experiments, runs with their results, data."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from molexp.cli.telling.around import add_workspace_to
from molexp.cli.telling.find import add_address_to, as_address, find_scope
from molexp.cli.telling.gather import (
    Problems,
    RunTold,
    Told,
    below,
    count_below,
    data_told,
    run_told,
    scope_told,
)
from molexp.cli.telling.text import (
    as_json,
    count_text,
    cut,
    duration_text,
    inert,
    pairs_text,
    size_text,
    table,
    time_text,
    value_text,
    width,
)
from molexp.errors import InvalidInputError
from molexp.lifecycle.site import Site
from molexp.model.address import Address, ScopeKind
from molexp.model.asset import Asset, DataAsset, ExecutionStateAsset, OutputAsset
from molexp.model.codec import canonical
from molexp.model.scope import ExperimentMeta, ScopeMeta
from molexp.model.state import ExecutionState

_STATES = sorted(state.value for state in ExecutionState)
_MAX_ERROR = 60


def add_to(parser: argparse.ArgumentParser) -> None:
    """Describe the command to its parser."""
    add_address_to(parser)
    parser.add_argument("-n", "--limit", type=int, metavar="N", help="the N newest runs alone")
    parser.add_argument(
        "--status", action="append", choices=_STATES, help="runs of this status alone; repeatable"
    )
    add_workspace_to(parser)


def run(arguments: argparse.Namespace) -> int:
    """List; what cannot be read is counted on standard error, and hides nothing else."""
    if arguments.limit is not None and arguments.limit < 1:
        raise InvalidInputError(
            f"{arguments.limit} runs cannot be listed",
            cure="give a number from 1 on, or leave it out for all",
            argument="limit",
        )
    scope = find_scope(arguments.workspace, arguments.address)
    with scope.workspace:
        address = as_address(scope)
        found = _gather(scope.workspace.site(), address, arguments.status, arguments.limit)
    if arguments.json:
        print(as_json({"workspace": str(scope.workspace.root), **_as_dict(found)}))
    else:
        print("\n".join(_as_text(found)))
    tell_problems(found.problems)
    return 0


def tell_problems(problems: Problems) -> None:
    """Say on standard error how much could not be read."""
    if problems:
        what = "1 thing here is" if len(problems) == 1 else f"{len(problems)} things here are"
        print(f"molexp: {what} damaged: `molexp problems` says which", file=sys.stderr)


@dataclass
class Listing:
    """What lies in a scope."""

    address: Address
    meta: ScopeMeta | None
    problems: Problems
    scopes: list[tuple[Address, ScopeMeta]] = field(default_factory=list)
    counts: dict[Address, tuple[int, int]] = field(default_factory=dict)
    runs: list[RunTold] = field(default_factory=list)
    not_shown: int = 0
    run: RunTold | None = None
    data: list[DataAsset] = field(default_factory=list)

    @property
    def name(self) -> str:
        """What the scope is called; its directory's name if its record cannot be read."""
        return self.meta.name if self.meta is not None else "".join(self.address[-1:])


def _gather(
    site: Site, address: Address, wanted: Sequence[str] | None, limit: int | None
) -> Listing:
    problems: Problems = []
    if address.kind is ScopeKind.RUN:
        run = run_told(site, address, problems)
        found = Listing(address, run.meta if run is not None else None, problems, run=run)
        found.data = data_told(site, address, problems)
        return found
    found = Listing(address, scope_told(site, address, problems), problems)
    found.data = data_told(site, address, problems)
    for each in below(site, address, problems):
        if address.kind is ScopeKind.EXPERIMENT:
            told = run_told(site, each, problems)
            if told is not None and (not wanted or told.status in wanted):
                found.runs.append(told)
            continue
        meta = scope_told(site, each, problems)
        if meta is not None:
            found.scopes.append((each, meta))
            is_project = each.kind is ScopeKind.PROJECT
            experiments = list(below(site, each, [])) if is_project else [each]
            runs = sum(count_below(site, one) for one in experiments)
            found.counts[each] = len(experiments), runs
    found.runs.sort(key=lambda each: each.moment)
    if limit is not None and len(found.runs) > limit:
        found.not_shown = len(found.runs) - limit
        found.runs = found.runs[-limit:]
    return found


def _as_text(found: Listing) -> Iterator[str]:
    where = inert(str(found.address)) or "workspace"
    name = f" ({inert(found.name)})" if found.name not in found.address else ""
    yield cut(f"{where}{name}", width())
    said = found.meta.description if found.meta is not None else ""
    if said:
        yield cut(f"  {inert(said)}", width())
    kind = found.address.kind
    if kind is ScopeKind.WORKSPACE:
        yield from _scope_lines("project", found)
    elif kind is ScopeKind.PROJECT:
        yield from _scope_lines("experiment", found)
    elif kind is ScopeKind.EXPERIMENT:
        aliases = found.meta.aliases if found.meta is not None else {}
        yield from run_lines(found.runs, aliases, found.not_shown)
    elif found.run is not None:
        yield from execution_lines(found.run.executions)
        yield from asset_lines(found.run.executions)
    yield from data_lines(found.data)


def _scope_lines(kind: str, found: Listing) -> Iterator[str]:
    yield ""
    if not found.scopes:
        yield f"  no {kind}s yet"
        return
    rows = []
    for address, meta in found.scopes:
        experiments, runs = found.counts[address]
        params = meta.params if isinstance(meta, ExperimentMeta) else {}
        name = inert(meta.name) if meta.name != address[-1] else ""
        more = pairs_text(params) or inert(meta.description)
        counts = [f"{experiments:,}"] if kind == "project" else []
        rows.append([address[-1], *counts, f"{runs:,}", time_text(meta.created_at), name, more])
    counts = ["experiments"] if kind == "project" else []
    last = "about" if kind == "project" else "params"
    yield from table([kind, *counts, "runs", "made (UTC)", "name", last], rows)


def run_lines(
    runs: Sequence[RunTold], aliases: Mapping[str, str], not_shown: int = 0
) -> Iterator[str]:
    """Runs in a table: what tells them apart, and what came of them."""
    yield ""
    if not runs:
        yield "  no runs"
        return
    common, differing = _split([run.meta.parameters for run in runs])
    if common and len(runs) > 1:
        yield cut(f"  all with {pairs_text(common)}", width())
    parameters = differing if len(runs) > 1 else list(common)
    results = list(dict.fromkeys(name for run in runs for name in run.results))
    header = ["run", "status", *map(inert, parameters), *map(inert, results)]
    named: dict[str, list[str]] = {}
    for alias, uid in aliases.items():
        named.setdefault(uid, []).append(inert(alias))
    rows = []
    for run in runs:
        values = [_cell(run.meta.parameters, name) for name in parameters]
        values += [_cell(run.results, name) for name in results]
        latest = run.latest
        error = latest.survey.end.error if latest is not None and latest.survey.end else None
        told = [
            ", ".join(named.get(run.meta.uid, [])),
            time_text(latest.started_at if latest is not None else None),
            cut(inert(f"{error.type}: {error.message}"), _MAX_ERROR) if error is not None else "",
            duration_text(latest.took if latest is not None else None),
            pairs_text(run.meta.tags),
        ]
        rows.append([inert(run.address[-1]), str(run.status), *values, *told])
    if not_shown:
        yield f"  ({count_text(not_shown, 'older run')} not shown)"
    yield from table([*header, "alias", "started (UTC)", "error", "took", "tags"], rows)


def _split(each: Sequence[Mapping[str, Any]]) -> tuple[dict[str, Any], list[str]]:
    """What all mappings say alike, and the names of what they do not."""
    names = list(dict.fromkeys(name for one in each for name in one))
    differing = []
    for name in names:
        said = {canonical(one[name]) if name in one else b"" for one in each}
        if len(said) > 1:
            differing.append(name)
    return {name: each[0][name] for name in names if name not in differing}, differing


def _cell(values: Mapping[str, Any], name: str) -> str:
    return value_text(values[name], short=True) if name in values else ""


def execution_lines(executions: Sequence[Told]) -> Iterator[str]:
    """A run's executions in a table."""
    yield ""
    if not executions:
        yield "  never started"
        return
    rows = []
    for each in executions:
        end = each.survey.end
        why = end.error.type if end is not None and end.error is not None else ""
        why = why or (end.reason or "" if end is not None else "")
        moment = time_text(each.started_at)
        took = duration_text(each.took)
        rows.append([f"{each.number:04d}", str(each.status), moment, took, inert(why)])
    yield from table(["execution", "status", "started (UTC)", "took", "why"], rows)


def asset_lines(executions: Sequence[Told]) -> Iterator[str]:
    """What a run's executions left behind, in a table; results are no files, and left out."""
    rows = [
        [
            f"{told.number:04d}",
            inert(asset.kind),
            inert(asset.name),
            f"v{asset.version}" if asset.version > 1 else "",
            size_text(asset.size),
            pairs_text(asset.tags),
        ]
        for told in executions
        for asset in files_of(told)
    ]
    if rows:
        yield ""
        header = ["execution", "kind", "asset", "version", "size", "tags"]
        yield from table(header, rows)


def files_of(told: Told) -> list[Asset]:
    """The assets of an execution that are files or directories."""
    values = (OutputAsset, ExecutionStateAsset)
    return [each for each in told.survey.assets if not isinstance(each, values)]


def data_lines(data: Sequence[DataAsset]) -> Iterator[str]:
    """Data in a table."""
    if data:
        rows = [
            [
                inert(each.name),
                f"v{each.version}",
                size_text(each.size),
                time_text(each.created_at),
                inert(each.origin or ""),
            ]
            for each in data
        ]
        yield ""
        yield from table(["data", "version", "size", "imported (UTC)", "from"], rows)


def _as_dict(found: Listing) -> dict[str, Any]:
    said: dict[str, Any] = {
        "address": str(found.address),
        "kind": found.address.kind.value,
        "name": found.name,
    }
    if found.address.kind is ScopeKind.WORKSPACE:
        said["projects"] = [_scope_dict(found, *each) for each in found.scopes]
    elif found.address.kind is ScopeKind.PROJECT:
        said["experiments"] = [_scope_dict(found, *each) for each in found.scopes]
    elif found.address.kind is ScopeKind.EXPERIMENT:
        aliases = found.meta.aliases if found.meta is not None else {}
        said["runs"] = [run_dict(each, aliases) for each in found.runs]
    elif found.run is not None:
        said["executions"] = [execution_dict(each) for each in found.run.executions]
        said["assets"] = [
            asset_dict(asset, told.number)
            for told in found.run.executions
            for asset in files_of(told)
        ]
    said["data"] = [data_dict(each) for each in found.data]
    said["problems"] = len(found.problems)
    return said


def _scope_dict(found: Listing, address: Address, meta: ScopeMeta) -> dict[str, Any]:
    experiments, runs = found.counts[address]
    said: dict[str, Any] = {
        "address": str(address),
        "uid": meta.uid,
        "name": meta.name,
        "created_at": meta.created_at,
        "description": meta.description,
        "runs": runs,
    }
    if isinstance(meta, ExperimentMeta):
        said["params"] = meta.params
    else:
        said["experiments"] = experiments
    return said


def run_dict(run: RunTold, aliases: Mapping[str, str]) -> dict[str, Any]:
    """A run, as `--json` says it."""
    latest = run.latest
    end = latest.survey.end if latest is not None else None
    error = end.error if end is not None else None
    return {
        "address": str(run.address),
        "uid": run.meta.uid,
        "id": run.address[-1],
        "status": run.status.value,
        "created_at": run.meta.created_at,
        "started_at": latest.started_at if latest is not None else None,
        "finished_at": latest.finished_at if latest is not None else None,
        "parameters": run.meta.parameters,
        "results": run.results,
        "error": {"type": error.type, "message": error.message} if error is not None else None,
        "aliases": sorted(name for name, uid in aliases.items() if uid == run.meta.uid),
        "tags": run.meta.tags,
    }


def execution_dict(told: Told) -> dict[str, Any]:
    """An execution, as `--json` says it."""
    start, end = told.survey.start, told.survey.end
    error = end.error if end is not None else None
    return {
        "number": told.number,
        "uid": start.uid if start is not None else None,
        "status": told.status.value,
        "started_at": told.started_at,
        "finished_at": told.finished_at,
        "owner": {"host": start.owner.host, "pid": start.owner.pid} if start is not None else None,
        "reason": end.reason if end is not None else None,
        "error": {"type": error.type, "message": error.message} if error is not None else None,
    }


def asset_dict(asset: Asset, execution: int) -> dict[str, Any]:
    """What an execution left behind, as `--json` says it."""
    return {
        "asset_id": asset.asset_id,
        "kind": asset.kind,
        "name": asset.name,
        "version": asset.version,
        "execution": execution,
        "path": asset.path,
        "size": asset.size,
        "content_hash": asset.content_hash,
        "created_at": asset.created_at,
        "tags": asset.tags,
    }


def data_dict(asset: DataAsset) -> dict[str, Any]:
    """Data, as `--json` says it."""
    return {
        "asset_id": asset.asset_id,
        "name": asset.name,
        "version": asset.version,
        "size": asset.size,
        "content_hash": asset.content_hash,
        "created_at": asset.created_at,
        "origin": asset.origin,
    }
