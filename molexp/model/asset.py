"""Assets: whatever a run or a person leaves behind on purpose, typed by ``kind``.

The registry of kinds is open: a later floor, or another package, adds its own class to it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol, Self, Union, get_args

from pydantic import Field, ValidationError

from molexp.errors import AlreadyExistsError, FormatError, InvalidInputError
from molexp.model.codec import decode
from molexp.model.record import (
    Count,
    Digest,
    Document,
    Free,
    FreeMapping,
    Record,
    Tags,
    Uid,
    UtcTime,
)

if TYPE_CHECKING:
    from pathlib import Path

    from _typeshed import StrPath
    from pydantic import TypeAdapter


class Producer(Record):
    """Which run, execution and task made an asset, and from which assets.

    In an execution's own ledger ``run`` and ``execution`` are left out: where the line lies says
    them.
    """

    run: Uid | None = None
    execution: Annotated[int, Field(ge=1)] | None = None
    task: str | None = None
    consumed: tuple[Uid, ...] = ()


class Home(Protocol):
    """Where an asset was found, and how its bytes are reached: this floor knows no disk."""

    @property
    def scope(self) -> str:
        """The address of the scope that holds it."""
        ...

    def at(self, scope_dir: StrPath) -> Home:
        """The same place in a scope that lies in another directory."""
        ...

    def absolute(self, asset: Asset) -> Path:
        """Where its file or directory lies now."""
        ...

    def read(self, asset: Asset) -> bytes:
        """The bytes of its file."""
        ...

    def export(self, asset: Asset, target: StrPath) -> Path:
        """Copy its file or directory to where nothing lies."""
        ...


class Asset(Record):
    """Any persistent byproduct. ``path`` is null for an asset that is only a value.

    ``path`` is relative to the directory whose record names it: the execution's for a ledger line,
    the asset's own for an ``asset.json``. ``version`` is the number written here, never one read
    out of a file name.

    An asset that came from a workspace reads its bytes; ``scope_dir`` says where its scope lies, if
    that is not where it was found.
    """

    asset_id: Uid
    kind: str
    name: str
    created_at: UtcTime
    version: Annotated[int, Field(ge=1)] = 1
    path: str | None = None
    size: Count | None = None
    mime: str | None = None
    content_hash: Digest | None = None
    producer: Producer | None = None
    tags: Tags = Field(default_factory=dict)
    meta: FreeMapping = Field(default_factory=dict)

    __slots__ = ("_home",)  # no part of the record, and of no equality

    def placed(self, home: Home) -> Self:
        """This asset, which from now on knows where it is."""
        object.__setattr__(self, "_home", home)
        return self

    def home(self, scope_dir: StrPath | None = None) -> Home:
        """Where it is; raises InvalidInputError for an asset that is only a record."""
        home: Home | None = getattr(self, "_home", None)
        if home is None:
            raise InvalidInputError(
                f"the asset {self.name!r} was made from text, and does not know where it lies",
                cure="ask its run or workspace for it: `run.assets.get(…)`",
                argument="asset",
            )
        return home if scope_dir is None else home.at(scope_dir)

    @property
    def scope(self) -> str:
        """The address of the scope that holds it."""
        return self.home().scope

    def absolute_path(self, scope_dir: StrPath | None = None) -> Path:
        """Where its file or directory lies now."""
        return self.home(scope_dir).absolute(self)

    def read_bytes(self, scope_dir: StrPath | None = None) -> bytes:
        """The bytes of its file."""
        return self.home(scope_dir).read(self)

    def read_text(self, scope_dir: StrPath | None = None) -> str:
        """Its file as UTF-8 text; raises FormatError."""
        try:
            return self.read_bytes(scope_dir).decode()
        except UnicodeDecodeError as error:
            raise self._not_so("UTF-8 text", error, "read its bytes: `read_bytes()`") from error

    def read_json(self, scope_dir: StrPath | None = None) -> Any:
        """Its file as JSON; raises FormatError."""
        data = self.read_bytes(scope_dir)
        try:
            return decode(json.loads(data))
        except (ValueError, RecursionError) as error:
            raise self._not_so("JSON", error, "read its text: `read_text()`") from error

    def load(self, scope_dir: StrPath | None = None) -> Any:
        """What it holds, by its media type: JSON's value, text, or bytes."""
        if self.mime == "application/json":
            return self.read_json(scope_dir)
        is_text = self.mime is not None and self.mime.startswith("text/")
        return self.read_text(scope_dir) if is_text else self.read_bytes(scope_dir)

    def export(self, target: StrPath, scope_dir: StrPath | None = None) -> Path:
        """Copy its file or directory to where nothing lies."""
        return self.home(scope_dir).export(self, target)

    def _not_so(self, what: str, error: Exception, cure: str) -> FormatError:
        path = self.path or self.name
        return FormatError(f"{path} is not {what}: {error}", cure=cure, path=path, place="")


class DataAsset(Asset, Document):
    """Imported or published data, the record in an ``asset.json``.

    ``origin`` says whence it was imported, ``refers_to`` which asset it publishes.
    """

    kind: Literal["data"] = "data"
    origin: str | None = None
    refers_to: Uid | None = None


class ArtifactAsset(Asset):
    """A file or directory that a run saved under a name."""

    kind: Literal["artifact"] = "artifact"


class LogAsset(Asset):
    """A log that a run appended to; its size and digest are known at the end."""

    kind: Literal["log"] = "log"


class CheckpointAsset(Asset):
    """A state to resume from: the chain of parents goes over executions."""

    kind: Literal["checkpoint"] = "checkpoint"
    parent: Uid | None = None
    step: Count | None = None

    @property
    def ckpt_id(self) -> str:
        """Its identity."""
        return self.asset_id

    @property
    def parent_ckpt_id(self) -> str | None:
        """The identity of the checkpoint before it."""
        return self.parent


class ErrorTraceAsset(Asset):
    """An exception that ended an execution."""

    kind: Literal["error_trace"] = "error_trace"
    type: str = ""
    message: str = ""


class ExecutionStateAsset(Asset):
    """The execution itself, as something that others can refer to."""

    kind: Literal["execution_state"] = "execution_state"


class OutputAsset(Asset):
    """A result that is a value, not a file."""

    kind: Literal["output"] = "output"
    value: Free = None

    def load(self, scope_dir: StrPath | None = None) -> Any:
        """The value."""
        return self.value


_REGISTRY: dict[str, type[Asset]] = {}


def register_kind(asset_class: type[Asset]) -> type[Asset]:
    """Add a kind of asset, the default of the class's ``kind``; usable as a decorator.

    Raises InvalidInputError if the class names no kind, AlreadyExistsError if another class has it.
    """
    field = asset_class.model_fields["kind"]
    kind = field.default
    if not isinstance(kind, str) or get_args(field.annotation) != (kind,):
        raise InvalidInputError(
            f"{asset_class.__name__} does not say of which kind its assets are",
            cure='give it a field such as `kind: Literal["resource"] = "resource"`',
            argument="asset_class",
        )
    holder = _REGISTRY.setdefault(kind, asset_class)
    if holder is not asset_class:
        raise AlreadyExistsError(
            f"the kind {kind!r} belongs to {holder.__module__}.{holder.__qualname__}",
            cure="choose another kind",
            kind="asset kind",
            key=kind,
        )
    _any_kind.cache_clear()
    return asset_class


def kinds() -> Mapping[str, type[Asset]]:
    """All registered kinds, with their classes."""
    return dict(_REGISTRY)


def parse_asset(data: bytes | str | Mapping[str, Any], path: str = "asset") -> Asset:
    """The asset that a JSON document says, as the class of its kind; raises FormatError.

    A kind that nobody registered gives a plain :class:`Asset`, all its members kept.
    """
    raw = data if isinstance(data, bytes) else _to_bytes(data, path)
    kind: int | str = ""
    if len(raw) <= Asset.max_bytes:
        try:
            return _any_kind().validate_json(raw).checked(path)
        except ValidationError as error:
            # Within a known kind every place begins with it; read again, it tells the true place.
            kind, *_ = *error.errors(include_url=False, include_input=False)[0]["loc"], ""
    return _REGISTRY.get(str(kind), Asset).from_json(raw, path)


def _to_bytes(data: str | Mapping[str, Any], path: str) -> bytes:
    try:
        return (data if isinstance(data, str) else json.dumps(dict(data))).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise FormatError(
            f"{path} is no JSON document: {error}",
            cure="give the bytes of the record, or what `json.loads` makes of them",
            path=path,
            place="",
        ) from error


@cache
def _any_kind() -> TypeAdapter[Asset]:
    """One validator for all registered kinds, told apart by ``kind``."""
    from pydantic import TypeAdapter  # a twentieth of the floor's import, and only readers need it

    union: Any = Union[tuple(_REGISTRY.values())]  # noqa: UP007 - made of a tuple at run time
    return TypeAdapter(Annotated[union, Field(discriminator="kind")])


for _class in (
    DataAsset,
    ArtifactAsset,
    LogAsset,
    CheckpointAsset,
    ErrorTraceAsset,
    ExecutionStateAsset,
    OutputAsset,
):
    register_kind(_class)
