"""Documents as the catalog takes them: parsed JSON that is right beyond doubt, or was judged.

Making a record of each of a million documents would cost more than all the rest of a rebuild. A
document whose members are plainly of the right types is taken as it is; of every other one the
record itself says whether it is one. So this may be stricter than ``molexp.model``, never laxer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import datetime
from math import isfinite
from typing import Any, Final

Json = dict[str, Any]
Check = Callable[[Any], bool]

_UID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}", re.ASCII).fullmatch
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII).fullmatch
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z", re.ASCII).fullmatch
_LEAST, _MAX = -(2**63), 2**63 - 1
_MAX_DEPTH = 90  # a record takes a few levels more, and says so
_MAX_MESSAGES = 1000


def _text(value: Any) -> bool:
    return type(value) is str


def _uid(value: Any) -> bool:
    return type(value) is str and _UID(value) is not None


def _digest(value: Any) -> bool:
    return value is None or (type(value) is str and _DIGEST(value) is not None)


def _time(value: Any) -> bool:
    if type(value) is not str or _TIME(value) is None:
        return False
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True


def _count(value: Any) -> bool:
    return type(value) is int and 0 <= value <= _MAX


def _version(value: Any) -> bool:
    return type(value) is int and 1 <= value <= _MAX


def _integer(value: Any) -> bool:
    return type(value) is int and _LEAST <= value <= _MAX


def _flag(value: Any) -> bool:
    return type(value) is bool


def _free(value: Any, depth: int = 0) -> bool:
    """Whether it is any JSON value, and no number in it that JSON cannot say again."""
    kind = type(value)
    if kind is float:
        return isfinite(value)
    if kind is dict or kind is list:
        if depth == _MAX_DEPTH:
            return False
        for each in value.values() if kind is dict else value:
            if not _free(each, depth + 1):
                return False
    return True


def _object(value: Any) -> bool:
    return type(value) is dict and _free(value)


def _list_of(check: Check) -> Check:
    return lambda value: type(value) is list and all(map(check, value))


def _mapping_to(check: Check) -> Check:
    return lambda value: type(value) is dict and all(map(check, value.values()))


def _one_of(*values: str) -> Check:
    return lambda value: type(value) is str and value in values


def _tags(value: Any) -> bool:
    return type(value) is dict and all(type(each) in (str, bool) for each in value.values())


def _empty(value: Any) -> bool:
    return not value and type(value) is dict


def _or_null(check: Check) -> Check:
    return lambda value: value is None or check(value)


def _owner(value: Any) -> bool:
    return (
        type(value) is dict
        and all(type(value.get(name)) is str for name in ("host", "boot_id", "pid_namespace"))
        and type(value.get("time_namespace", "")) is str
        and _version(value.get("pid"))
        and _count(value.get("started"))
    )


def _producer(value: Any) -> bool:
    return value is None or (
        _object(value)
        and all(check(value[name]) for name, check in _PRODUCER.items() if name in value)
    )


def _problem(value: Any) -> bool:
    return value is None or (
        type(value) is dict
        and type(value.get("type")) is str
        and type(value.get("message")) is str
        and (value.get("trace") is None or _uid(value["trace"]))
    )


def _number(value: Any) -> bool:
    return _integer(value) or (type(value) is float and isfinite(value))


def _metrics(value: Any) -> bool:
    return type(value) is dict and all(
        type(each) is dict
        and _count(each.get("count"))
        and all(_number(each.get(name)) for name in ("first", "last", "min", "max"))
        for each in value.values()
    )


def _messages(value: Any) -> bool:
    return (
        type(value) is list
        and len(value) <= _MAX_MESSAGES
        and all(
            type(each) is dict
            and _time(each.get("at"))
            and all(type(each.get(name)) is str for name in ("level", "logger", "text"))
            for each in value
        )
    )


def _manifest(value: Any) -> bool:
    before = ""
    for each in value if type(value) is list else (None,):
        if (
            type(each) is not dict
            or type(each.get("path")) is not str
            or each["path"] <= before
            or not _count(each.get("size"))
            or not _integer(each.get("mtime_ns"))
            or not _digest(each.get("content_hash"))
        ):
            return False
        before = each["path"]
    return True


_PRODUCER: dict[str, Check] = {
    "run": _or_null(_uid),
    "execution": _or_null(_version),
    "task": _or_null(_text),
    "consumed": lambda value: type(value) is list and all(map(_uid, value)),
}


class Spelling:
    """What the members of one kind of document are, those that must be there and the others."""

    def __init__(self, needed: dict[str, Check], known: dict[str, Check]) -> None:
        self._needed = needed.keys()
        self._known = {**needed, **known}

    def holds(self, document: object) -> bool:
        """Whether a document is right beyond doubt."""
        if type(document) is not dict:
            return False
        if not self._needed <= document.keys():
            return False
        known = self._known
        return all(known.get(name, _free)(value) for name, value in document.items())

    @property
    def members(self) -> frozenset[str]:
        """The names that it knows."""
        return frozenset(self._known)


def _is(wanted: object) -> Check:
    return lambda value: value == wanted and type(value) is type(wanted)


def _scope(kind: str, **known: Check) -> Spelling:
    return Spelling(
        {"format": _is(1), "kind": _is(kind), "uid": _uid, "name": _text, "created_at": _time},
        {
            "description": _text,
            "notes": _text,
            "tags": _tags,
            "labels": _tags,
            "aliases": _empty,
            **known,
        },
    )


# Of these a record asks nothing but what is said here; any other kind may have rules of its own.
_PLAIN_KINDS = ("artifact", "log", "checkpoint", "error_trace", "execution_state", "output")

_ASSET: dict[str, Check] = {"asset_id": _uid, "kind": _text, "name": _text, "created_at": _time}
_OF_ASSETS: dict[str, Check] = {
    "version": _version,
    "path": _or_null(_text),
    "size": _or_null(_count),
    "mime": _or_null(_text),
    "content_hash": _digest,
    "producer": _producer,
    "tags": _tags,
    "meta": _object,
}
_WORKFLOW: Check = _or_null(
    lambda value: (
        type(value) is dict
        and all(each is None or type(each) is str for each in value.values())
        and _digest(value.get("object"))
    )
)
_CODE = Spelling(
    {"source": _one_of("git", "files")},
    {
        **dict.fromkeys(("commit", "branch", "tag", "remote"), _or_null(_text)),
        "dirty": _or_null(_flag),
        "patch": _digest,
        "files": _list_of(
            Spelling(
                {"path": _text, "size": _count, "mtime_ns": _integer},
                {"object": _digest, "left_out": _or_null(_text)},
            ).holds
        ),
    },
)
_ENVIRONMENT = Spelling(
    {"python": _text, "platform": _text},
    {
        "executable": _or_null(_text),
        "argv": _list_of(_text),
        "cwd": _or_null(_text),
        "packages": _digest,
        "lock_files": _mapping_to(lambda value: value is not None and _digest(value)),
        "variables": _mapping_to(_text),
        "hardware": _object,
    },
)
_SNAPSHOT = Spelling(
    {},
    {
        "code": _or_null(_CODE.holds),
        "environment": _or_null(_ENVIRONMENT.holds),
        "problems": _list_of(_text),
    },
)

SPELLINGS: Final[dict[str, Spelling]] = {
    "workspace": _scope("workspace", access=_one_of("private", "group")),
    "project": _scope("project"),
    "experiment": _scope(
        "experiment",
        params=_object,
        workflow=_WORKFLOW,
        n_replicas=_version,
        seeds=_list_of(_integer),
    ),
    "run": _scope(
        "run", parameters=_object, workflow=_WORKFLOW, replica=_or_null(_count), deleted=_tags
    ),
    "edit": Spelling(
        {"at": _time, "writer": _text, "by": _text, "patch": _object}, {"reason": _or_null(_text)}
    ),
    "data": Spelling(
        {**_ASSET, "format": _is(1), "kind": _is("data")},
        {**_OF_ASSETS, "origin": _or_null(_text), "refers_to": _or_null(_uid)},
    ),
    "asset": Spelling(
        {**_ASSET, "kind": _one_of(*_PLAIN_KINDS)},
        {
            **_OF_ASSETS,
            "value": _free,
            "parent": _or_null(_uid),
            "step": _or_null(_count),
            "type": _text,
            "message": _text,
        },
    ),
    "start": Spelling(
        {
            "format": _is(1),
            "uid": _uid,
            "run": _uid,
            "owner": _owner,
            "writer": _text,
            "at": _time,
        },
        {
            "purpose": _one_of("run", "hold"),
            "links": _flag,
            "durability": _one_of("power", "process"),
            "profile": _or_null(_text),
            "config": _object,
            "config_hash": _digest,
            "snapshot": _SNAPSHOT.holds,
            "resumed_from": _or_null(_uid),
            "resumed_step": _or_null(_count),
        },
    ),
    "input": Spelling(
        {"at": _time},
        {
            "asset": _or_null(_uid),
            "name": _or_null(_text),
            "value": _free,
            "path": _or_null(_text),
            "content_hash": _digest,
            "task": _or_null(_text),
        },
    ),
    "end": Spelling(
        {
            "format": _is(1),
            "uid": _uid,
            "status": _one_of("succeeded", "failed", "cancelled", "suspended"),
            "ended_at": _time,
        },
        {
            "ended_by": _or_null(_owner),
            "error": _problem,
            "reason": _or_null(_text),
            "last_step": _or_null(_count),
            "metrics": _metrics,
            "messages": _messages,
            "manifest": _manifest,
        },
    ),
}
"""How each kind of document is spelt."""


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


_loads = json.JSONDecoder(parse_constant=_refuse).decode


def parse(raw: bytes) -> Any:
    """JSON as it stands; raises ValueError, also for what only a careful reader would refuse."""
    if b"\\u" in raw or len(raw) > 1 << 24:
        raise ValueError("half a character may be among these")
    try:
        return _loads(raw.decode())
    except RecursionError as error:
        raise ValueError("nested too deep") from error


def document(source: str, raw: bytes, where: str) -> Json:
    """The document of a kind; raises FormatError if the records do not take it."""
    try:
        found = parse(raw)
    except ValueError:
        found = None
    if SPELLINGS[source].holds(found):
        return found  # type: ignore[no-any-return]
    return checked(source, raw, where)


def checked(source: str, raw: bytes, where: str) -> Json:
    """The same by the record of that kind, which is asked about whatever is odd."""
    from molexp.rows.judge import judged

    return json.loads(judged(source, raw, where))  # type: ignore[no-any-return]
