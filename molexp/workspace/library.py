"""The data of a scope: imported once, found by name by every run in it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from molexp.errors import NotFoundError
from molexp.lifecycle import data
from molexp.lifecycle.data import Action
from molexp.lifecycle.site import Site
from molexp.model.asset import DataAsset
from molexp.model.scope import Address
from molexp.recording.find import resolved


class DataAssetLibrary:
    """Named data of a scope, in versions; each is there whole, and never changes."""

    def __init__(self, site: Callable[[], Site], address: Address) -> None:
        self._site = site
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
        return data.import_data(self._site(), self._address, name, Path(source), action, **said)

    def register_in_place(
        self,
        name: str,
        path: str | os.PathLike[str],
        *,
        meta: Mapping[str, Any] | None = None,
        tags: Mapping[str, str | bool] | None = None,
    ) -> DataAsset:
        """Record data that stays where it is, outside of the workspace, with its digest."""
        return data.register_data(
            self._site(), self._address, name, Path(path), **_said(meta, tags)
        )

    def list_assets(self) -> list[DataAsset]:
        """All data, every version, the newest of each name first."""
        site = self._site()
        return [resolved(site, each) for each in data.versions(site, self._address)]

    def get(self, name: str, version: int | None = None) -> DataAsset:
        """The newest version of a name, or the one given; raises NotFoundError."""
        site = self._site()
        there = data.versions(site, self._address)
        for each in there:
            if each.name == name and version in (None, each.version):
                return resolved(site, each)
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

    def __iter__(self) -> Iterator[DataAsset]:
        return iter(self.list_assets())


def _said(meta: Mapping[str, Any] | None, tags: Mapping[str, str | bool] | None) -> dict[str, Any]:
    return {"meta": {} if meta is None else meta, "tags": {} if tags is None else dict(tags)}
