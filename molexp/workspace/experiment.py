"""An experiment: a recipe, and the runs that were made by it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from molexp.errors import MolexpError, NotFoundError
from molexp.lifecycle import removal, scopes
from molexp.lifecycle.site import new_run_id, new_uid, now
from molexp.model.address import Address
from molexp.model.ids import check_run_id
from molexp.model.scope import ExperimentMeta, RunMeta
from molexp.workspace.assets import check_unpublished
from molexp.workspace.listing import not_there, scopes_in
from molexp.workspace.run import Run
from molexp.workspace.scope import Scope

if TYPE_CHECKING:
    from molexp.workspace.project import Project


class Experiment(Scope[ExperimentMeta]):
    """A handle on an experiment."""

    def __init__(self, project: Project, address: Address) -> None:
        super().__init__(project.workspace, address)
        self._project = project

    @property
    def project(self) -> Project:
        """The project that holds it."""
        return self._project

    @property
    def id(self) -> str:
        """The name of its directory: the slug of its name."""
        return self._address[-1]

    @property
    def experiment_dir(self) -> Path:
        """Its directory."""
        return self.directory

    @property
    def params(self) -> dict[str, Any]:
        """What all its runs have in common, unless they say otherwise."""
        return self.record.params

    def run(
        self,
        id: str | None = None,
        *,
        parameters: Mapping[str, Any] | None = None,
        replica: int | None = None,
        tags: Mapping[str, str | bool] | None = None,
        description: str | None = None,
        notes: str | None = None,
    ) -> Run:
        """A new run; with an ``id`` the run of that id, made if it is not there.

        Without ``parameters`` a new run has those of the experiment. Raises AlreadyExistsError if
        the run of that id has other parameters, InvalidNameError, and InvalidInputError.
        """
        site, recipe = self._workspace.site_to_write(), self.record
        moment = now()
        given: dict[str, Any] = {
            "replica": replica,
            "tags": None if tags is None else dict(tags),
            "description": description,
            "notes": notes,
        }
        said = {name: value for name, value in given.items() if value is not None}
        if parameters is not None:
            said["parameters"] = parameters
        if id is not None:
            address = self.run_address(id)
            there = scopes.find_scope(site, address, RunMeta)
            if there is not None:
                wanted = RunMeta.make(uid=there.uid, name=id, created_at=moment, **said)
                scopes.get_or_create(site, address, wanted)
                return Run(self, address)
        name = id or new_run_id(moment)
        said.setdefault("parameters", recipe.params)
        if recipe.workflow is not None:
            said["workflow"] = recipe.workflow
        wanted = RunMeta.make(
            format=1, kind="run", uid=new_uid(), name=name, created_at=moment, **said
        )
        address = self.run_address(name)
        if id is None:
            scopes.create(site, address, wanted)
        else:
            scopes.get_or_create(site, address, wanted)
        return Run(self, address)

    add_run = run

    def get_run(self, key: str) -> Run | None:
        """The run of an id, an alias, or a uid; None if there is none."""
        try:
            address = self.run_address(key)
            if scopes.find_scope(self._site, address, RunMeta) is not None:
                return Run(self, address)
        except (NotFoundError, ValueError):
            pass  # an alias may be any text
        uid = self.record.aliases.get(key, key)
        for each in self.list_runs():
            with suppress(MolexpError):  # a damaged record hides no other
                if each.uid == uid:
                    return each
        return None

    def list_runs(self) -> list[Run]:
        """All runs, in the order of their ids."""
        return [Run(self, each) for each in scopes_in(self._site, self._address)]

    def delete_run(self, run: Run | str, *, reason: str | None = None, force: bool = False) -> None:
        """Move a run into the trash.

        Raises NotFoundError, and ConflictError while somebody is at work in it, or if an asset of
        it is published and ``force`` is not said.
        """
        found = self.get_run(run) if isinstance(run, str) else run
        if found is None:
            raise not_there(self, "run", str(run), [each.id for each in self.list_runs()])
        if not force:
            check_unpublished(self._site, Address.parse(found.address))
        removal.remove(self._workspace.site_to_write(), Address.parse(found.address), reason)

    def alias(self, name: str, run: Run | str | None) -> None:
        """Let a name mean a run, until it means another; None takes the name away.

        Raises NotFoundError if no run has the id that is given.
        """
        meant = self.get_run(run) if isinstance(run, str) else run
        if meant is None and run is not None:
            raise not_there(self, "run", str(run), [each.id for each in self.list_runs()])
        self._edit({"aliases": {name: None if meant is None else meant.uid}})

    def run_address(self, id: str) -> Address:
        """Where the run of an id lies; raises InvalidNameError."""
        return Address((*self._address, check_run_id(id)))
