"""Data of a scope: imported whole, registered where it lies, or published by a run."""

from __future__ import annotations

import mimetypes
import os
import stat
from collections.abc import Collection
from contextlib import closing
from pathlib import Path
from typing import Any, Literal

from molexp.disk import door, layout, trash
from molexp.disk.beneath import Directory
from molexp.disk.commit import Batch
from molexp.disk.digest import hash_file, hash_tree
from molexp.disk.record import write_new
from molexp.disk.walk import EntryType, is_litter, walk
from molexp.errors import AlreadyExistsError, ConflictError, InvalidInputError, NotFoundError
from molexp.lifecycle import survey
from molexp.lifecycle.place import Place, check_apart, check_source, copy_file, copy_tree
from molexp.lifecycle.site import Site, new_uid, now
from molexp.model.address import Address
from molexp.model.asset import Asset, DataAsset, Producer
from molexp.model.digest import hex_of, of_bytes, total
from molexp.model.names import Siblings, check_name

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
    Raises NotFoundError, InvalidInputError and StorageError; the source is then still there, unless
    only its deletion was refused, which the same call takes up again.
    """
    if action not in ("copy", "move"):
        raise InvalidInputError(
            f"data is not imported by {action!r}",
            cure="say 'copy' or 'move', or leave it where it is: `register_in_place`",
            argument="action",
        )
    try:
        source = _resolved(source)
    except NotFoundError:
        finished = _finished(site, address, name, source) if action == "move" else None
        if finished is None:
            raise
        return finished
    _check_outside(site, source)
    check_name(source.name)
    draft = _draft(name, origin=str(source), mime=_mime(source.name), **said)
    with Directory.open(source.parent) as directory:
        is_directory = stat.S_ISDIR(directory.stat(source.name).st_mode)
        seen = _seen(directory, source.name)
        found = _same(site, address, draft, directory, source.name, is_directory)
        if found is None:

            def fill(made: Directory, batch: Batch) -> dict[str, Any]:
                with made.make(layout.FILES, site.modes.directory, batch.changed) as files:
                    measured = _copy(site, directory, source.name, files, is_directory)
                    _tell(batch, files)
                return {"path": f"{layout.FILES}/{source.name}", **measured}

            found = _publish(site, address, draft, fill)
        if action == "move":
            _take_away(site, directory, source.name, seen, found)
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
        is_here = each.path is None and each.refers_to is None and each.origin == draft.origin
        if is_here and _says_the_same(each, draft.evolve(**measured)):
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
        with site.enter(layout.scope_path(address)) as directory:
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
    """Store bytes by their hash, once for all who have the same; their digest.

    Raises AlreadyExistsError if something else has their name.
    """
    digest = of_bytes(data)
    above, _, name = layout.object_path(hex_of(digest)).rpartition("/")
    with (
        closing(site.batch()) as batch,
        site.root.make(above, site.modes.directory, batch.changed) as directory,
    ):
        if not _has_size(directory, name, len(data)):
            site.aside.publish_file(data, directory, name, site.modes.ended_file, batch)
    return digest


def _has_size(directory: Directory, name: str, size: int) -> bool:
    try:
        status = directory.stat(name)
    except NotFoundError:
        return False
    return stat.S_ISREG(status.st_mode) and status.st_size == size


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
        version = _next_version(site, address, draft.name)
        made: list[DataAsset] = []

        def fill_all(place: Directory, version: int = version, made: Any = made) -> None:
            made.append(draft.evolve(version=version, **fill(place, batch)))
            write_new(place, layout.ASSET, made[-1].to_json(), site.modes.ended_file)
            batch.wrote(place, layout.ASSET)
            batch.changed(place)
            batch.commit()

        with closing(site.batch()) as batch, site.enter(path) as scope:
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


def _next_version(site: Site, address: Address, name: str) -> int:
    """The version after all that are there, whether their records can be read or not.

    Raises InvalidNameError if another spelling of the name is there.
    """
    with site.enter(layout.scope_path(address)) as scope:
        Siblings(_names(scope, layout.DATA)).add(name)
        there = map(layout.version_number, _names(scope, f"{layout.DATA}/{name}"))
        return max(filter(None, there), default=0) + 1


def _names(directory: Directory, relative: str) -> list[str]:
    try:
        with directory.enter(relative) as inner:
            return inner.names(alone=True)
    except NotFoundError:
        return []


def _same(
    site: Site,
    address: Address,
    draft: DataAsset,
    directory: Directory,
    name: str,
    is_directory: bool,
) -> DataAsset | None:
    """The newest version, if it is what ``draft`` would be; only then is the source read twice."""
    for each in versions(site, address, draft.name)[:1]:
        if each.path == f"{layout.FILES}/{name}":
            measured = _measure(directory, name, is_directory)
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


def _seen(directory: Directory, name: str) -> list[tuple[str, int, int, int]]:
    """What a look at a source tells, as it is before and after a change only if there was none."""
    status = directory.stat(name)
    if not stat.S_ISDIR(status.st_mode):
        return [("", status.st_size, status.st_mtime_ns, status.st_ino)]
    with directory.enter(name) as tree:
        return [
            (each.path, each.size, each.mtime_ns, each.inode)
            for each in walk(tree)
            if not is_litter(os.path.basename(each.path))
        ]


def _take_away(
    site: Site,
    directory: Directory,
    name: str,
    seen: list[tuple[str, int, int, int]],
    asset: DataAsset,
) -> None:
    """Delete a source that was imported, if it is still what was.

    It first gets the name of its asset, for a half of it must not be taken for the whole.
    """
    apart = _apart(asset)
    trash.delete(directory, apart)  # what power loss may have left of this very source
    if stat.S_ISDIR(directory.stat(name).st_mode):
        with directory.enter(name) as tree:
            mode = stat.S_IMODE(os.fstat(tree.fd).st_mode)
            if mode & stat.S_IRWXU != stat.S_IRWXU:  # a closed one cannot be renamed
                door.chmod(tree.fd, mode | stat.S_IRWXU)
    door.rename(directory.fd, name, directory.fd, apart)
    if _seen(directory, apart) != seen:
        if not directory.exists(name):
            door.rename(directory.fd, apart, directory.fd, name)
            apart = name
        raise ConflictError(
            f"{directory.where(name)} changed while it was imported, and is not deleted",
            cure=f"call again once nobody writes to {directory.where(apart)}",
            holder="unknown",
            since="now",
        )
    if site.durability == "power":
        door.sync_directory(directory.fd)
    trash.delete(directory, apart)


def _apart(asset: DataAsset) -> str:
    """The name of a source that was imported as this, while it is deleted."""
    return f".molexp-{asset.asset_id}"


def _finished(site: Site, address: Address, name: str, source: Path) -> DataAsset | None:
    """The version that a source was moved to by a call that could not delete it; now it goes."""
    source = Path(os.path.realpath(source))
    for each in versions(site, address, name):
        if each.origin == str(source) and os.path.lexists(source.parent / _apart(each)):
            with Directory.open(source.parent) as directory:
                trash.delete(directory, _apart(each))
            return each
    return None


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
    check_apart(site.root.path, source)
    if Path(os.path.realpath(site.root.path)) in source.parents:
        raise InvalidInputError(
            f"{source} lies in this workspace already",
            cure="import what is elsewhere; publish what a run made: `ctx.publish(asset)`",
            argument="source",
        )


def _mime(name: str) -> str | None:
    return mimetypes.guess_type(name)[0]


def published(site: Site, addresses: list[Address], asset_ids: Collection[str]) -> list[DataAsset]:
    """The data of these scopes that refers to any of these assets."""
    return [
        each
        for address in addresses
        for each in versions(site, address)
        if each.refers_to in asset_ids
    ]
