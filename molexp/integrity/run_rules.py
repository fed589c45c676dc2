"""The rules of docs/format for runs: their executions, requests, assets and ends."""

from __future__ import annotations

import re
from collections.abc import Collection, Container

from molexp.disk import layout
from molexp.disk.walk import EntryType
from molexp.errors import InvalidNameError, TransitionError
from molexp.integrity.findings import Findings
from molexp.model.asset import (
    Asset,
    CheckpointAsset,
    ErrorTraceAsset,
    ExecutionStateAsset,
    Producer,
)
from molexp.model.digest import hex_of, of_bytes
from molexp.model.execution import End, FileEntry, Input, Request, Start, StateChange
from molexp.model.names import check_path
from molexp.model.profile import config_hash
from molexp.model.record import Record
from molexp.model.scope import RunMeta
from molexp.model.state import ExecutionState, check_transition

_REQUEST = re.compile(r"([0-9]{4,})-(.+)-(cancel|pause|resume)\.json", re.ASCII)
_DIGESTS = re.compile(rf"{layout.DIGESTS_PREFIX}[0-9]{{4,}}\.json", re.ASCII)
_WRITER = "[0-9a-f]{10}-[0-9]+-[0-9]+-[0-9a-f]{6,}"
_JOINED = re.compile(rf"(ledger|metrics)-{_WRITER}\.jsonl")
_METRICS = re.compile(rf"metrics(-{_WRITER})?\.jsonl")
_RECORDS = re.compile(rf"logs/records(-{_WRITER})?\.jsonl")
_LATE = re.compile(rf"(ledger|metrics|logs/records)-{_WRITER}\.jsonl|logs/.+-{_WRITER}\.log")
"""What may still be written after the end, by who joined or who prints."""
_LEDGER_LINES = frozenset(["start", "asset", "input", "paused", "resumed"])
_END_DIRECTORY, _, _END_IN_IT = layout.END_WITHOUT_LINKS.partition("/")
_FILES = (layout.LEDGER, layout.END, layout.METRICS, layout.ERROR)
_DIRECTORIES = (
    _END_DIRECTORY,
    layout.ARTIFACTS,
    layout.CHECKPOINTS,
    layout.LOGS,
    layout.WORK,
)

Lines = list[tuple[str, Record]]


def check_asset(
    findings: Findings, directory: str, record: str, asset: Asset, *, may_be_gone: bool = False
) -> None:
    """An asset and its bytes, which lie beneath ``directory``."""
    if not isinstance(asset, ExecutionStateAsset):  # which names the execution that has the uid
        findings.name(asset.asset_id, record)
    findings.assets[asset.asset_id] = asset
    if asset.producer is not None:
        _check_producer(findings, record, asset.producer)
    if isinstance(asset, CheckpointAsset):
        findings.refer(record, asset.parent)
    try:
        check_path(asset.name)
    except InvalidNameError as error:
        findings.report("NAME-1", record, error.message)
    if asset.path is None:
        return
    path = f"{directory}/{asset.path}"
    if not leads_down(asset.path):
        findings.report("ASSET-4", record, f"{asset.path!r} does not lead straight down")
    elif path not in findings.types:
        if not may_be_gone:
            findings.report("WRITE-3", record, f"{asset.path!r} is not there")
    elif asset.content_hash is not None or asset.size is not None:
        digest, size = findings.sum_of(path)
        rule = "ASSET-6" if findings.is_file(path) else "ASSET-7"
        if asset.content_hash not in (None, digest) or asset.size not in (None, size):
            findings.report(rule, record, f"{asset.path} has {size} bytes of {digest}")


def _check_producer(findings: Findings, record: str, producer: Producer) -> None:
    for uid in producer.consumed:
        findings.refer(record, uid)
    said = [part is not None for part in (producer.run, producer.execution)]
    if record.endswith(layout.ASSET):
        if any(said) and not all(said):
            findings.report("ASSET-5", record, "says only one of the run and the execution")
    elif any(said):
        findings.report("ASSET-5", record, "where a ledger lies says the run and the execution")


def leads_down(path: str) -> bool:
    """Whether a path is relative, and made of names alone."""
    return all(step not in ("", ".", "..") for step in path.split("/")) and "\0" not in path


def check_run(findings: Findings, path: str, meta: RunMeta | None) -> dict[str, EntryType]:
    """A run's executions and requests; the names that belong to it, and what each must be.

    ``meta`` is its record with all edits, if it can be read.
    """
    names = findings.below[path]
    wanted = {name: EntryType.FILE for name in names if _DIGESTS.fullmatch(name)}
    wanted[layout.REQUESTS] = EntryType.DIRECTORY
    numbers: dict[str, int] = {}
    for name in names:
        if number := layout.execution_number(name):
            wanted[name] = EntryType.DIRECTORY
            if findings.types[f"{path}/{name}"] is EntryType.DIRECTORY:
                numbers[name] = number
    for number, name in enumerate(sorted(numbers, key=lambda name: numbers[name]), 1):
        if numbers[name] != number:
            findings.report("LAYOUT-5", f"{path}/{name}", f"there is no execution {number}")
            break
    started: set[str] = set()
    for name, number in numbers.items():
        start, has_end = _check_execution(findings, f"{path}/{name}", meta)
        if start is not None and start.purpose == "run":
            started.add(start.uid)
        if not has_end and number != max(numbers.values()):
            findings.report("EXEC-2", f"{path}/{name}", "has no end, and another one follows it")
    for uid in sorted(meta.deleted.keys() - started if meta is not None else ()):
        findings.report("EXEC-5", path, f"deletes {uid}, which is no execution of it")
    _check_requests(findings, path, numbers)
    return wanted


def _check_requests(findings: Findings, path: str, numbers: Container[str]) -> None:
    """Each request of a run is named by what it says."""
    for name in findings.below.get(f"{path}/{layout.REQUESTS}", ()):
        place = f"{path}/{layout.REQUESTS}/{name}"
        request = findings.record(place, Request)
        match = _REQUEST.fullmatch(name)
        if match is None:
            findings.report("LAYOUT-6", place, "no request has such a name")
        elif request is not None:
            digits, *said = match.groups()
            ledgers = findings.places.get(request.execution, ())
            if said != [request.uid, request.verb]:
                right = f"{digits}-{request.uid}-{request.verb}.json"
                findings.report("LAYOUT-6", place, f"the request in it is that of {right}")
            elif digits in numbers and f"{path}/{digits}/{layout.LEDGER}" not in ledgers:
                findings.report("LAYOUT-6", place, f"{digits} is not {request.execution}")


def _check_execution(
    findings: Findings, path: str, meta: RunMeta | None
) -> tuple[Start | None, bool]:
    """An execution of this run, or a hold on it; its start, and whether it has an end."""
    names = findings.below[path]
    joined = [name for name in names if _JOINED.fullmatch(name)]
    wanted = dict.fromkeys([*_FILES, *joined], EntryType.FILE)
    wanted |= dict.fromkeys(_DIRECTORIES, EntryType.DIRECTORY)
    findings.only(path, "an execution", wanted)
    findings.only(f"{path}/{_END_DIRECTORY}", "an end", {_END_IN_IT: EntryType.FILE})
    ending = _ending(findings, path)
    own = _ledger(findings, f"{path}/{layout.LEDGER}")
    others = [
        _ledger(findings, f"{path}/{name}")
        for name in joined
        if name.startswith(layout.LEDGER_PREFIX)
    ]
    first = own[0][1] if own and isinstance(own[0][1], Start) else None
    if first is None or any(name == "start" for name, _ in own[1:]):
        findings.report("LEDGER-1", f"{path}/{layout.LEDGER}", "its first line alone is the start")
    if any(name == "start" for ledger in others for name, _ in ledger):
        findings.report("LEDGER-4", path, "a joined writer's ledger has no start")
    is_deleted = first is not None and meta is not None and first.uid in meta.deleted
    if first is not None:
        _check_start(findings, f"{path}/{layout.LEDGER}", first)
        if meta is not None and first.run != meta.uid:
            findings.report("EXEC-3", path, f"was started for the run {first.run}")
        if ending not in (None, layout.END if first.links else layout.END_WITHOUT_LINKS):
            findings.report("END-7", path, f"its start says that {ending} is not its end")
    assets: dict[str, Asset] = {}
    state = _replay(findings, path, own, assets)
    late = set[str]()
    for ledger in others:
        _replay(findings, path, ledger, assets)
        late |= {asset.path for _, asset in ledger if isinstance(asset, Asset) and asset.path}
    for asset in assets.values():
        check_asset(findings, path, f"{path}/{layout.LEDGER}", asset, may_be_gone=is_deleted)
        if isinstance(asset, ExecutionStateAsset) and first and asset.asset_id != first.uid:
            findings.report("ASSET-9", path, f"{asset.asset_id} is not {first.uid}")
    _check_lines(findings, path)
    if ending is None:
        if is_deleted:
            findings.report("EXEC-5", path, "is deleted, and has no end")
        return first, False
    end = findings.record(f"{path}/{ending}", End)
    if end is not None:
        _check_step(findings, path, state, end.status)
        _check_end(findings, path, end, first)
        _check_manifest(findings, path, end, late, may_be_gone=is_deleted)
    return first, True


def _ending(findings: Findings, path: str) -> str | None:
    """Where the end of an execution lies in it; None if it has none."""
    places = (layout.END, layout.END_WITHOUT_LINKS)
    return next((place for place in places if findings.is_file(f"{path}/{place}")), None)


def _check_lines(findings: Findings, path: str) -> None:
    """Metrics and log records are lines, too."""
    live = _ending(findings, path) is None
    for file in findings.files(path):
        name = file[len(path) + 1 :]
        if _METRICS.fullmatch(name):
            list(findings.lines(file, ["metric"], live=live))
        elif _RECORDS.fullmatch(name):
            list(findings.lines(file, ["message"], live=live))


def _ledger(findings: Findings, path: str) -> Lines:
    if not findings.is_file(path):
        findings.report("LEDGER-1", path, "an execution has a ledger")
        return []
    live = _ending(findings, path.rpartition("/")[0]) is None
    return list(findings.lines(path, _LEDGER_LINES, live=live))


def _check_start(findings: Findings, path: str, start: Start) -> None:
    findings.name(start.uid, path)
    findings.refer(path, start.resumed_from)
    owner = start.owner
    where = f"{owner.boot_id}\n{owner.pid_namespace}\n{owner.time_namespace}"
    kernel = hex_of(of_bytes(where.encode()))[:10]
    if not start.writer.startswith(f"{kernel}-{owner.pid}-{owner.started}-"):
        findings.report("ID-3", path, f"the writer {start.writer!r} is not {owner}")
    if start.config_hash not in (None, config_hash(start.config)):
        findings.report("LEDGER-3", path, f"config_hash is not {config_hash(start.config)}")
    code, environment = start.snapshot.code, start.snapshot.environment
    if code is not None:
        for digest in (code.patch, *(file.object for file in code.files)):
            findings.need(path, digest)
    if environment is not None:
        for digest in (environment.packages, *environment.lock_files.values()):
            findings.need(path, digest)


def _replay(
    findings: Findings, path: str, lines: Lines, assets: dict[str, Asset]
) -> ExecutionState:
    """Take in the lines of a ledger; the state that they lead to."""
    state = ExecutionState.RUNNING
    for name, record in lines:
        if isinstance(record, Asset):
            assets[record.asset_id] = record
        elif isinstance(record, Input):
            findings.refer(f"{path}/{layout.LEDGER}", record.asset, record.content_hash)
        elif isinstance(record, StateChange):
            wanted = ExecutionState.PAUSED if name == "paused" else ExecutionState.RUNNING
            _check_step(findings, path, state, wanted)
            state = wanted
    return state


def _check_step(
    findings: Findings, path: str, state: ExecutionState, wanted: ExecutionState
) -> None:
    try:
        check_transition(state, wanted)
    except TransitionError as error:
        findings.report("EXEC-1", path, error.message)


def _check_end(findings: Findings, path: str, end: End, start: Record | None) -> None:
    """What an end says of itself."""
    place = f"{path}/{layout.END}"
    if isinstance(start, Start) and end.uid != start.uid:
        findings.report("END-2", place, f"ends {end.uid}, and the ledger starts {start.uid}")
    traces = [findings.assets.get(end.error.trace)] if end.error and end.error.trace else []
    if not all(isinstance(trace, ErrorTraceAsset) for trace in traces):
        findings.report("END-6", place, "the trace of its error is no error_trace that is here")


def _check_manifest(
    findings: Findings, path: str, end: End, late: Collection[str], *, may_be_gone: bool
) -> None:
    """The files of an ended execution are those of its manifest, byte for byte.

    ``late`` are the paths that joined writers name; those that are directories hold files.
    """
    place = f"{path}/{layout.END}"
    lying = {file[len(path) + 1 :] for file in findings.files(path)} - {
        layout.END,
        layout.END_WITHOUT_LINKS,
    }
    listed = {entry.path: entry for entry in end.manifest}

    def is_late(name: str) -> bool:
        named = any(name == each or name.startswith(f"{each}/") for each in late)
        return named or _LATE.fullmatch(name) is not None

    for name, entry in listed.items():
        if not leads_down(name):
            findings.report("END-3", place, f"{name!r} does not lead straight down")
        elif name not in lying:
            if not may_be_gone:
                findings.report("WRITE-3", place, f"{name!r} is not there")
        else:
            _check_entry(findings, f"{path}/{name}", entry, may_grow=is_late(name))
    for name in sorted(lying - listed.keys()):
        if not is_late(name):
            findings.report("END-4", f"{path}/{name}", "is not in the manifest of the end")


def _check_entry(findings: Findings, path: str, entry: FileEntry, *, may_grow: bool) -> None:
    """A file is what it was at the end, or begins with that."""
    digest, size = findings.sum_of(path)
    if may_grow and size > entry.size:
        digest, size = findings.digest_of_first(path, entry.size), entry.size
    if size != entry.size or entry.content_hash not in (None, digest):
        findings.report("END-5", path, "is not what the end says it was")
