"""`molexp show`: everything about one workspace, project, experiment or run."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from molexp.cli.ls import (
    asset_dict,
    asset_lines,
    data_dict,
    data_lines,
    execution_dict,
    execution_lines,
    files_of,
    run_dict,
    tell_problems,
)
from molexp.cli.telling.around import add_workspace_to
from molexp.cli.telling.find import add_address_to, as_address, find_scope
from molexp.cli.telling.gather import Problems, RunTold, Told, data_told, run_told, scope_told
from molexp.cli.telling.text import (
    as_json,
    cut,
    fields,
    inert,
    inert_lines,
    pairs_text,
    table,
    time_text,
    value_text,
    width,
)
from molexp.errors import InvalidInputError, MolexpError, NotFoundError
from molexp.model.address import Address
from molexp.model.asset import ErrorTraceAsset, LogAsset
from molexp.model.execution import Input, MetricSummary, Snapshot
from molexp.model.scope import ExperimentMeta, RunMeta, ScopeMeta, WorkflowSource
from molexp.recording.log import RUN
from molexp.workspace.experiment import Experiment
from molexp.workspace.run import Run
from molexp.workspace.workspace import Workspace

TRACE_TAIL = 12
"""So many lines of a trace are shown unless all are asked for."""

_WARNINGS = 5


def add_to(parser: argparse.ArgumentParser) -> None:
    """Describe the command to its parser."""
    add_address_to(parser)
    parser.add_argument("-e", "--execution", type=int, metavar="N", help="not the newest, but N")
    only = parser.add_mutually_exclusive_group()
    only.add_argument(
        "--log", nargs="?", const=RUN, metavar="NAME", help=f"print a log alone (default: {RUN})"
    )
    only.add_argument("--trace", action="store_true", help="print the whole stack trace alone")
    add_workspace_to(parser)


def run(arguments: argparse.Namespace) -> int:
    """Tell of one scope; what cannot be read is counted on standard error."""
    scope = find_scope(arguments.workspace, arguments.address)
    problems: Problems = []
    with scope.workspace as workspace:
        if isinstance(scope, Run):
            told = run_told(workspace.site(), as_address(scope), problems)
            if told is None:
                raise problems[0]
            if arguments.log is not None or arguments.trace:
                _print_file(arguments, scope, told)
                return 0
            _print_run(arguments, scope, told, problems)
        else:
            _check_is_run(arguments, scope.address)
            _print_scope(arguments, workspace, as_address(scope), problems)
    tell_problems(problems)
    return 0


def _check_is_run(arguments: argparse.Namespace, address: str) -> None:
    asked = {"--log": arguments.log, "--trace": arguments.trace, "--execution": arguments.execution}
    for option, value in asked.items():
        if value:
            raise InvalidInputError(
                f"{option} asks for something that only a run has, and "
                f"{address or 'the workspace'} is none",
                cure="name a run: `molexp ls` lists them",
                argument=option,
            )


def _print_file(arguments: argparse.Namespace, run: Run, told: RunTold) -> None:
    """A log or a trace, and nothing else."""
    chosen = _chosen(told, arguments.execution)
    if arguments.trace:
        name, what, text = "trace", "error", trace_of(run, chosen)
        if text is None:
            raise _no_trace(told, chosen)
    else:
        name, what, text = "log", arguments.log, _log_of(run, chosen, arguments.log)
    if arguments.json:
        place = {"address": run.address, "execution": chosen.number, "name": what}
        print(as_json({**place, name: text}))
    else:
        print("\n".join(inert_lines(text.rstrip("\n"))))


def _chosen(told: RunTold, number: int | None) -> Told:
    """The execution that is meant; raises NotFoundError."""
    for each in reversed(told.executions):
        if number in (None, each.number):
            return each
    there = ", ".join(str(each.number) for each in told.executions)
    raise NotFoundError(
        f"{told.address} has no execution {number}" if number else f"{told.address} never started",
        cure=f"there is {there}" if there else "start it: `with run.start() as ctx`",
        kind="execution",
        key=str(number or ""),
    )


def _log_of(run: Run, chosen: Told, name: str) -> str:
    text = run.log(name, chosen.number)
    known = {each.name for each in chosen.survey.assets if isinstance(each, LogAsset)} | {RUN}
    if text or name in known:
        return text
    near = get_close_matches(name, known)
    raise NotFoundError(
        f"execution {chosen.number} of {run.address} has no log {name!r}",
        cure=f"did you mean {near[0]!r}?" if near else f"there is {', '.join(sorted(known))}",
        kind="log",
        key=name,
        near=near,
    )


def trace_of(run: Run, chosen: Told) -> str | None:
    """The stack trace that an execution ended with; None if there is none."""
    traces = [each for each in chosen.survey.assets if isinstance(each, ErrorTraceAsset)]
    if not traces:
        return None
    found = run.assets.get(traces[-1].asset_id)
    return found.read_bytes().decode("utf-8", "replace")


def _no_trace(told: RunTold, chosen: Told) -> NotFoundError:
    others = [
        each.number
        for each in told.executions
        if any(isinstance(asset, ErrorTraceAsset) for asset in each.survey.assets)
    ]
    return NotFoundError(
        f"execution {chosen.number} of {told.address} {chosen.status}, and left no trace",
        cure=f"there is one of `--execution {others[-1]}`" if others else "look at `--log`",
        kind="trace",
        key=str(told.address),
    )


def _print_run(arguments: argparse.Namespace, run: Run, told: RunTold, problems: Problems) -> None:
    chosen = _chosen(told, arguments.execution) if arguments.execution else told.latest
    trace: str | None = None
    if chosen is not None:
        try:
            trace = trace_of(run, chosen)
        except MolexpError as error:
            problems.append(error)
    experiment = scope_told(run.workspace.site(), told.address.parent, [])
    aliases = experiment.aliases if experiment is not None else {}
    data = data_told(run.workspace.site(), told.address, problems)
    inputs = _inputs(run, chosen)
    if arguments.json:
        said = run_dict(told, aliases) | _meta_dict(told.meta)
        said |= {"kind": "run", "directory": str(run.run_dir), "problems": len(problems)}
        said["executions"] = [execution_dict(each) for each in told.executions]
        said["data"] = [data_dict(each) for each in data]
        said["execution"] = None if chosen is None else _execution_dict(chosen, inputs, trace)
        print(as_json(said))
        return
    lines = [*_head(run, told, aliases), *_mapping("parameters", told.meta.parameters)]
    lines += execution_lines(told.executions)
    if chosen is not None:
        if chosen is not told.latest:
            lines += ["", f"of execution {chosen.number:04d}:"]
        lines += _chosen_lines(chosen, inputs, trace)
    print("\n".join([*lines, *asset_lines(told.executions), *data_lines(data)]))


def _head(run: Run, told: RunTold, aliases: Mapping[str, str]) -> Iterator[str]:
    latest = told.latest
    named = [inert(name) for name, uid in aliases.items() if uid == told.meta.uid]
    start = latest.survey.start if latest is not None else None
    yield cut(f"run {inert(str(told.address))}", width())
    yield ""
    yield from fields(
        [
            ("status", str(told.status)),
            ("alias", ", ".join(named)),
            ("made", f"{time_text(told.meta.created_at, seconds=True)} UTC"),
            ("owner", inert(str(start.owner)) if start is not None else ""),
            *_meta_fields(told.meta),
            ("lies in", inert(str(run.run_dir))),
        ]
    )


def _meta_fields(meta: ScopeMeta) -> list[tuple[str, str]]:
    replica = meta.replica if isinstance(meta, RunMeta) else None
    return [
        ("replica", "" if replica is None else str(replica)),
        ("about", inert(meta.description)),
        ("notes", " · ".join(filter(None, inert_lines(meta.notes)))),
        ("tags", pairs_text(meta.tags)),
        ("labels", pairs_text(meta.labels)),
    ]


def _mapping(title: str, values: Mapping[str, Any]) -> Iterator[str]:
    if values:
        yield from ["", title]
        pairs = [(inert(name), value_text(value) or '""') for name, value in values.items()]
        yield from fields(pairs, indent="  ")


def _chosen_lines(chosen: Told, inputs: list[dict[str, Any]], trace: str | None) -> Iterator[str]:
    start, end = chosen.survey.start, chosen.survey.end
    yield from _mapping("results", chosen.results)
    if end is not None and end.error is not None:
        yield from ["", "error", f"  {inert(f'{end.error.type}: {end.error.message}')}"]
    if trace is not None:
        yield from ["", "trace", *trace_lines(trace)]
    if end is not None:
        yield from _metric_lines(end.metrics)
    if end is not None and end.messages:
        yield from ["", "warnings"]
        for message in end.messages[:_WARNINGS]:
            yield cut(f"  {message.at:%H:%M:%S} {inert(message.text)}", width())
        if len(end.messages) > _WARNINGS:
            yield f"  … and {len(end.messages) - _WARNINGS} more"
    if inputs:
        yield from ["", "inputs"]
        said = [(inert(each["name"]), _input_text(each)) for each in inputs]
        yield from fields(said, indent="  ")
    if start is not None:
        profile = {"(profile)": start.profile} if start.profile is not None else {}
        yield from _mapping("config", profile | start.config)
        yield from _snapshot_lines(start.snapshot)


def trace_lines(trace: str) -> Iterator[str]:
    """The end of a stack trace, where it says what went wrong."""
    lines = inert_lines(trace.rstrip("\n"))
    if len(lines) > TRACE_TAIL:
        yield f"  … {len(lines) - TRACE_TAIL} lines before these; `--trace` prints all"
    yield from (f"  {line}" for line in lines[-TRACE_TAIL:])


def _metric_lines(metrics: Mapping[str, MetricSummary]) -> Iterator[str]:
    if metrics:
        rows = [
            [
                inert(name),
                f"{each.count:,}",
                *(f"{value:.5g}" for value in (each.first, each.last, each.min, each.max)),
            ]
            for name, each in metrics.items()
        ]
        yield ""
        yield from table(["metric", "values", "first", "last", "least", "greatest"], rows)


def _input_text(said: Mapping[str, Any]) -> str:
    if said["path"] is not None:
        return inert(said["path"])
    if said["asset"] is not None:
        if said["kind"] is None:
            return "an asset that lies in no scope around the run"
        return inert(f"{said['kind']} of {said['scope'] or 'the workspace'}")
    return value_text(said["value"])


def _inputs(run: Run, chosen: Told | None) -> list[dict[str, Any]]:
    """What an execution used; an asset has the name that it has in the scopes around the run."""
    if chosen is None or not chosen.survey.inputs:
        return []
    names: dict[str, tuple[str, str, str]] = {}
    address = as_address(run)
    for depth in range(len(address) + 1):
        around = Address(address[:depth])
        for each in data_told(run.workspace.site(), around, []):
            names[each.asset_id] = f"{each.name} v{each.version}", each.kind, str(around)
    for asset in run.assets.list():
        names.setdefault(asset.asset_id, (asset.name, asset.kind, run.address))
    return [_input_dict(each, names) for each in chosen.survey.inputs]


def _input_dict(used: Input, names: Mapping[str, tuple[str, str, str]]) -> dict[str, Any]:
    unknown = (used.name or used.asset or "", None, None)
    name, kind, scope = names.get(used.asset or "", unknown)
    return {
        "name": name,
        "kind": kind,
        "scope": scope,
        "asset": used.asset,
        "value": used.value,
        "path": used.path,
        "content_hash": used.content_hash,
        "at": used.at,
    }


def _snapshot_lines(snapshot: Snapshot) -> Iterator[str]:
    code, environment = snapshot.code, snapshot.environment
    said: list[tuple[str, str]] = []
    if code is not None:
        branch = f" on {code.branch}" if code.branch else ""
        said.append(("commit", inert(f"{code.commit}{branch}") if code.commit else ""))
        said.append(("changed", "yes" if code.dirty or code.patch else ""))
        said += [("file", inert(each.path)) for each in code.files]
    if environment is not None:
        said.append(("python", inert(f"{environment.python} on {environment.platform}")))
        said.append(("command", inert(" ".join(environment.argv))))
        said.append(("in", inert(environment.cwd or "")))
    said += [("not captured", inert(problem)) for problem in snapshot.problems]
    if said:
        yield from ["", "code"]
        yield from fields(said, indent="  ")


def _execution_dict(chosen: Told, inputs: list[dict[str, Any]], trace: str | None) -> Any:
    start, end = chosen.survey.start, chosen.survey.end
    metrics = end.metrics if end is not None else {}
    messages = end.messages if end is not None else ()
    return {
        **execution_dict(chosen),
        "results": chosen.results,
        "metrics": {name: each.model_dump() for name, each in metrics.items()},
        "warnings": [{"at": each.at, "text": each.text} for each in messages],
        "trace": trace,
        "inputs": inputs,
        "assets": [asset_dict(each, chosen.number) for each in files_of(chosen)],
        "profile": start.profile if start is not None else None,
        "config": start.config if start is not None else {},
        "snapshot": start.snapshot.model_dump() if start is not None else None,
    }


def _meta_dict(meta: ScopeMeta) -> dict[str, Any]:
    said: dict[str, Any] = {
        "name": meta.name,
        "description": meta.description,
        "notes": meta.notes,
        "tags": meta.tags,
        "labels": meta.labels,
    }
    if isinstance(meta, RunMeta | ExperimentMeta):
        said["workflow"] = meta.workflow.model_dump() if meta.workflow is not None else None
    return said


def _print_scope(
    arguments: argparse.Namespace, workspace: Workspace, address: Address, problems: Problems
) -> None:
    meta = scope_told(workspace.site(), address, problems)
    if meta is None:
        raise problems[0]
    data = data_told(workspace.site(), address, problems)
    directory = str(workspace.find(str(address)).directory)
    aliases = {name: _aliased(workspace, address, uid) for name, uid in meta.aliases.items()}
    if arguments.json:
        said: dict[str, Any] = {"address": str(address), "kind": address.kind.value}
        said |= {
            "uid": meta.uid,
            "created_at": meta.created_at,
            "directory": directory,
            **_meta_dict(meta),
        }
        if isinstance(meta, ExperimentMeta):
            said |= {"params": meta.params, "n_replicas": meta.n_replicas, "seeds": meta.seeds}
        said |= {"aliases": aliases, "data": [data_dict(each) for each in data]}
        print(as_json({**said, "problems": len(problems)}))
        return
    lines = [cut(f"{address.kind} {inert(str(address))}".strip(), width()), ""]
    recipe = meta.workflow if isinstance(meta, ExperimentMeta) else None
    lines += fields(
        [
            ("name", inert(meta.name)),
            ("made", f"{time_text(meta.created_at, seconds=True)} UTC"),
            *_meta_fields(meta),
            *_recipe_fields(recipe),
            ("lies in", inert(directory)),
        ]
    )
    if isinstance(meta, ExperimentMeta):
        lines += _mapping("params", meta.params)
    lines += [*_mapping("aliases", aliases), *data_lines(data)]
    print("\n".join(lines))


def _recipe_fields(recipe: WorkflowSource | None) -> list[tuple[str, str]]:
    if recipe is None:
        return []
    return [("workflow", inert(recipe.path or "")), ("commit", inert(recipe.git_commit or ""))]


def _aliased(workspace: Workspace, address: Address, uid: str) -> str:
    """The id of the run that an alias means; its uid if it is nowhere in the experiment."""
    experiment = workspace.find(str(address))
    for each in experiment.list_runs() if isinstance(experiment, Experiment) else []:
        try:
            if each.uid == uid:
                return str(each.id)
        except MolexpError:
            continue  # a damaged record hides no other
    return uid
