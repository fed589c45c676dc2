"""A project: experiments that belong together."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from molexp.capture.source import commit_of, read_source
from molexp.errors import InvalidInputError, NotFoundError
from molexp.lifecycle import data, removal, scopes
from molexp.lifecycle.site import Site, new_uid, now
from molexp.model.address import Address
from molexp.model.names import slug
from molexp.model.scope import ExperimentMeta, ProjectMeta, WorkflowSource
from molexp.workspace.assets import check_unpublished
from molexp.workspace.experiment import Experiment
from molexp.workspace.listing import not_there, scopes_in
from molexp.workspace.scope import Scope


class Project(Scope[ProjectMeta]):
    """A handle on a project."""

    def __init__(self, workspace: Any, address: Address) -> None:
        super().__init__(workspace, address)
        self._experiments: WeakValueDictionary[str, Experiment] = WeakValueDictionary()

    @property
    def id(self) -> str:
        """The name of its directory: the slug of its name."""
        return self._address[-1]

    @property
    def project_dir(self) -> Path:
        """Its directory."""
        return self.directory

    def experiment(
        self,
        name: str,
        *,
        params: Mapping[str, Any] | None = None,
        n_replicas: int | None = None,
        seeds: Sequence[int] | None = None,
        workflow_source: str | os.PathLike[str] | None = None,
        workflow_type: str | None = None,
        git_commit: str | None = None,
        description: str | None = None,
        tags: Mapping[str, str | bool] | Iterable[str] | None = None,
    ) -> Experiment:
        """The experiment of that name, made if it is not there.

        The bytes of ``workflow_source`` are kept, and the commit that it is at. Raises
        AlreadyExistsError if it is there with other params; other differences become edits.
        """
        site = self._workspace.site_to_write()
        address = self._address / slug(name)
        there = scopes.find_scope(site, address, ExperimentMeta)
        said = _given(
            params=params,
            n_replicas=n_replicas,
            seeds=None if seeds is None else tuple(seeds),
            description=description,
            tags=_tags(tags),
        )
        if seeds is not None and n_replicas is not None and len(seeds) != n_replicas:
            raise InvalidInputError(
                f"there are {len(seeds)} seeds for {n_replicas} replicas",
                cure="give a seed for each replica",
                argument="seeds",
            )
        asked = _given(
            path=None if workflow_source is None else os.fspath(workflow_source),
            type=workflow_type,
            git_commit=git_commit,
        )
        before = there.workflow if there is not None else None
        workflow = _workflow(site, before, asked, is_new=there is None)
        if workflow is not None:
            said["workflow"] = workflow
        uid = new_uid() if there is None else there.uid
        wanted = ExperimentMeta.make(
            format=1, kind="experiment", uid=uid, name=name, created_at=now(), **said
        )
        scopes.get_or_create(site, address, wanted)
        return self._handle(address)

    add_experiment = experiment

    def get_experiment(self, name: str) -> Experiment | None:
        """The experiment of a name; None if there is none."""
        address = self._address / slug(name)
        if scopes.find_scope(self._site, address, ExperimentMeta) is None:
            return None
        return self._handle(address)

    def list_experiments(self) -> list[Experiment]:
        """All experiments, in the order of their slugs."""
        return [self._handle(each) for each in scopes_in(self._site, self._address)]

    def delete_experiment(
        self, experiment: Experiment | str, *, reason: str | None = None, force: bool = False
    ) -> None:
        """Move an experiment with all its runs into the trash.

        Raises NotFoundError, and ConflictError while somebody is at work in any of them, or if an
        asset of one is published outside of it and ``force`` is not said.
        """
        name = experiment if isinstance(experiment, str) else experiment.id
        found = self.get_experiment(name)
        if found is None:
            known = [each.id for each in self.list_experiments()]
            raise not_there(self, "experiment", name, known)
        if not force:
            check_unpublished(self._site, Address.parse(found.address))
        removal.remove(self._workspace.site_to_write(), Address.parse(found.address), reason)

    def _handle(self, address: Address) -> Experiment:
        return self._experiments.setdefault(address[-1], Experiment(self, address))


def _workflow(
    site: Site, before: WorkflowSource | None, asked: dict[str, Any], *, is_new: bool
) -> WorkflowSource | None:
    """The recipe's source: its bytes and commit are taken when it is first named."""
    if before is not None and asked.items() <= dict(before).items():
        return None
    path = asked.get("path")
    if path is not None:
        try:
            asked["object"] = data.keep_object(site, read_source(path))
        except NotFoundError:
            pass  # a name that means no file here is a name all the same
    if is_new and "git_commit" not in asked:
        asked |= _given(git_commit=commit_of(path if path and "object" in asked else os.getcwd()))
    return WorkflowSource.make(**asked) if asked else None


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _tags(tags: Mapping[str, str | bool] | Iterable[str] | None) -> dict[str, str | bool] | None:
    if tags is None or isinstance(tags, Mapping):
        return None if tags is None else dict(tags)
    if isinstance(tags, str):
        raise InvalidInputError(
            f"the tags are the text {tags!r}",
            cure="give a list of names, or a mapping of names to texts",
            argument="tags",
        )
    return dict.fromkeys(tags, True)
