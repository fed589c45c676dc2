"""Data of a scope: imported whole, registered where it lies, or published by a run."""

from __future__ import annotations

import mimetypes
import os
import stat
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Literal

from molexp.disk import layout, trash
from molexp.disk.beneath import Directory
from molexp.disk.commit import Batch
from molexp.disk.digest import hash_file, hash_tree
from molexp.disk.record import write_new
from molexp.disk.walk import EntryType, walk
from molexp.errors import AlreadyExistsError, ConflictError, InvalidInputError, NotFoundError
from molexp.lifecycle import survey
from molexp.lifecycle.place import Place, check_source, copy_file, copy_tree
from molexp.lifecycle.site import Site, new_uid, now
from molexp.model.asset import Asset, DataAsset, Producer
from molexp.model.digest import hex_of, of_bytes, total
from molexp.model.names import Siblings, check_name
from molexp.model.scope import Address

Action = Literal["copy", "move"]

ATTEMPTS = 9  # at getting a version, where somebody else gets it each time


def import_data(
    site: Site,
    address: Address,
    name: str,
    source: Path,
    action: Action = "copy",
    **said: Any,
) -> DataAsset:
    """Copy or move a file or directory into a scope, as the next version of its data ``name``.

    What is there already with the same content and the same ``said`` is not stored once more.
    Raises NotFoundError, InvalidInputError and StorageError; the source is then still there.
    """
    if action not in ("copy", "move"):
        raise InvalidInputError(
            f"data is not imported by {action!r}",
            cure="say 'copy' or 'move', or leave it where it is: `register_in_place`",
            argument="action",
        )
    source = _resolved(source)
    _check_outside(site, source)
    check_name(source.name)
    draft = _draft(name, origin=str(source), mime=_mime(source.name), **said)
    with Directory.open(source.parent) as directory:
        is_directory = stat.S_ISDIR(directory.stat(source.name).st_mode)
        found = _same(site, address, draft, source, is_directory=is_directory)
        if found is None:

            def fill(made: Directory, batch: Batch) -> dict[str, Any]:
                with made.make(layout.FILES, site.modes.directory, batch.changed) as files:
                    measured = _copy(site, directory, source.name, files, is_directory)
                    _tell(batch, files)
                return {"path": f"{layout.FILES}/{source.name}", **measured}

            found = _publish(site, address, draft, fill)
        if action == "move":
            trash.delete(directory, source.name)
    return found


def register_data(site: Site, address: Address, name: str, source: Path, **said: Any) -> DataAsset:
    """Record data that stays where it lies, outside of the workspace, with its digest."""
    source = _resolved(source)
    _check_outside(site, source)
    draft = _draft(name, origin=str(source), mime=_mime(source.name), **said)
    with Directory.open(source.parent) as directory:
        is_directory = stat.S_ISDIR(directory.stat(source.name).st_mode)
        measured = _measure(directory, source.name, is_directory)
    for each in versions(site, address, name)[:1]:
        if each.path is None and _says_the_same(each, draft.evolve(**measured)):
            return each
    return _publish(site, address, draft, lambda _made, _batch: measured)


def publish_asset(
    site: Site, address: Address, name: str, asset: Asset, producer: Producer, origin: str
) -> DataAsset:
    """Make an asset of a run known to all that the scope holds, under a name; no bytes are copied.

    ``origin`` says where it lies, for whoever looks for it first.
    """
    draft = _draft(
        name,
        origin=origin,
        mime=asset.mime,
        tags=asset.tags,
        meta=asset.meta,
        refers_to=asset.asset_id,
        size=asset.size,
        content_hash=asset.content_hash,
        producer=producer,
    )
    for each in versions(site, address, name)[:1]:
        if each.refers_to == asset.asset_id:
            return each
    return _publish(site, address, draft, lambda _made, _batch: {})


def versions(site: Site, address: Address, name: str | None = None) -> list[DataAsset]:
    """The data of a scope, of one name if that is given, the newest version of each first."""
    try:
        with site.root.enter(layout.scope_path(address)) as directory:
            found = [
                each.placed(place_of(site, address, each))
                for each in survey.data(directory, [])
                if name is None or each.name == name
            ]
    except NotFoundError:
        return []
    return sorted(found, key=lambda each: (each.name, -each.version))


def place_of(site: Site, address: Address, asset: DataAsset) -> Place:
    """Where the bytes of data are; published data has none of its own."""
    scope_dir = site.root.where(layout.scope_path(address))
    if asset.path is None:
        elsewhere = asset.origin if asset.refers_to is None else None
        return Place(scope_dir, str(address), None, elsewhere)
    below = f"{layout.DATA}/{asset.name}/{layout.version_name(asset.version)}"
    return Place(scope_dir, str(address), f"{below}/{asset.path}")


def keep_object(site: Site, data: bytes) -> str:
    """Store bytes by their hash, once for all who have the same; their digest."""
    digest = of_bytes(data)
    above, _, name = layout.object_path(hex_of(digest)).rpartition("/")
    with (
        closing(site.batch()) as batch,
        site.root.make(above, site.modes.directory, batch.changed) as directory,
    ):
        if not directory.exists(name):
            site.aside.publish_file(data, directory, name, site.modes.ended_file, batch)
    return digest


def _draft(name: str, **said: Any) -> DataAsset:
    """The record with all that can be wrong about it, so that nothing is moved for a bad one."""
    return DataAsset.make(
        format=1, kind="data", asset_id=new_uid(), name=check_name(name), created_at=now(), **said
    )


def _publish(site: Site, address: Address, draft: DataAsset, fill: Any) -> DataAsset:
    """Make a version whole, and give it the next number."""
    below = f"{layout.DATA}/{draft.name}"
    path = layout.scope_path(address)
    for _attempt in range(ATTEMPTS):
        there = versions(site, address)
        Siblings(each.name for each in there).add(draft.name)
        known = [each for each in there if each.name == draft.name]
        version = known[0].version + 1 if known else 1
        made: list[DataAsset] = []

        def fill_all(place: Directory, version: int = version, made: Any = made) -> None:
            made.append(draft.evolve(version=version, **fill(place, batch)))
            write_new(place, layout.ASSET, made[-1].to_json(), site.modes.ended_file)
            batch.wrote(place, layout.ASSET)
            batch.changed(place)
            batch.commit()

        with closing(site.batch()) as batch, site.root.enter(path) as scope:
            try:
                with (
                    site.journal.changing(str(address), place=scope, path=path),
                    scope.make(below, site.modes.directory, batch.changed) as directory,
                ):
                    name = layout.version_name(version)
                    site.aside.publish_directory(fill_all, directory, name, batch).close()
                    batch.commit()
            except AlreadyExistsError:
                continue
        return made[-1].placed(place_of(site, address, made[-1]))
    raise ConflictError(
        f"{below} of {address or 'the workspace'} got {ATTEMPTS} versions in this moment",
        cure="call again when the others are done",
        holder="several",
        since="now",
    )


def _same(
    site: Site, address: Address, draft: DataAsset, source: Path, *, is_directory: bool
) -> DataAsset | None:
    """The newest version, if it is what ``draft`` would be; only then is the source read twice."""
    for each in versions(site, address, draft.name)[:1]:
        if each.path == f"{layout.FILES}/{source.name}":
            with Directory.open(source.parent) as directory:
                measured = _measure(directory, source.name, is_directory)
            if _says_the_same(each, draft.evolve(**measured)):
                return each
    return None


def _says_the_same(one: DataAsset, other: DataAsset) -> bool:
    said = ("content_hash", "meta", "tags")
    return all(getattr(one, name) == getattr(other, name) for name in said)


def _measure(directory: Directory, name: str, is_directory: bool) -> dict[str, Any]:
    if not is_directory:
        entry = hash_file(directory, name)
        return {"size": entry.size, "content_hash": entry.content_hash}
    with directory.enter(name) as tree:
        digest = hash_tree(tree)
    return {"size": digest.size, "content_hash": digest.content_hash}


def _copy(
    site: Site, source: Directory, name: str, target: Directory, is_directory: bool
) -> dict[str, Any]:
    modes = layout.Modes(site.modes.ended_file, site.modes.directory)
    if not is_directory:
        file = copy_file(source, name, target, name, modes.file)
        return {"size": file.size, "content_hash": file.content_hash}
    with source.enter(name) as tree, target.make(name, modes.directory) as copy:
        copied = copy_tree(tree, copy, modes)
    digests = {path: each.content_hash for path, each in copied.items()}
    return {"size": sum(each.size for each in copied.values()), "content_hash": total(digests)}


def _tell(batch: Batch, made: Directory) -> None:
    """Let the batch know of everything in a directory."""
    batch.changed(made)
    for found in walk(made):
        above, _, name = found.path.rpartition("/")
        with made.enter(above if found.type is EntryType.FILE else found.path) as place:
            if found.type is EntryType.FILE:
                batch.wrote(place, name)
            else:
                batch.changed(place)


def _resolved(source: Path) -> Path:
    """The path that the user named, links in it followed; raises NotFoundError."""
    check_source(source)
    return Path(os.path.realpath(source))


def _check_outside(site: Site, source: Path) -> None:
    root = Path(os.path.realpath(site.root.path))
    if source == root or root in source.parents:
        raise InvalidInputError(
            f"{source} lies in this workspace already",
            cure="import what is elsewhere; publish what a run made: `ctx.publish(asset)`",
            argument="source",
        )
    if source in root.parents:
        raise InvalidInputError(
            f"{source} holds this workspace",
            cure="import a part of it that the workspace does not lie in",
            argument="source",
        )


def _mime(name: str) -> str | None:
    return mimetypes.guess_type(name)[0]


def published(
    site: Site, addresses: list[Address], asset_ids: Mapping[str, object]
) -> list[DataAsset]:
    """The data of these scopes that refers to any of these assets."""
    return [
        each
        for address in addresses
        for each in versions(site, address)
        if each.refers_to in asset_ids
    ]
