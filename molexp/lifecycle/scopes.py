"""Scopes: made whole, or read if somebody was first; and changed by edits alone."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

from molexp.disk import layout
from molexp.disk.beneath import Directory
from molexp.disk.ledger import Appender
from molexp.disk.record import read, write_new
from molexp.errors import AlreadyExistsError, InvalidInputError, NotFoundError
from molexp.lifecycle.site import Site, now
from molexp.lifecycle.survey import edited
from molexp.model.codec import canonical, join_line
from molexp.model.names import check_same_name
from molexp.model.record import Edit, merge_patch
from molexp.model.scope import Address, AnyMeta, ScopeKind, ScopeMeta, effective

_GIVEN = ("params", "parameters")
"""What tells two experiments or runs of one name apart."""


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
    return edit(site, address, found, patch) if patch else found


def find_scope(site: Site, address: Address, kind: type[AnyMeta]) -> AnyMeta | None:
    """The record of a scope with its edits; None if nothing is there.

    Edits that cannot be read are passed over here; a survey reports them.
    """
    try:
        with site.root.enter(layout.scope_path(address)) as directory:
            return edited(directory, read(directory, layout.META, kind), [])
    except NotFoundError:
        return None


def edit(
    site: Site, address: Address, meta: AnyMeta, patch: dict[str, Any], reason: str | None = None
) -> AnyMeta:
    """Change what may change about a scope; its record as it then reads.

    ``patch`` is a JSON merge patch. Raises InvalidInputError if the record would not allow it.
    """
    change = Edit.make(at=now(), writer=site.writer, by=site.person, patch=patch, reason=reason)
    _check_patch(meta, change)
    path = layout.scope_path(address)
    with (
        site.root.enter(path) as directory,
        site.journal.changing(str(address), place=directory, path=path),
    ):
        edits = Appender(directory, site.edits, site.modes.file, shared=True)
        try:
            edits.append(join_line("edit", change.to_json()))
        finally:
            edits.close()
        return edited(directory, read(directory, layout.META, type(meta)), [])


def create(site: Site, address: Address, meta: ScopeMeta) -> None:
    """Make the directory of a scope with its record in it; AlreadyExistsError if one is there."""
    parent, _, name = layout.scope_path(address).rpartition("/")
    batch = site.batch()

    def fill(made: Directory) -> None:
        write_new(made, layout.META, meta.to_json(), site.modes.file)
        batch.wrote(made, layout.META)
        batch.changed(made)

    try:
        with (
            site.journal.changing(str(address)),
            site.root.make(parent, site.modes.directory, batch.changed) as directory,
        ):
            site.aside.publish_directory(fill, directory, name, batch).close()
    finally:
        batch.close()


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
    given = sorted(wanted.model_fields_set - wanted.identity)
    return {
        name: said[name]
        for name in given
        if name in said and merge_patch(there.get(name), said[name]) != there.get(name)
    }


def _check_patch(meta: ScopeMeta, change: Edit) -> None:
    """Refuse what a reader would leave out, before it is written."""
    fixed = sorted(change.patch.keys() & meta.identity)
    if fixed:
        raise InvalidInputError(
            f"{fixed[0]!r} is part of what a {meta.kind} is, and never changes",
            cure="make another one, and an alias or a tag that says what they have in common",
            argument=fixed[0],
        )
    _, refused = effective(meta, [change])
    if refused:
        raise InvalidInputError(
            f"the edit would leave no valid record: {refused[0].details['place']}",
            cure="give a value of the type that the field wants",
            argument=str(refused[0].details["place"]),
        )
