"""The catalog of a workspace, as its users hold it: queries, one record by its id, SQL, upkeep."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from molexp.catalog.asking import lookup, query
from molexp.catalog.asking.query import Query
from molexp.catalog.view import View
from molexp.disk import layout
from molexp.disk.beneath import Directory
from molexp.errors import MolexpError
from molexp.late import late
from molexp.model.codec import MAX_RECORD_BYTES

if TYPE_CHECKING:
    from molexp.catalog.asking import sql as sandboxes
    from molexp.catalog.asking.sql import Answer
    from molexp.catalog.fold import Progress, Report
else:
    sandboxes = late("molexp.catalog.asking.sql")


class Catalog:
    """Answers questions about a workspace; what was acknowledged is in every answer.

    It is derived from the files, and may be deleted at any time.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self._root = os.fspath(root)
        self._view: View | None = None
        self._sandbox: sandboxes.Sandbox | None = None

    def projects(self) -> Query:
        """All projects."""
        return self.table("projects")

    def experiments(self) -> Query:
        """All experiments."""
        return self.table("experiments")

    def runs(self) -> Query:
        """All runs."""
        return self.table("runs")

    def executions(self) -> Query:
        """All attempts at runs."""
        return self.table("executions")

    def assets(self) -> Query:
        """All assets: data, what runs left behind, and executions themselves."""
        return self.table("assets")

    def table(self, name: str) -> Query:
        """All rows of a table, such as ``messages``; raises QueryError for what is none."""
        return Query(self._source(), name)

    def get(self, key: str) -> Any:
        """The one record with a uid, an asset_id or an address.

        Raises NotFoundError, and ConflictError naming both where two have it.
        """
        return lookup.get(self._source(), key)

    def query_assets(self, **said: Any) -> list[Any]:
        """Assets by ``kind``, ``scope``, ``producer_run``, ``producer_task`` and ``tag``.

        ``scope`` means exactly that scope, with ``recursive=True`` all that it holds as well.
        """
        return query.query_assets(self._source(), **said)

    def query_runs(self, **said: Any) -> list[Any]:
        """Runs by ``status``, ``scope`` and ``tag``; ``recursive=True`` as for assets."""
        return query.query_runs(self._source(), **said)

    def query_executions(self, **said: Any) -> list[Any]:
        """Executions by ``status``, ``scope`` and ``run``; ``recursive=True`` as for assets."""
        return query.query_executions(self._source(), **said)

    def sql(
        self,
        statement: str,
        parameters: Sequence[object] | Mapping[str, object] | None = None,
        *,
        timeout: float | None = None,
        most: int | None = None,
    ) -> Answer:
        """What one SELECT over the tables finds, in a process that only reads and can be stopped.

        ``parameters`` are the values for its ``?``, ``$1`` or ``$name``. Raises QueryError for what
        is no query, or has more rows than ``most``, and CatalogError if it takes longer than
        ``timeout`` seconds or too much memory. Ctrl-C ends it at once.
        """
        if self._sandbox is None:
            self._sandbox = sandboxes.Sandbox(self._root, _access(self._root))
        said = {"timeout": timeout, "most": most}
        limits: dict[str, Any] = {name: each for name, each in said.items() if each is not None}
        return self._sandbox.sql(statement, parameters, **limits)

    def rebuild(self, progress: Progress | None = None) -> Report:
        """Make the catalog anew from the files alone, and say what was found and what was wrong."""
        return self._source().rebuild(progress)

    def fold(self) -> Report:
        """Spare the next process that asks some work; queries do that by themselves, in time."""
        return self._source().fold()

    def sync(self) -> Report:
        """Find what was changed by hand: edited, copied in, moved, deleted."""
        return self._source().sync()

    def close(self) -> None:
        """Let go of it; the next question opens it again."""
        view, self._view = self._view, None
        if view is not None:
            view.close()
        sandbox, self._sandbox = self._sandbox, None
        if sandbox is not None:
            sandbox.close()

    def _source(self) -> View:
        if self._view is None:
            self._view = View(self._root, layout.ACCESS[_access(self._root)])
        return self._view


def _access(root: str) -> str:
    """Who may write in the workspace, as far as its record can be read."""
    try:
        with Directory.open(root) as directory:
            access = json.loads(directory.read(layout.META, MAX_RECORD_BYTES))["access"]
    except (MolexpError, ValueError, KeyError, TypeError, RecursionError):
        return "private"
    return access if access in layout.ACCESS else "private"
