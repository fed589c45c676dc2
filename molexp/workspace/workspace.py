"""The workspace: the directory that remembers, and the way to all that is in it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, get_args
from weakref import WeakValueDictionary

from molexp.disk import layout
from molexp.disk.beneath import Directory
from molexp.disk.commit import Durability
from molexp.errors import ConflictError, InvalidInputError, MolexpError, NotFoundError
from molexp.late import late
from molexp.model.address import Address, ScopeKind
from molexp.model.codec import FORMAT, MAX_RECORD_BYTES
from molexp.model.names import slug
from molexp.workspace.scope import Scope

if TYPE_CHECKING:
    from molexp.catalog import catalog as catalogs
    from molexp.catalog import fold as folds
    from molexp.lifecycle import reaping, removal, scopes, survey
    from molexp.lifecycle import site as sites
    from molexp.model import scope as records
    from molexp.recording import session
    from molexp.workspace import assets, experiment, listing, run
    from molexp.workspace import project as projects
    from molexp.workspace import trash as trashes
else:
    assets = late("molexp.workspace.assets")
    catalogs = late("molexp.catalog.catalog")
    folds = late("molexp.catalog.fold")
    experiment = late("molexp.workspace.experiment")
    listing = late("molexp.workspace.listing")
    projects = late("molexp.workspace.project")
    reaping = late("molexp.lifecycle.reaping")
    records = late("molexp.model.scope")
    removal = late("molexp.lifecycle.removal")
    run = late("molexp.workspace.run")
    scopes = late("molexp.lifecycle.scopes")
    session = late("molexp.recording.session")
    sites = late("molexp.lifecycle.site")
    survey = late("molexp.lifecycle.survey")
    trashes = late("molexp.workspace.trash")


class Workspace(Scope["records.WorkspaceMeta"]):
    """A handle on a workspace; nothing is made on disk until something is recorded.

    ``durability="process"`` leaves commit points out: what is written then survives the death of
    the process, but not power loss. ``access="group"`` lets the directory's group in.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        name: str | None = None,
        *,
        root: str | os.PathLike[str] | None = None,
        durability: Durability = "power",
        access: str = "private",
    ) -> None:
        given = path if path is not None else root
        if given is None or (path is not None and root is not None):
            raise InvalidInputError(
                "a workspace is a directory, and it is not said which",
                cure='say `Workspace("./lab")`',
                argument="path",
            )
        _check_one_of("durability", durability, get_args(Durability))
        _check_one_of("access", access, [*layout.ACCESS])
        self.root = Path(os.path.abspath(os.fspath(given)))
        self._name, self._access = name, access
        self._durability: Durability = durability
        self._open: sites.Site | None = None
        self._catalog: catalogs.Catalog | None = None
        self._projects: WeakValueDictionary[str, projects.Project] = WeakValueDictionary()
        super().__init__(self, Address())

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, durability: Durability = "power") -> Self:
        """The workspace that is there; raises NotFoundError if there is none.

        Raises FormatError if it is of another format; other damage is told when its record is read.
        """
        workspace = cls(path, durability=durability)
        if not _is_there(workspace.root):
            workspace.site()  # it says what is wrong
        return workspace

    def materialize(self) -> Self:
        """Make it on disk, if nothing is there; it is made by itself once something is recorded."""
        self.site_to_write()
        return self

    def site(self) -> sites.Site:
        """The open workspace; raises NotFoundError if nothing was made yet."""
        if self._open is None:
            self._open = scopes.open_workspace(self.root, self._durability)
        if self._open is None:
            raise NotFoundError(
                f"there is no workspace in {self.root}",
                cure="record something in it, say `materialize()`, or check the path",
                kind="workspace",
                key=str(self.root),
            )
        return self._open

    def site_to_write(self) -> sites.Site:
        """The open workspace, made if nothing is there yet."""
        if self._open is None:
            meta = records.WorkspaceMeta.make(
                format=1,
                kind="workspace",
                uid=sites.new_uid(),
                name=self._name or self.root.name or "workspace",
                created_at=sites.now(),
                access=self._access,
            )
            self._open = scopes.make_workspace(self.root, meta, self._durability)
        return self._open

    def project(
        self,
        name: str,
        *,
        description: str | None = None,
        tags: Mapping[str, str | bool] | None = None,
    ) -> projects.Project:
        """The project of that name, made if it is not there.

        Raises AlreadyExistsError if another name has the same directory, and InvalidNameError.
        """
        said: dict[str, Any] = {} if description is None else {"description": description}
        if tags is not None:
            said["tags"] = dict(tags)
        address = Address((slug(name),))
        wanted = records.ProjectMeta.make(
            format=1, kind="project", uid=sites.new_uid(), name=name, created_at=sites.now(), **said
        )
        scopes.get_or_create(self.site_to_write(), address, wanted)
        return self._handle(address)

    add_project = project

    def get_project(self, name: str) -> projects.Project | None:
        """The project of a name; None if there is none."""
        address = Address((slug(name),))
        try:
            found = scopes.find_scope(self.site(), address, records.ProjectMeta)
        except NotFoundError:
            return None
        return None if found is None else self._handle(address)

    def list_projects(self) -> list[projects.Project]:
        """All projects, in the order of their slugs."""
        try:
            return [self._handle(each) for each in listing.scopes_in(self.site(), self._address)]
        except NotFoundError:
            return []

    def delete_project(
        self, project: projects.Project | str, *, reason: str | None = None, force: bool = False
    ) -> None:
        """Move a project with all that it holds into the trash.

        Raises NotFoundError, and ConflictError while somebody is at work in any of its runs, or if
        an asset of one is published in the workspace and ``force`` is not said.
        """
        name = project if isinstance(project, str) else project.id
        found = self.get_project(name)
        if found is None:
            raise listing.not_there(
                self, "project", name, [each.id for each in self.list_projects()]
            )
        if not force:
            assets.check_unpublished(self.site(), Address.parse(found.address))
        removal.remove(self.site_to_write(), Address.parse(found.address), reason)

    def find(self, address: str) -> Workspace | projects.Project | experiment.Experiment | run.Run:
        """What lies at an address such as ``qm9/baseline``; raises NotFoundError."""
        parsed = Address.parse(address)
        found: Any = self
        for name, kind in zip(parsed, list(ScopeKind)[1:], strict=False):
            below = getattr(found, f"get_{kind}")(name)
            if below is None:
                known = [each.id for each in getattr(found, f"list_{kind}s")()]
                raise listing.not_there(found, kind, name, known)
            found = below
        return found  # type: ignore[no-any-return]

    @property
    def catalog(self) -> catalogs.Catalog:
        """All that is recorded, to be asked; raises NotFoundError if nothing was made yet."""
        if self._catalog is None:
            if not _is_there(self.root):
                self.site()  # it says what is wrong
            self._catalog = catalogs.Catalog(self.root)
        return self._catalog

    def sync(self) -> folds.Report:
        """Find what was changed by hand: edited, copied in, moved, deleted."""
        return self.catalog.sync()

    @property
    def trash(self) -> trashes.Trash:
        """What was removed from it, until it is emptied."""
        return trashes.Trash(self.site)

    def reap(self, *, confirm: bool = False) -> list[reaping.Reaped]:
        """End as failed what dead owners left open, and sweep what they left aside.

        ``confirm=True`` says that those are over as well of whom nothing is known, as on another
        machine, and that have been silent for six beats. Raises what kept a run from being reaped,
        once all the others are.
        """
        problems: list[MolexpError] = []
        found = reaping.reap_below(self.site(), self._address, problems, confirm=confirm)
        if problems:
            raise problems[0]
        return found

    def problems(self) -> list[MolexpError]:
        """What cannot be read, and what lies there twice; it hides nothing else."""
        found: list[MolexpError] = []
        site = self.site()
        addresses: dict[str, list[str]] = {}
        for each in survey.survey(site.root, found):
            addresses.setdefault(each.meta.uid, []).append(str(each.address))
        for uid, twins in addresses.items():
            if len(twins) > 1:
                found.append(
                    ConflictError(
                        f"{' and '.join(twins)} are twins: both have the uid {uid}",
                        cure="one is a copy of the other: remove one of them",
                        holder=twins[0],
                        since="unknown",
                    )
                )
        return found

    def close(self) -> None:
        """Let go of it; handles open it again when they need it.

        Raises ConflictError while this process records a run of it.
        """
        if self._open is not None:
            session.check_unused(self._open)
            self._open.close()
            self._open = None
        if self._catalog is not None:
            self._catalog.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            self.close()
        except ConflictError:
            if kind is None:
                raise

    def _handle(self, address: Address) -> projects.Project:
        return self._projects.setdefault(address[-1], projects.Project(self, address))


def _is_there(root: Path) -> bool:
    """Whether a workspace of our format lies there: all that can be told without its record."""
    try:
        with Directory.open(root) as directory:
            said = json.loads(directory.read(layout.META, MAX_RECORD_BYTES))
    except (MolexpError, ValueError, RecursionError):
        return False
    if not isinstance(said, dict):
        return False
    return said.get("format") == FORMAT and said.get("kind") == ScopeKind.WORKSPACE


def _check_one_of(argument: str, value: str, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise InvalidInputError(
            f"there is no {argument} {value!r}",
            cure=f"say {' or '.join(map(repr, allowed))}",
            argument=argument,
        )
