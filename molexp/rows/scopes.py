"""Which scopes lie in a workspace: their directories, and none of their records."""

from __future__ import annotations

from collections.abc import Iterator

from molexp.disk import layout
from molexp.disk.beneath import Directory
from molexp.disk.walk import is_litter
from molexp.errors import InvalidNameError, MolexpError, NotFoundError
from molexp.model.ids import check_run_id
from molexp.model.names import is_slug

Parts = tuple[str, ...]
"""An address in its parts; those of the workspace are none."""

_BELOW = (layout.PROJECTS, layout.EXPERIMENTS, layout.RUNS)
SUBTREE = "/**"


def path_of(address: Parts) -> str:
    """Where a scope lies beneath the root."""
    return "/".join(step for pair in zip(_BELOW, address, strict=False) for step in pair)


def parts_of(prefix: str) -> Parts:
    """The address at which a prefix begins.

    >>> parts_of("qm9/baseline/**"), parts_of("**")
    (('qm9', 'baseline'), ())
    """
    address = "" if prefix == SUBTREE[1:] else prefix.removesuffix(SUBTREE)
    return tuple(address.split("/")) if address else ()


def scopes(
    root: Directory, prefix: str, problems: list[MolexpError]
) -> Iterator[tuple[Parts, Directory]]:
    """Every directory in which the scopes at a prefix may lie, open until the next is asked for.

    What cannot be looked into joins ``problems``.
    """
    address = parts_of(prefix)
    try:
        directory = root.enter(path_of(address))
    except NotFoundError:
        return
    except MolexpError as error:
        problems.append(error)
        return
    with directory:
        if prefix.endswith(SUBTREE[1:]):
            yield from _subtree(directory, address, problems)
        else:
            yield address, directory


def _subtree(
    directory: Directory, address: Parts, problems: list[MolexpError]
) -> Iterator[tuple[Parts, Directory]]:
    yield address, directory
    if len(address) == len(_BELOW):
        return
    try:
        above = directory.enter(_BELOW[len(address)])
    except NotFoundError:
        return
    except MolexpError as error:
        problems.append(error)
        return
    with above:
        for name in above.names(alone=True):
            if is_litter(name):
                continue
            try:
                _check(name, len(address))
                with above.enter(name) as inner:
                    yield from _subtree(inner, (*address, name), problems)
            except NotFoundError:
                continue  # it was moved or removed since it was listed
            except MolexpError as error:
                problems.append(error)


def _check(name: str, depth: int) -> None:
    if depth == 2:
        check_run_id(name)
    elif not is_slug(name):
        raise InvalidNameError(
            f"{name!r} is no name of a scope's directory",
            cure="move it away: molexp made no directory of that name",
            name=name,
            rule="slug",
        )
