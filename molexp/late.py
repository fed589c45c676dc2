"""Modules that are loaded when something of them is first used.

Whoever only asks a workspace must not wait for what only recording in it needs: records stand on
pydantic, which takes longer to load than a query to answer. Such a module is imported for type
checkers and the linter of floors, and is ``late`` for Python::

    if TYPE_CHECKING:
        from molexp.lifecycle import scopes
    else:
        scopes = late("molexp.lifecycle.scopes")

Where that is done stands in one list with its reasons: ``tests/late.py``.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType


class _Late(ModuleType):
    """Stands for a module, and asks it for whatever is wanted."""

    def __getattr__(self, name: str) -> object:
        return getattr(import_module(self.__name__), name)

    def __dir__(self) -> list[str]:
        return dir(import_module(self.__name__))


def late(name: str) -> ModuleType:
    """The module of that name, which is loaded when something of it is first used.

    >>> fractions = late("fractions")
    >>> fractions.Fraction("0.75")
    Fraction(3, 4)
    """
    return _Late(name)
