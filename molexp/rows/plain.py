"""Documents as the catalog takes them: parsed JSON that is right beyond doubt, or was judged.

Making a record of each of a million documents would cost more than all the rest of a rebuild. A
document whose members are plainly of the right types is taken as it is; of every other one the
record itself says whether it is one. So this may be stricter than ``molexp.model``, never laxer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from math import isfinite
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from molexp.late import late

if TYPE_CHECKING:
    from molexp.rows import judge
else:
    judge = late("molexp.rows.judge")

Json = dict[str, Any]
Test = Callable[[Any], object]

_UID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}", re.ASCII).fullmatch
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII).fullmatch
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z", re.ASCII).fullmatch
_LEAST, _MAX = -(2**63), 2**63 - 1
_MAX_DEPTH = 90  # a record takes a few levels more, and says so
_MAX_MESSAGES = 1000
_NULL = type(None)


class Check(NamedTuple):
    """Of what types a value may be, and for a type what else must hold of it."""

    types: Mapping[type, Test | None]

    def holds(self, value: object) -> bool:
        """Whether a value is right."""
        kind = type(value)
        if kind not in self.types:
            return False
        test = self.types[kind]
        return test is None or bool(test(value))

    @property
    def or_null(self) -> Check:
        """The same, or null."""
        return Check({**self.types, _NULL: None})


def _is_time(value: str) -> bool:
    if _TIME(value) is None:
        return False
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True


def _is_owner(value: Json) -> bool:
    """One process owns many executions: what it is was looked at before."""
    said = repr(value)
    if said in _owners:
        return True
    if not _OWNER.holds(value):
        return False
    if len(_owners) < _MOST_SHAPES:
        _owners.add(said)
    return True


_owners: set[str] = set()


def _is_free(value: Any, depth: int = 0) -> bool:
    """Whether it is any JSON value, and no number in it that JSON cannot say again."""
    if depth == _MAX_DEPTH:
        return False
    for each in value.values() if type(value) is dict else value:
        kind = type(each)
        if kind is float:
            if not isfinite(each):
                return False
        elif (kind is dict or kind is list) and not _is_free(each, depth + 1):
            return False
    return True


def _is_free_producer(value: Json) -> bool:
    return _PRODUCER.holds(value) and _is_free(value)


def _are_uids(values: list[Any]) -> bool:
    return all(map(UID.holds, values))


def _are_tags(values: Json) -> bool:
    return not values or all(type(each) in (str, bool) for each in values.values())


def _are_metrics(values: Json) -> bool:
    return not values or all(map(_METRIC.holds, values.values()))


def _are_messages(values: list[Any]) -> bool:
    return not values or (len(values) <= _MAX_MESSAGES and all(map(_MESSAGE.holds, values)))


def _is_manifest(values: list[Any]) -> bool:
    if not all(map(_ENTRY.holds, values)):
        return False
    paths = [each["path"] for each in values]
    return paths == sorted(set(paths))


TEXT = Check({str: None})
UID = Check({str: _UID})
DIGEST = Check({str: _DIGEST, _NULL: None})
TIME = Check({str: _is_time})
COUNT = Check({int: range(_MAX + 1).__contains__})
ORDINAL = Check({int: range(1, _MAX + 1).__contains__})
INTEGER = Check({int: range(_LEAST, _MAX + 1).__contains__})
NUMBER = Check(
    {
        int: range(_LEAST, _MAX + 1).__contains__,
        float: isfinite,
        str: ("NaN", "Infinity", "-Infinity").__contains__,
    }
)
FLAG = Check({bool: None})
OBJECT = Check({dict: _is_free})
EMPTY = Check({dict: lambda value: not value})
TAGS = Check({dict: _are_tags})
ANY = Check(
    {dict: _is_free, list: _is_free, float: isfinite, str: None, int: None, bool: None, _NULL: None}
)


def only(*values: object) -> Check:
    """One of these values."""
    return Check({type(values[0]): lambda value: value in values})


def list_of(check: Check) -> Check:
    """A list of values that are each right."""
    return Check({list: lambda values: all(map(check.holds, values))})


def mapping_to(check: Check) -> Check:
    """An object with any names, and values that are each right."""
    return Check({dict: lambda values: all(map(check.holds, values.values()))})


class Spelling:
    """What the members of one kind of document are, those that must be there and the others.

    Documents of one kind have few shapes, that is, names and types: each is looked at once, and
    after that only what differs between the values of one type.
    """

    def __init__(self, needed: dict[str, Check], known: dict[str, Check]) -> None:
        self._needed = needed.keys()
        self._known = {**needed, **known}
        self._shapes: dict[tuple[object, ...], list[tuple[str, Test]] | None] = {}

    def holds(self, document: object) -> bool:
        """Whether a document is right beyond doubt."""
        if type(document) is not dict:
            return False
        shape = (*document, *map(type, document.values()))
        try:
            tests = self._shapes[shape]
        except KeyError:
            tests = self._learn(shape, document)
        if tests is None:
            return False
        for name, test in tests:  # no generator: this is asked of every document
            if not test(document[name]):
                break
        else:
            return True
        return False

    @property
    def members(self) -> frozenset[str]:
        """The names that it knows."""
        return frozenset(self._known)

    def _learn(self, shape: tuple[object, ...], document: Json) -> list[tuple[str, Test]] | None:
        """What is left to be tested of documents of a shape; None if none is right."""
        if len(self._shapes) > _MOST_SHAPES:
            self._shapes.clear()
        tests: list[tuple[str, Test]] = []
        right = self._needed <= document.keys()
        for name, value in document.items():
            check = self._known.get(name, ANY)
            if type(value) not in check.types:
                right = False
                break
            test = check.types[type(value)]
            if test is not None:
                tests.append((name, test))
        found = tests if right else None
        self._shapes[shape] = found
        return found


_MOST_SHAPES = 1000

_OWNER = Spelling(
    {
        "host": TEXT,
        "boot_id": TEXT,
        "pid_namespace": TEXT,
        "pid": ORDINAL,
        "started": COUNT,
    },
    {"time_namespace": TEXT},
)
_METRIC = Spelling(
    {"first": NUMBER, "last": NUMBER, "min": NUMBER, "max": NUMBER, "count": COUNT}, {}
)
_MESSAGE = Spelling({"at": TIME, "level": TEXT, "logger": TEXT, "text": TEXT}, {})
_ENTRY = Spelling({"path": TEXT, "size": COUNT, "mtime_ns": INTEGER}, {"content_hash": DIGEST})
_PRODUCER = Spelling(
    {},
    {
        "run": UID.or_null,
        "execution": ORDINAL.or_null,
        "task": TEXT.or_null,
        "consumed": Check({list: _are_uids}),
    },
)
_PROBLEM = Spelling({"type": TEXT, "message": TEXT}, {"trace": UID.or_null})
_SOURCE = Spelling(
    {},
    {
        "path": TEXT.or_null,
        "type": TEXT.or_null,
        "object": DIGEST,
        "git_commit": TEXT.or_null,
    },
)
OWNER = Check({dict: _is_owner})
_CODE = Spelling(
    {"source": only("git", "files")},
    {
        **dict.fromkeys(("commit", "branch", "tag", "remote"), TEXT.or_null),
        "dirty": FLAG.or_null,
        "patch": DIGEST,
        "files": list_of(
            Check(
                {
                    dict: Spelling(
                        {"path": TEXT, "size": COUNT, "mtime_ns": INTEGER},
                        {"object": DIGEST, "left_out": TEXT.or_null},
                    ).holds
                }
            )
        ),
    },
)
_ENVIRONMENT = Spelling(
    {"python": TEXT, "platform": TEXT},
    {
        "executable": TEXT.or_null,
        "argv": list_of(TEXT),
        "cwd": TEXT.or_null,
        "packages": DIGEST,
        "lock_files": mapping_to(Check({str: _DIGEST})),
        "variables": mapping_to(TEXT),
        "hardware": OBJECT,
    },
)
_SNAPSHOT = Spelling(
    {},
    {
        "code": Check({dict: _CODE.holds, _NULL: None}),
        "environment": Check({dict: _ENVIRONMENT.holds, _NULL: None}),
        "problems": list_of(TEXT),
    },
)
SNAPSHOT = Check({dict: _SNAPSHOT.holds})
PRODUCER = Check({dict: _is_free_producer, _NULL: None})
WORKFLOW = Check({dict: _SOURCE.holds, _NULL: None})
PROBLEM = Check({dict: _PROBLEM.holds, _NULL: None})


def _scope(kind: str, **known: Check) -> Spelling:
    return Spelling(
        {"format": only(1), "kind": only(kind), "uid": UID, "name": TEXT, "created_at": TIME},
        {
            "description": TEXT,
            "notes": TEXT,
            "tags": TAGS,
            "labels": TAGS,
            "aliases": EMPTY,
            **known,
        },
    )


# Of these a record asks nothing but what is said here; any other kind may have rules of its own.
_PLAIN_KINDS = ("artifact", "log", "checkpoint", "error_trace", "execution_state", "output")

_ASSET: dict[str, Check] = {"asset_id": UID, "kind": TEXT, "name": TEXT, "created_at": TIME}
_OF_ASSETS: dict[str, Check] = {
    "version": ORDINAL,
    "path": TEXT.or_null,
    "size": COUNT.or_null,
    "mime": TEXT.or_null,
    "content_hash": DIGEST,
    "producer": PRODUCER,
    "tags": TAGS,
    "meta": OBJECT,
}

SPELLINGS: Final[dict[str, Spelling]] = {
    "workspace": _scope("workspace", access=only("private", "group")),
    "project": _scope("project"),
    "experiment": _scope(
        "experiment", params=OBJECT, workflow=WORKFLOW, n_replicas=ORDINAL, seeds=list_of(INTEGER)
    ),
    "run": _scope("run", parameters=OBJECT, workflow=WORKFLOW, replica=COUNT.or_null, deleted=TAGS),
    "edit": Spelling(
        {"at": TIME, "writer": TEXT, "by": TEXT, "patch": OBJECT}, {"reason": TEXT.or_null}
    ),
    "data": Spelling(
        {**_ASSET, "format": only(1), "kind": only("data")},
        {**_OF_ASSETS, "origin": TEXT.or_null, "refers_to": UID.or_null},
    ),
    "asset": Spelling(
        {**_ASSET, "kind": only(*_PLAIN_KINDS)},
        {
            **_OF_ASSETS,
            "value": ANY,
            "parent": UID.or_null,
            "step": COUNT.or_null,
            "type": TEXT,
            "message": TEXT,
        },
    ),
    "start": Spelling(
        {
            "format": only(1),
            "uid": UID,
            "run": UID,
            "owner": OWNER,
            "writer": TEXT,
            "at": TIME,
        },
        {
            "purpose": only("run", "hold"),
            "links": FLAG,
            "durability": only("power", "process"),
            "profile": TEXT.or_null,
            "config": OBJECT,
            "config_hash": DIGEST,
            "snapshot": SNAPSHOT,
            "resumed_from": UID.or_null,
            "resumed_step": COUNT.or_null,
        },
    ),
    **dict.fromkeys(
        ("paused", "resumed"),
        Spelling({"at": TIME}, {"by": TEXT.or_null, "reason": TEXT.or_null}),
    ),
    "input": Spelling(
        {"at": TIME},
        {
            "asset": UID.or_null,
            "name": TEXT.or_null,
            "value": ANY,
            "path": TEXT.or_null,
            "content_hash": DIGEST,
            "task": TEXT.or_null,
        },
    ),
    "end": Spelling(
        {
            "format": only(1),
            "uid": UID,
            "status": only("succeeded", "failed", "cancelled", "suspended"),
            "ended_at": TIME,
        },
        {
            "ended_by": Check({dict: _is_owner, _NULL: None}),
            "error": PROBLEM,
            "reason": TEXT.or_null,
            "last_step": COUNT.or_null,
            "metrics": Check({dict: _are_metrics}),
            "messages": Check({list: _are_messages}),
            "manifest": Check({list: _is_manifest}),
        },
    ),
}
"""How each kind of document is spelt."""


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


_decoder: Any = json.JSONDecoder(parse_constant=_refuse)
_scan: Callable[[str, int], tuple[Any, int]] = _decoder.scan_once


def is_plain_text(raw: bytes) -> bool:
    """Whether JSON says in it what it seems to say: half a character can only be escaped."""
    return b"\\u" not in raw and len(raw) <= _MOST


_MOST = 1 << 24


def parse(text: str) -> Any:
    """JSON that begins at once and ends with the text, or with white space; raises ValueError."""
    try:
        found, end = _scan(text, 0)
    except (StopIteration, RecursionError) as error:
        raise ValueError("not plainly JSON") from error
    if end != len(text) and text[end:].strip(" \n\r\t"):
        raise ValueError("more than one value")
    return found


def document(source: str, raw: bytes, where: str) -> Json:
    """The document of a kind; raises FormatError if the records do not take it."""
    try:
        found: Json = parse(raw.decode()) if is_plain_text(raw) else {}
    except ValueError:
        found = {}
    if SPELLINGS[source].holds(found):
        return found
    return checked(source, raw, where)


def checked(source: str, raw: bytes, where: str) -> Json:
    """The same by the record of that kind, which is asked about whatever is odd."""
    return json.loads(judge.judged(source, raw, where))  # type: ignore[no-any-return]
