"""Does a workspace keep the rules of docs/format? Every rule that is broken, and where.

    with open_tree("lab") as tree:
        for violation in check_workspace(tree):
            print(violation)

It reads every byte once and trusts nothing, so that one bad record hides no other. It is written
against docs/format, and stands beside the code that reads workspaces rather than on top of it.
"""

from __future__ import annotations

from itertools import pairwise

from molexp.disk import layout
from molexp.disk.trash import Removed
from molexp.disk.tree import Tree
from molexp.disk.walk import EntryType
from molexp.errors import InvalidNameError
from molexp.integrity.findings import Findings, Violation, is_unruled
from molexp.integrity.run_rules import check_asset, check_run
from molexp.model.address import ScopeKind
from molexp.model.asset import DataAsset
from molexp.model.digest import hex_of
from molexp.model.ids import check_run_id
from molexp.model.names import is_slug, slug, twin_key
from molexp.model.record import Edit
from molexp.model.scope import META, RunMeta, ScopeMeta, WorkflowSource, effective

__all__ = ["Violation", "check_workspace"]

_INNER = dict(pairwise(ScopeKind))
_DATA_ENTRIES = {layout.ASSET: EntryType.FILE, layout.FILES: EntryType.DIRECTORY}
_NAMED_BY_SLUG = (ScopeKind.PROJECT, ScopeKind.EXPERIMENT)


def check_workspace(tree: Tree) -> list[Violation]:
    """Every rule that the workspace breaks, in order of paths; an empty list if it breaks none."""
    findings = Findings(tree)
    findings.look()
    if findings.is_file(layout.META):
        _check_scope(findings, "", ScopeKind.WORKSPACE)
        for check in (_check_objects, _check_trash, _check_twins, _check_references):
            check(findings)
    else:
        findings.report("LAYOUT-1", "", f"no {layout.META}: this is no workspace")
    return sorted(set(findings.violations), key=lambda violation: violation[1::-1])


def _check_scope(findings: Findings, path: str, kind: ScopeKind) -> None:
    """A scope, its edits, its data, and what it holds."""
    prefix = f"{path}/" if path else ""
    place = f"{prefix}{layout.META}"
    if not findings.is_file(place):
        findings.report("LAYOUT-2", path, f"no {layout.META}, so this is no {kind}")
    meta = findings.record(place, META[kind]) if findings.is_file(place) else None
    if meta is not None:
        findings.name(meta.uid, path)
        _check_meta(findings, path, place, meta)
    edits = [
        name
        for name in findings.below[path]
        if name.startswith(layout.EDITS_PREFIX) and name.endswith(".jsonl")
    ]
    meta = _check_edits(findings, prefix, edits, meta)
    wanted = dict.fromkeys([layout.META, *edits], EntryType.FILE)
    wanted[layout.DATA] = EntryType.DIRECTORY
    if kind is ScopeKind.WORKSPACE:
        inner = layout.WORKSPACE_ENTRIES - {layout.META}
        wanted |= dict.fromkeys(inner, EntryType.DIRECTORY)
    if kind is ScopeKind.RUN:
        wanted |= check_run(findings, path, meta if isinstance(meta, RunMeta) else None)
    else:
        between = layout.BELOW[kind]
        wanted[between] = EntryType.DIRECTORY
        for name in findings.below.get(f"{prefix}{between}", ()):
            _check_scope_name(findings, f"{prefix}{between}/{name}", name, _INNER[kind])
    findings.only(path, f"a {kind}", wanted)
    _check_data(findings, f"{prefix}{layout.DATA}")


def _check_scope_name(findings: Findings, path: str, name: str, kind: ScopeKind) -> None:
    if findings.types[path] is not EntryType.DIRECTORY:
        findings.report("LAYOUT-3", path, f"only {kind}s lie here")
        return
    try:
        if kind is ScopeKind.RUN:
            check_run_id(name)
        elif not is_slug(name):
            findings.report("NAME-4", path, f"{name!r} is not a slug")
    except InvalidNameError as error:
        findings.report("NAME-5", path, error.message)
    _check_scope(findings, path, kind)


def _check_meta(findings: Findings, path: str, place: str, meta: ScopeMeta) -> None:
    directory = path.rpartition("/")[2]
    try:
        if isinstance(meta, RunMeta) and meta.name != directory:
            findings.report("NAME-5", place, f"the run {meta.name!r} lies in {directory!r}")
        elif meta.kind in _NAMED_BY_SLUG and slug(meta.name) != directory:
            findings.report("NAME-4", place, f"{meta.name!r} lies in {directory!r}, not its slug")
    except InvalidNameError as error:
        findings.report("NAME-4", place, error.message)
    workflow = getattr(meta, "workflow", None)
    if isinstance(workflow, WorkflowSource):
        findings.need(place, workflow.object)


def _check_edits(
    findings: Findings, prefix: str, names: list[str], meta: ScopeMeta | None
) -> ScopeMeta | None:
    """The edits of a scope; its record as it reads with them."""
    edits = []
    for path in (f"{prefix}{name}" for name in sorted(names)):
        lines = findings.lines(path, ["edit"]) if findings.is_file(path) else ()
        for _, edit in lines:
            if not isinstance(edit, Edit):
                continue
            edits.append(edit)
            for name in sorted(edit.patch.keys() & ScopeMeta.identity):
                findings.report("EDIT-4", path, f"{name!r} is identity, which no edit changes")
    if meta is None:
        return None
    meta, refused = effective(meta, edits)
    for error in refused:
        findings.report("EDIT-5", f"{prefix}{layout.META}", error.message)
    return meta


def _check_data(findings: Findings, path: str) -> None:
    """Each version of each data asset of a scope."""
    for name in findings.below.get(path, ()):
        for version in findings.below.get(f"{path}/{name}", [""]):
            place = f"{path}/{name}/{version}".rstrip("/")
            record = f"{place}/{layout.ASSET}"
            if not findings.is_file(record):
                findings.report("LAYOUT-4", place, f"no {layout.ASSET}")
                continue
            findings.only(place, "a data asset", _DATA_ENTRIES)
            asset = findings.record(record, DataAsset)
            if asset is None:
                continue
            if (asset.name, layout.version_name(asset.version)) != (name, version):
                wrong = f"{asset.name!r} version {asset.version} lies in {name}/{version}"
                findings.report("LAYOUT-4", record, wrong)
            if asset.refers_to and (asset.path or not asset.content_hash):
                findings.report("ASSET-8", record, "refers to bytes elsewhere by uid and digest")
            if asset.path is None and asset.refers_to is None:
                said = asset.origin is not None and asset.origin.startswith("/")
                if not said or None in (asset.size, asset.content_hash):
                    findings.report("ASSET-10", record, "does not say what lay where")
            findings.refer(record, asset.refers_to, asset.content_hash)
            check_asset(findings, place, record, asset)


def _check_objects(findings: Findings) -> None:
    """Objects lie under their hash, and every object that a record names is there."""
    for path in findings.files(layout.OBJECTS):
        if path != layout.object_path(hex_of(findings.sum_of(path)[0])):
            findings.report("LAYOUT-7", path, "its name is not the hash of its bytes")
    for place, digest in findings.objects:
        if not findings.is_file(layout.object_path(hex_of(digest))):
            findings.report("WRITE-3", place, f"the object {digest} is not there")


def _check_trash(findings: Findings) -> None:
    """What was removed says where it came from."""
    for name in findings.below.get(layout.TRASH, ()):
        path = f"{layout.TRASH}/{name}"
        removed = findings.record(f"{path}/{layout.REMOVED}", Removed)
        if removed is not None and removed.uid != name:
            findings.report("LAYOUT-8", path, f"holds the removal {removed.uid}")
        for extra in set(findings.below.get(path, ())) - {layout.REMOVED, layout.CONTENT}:
            findings.report("LAYOUT-8", f"{path}/{extra}", "the trash holds no such entry")


def _check_twins(findings: Findings) -> None:
    """One uid names one thing, and names in a directory differ in more than case."""
    for uid, places in findings.places.items():
        if len(places) > 1:
            for place in places:
                findings.report("ID-2", place, f"{uid} is also at {', '.join(places)}")
    for directory, names in findings.below.items():
        keys: dict[str, str] = {}
        for name in names if not is_unruled(directory) else ():
            other = keys.setdefault(twin_key(name), name)
            if other != name:
                findings.report("NAME-2", f"{directory}/{name}", f"{other!r} differs only in case")


def _check_references(findings: Findings) -> None:
    """Who refers to an asset that is here expects the bytes that it has."""
    for place, uid, digest in findings.references:
        asset = findings.assets.get(uid)
        if asset is not None and digest not in (None, asset.content_hash):
            findings.report("ASSET-8", place, f"{uid} has the digest {asset.content_hash}")
