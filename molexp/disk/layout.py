"""The one list of names on disk: grep a name found in a workspace, and this names its owner."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from molexp.model.address import Address, ScopeKind

_WRITER = re.compile(r"[0-9a-f]{10}-[0-9]+-[0-9]+-[0-9a-f]{6,}", re.ASCII)

META = "meta.json"
"""What makes a directory a scope: its identity, created once, never replaced."""

PROJECTS = "projects"
EXPERIMENTS = "experiments"
RUNS = "runs"
"""The directories between scopes."""

BELOW = {
    ScopeKind.WORKSPACE: PROJECTS,
    ScopeKind.PROJECT: EXPERIMENTS,
    ScopeKind.EXPERIMENT: RUNS,
}
"""Where the scopes lie that a scope holds."""

DATA = "data"
"""Imported or published data of a scope: ``data/<name>/v<version>/``."""

ASSET = "asset.json"
FILES = "files"
"""A data asset's record, and the directory of its files under their original names."""

EDITS_PREFIX = "edits-"
"""``edits-<host>-<user>.jsonl``: what was changed about a scope, a line each."""

LEDGER = "ledger.jsonl"
LEDGER_PREFIX = "ledger-"
"""What an execution did, a line each: its owner's, and ``ledger-<writer>.jsonl`` of others."""

END = "end.json"
"""How an execution ended, and the manifest of its files; it closes the execution."""

END_WITHOUT_LINKS = "end/end.json"
"""Where the end lies on a file system without hard links: its directory is renamed into place."""

ARTIFACTS = "artifacts"
CHECKPOINTS = "checkpoints"
LOGS = "logs"
WORK = "work"
METRICS = "metrics.jsonl"
METRICS_PREFIX = "metrics-"
RECORDS = "logs/records.jsonl"
RECORDS_PREFIX = "logs/records-"
ERROR = "error.txt"
"""What an execution holds, each made when it is first used."""

REQUESTS = "requests"
"""``requests/<execution>-<uid>-<verb>.json``: what others ask of an execution's owner."""

DIGESTS_PREFIX = "digests-"
"""``digests-<execution>.json``: digests that a full verify found later."""

OBJECTS = "objects"
"""``objects/<ab>/<sha256>``: what many runs share, stored once by its hash."""

AUDIT = "audit"
"""``audit/<number>.json``: integrity overrides, each with the hash of the one before."""

TRASH = "trash"
REMOVED = "removed.json"
CONTENT = "content"
"""``trash/<uid>/``: the record of a removal, and what was removed."""

VIEWS = "views"
"""Generated trees of symbolic links; disposable."""

CACHE = ".molexp"
TMP = ".molexp/tmp"
JOURNAL = ".molexp/journal"
CATALOG = ".molexp/catalog"
"""Disposable: things in the making, hints, generations. Deleting it loses nothing."""

WORKSPACE_ENTRIES = frozenset([META, DATA, PROJECTS, OBJECTS, AUDIT, TRASH, VIEWS, CACHE])
"""What a workspace's directory may hold, besides its edits and litter."""


class Modes(NamedTuple):
    """The modes that files and directories are made with."""

    file: int
    directory: int
    ended_file: int = 0o444
    ended_directory: int = 0o555


ACCESS = {"private": Modes(0o644, 0o755), "group": Modes(0o664, 0o2775)}
"""The modes below the root, by the workspace's ``access``."""

ROOT_MODES = {"private": 0o700, "group": 0o2770}
"""The mode of the root itself, which shuts others out; a group's id is inherited from it."""


@lru_cache(maxsize=1024)
def scope_path(address: Address) -> str:
    """Where a scope lies beneath the workspace's root; empty for the workspace itself.

    >>> scope_path(Address.parse("qm9/baseline/first"))
    'projects/qm9/experiments/baseline/runs/first'
    """
    pairs = zip(BELOW.values(), address, strict=False)
    return "/".join(step for pair in pairs for step in pair)


def address_of(path: str) -> Address | None:
    """The scope that lies at a path beneath the root; None if no scope can lie there."""
    steps = path.split("/") if path else []
    if len(steps) % 2 or steps[::2] != list(BELOW.values())[: len(steps) // 2]:
        return None
    return Address(steps[1::2])


def execution_name(number: int) -> str:
    """The directory of an execution, ``0001`` and on."""
    return f"{number:04d}"


def execution_number(name: str) -> int | None:
    """The number that a directory's name says; None if it is no execution's."""
    if name.isascii() and name.isdigit() and len(name) >= 4 and name == f"{int(name):04d}":
        return int(name) or None
    return None


def is_writer(text: str) -> bool:
    """Whether a text is the id of a writer, as files of those who joined have it in their names."""
    return _WRITER.fullmatch(text) is not None


def object_path(hexadecimal: str) -> str:
    """Where the object with this SHA-256 lies."""
    return f"{OBJECTS}/{hexadecimal[:2]}/{hexadecimal}"


def version_name(version: int) -> str:
    """The directory of one version of a data asset."""
    return f"v{version}"


def version_number(name: str) -> int | None:
    """The version that a directory's name says; None if it is no version's."""
    number = name[1:]
    if number.isascii() and number.isdigit() and name == f"v{int(number)}":
        return int(number) or None
    return None
