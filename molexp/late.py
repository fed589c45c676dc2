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
from typing import Any


class _Late:
    """Stands for a module. Once that is loaded both have one dictionary, and are as fast to ask."""

    def __init__(self, name: str) -> None:
        self.__name__ = name

    def __getattr__(self, name: str) -> Any:
        module = import_module(self.__name__)
        self.__dict__ = module.__dict__
        return getattr(module, name)

    def __repr__(self) -> str:
        return f"<late module {self.__name__!r}>"


def late(name: str) -> Any:
    """The module of that name, which is loaded when something of it is first used.

    >>> fractions = late("fractions")
    >>> fractions.Fraction("0.75")
    Fraction(3, 4)
    """
    return _Late(name)
