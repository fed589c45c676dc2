"""What all handles have: a place, a record that is read when asked for, edits, assets and data."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from molexp.disk import layout
from molexp.errors import NotFoundError
from molexp.late import late
from molexp.model.address import Address

if TYPE_CHECKING:
    from molexp.lifecycle import scopes, site
    from molexp.model import scope as records
    from molexp.workspace import assets as all_assets
    from molexp.workspace import library
    from molexp.workspace.workspace import Workspace
else:
    all_assets = late("molexp.workspace.assets")
    library = late("molexp.workspace.library")
    records = late("molexp.model.scope")
    scopes = late("molexp.lifecycle.scopes")
    site = late("molexp.lifecycle.site")

Meta = TypeVar("Meta", bound="records.ScopeMeta")


class Scope(Generic[Meta]):
    """A handle on the directory of a workspace, project, experiment or run.

    It caches no record: what it says is what the files say now.
    """

    def __init__(self, workspace: Workspace, address: Address) -> None:
        self._workspace = workspace
        self._address = address

    @property
    def workspace(self) -> Workspace:
        """The workspace that holds it."""
        return self._workspace

    @property
    def address(self) -> str:
        """Where it lies: ``project/experiment/run``, as many of these as it has."""
        return str(self._address)

    @property
    def record(self) -> Meta:
        """Its record as it reads now, edits applied; raises NotFoundError if it is gone."""
        found = scopes.find_scope(self._site, self._address, records.META[self._address.kind])
        if found is None:
            raise NotFoundError(
                f"there is no {self._address.kind} at {self._address or self._workspace.root}",
                cure="it was moved or removed: look for it in its listing, or in the trash",
                kind=self._address.kind,
                key=str(self._address),
            )
        return found  # type: ignore[return-value]  # META says which record lies where

    @property
    def metadata(self) -> Any:
        """Its record as it reads now; a run's tells of its executions as well."""
        return self.record

    @property
    def name(self) -> str:
        """Its name as its author wrote it; a run's is its id."""
        return self.record.name

    @property
    def uid(self) -> str:
        """Its identity, which stays when it moves."""
        return self.record.uid

    @property
    def directory(self) -> Path:
        """Where it lies."""
        return Path(self._workspace.root, layout.scope_path(self._address))

    @property
    def assets(self) -> all_assets.Assets:
        """What was left behind in it on purpose."""
        return all_assets.Assets(self._site, self._address)

    @property
    def data_assets(self) -> library.DataAssetLibrary:
        """Its imported and published data."""
        return library.DataAssetLibrary(self._workspace, self._address)

    def edit(
        self,
        *,
        tags: Mapping[str, str | bool | None] | None = None,
        labels: Mapping[str, str | bool | None] | None = None,
        notes: str | None = None,
        description: str | None = None,
        reason: str | None = None,
    ) -> None:
        """Change what may change; its history is kept.

        Tags and labels are added to those that are there, and None takes one away. Raises
        InvalidInputError.
        """
        patch: dict[str, Any] = {
            name: dict(value) if isinstance(value, Mapping) else value
            for name, value in [
                ("tags", tags),
                ("labels", labels),
                ("notes", notes),
                ("description", description),
            ]
            if value is not None
        }
        self._edit(patch, reason)

    def _edit(self, patch: dict[str, Any], reason: str | None = None) -> None:
        if patch:
            scopes.edit(self._workspace.site_to_write(), self._address, patch, reason)

    @property
    def _site(self) -> site.Site:
        return self._workspace.site()

    def __fspath__(self) -> str:
        return os.fspath(self.directory)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Scope)
            and type(other) is type(self)
            and other._address == self._address
            and other._workspace.root == self._workspace.root
        )

    def __hash__(self) -> int:
        return hash((self._address, self._workspace.root))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self._address or self._workspace.root)!r})"
