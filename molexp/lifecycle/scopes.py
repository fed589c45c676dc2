"""Scopes: made whole, or read if somebody was first; and changed by edits alone."""

from __future__ import annotations

import json
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from molexp.disk import door, layout
from molexp.disk.beneath import Directory
from molexp.disk.commit import Durability
from molexp.disk.ledger import Appender
from molexp.disk.record import read, write_new
from molexp.disk.walk import is_litter
from molexp.errors import AlreadyExistsError, InvalidInputError, NotFoundError
from molexp.lifecycle.site import Site, now
from molexp.lifecycle.survey import edited
from molexp.model.address import Address, ScopeKind
from molexp.model.codec import canonical, encode, join_line
from molexp.model.names import check_same_name
from molexp.model.record import Edit, merge_patch
from molexp.model.scope import META, AnyMeta, ScopeMeta, WorkspaceMeta

_GIVEN = ("params", "parameters")
"""What tells two experiments or runs of one name apart."""


def open_workspace(path: Path, durability: Durability = "power") -> Site | None:
    """The workspace in a directory; None if there is none.

    Raises FormatError if what lies there is damaged, or of another format.
    """
    try:
        root = Directory.open(path)
    except NotFoundError:
        return None
    try:
        access = read(root, layout.META, WorkspaceMeta).access
    except NotFoundError:
        root.close()
        return None
    except BaseException:
        root.close()
        raise
    return Site(root, access, durability)


def make_workspace(path: Path, meta: WorkspaceMeta, durability: Durability = "power") -> Site:
    """The workspace in a directory, made of ``meta`` if there is none.

    Raises InvalidInputError if that directory holds anything else, and StorageError.
    """
    while True:
        there = open_workspace(path, durability)
        if there is not None:
            return there
        _make_root(path, layout.ROOT_MODES[meta.access])
        with suppress(AlreadyExistsError):  # another was first: what it made is opened
            return _begin(path, meta, durability)


def _begin(path: Path, meta: WorkspaceMeta, durability: Durability) -> Site:
    """A workspace in a directory that holds nothing else; AlreadyExistsError if it is one."""
    site = Site(Directory.open(path), meta.access, durability)
    try:
        names = site.root.names()
        strange = sorted(set(names) - layout.WORKSPACE_ENTRIES)
        strange = [name for name in strange if not is_litter(name)]
        if strange and layout.META not in names:
            raise InvalidInputError(
                f"{path} is no workspace, and holds other things, such as {strange[0]!r}",
                cure="give a directory of its own, such as `lab`",
                argument="path",
            )
        with closing(site.batch()) as batch:
            data = meta.to_json()
            site.aside.publish_file(data, site.root, layout.META, site.modes.file, batch)
    except BaseException:
        site.close()
        raise
    return site


def _make_root(path: Path, mode: int) -> None:
    """Make a directory and those above it that are missing; they shut others out."""
    missing = [each for each in (path, *path.parents) if not each.exists()]
    for each in reversed(missing):
        with Directory.open(each.parent) as above, suppress(FileExistsError):
            door.mkdir(above.fd, each.name, mode)


def get_or_create(site: Site, address: Address, wanted: AnyMeta) -> AnyMeta:
    """The scope at an address: made of ``wanted``, or the one that is there.

    Parameters that ``wanted`` gives must be those of the one that is there: else
    AlreadyExistsError. What else it gives and is different becomes an edit.
    """
    found = find_scope(site, address, type(wanted))
    if found is None:
        with suppress(AlreadyExistsError):  # somebody was first since the look
            create(site, address, wanted)
            return wanted
        found = find_scope(site, address, type(wanted))
    if found is None:
        raise NotFoundError(
            f"{address} was there a moment ago, and is gone",
            cure="somebody moves or removes it right now: call again",
            kind=address.kind,
            key=str(address),
        )
    _check_identity(address, found, wanted)
    patch = _differences(found, wanted)
    if patch:
        edit(site, address, patch)
        found = find_scope(site, address, type(wanted)) or found
    return found


def find_scope(site: Site, address: Address, kind: type[AnyMeta]) -> AnyMeta | None:
    """The record of a scope with its edits; None if nothing is there.

    Edits that cannot be read are passed over here; a survey reports them.
    """
    try:
        with site.enter(layout.scope_path(address)) as directory:
            names = directory.names(alone=True)
            return edited(directory, read(directory, layout.META, kind), [], names)
    except NotFoundError:
        return None


def edit(site: Site, address: Address, patch: dict[str, Any], reason: str | None = None) -> None:
    """Change what may change about a scope; its history is kept.

    ``patch`` is a JSON merge patch. Raises InvalidInputError if no record could say that, and
    NotFoundError if the scope is gone.
    """
    _check_patch(address.kind, patch)
    change = Edit.sure(at=now(), writer=site.writer, by=site.person, patch=patch, reason=reason)
    path = layout.scope_path(address)
    with (
        site.enter(path) as directory,
        site.journal.changing(str(address), place=directory, path=path),
    ):
        edits = Appender(directory, site.edits, site.modes.file, shared=True)
        try:
            edits.append(join_line("edit", change.to_json()))
        finally:
            edits.close()


def create(site: Site, address: Address, meta: ScopeMeta) -> None:
    """Make the directory of a scope with its record in it; AlreadyExistsError if one is there.

    Raises NotFoundError if the scope that is to hold it is not there.
    """
    parent, _, name = layout.scope_path(address).rpartition("/")

    def fill(made: Directory) -> None:
        write_new(made, layout.META, meta.to_json(), site.modes.file)
        batch.wrote(made, layout.META)
        batch.changed(made)

    with closing(site.batch()) as batch, site.journal.changing(str(address)):
        try:
            directory = site.enter(parent)
        except NotFoundError:
            below, mode = layout.BELOW[address.parent.kind], site.modes.directory
            # The scope that holds it is never made here: it may just have been removed.
            with site.enter(layout.scope_path(address.parent)) as above:
                directory = above.make(below, mode, batch.changed)
        with directory:
            site.aside.publish_directory(fill, directory, name, batch).close()


def _check_identity(address: Address, found: ScopeMeta, wanted: ScopeMeta) -> None:
    if address.kind in (ScopeKind.PROJECT, ScopeKind.EXPERIMENT):
        check_same_name(wanted.name, found.name)
    for name in _GIVEN:
        given = getattr(wanted, name, None)
        if given and canonical(given) != canonical(getattr(found, name)):
            raise AlreadyExistsError(
                f"{address} is there with other {name}: {getattr(found, name)}",
                cure="use those, or another name: what was run under a name does not change",
                kind=address.kind,
                key=str(address),
            )


def _differences(found: ScopeMeta, wanted: ScopeMeta) -> dict[str, Any]:
    """The patch that makes ``found`` say what ``wanted`` says on purpose; empty if it does."""
    said, there = json.loads(wanted.to_json()), json.loads(found.to_json())
    known = type(wanted).model_fields.keys()
    given = sorted((wanted.model_fields_set & known) - wanted.identity)
    return {
        name: said[name]
        for name in given
        if name in said and merge_patch(there.get(name), said[name]) != there.get(name)
    }


def _check_patch(kind: ScopeKind, patch: dict[str, Any]) -> None:
    """Refuse what a reader would leave out, before it is written.

    Fields are valid each for itself, and what a patch adds to a mapping is, whatever that holds.
    """
    record = META[kind]
    fixed = sorted(patch.keys() & record.identity)
    if fixed:
        raise InvalidInputError(
            f"{fixed[0]!r} is part of what a {kind} is, and never changes",
            cure="make another one, and an alias or a tag that says what they have in common",
            argument=fixed[0],
        )
    strange = sorted(patch.keys() - record.model_fields.keys())
    if strange:
        raise InvalidInputError(
            f"a {kind} has no field {strange[0]!r}",
            cure="say what is your own in `tags` or `labels`",
            argument=strange[0],
        )
    for name, value in merge_patch({}, encode(patch, "patch")).items():
        problem = record.problem(name, json.dumps(value))
        if problem:
            raise InvalidInputError(
                f"the edit would leave no valid record: {problem}",
                cure="give a value of the type that the field wants",
                argument=problem,
            )
