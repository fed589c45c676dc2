"""Sets of parameters and their fingerprint: equal exactly when every value is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy

from molexp.errors import InvalidInputError
from molexp.model.codec import Json, canonical, decode, encode
from molexp.model.digest import of_bytes


class ParameterSet(Mapping[str, Json]):
    """Parameters by name: frozen, made of JSON values, equal and hashed by their fingerprint.

    >>> ParameterSet({"lr": 1}) == ParameterSet({"lr": 1.0})
    False
    """

    __slots__ = ("_fingerprint", "_values")

    def __init__(self, values: Mapping[str, object] | None = None, /, **more: object) -> None:
        given = encode({} if values is None else values, "parameters")
        named = encode(more, "parameters")
        if not isinstance(given, dict) or not isinstance(named, dict):
            raise InvalidInputError(
                f"parameters are {type(values).__qualname__}",
                cure="give a mapping of names to values",
                argument="parameters",
            )
        encoded = given | named
        self._values = {name: decode(encoded[name]) for name in sorted(encoded)}
        self._fingerprint = fingerprint(self._values)

    @property
    def fingerprint(self) -> str:
        """The digest of the canonical JSON of all of them."""
        return self._fingerprint

    def __getitem__(self, name: str) -> Json:
        return deepcopy(self._values[name])  # what is hashed does not change

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ParameterSet) and self.fingerprint == other.fingerprint

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def __repr__(self) -> str:
        inner = ", ".join(f"{name}={value!r}" for name, value in self._values.items())
        return f"ParameterSet({inner})"


def fingerprint(value: object) -> str:
    """The digest of the canonical JSON of ``value``; raises InvalidInputError if it is not JSON.

    >>> fingerprint({"a": 1}) == fingerprint({"a": True})
    False
    """
    return of_bytes(canonical(value))
