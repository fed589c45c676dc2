"""What lies in a scope, by the directories that are there."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from molexp.disk import layout
from molexp.disk.walk import is_litter
from molexp.errors import MolexpError, NotFoundError
from molexp.lifecycle.site import Site
from molexp.model.address import Address

if TYPE_CHECKING:
    from molexp.workspace.scope import Scope


def scopes_in(site: Site, address: Address) -> list[Address]:
    """The addresses of the scopes that one holds directly, in the order of their names.

    A directory without a record is none; ``ws.problems()`` tells of it.
    """
    path = f"{layout.scope_path(address)}/{layout.BELOW[address.kind]}".lstrip("/")
    found: list[Address] = []
    with suppress(MolexpError), site.enter(path) as directory:
        for name in directory.names():
            with suppress(MolexpError):  # what is no scope, such as a file, hides no other
                if not is_litter(name) and directory.exists(f"{name}/{layout.META}"):
                    found.append(address / name)
    return found


def not_there(scope: Scope[Any], kind: str, key: str, known: Iterable[str]) -> NotFoundError:
    """The error for a scope that is not there, with the names that are near."""
    near = get_close_matches(key, known)
    return NotFoundError(
        f"there is no {kind} {key!r} in {scope!r}",
        cure=f"did you mean {' or '.join(map(repr, near))}?" if near else f"list the {kind}s",
        kind=kind,
        key=key,
        near=near,
    )
