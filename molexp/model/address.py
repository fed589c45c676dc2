"""Where a scope lies: what it is, and the address that leads to it."""

from __future__ import annotations

from enum import StrEnum
from typing import Self

from molexp.errors import InvalidInputError, InvalidNameError
from molexp.model.ids import check_run_id
from molexp.model.names import is_slug


class ScopeKind(StrEnum):
    """What a scope is; the order is that of depth."""

    WORKSPACE = "workspace"
    PROJECT = "project"
    EXPERIMENT = "experiment"
    RUN = "run"


_KINDS = tuple(ScopeKind)


class Address(tuple[str, ...]):
    """Where a scope lies: project, experiment and run, as many as it has.

    >>> Address.parse("qm9/baseline").kind
    <ScopeKind.EXPERIMENT: 'experiment'>
    """

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """The address that ``text`` spells; raises InvalidNameError for what cannot be one."""
        parts = text.split("/") if text else []
        if len(parts) > len(_KINDS) - 1:
            raise InvalidNameError(
                f"the address {text!r} has {len(parts)} parts",
                cure="write project/experiment/run, or fewer",
                name=text,
                rule="address",
            )
        for part in parts[:2]:
            if not is_slug(part):
                raise InvalidNameError(
                    f"the address {text!r} is refused: {part!r} is not a slug",
                    cure="use the directory's name: lower-case letters, digits and '-'",
                    name=text,
                    rule="address",
                )
        for part in parts[2:]:
            check_run_id(part)
        return cls(parts)

    @property
    def kind(self) -> ScopeKind:
        """What lies here."""
        return _KINDS[len(self)]

    @property
    def parent(self) -> Address:
        """The scope that holds this one; raises InvalidInputError for the workspace."""
        if not self:
            raise InvalidInputError(
                "the workspace lies in no other scope",
                cure="ask for the parent of a project, experiment or run",
                argument="address",
            )
        return Address(self[:-1])

    def holds(self, other: Address) -> bool:
        """Whether ``other`` is this scope or lies in it."""
        return other[: len(self)] == self

    def __truediv__(self, name: str) -> Address:
        return Address.parse("/".join((*self, name)))

    def __str__(self) -> str:
        return "/".join(self)
