"""The data of a scope: imported once, found by name by every run in it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from molexp.errors import NotFoundError
from molexp.lifecycle import data
from molexp.lifecycle.data import Action
from molexp.model.address import Address
from molexp.model.asset import DataAsset
from molexp.recording.find import resolved

if TYPE_CHECKING:
    from molexp.workspace.workspace import Workspace


class DataAssetLibrary:
    """Named data of a scope, in versions; each is there whole, and never changes."""

    def __init__(self, workspace: Workspace, address: Address) -> None:
        self._workspace = workspace
        self._address = address

    def import_asset(
        self,
        name: str,
        source: str | os.PathLike[str],
        action: Action = "copy",
        *,
        meta: Mapping[str, Any] | None = None,
        tags: Mapping[str, str | bool] | None = None,
    ) -> DataAsset:
        """Copy or move a file or folder into the scope, as the next version of that name.

        Importing the same once more gives what is there. Raises NotFoundError, InvalidInputError
        and StorageError; then nothing was imported, and the source is where it was.
        """
        said = _said(meta, tags)
        site = self._workspace.site_to_write()
        return data.import_data(site, self._address, name, Path(source), action, **said)

    def register_in_place(
        self,
        name: str,
        path: str | os.PathLike[str],
        *,
        meta: Mapping[str, Any] | None = None,
        tags: Mapping[str, str | bool] | None = None,
    ) -> DataAsset:
        """Record data that stays where it is, outside of the workspace, with its digest."""
        site = self._workspace.site_to_write()
        return data.register_data(site, self._address, name, Path(path), **_said(meta, tags))

    def list_assets(self) -> list[DataAsset]:
        """All data, every version, the newest of each name first."""
        return [resolved(self._workspace.site(), each) for each in self._versions()]

    def get(self, name: str, version: int | None = None) -> DataAsset:
        """The newest version of a name, or the one given; raises NotFoundError."""
        there = self._versions()
        for each in there:
            if each.name == name and version in (None, each.version):
                return resolved(self._workspace.site(), each)
        near = get_close_matches(name, {each.name for each in there})
        known = ", ".join(f"v{each.version}" for each in there if each.name == name)
        cure = f"there is {known}" if known else "`list_assets()` says what there is"
        raise NotFoundError(
            f"there is no data {name!r}{f' v{version}' if version else ''} here",
            cure=f"did you mean {near[0]!r}?" if near and not known else cure,
            kind="data",
            key=name,
            near=near,
        )

    def _versions(self) -> list[DataAsset]:
        try:
            return data.versions(self._workspace.site(), self._address)
        except NotFoundError:
            return []  # nothing was made yet

    def __iter__(self) -> Iterator[DataAsset]:
        return iter(self.list_assets())


def _said(meta: Mapping[str, Any] | None, tags: Mapping[str, str | bool] | None) -> dict[str, Any]:
    return {"meta": {} if meta is None else meta, "tags": {} if tags is None else dict(tags)}
