"""The base of everything that is written down: a frozen value that a file or a line holds.

A record keeps the members that it does not know, so that an older release hands on what a newer
one wrote. It changes through :meth:`Record.evolve` alone, which validates.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, KeysView, Mapping
from copy import deepcopy
from datetime import UTC, datetime
from enum import Enum
from functools import cache
from math import isfinite
from typing import Annotated, Any, ClassVar, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    WrapValidator,
)
from pydantic_core import PydanticSerializationError

from molexp.errors import FormatError, FormatVersionError, InvalidInputError
from molexp.model.codec import FORMAT, MAX_RECORD_BYTES, decode, encode, is_plain

_PRINTED = 2
"""How many of a long list are printed."""
_UNUSUAL = object()
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def _free(value: Any, info: ValidationInfo) -> Any:
    return decode(value if info.mode == "json" else encode(value))


def _free_mapping(value: Any, info: ValidationInfo) -> Any:
    if not isinstance(value, Mapping):
        raise ValueError("should be an object")
    if is_plain(value):
        return dict(value)
    return _free(value, info)


def _number(value: Any, info: ValidationInfo) -> Any:
    if info.mode != "json":
        return value
    if isinstance(value, str) and value in ("NaN", "Infinity", "-Infinity"):
        return decode(value)
    if isinstance(value, float) and not isfinite(value):
        raise ValueError("a number that is not finite is written as a string")
    return value


def _utc(value: Any, validate: Callable[[Any], Any], info: ValidationInfo) -> datetime:
    """An aware time in UTC; of text, what RFC 3339 calls a date-time.

    The inner validator is never asked: it would take a number for a time. It stays for its printer.
    """
    if type(value) is datetime and value.tzinfo is UTC:
        return value
    if info.mode == "json" and isinstance(value, str) and _TIME.fullmatch(value):
        value = datetime.fromisoformat(value.upper())
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise ValueError("should be a time with date, seconds and zone, as 2026-11-20T20:15:12Z")
    if value.tzinfo is UTC:
        return value
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError("a time is in the years 1 to 9999 of UTC") from None


def _encoded(value: Any) -> Any:
    return value if isinstance(value, dict) and is_plain(value) else encode(value)


_EncodedFree = PlainSerializer(_encoded, return_type=Any, when_used="json")
_TIME_SCHEMA = {"type": "string", "format": "date-time", "pattern": f"^{_TIME.pattern}$"}
_NUMBER_SCHEMA = {"anyOf": [{"type": "number"}, {"enum": ["NaN", "Infinity", "-Infinity"]}]}

Free = Annotated[Any, PlainValidator(_free), _EncodedFree, WithJsonSchema({})]
"""Any JSON value; floats that are not finite pass."""

FreeMapping = Annotated[
    dict[str, Any],
    PlainValidator(_free_mapping),
    _EncodedFree,
    WithJsonSchema({"type": "object"}),
]
"""Names to any JSON values."""

Number = Annotated[float, BeforeValidator(_number), WithJsonSchema(_NUMBER_SCHEMA)]
"""A float that may be infinite or not a number."""

Int64 = Annotated[int, Field(ge=-(2**63), le=2**63 - 1)]
"""An integer that every language and database holds."""

Count = Annotated[int, Field(ge=0, le=2**63 - 1)]
UtcTime = Annotated[datetime, WrapValidator(_utc), WithJsonSchema(_TIME_SCHEMA)]
Uid = Annotated[str, Field(pattern=r"^[0-7][0-9A-HJKMNP-TV-Z]{25}$")]
Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
Tags = dict[str, str | bool]
"""Names with a text each, or ``true`` where the name says it all."""


class Record(BaseModel):
    """A frozen value with a place on disk."""

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="allow",
        defer_build=True,
        ser_json_inf_nan="strings",
        hide_input_in_errors=True,  # it may be a secret, and errors are logged
    )

    max_bytes: ClassVar[int] = MAX_RECORD_BYTES

    @property
    def unknown(self) -> Mapping[str, Any]:
        """Members that this release does not know; they are written back, save those null."""
        return self.model_extra or {}

    def evolve(self, **changes: object) -> Self:
        """A copy with some fields changed, validated whole; raises InvalidInputError."""
        self._check_fields(changes.keys())
        return self._validated({**dict(self), **changes})

    @classmethod
    def make(cls, **values: object) -> Self:
        """A new record from Python values; raises InvalidInputError naming the field."""
        cls._check_fields(values.keys())
        return cls._validated(values)

    @classmethod
    def sure(cls, **values: Any) -> Self:
        """A new record of values that are right already: nothing is looked at.

        For what a run writes at every step, where the caller made every value itself; whatever a
        user gave comes in through :meth:`make`.
        """
        defaults, empty = _draft(cls)
        fields = defaults | values
        for name in empty:
            if name not in values:
                fields[name] = {}
        made = object.__new__(cls)
        _set_values(made, fields)
        _set_given(made, set(values))
        _set_extra(made, {})
        _set_private(made, None)
        return made

    @classmethod
    def problem(cls, name: str, data: str) -> str:
        """The place at which a field cannot be what ``data`` says in JSON; empty if it can."""
        try:
            _field(cls, name).validate_json(data, strict=True)
        except ValidationError as error:
            return "/".join((name, *filter(None, [_first_problem(error)[0]])))
        return ""

    @classmethod
    def _check_fields(cls, names: KeysView[str]) -> None:
        fields = cls.__pydantic_fields__
        for name in () if fields.keys() >= names else names:
            if name not in fields:
                from difflib import get_close_matches  # for the error alone

                near = get_close_matches(name, fields)
                all_of_them = ", ".join(fields)
                raise InvalidInputError(
                    f"{cls.__name__} has no field {name!r}",
                    cure=f"did you mean {near[0]!r}?" if near else f"it has {all_of_them}",
                    argument=name,
                )

    @classmethod
    def _validated(cls, values: dict[str, object]) -> Self:
        try:
            return cls(**values)
        except ValidationError as error:
            place, problem = _first_problem(error)
            raise InvalidInputError(
                f"{cls.__name__}.{place}: {problem}",
                cure="give a value of the type that the field wants",
                argument=place,
            ) from error

    def to_json(self) -> bytes:
        """The record as one line of JSON; members that are null are left out.

        Raises InvalidInputError for what JSON cannot say, such as text with a lone surrogate.
        """
        try:
            return self.__pydantic_serializer__.to_json(self, exclude_none=True)
        except PydanticSerializationError as error:
            raise InvalidInputError(
                f"this {type(self).__name__} cannot be written: {error}",
                cure="give it text that UTF-8 can write, and values that JSON can say",
                argument=type(self).__name__,
            ) from error

    @classmethod
    def from_json(cls, data: bytes, path: str) -> Self:
        """The record in ``data``; raises FormatError naming ``path`` and the place in it."""
        if len(data) > cls.max_bytes:
            raise FormatError(
                f"{path} has {len(data):,} bytes, and a record of its kind at most "
                f"{cls.max_bytes:,}",
                cure="it was not written by molexp: move it away, or restore it from a copy",
                path=path,
                place="",
            )
        try:
            record: Self = cls.__pydantic_validator__.validate_json(data)
        except ValidationError as error:
            raise format_error(error, path) from error
        return record.checked(path)

    def checked(self, path: str) -> Self:
        """This record, if it says all that only a reader can miss; raises FormatError."""
        return self

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        """What is printed of it: what somebody said, as people read it."""
        usual, _ = _draft(type(self))
        for name, value in super().__repr_args__():
            if name is None or (name != "format" and value != usual.get(name, _UNUSUAL)):
                yield name, _Printed(value)


class _Printed:
    """A value as it is printed: of many things the first ones, of a time its digits."""

    __slots__ = ("_value",)

    def __init__(self, value: object) -> None:
        self._value = value

    def __repr__(self) -> str:
        value = self._value
        if isinstance(value, datetime):
            return value.isoformat().replace("+00:00", "Z")
        if isinstance(value, Enum):
            return repr(value.value)
        if isinstance(value, tuple) and len(value) > _PRINTED:
            first = ", ".join(repr(_Printed(each)) for each in value[:_PRINTED])
            return f"({first}, … {len(value) - _PRINTED} more)"
        return repr(value)


@cache
def _field(kind: type[Record], name: str) -> TypeAdapter[Any]:
    """What tells of a field whether a value fits, without the rest of the record."""
    field = kind.model_fields[name]
    return TypeAdapter(Annotated[field.annotation, field])  # type: ignore[arg-type]  # a type it is


# Straight into the slots: `object.__setattr__` looks each of them up, at three times the cost.
_set_values, _set_given, _set_extra, _set_private = (
    vars(BaseModel)[slot].__set__
    for slot in (
        "__dict__",
        "__pydantic_fields_set__",
        "__pydantic_extra__",
        "__pydantic_private__",
    )
)


@cache
def _draft(kind: type[Record]) -> tuple[dict[str, Any], list[str]]:
    """What the fields of a record are if nobody says it, and which of them are mappings."""
    fields = kind.model_fields.items()
    defaults = {name: each.get_default(call_default_factory=True) for name, each in fields}
    return defaults, [name for name, default in defaults.items() if isinstance(default, dict)]


_SELF_TOLD = ("format", "kind")


class Document(Record):
    """A record that says of which format it is: a file of its own, or a ledger's first line."""

    format: Annotated[int, Field(ge=FORMAT, le=FORMAT)] = FORMAT

    def checked(self, path: str) -> Self:
        """This document, if it says itself of which format and kind it is."""
        for name in _SELF_TOLD:
            if name not in self.__pydantic_fields_set__ and name in self.__pydantic_fields__:
                raise FormatError(
                    f"{path} does not say of which {name} it is",
                    cure="restore it from a copy, or mend it by hand",
                    path=path,
                    place=name,
                )
        return self


def format_error(error: ValidationError, path: str) -> FormatError:
    """What pydantic found, as the error that a catcher expects."""
    for problem in error.errors(include_url=False, include_context=False):
        if problem["loc"][-1:] == ("format",) and problem["type"] == "less_than_equal":
            found = problem["input"]
            return FormatVersionError(
                f"{path} has format {found}, and this molexp reads format {FORMAT}",
                cure="run `pip install --upgrade molexp`",
                path=path,
                place="format",
                found=found,
                supported=FORMAT,
            )
    place, problem_text = _first_problem(error)
    return FormatError(
        f"{path}: {place + ': ' if place else ''}{problem_text}",
        cure="restore it from a copy, or mend it by hand",
        path=path,
        place=place,
    )


def _first_problem(error: ValidationError) -> tuple[str, str]:
    first = error.errors(include_url=False, include_input=False)[0]
    if first["type"] == "json_invalid":
        problem, _, place = first["msg"].rpartition(" at ")
        return place, problem
    return "/".join(str(step) for step in first["loc"]), first["msg"].removeprefix("Value error, ")


def _writable(patch: dict[str, Any]) -> dict[str, Any]:
    """The patch, if it can be read again once it is written."""
    if all(
        is_plain(each) if isinstance(each, dict) else is_plain({"": each})
        for each in patch.values()
    ):
        return patch
    decode(deepcopy(patch))
    encode(patch, "patch")
    return patch


Patch = Annotated[dict[str, Any], AfterValidator(_writable)]


class Edit(Record):
    """One change to what may change about a scope: who, when, what.

    ``patch`` is a JSON merge patch (RFC 7386): objects merge, null removes, all else replaces.
    """

    at: UtcTime
    writer: str
    by: str
    patch: Patch
    reason: str | None = None


def merge_patch(target: Any, patch: Any) -> Any:
    """``target`` after an RFC 7386 merge patch; neither is changed.

    >>> merge_patch({"tags": {"a": "1", "b": "2"}}, {"tags": {"b": None, "c": "3"}})
    {'tags': {'a': '1', 'c': '3'}}
    """
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge_patch(result.get(key), value)
    return result
