"""Named configurations: each may extend others, the later one wins, objects merge."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from difflib import get_close_matches
from typing import Any

from pydantic import Field

from molexp.errors import InvalidInputError, NotFoundError
from molexp.model.parameters import fingerprint
from molexp.model.record import FreeMapping, Record, merge_patch


class Profile(Record):
    """A named configuration; null in ``values`` takes away what an extended profile set."""

    name: str
    extends: tuple[str, ...] = ()
    values: FreeMapping = Field(default_factory=dict)


def resolve(name: str, profiles: Mapping[str, Profile]) -> dict[str, Any]:
    """The configuration that the profile ``name`` comes to.

    What it extends is merged first, in order, then its own values. Raises NotFoundError for a name
    that ``profiles`` lacks and InvalidInputError for profiles that extend each other in a circle.
    """
    return deepcopy(_resolve(name, profiles, ()))


def _resolve(name: str, profiles: Mapping[str, Profile], path: tuple[str, ...]) -> dict[str, Any]:
    if name in path:
        circle = " → ".join([*path[path.index(name) :], name])
        raise InvalidInputError(
            f"the profiles extend each other in a circle: {circle}",
            cure="take one of these out of `extends`",
            argument="extends",
        )
    if name not in profiles:
        near = get_close_matches(name, profiles)
        others = ", ".join(profiles) or "none"
        raise NotFoundError(
            f"there is no profile {name!r}",
            cure=f"did you mean {near[0]!r}?" if near else f"there is {others}",
            kind="profile",
            key=name,
            near=near,
        )
    config: dict[str, Any] = {}
    for base in profiles[name].extends:
        config = merge_patch(config, _resolve(base, profiles, (*path, name)))
    merged: dict[str, Any] = merge_patch(config, profiles[name].values)
    return merged


def config_hash(config: Mapping[str, object]) -> str:
    """The fingerprint of a configuration."""
    return fingerprint(config)
