"""Real documents of every kind, and what may have become of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from molexp.disk import layout
from molexp.model.codec import split_line

TEMPLATE = Path(__file__).parents[2] / "workspace_template"
_BY_DEPTH = {0: "workspace", 2: "project", 4: "experiment", 6: "run"}


def documents() -> dict[str, list[Any]]:
    """What the template workspace holds, by kind, the larger first."""
    found: dict[str, list[Any]] = {}
    for path in sorted(TEMPLATE.rglob("*.json*")):
        within = path.relative_to(TEMPLATE)
        if within.parts[0] not in ("projects", "data") and len(within.parts) > 1:
            continue
        if path.name == layout.META:
            found.setdefault(_BY_DEPTH[len(within.parts) - 1], []).append(
                _parsed(path.read_bytes())
            )
        elif path.name == layout.ASSET:
            found.setdefault("data", []).append(_parsed(path.read_bytes()))
        elif path.name == "end.json":
            found.setdefault("end", []).append(_parsed(path.read_bytes()))
        elif path.name.startswith(("ledger", layout.EDITS_PREFIX)):
            for line in path.read_bytes().splitlines():
                if line:
                    kind, inner = split_line(line)
                    found.setdefault(kind, []).append(_parsed(inner))
    return {kind: sorted(some, key=lambda each: -len(str(each))) for kind, some in found.items()}


def _parsed(raw: bytes) -> Any:
    return json.loads(raw)


DOCUMENTS = documents()
KINDS = tuple(sorted(DOCUMENTS))

deep: Any = 1
for _ in range(120):
    deep = [deep]

# What tells a careful reader from a careless one, in the place of any value.
STRANGE: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 1.0, 0.5, -0.0, 2**63 - 1, 2**63, -(2**63) - 1, 10**400, 1e300),
    *("", "x", "NaN", "-Infinity", "\\NaN", "ü", "\n", "true", "1", "workspace", "run", "data"),
    *([], {}, [1], ["x"], [None], {"x": 1}, {"x": None}, {"x": "y"}, {"": ""}, [[]], deep),
    *("01J0000000000000000000000A", "81J0000000000000000000000A", "01j0000000000000000000000a"),
    *(
        "sha256:" + "0" * 64,
        "sha256:" + "0" * 63,
        "SHA256:" + "0" * 64,
        "sha256:" + "0" * 64 + "\n",
    ),
    *("2026-03-02T09:00:00Z", "2026-03-02T09:00:00.123456Z", "2026-03-02t09:00:00z"),
    *("2026-03-02 09:00:00Z", "2026-03-02T09:00:00+00:00", "2026-03-02T09:00:00.5Z", "2026-03-02"),
    *("2026-W10-1T09:00:00Z", "2026-03-02T09:00:00,123456Z", "2026-02-30T09:00:00Z"),
    *(
        "2026-03-02T24:00:00Z",
        "2026-03-02T09:00:60Z",
        "0000-03-02T09:00:00Z",
        "0001-01-01T00:00:00Z",
    ),
    *("9999-12-31T23:59:59-01:00", "2026-03-02T090000.00Z", "２026-03-02T09:00:00Z"),
    *("2026-03-02T09:00:00.12345Z+", "2026-03-02T09:00:00.1234567Z", "20260302T09:00:00.0000Z"),
    *({"code": "x"}, {"code": {"source": "git"}}, {"code": {"source": "git", "commit": 5}}),
    *({"code": {"source": "hg"}}, {"environment": {}}, {"problems": [1]}, {"object": "x"}),
    *({"run": "x"}, {"consumed": ["x"]}, {"execution": 0}, {"task": 5}, {"deep": deep}),
)

WORDS = (
    *(
        "format",
        "kind",
        "uid",
        "name",
        "value",
        "tags",
        "extra",
        "object",
        "count",
        "commit",
        "type",
    ),
    *("time_namespace", "messages", "metrics", "manifest", "parent", "step", "seeds", "n_replicas"),
    *("deleted", "aliases", "refers_to", "ended_by", "producer", "workflow", "replica", "path"),
)


def places(document: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to each value in a document."""
    found = [at]
    if isinstance(document, dict):
        for key, value in document.items():
            found += places(value, (*at, key))
    elif isinstance(document, list):
        for number, value in enumerate(document[:4]):
            found += places(value, (*at, number))
    return found


def changed(document: Any, at: tuple[Any, ...], act: Callable[[Any], Any]) -> Any:
    """The document with another value at one place; _GONE takes it away."""
    if not at:
        return act(document)
    copy = dict(document) if isinstance(document, dict) else list(document)
    value = changed(copy[at[0]], at[1:], act)
    if value is GONE:
        del copy[at[0]]
    else:
        copy[at[0]] = value
    return copy


GONE = object()

# What may become of a value, given a name and another value.
DEEDS: tuple[Callable[[str, Any], Callable[[Any], Any]], ...] = (
    lambda key, value: lambda old: GONE,
    lambda key, value: lambda old: {**old, key: value} if isinstance(old, dict) else value,
    lambda key, value: lambda old: old * 3 if isinstance(old, list) else old,
    lambda key, value: lambda old: value,
)


@st.composite
def mutated(draw: st.DrawFn, kind: str) -> Any:
    """A document of a kind in which a few things are not as they were."""
    found = draw(st.sampled_from(DOCUMENTS[kind]))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.sampled_from(places(found)))
        deed = draw(st.integers(0, 3))
        key, value = draw(st.sampled_from(WORDS)), draw(st.sampled_from(STRANGE))
        found = changed(found, at, DEEDS[deed if at else 1](key, value))
    return found


@st.composite
def spelt(draw: st.DrawFn, document: Any) -> bytes:
    """A document as bytes, which may be spelt in a way that is not JSON, or just unusual."""
    indent = draw(st.sampled_from([None, None, None, 1]))
    ascii_only = draw(st.booleans())
    text = json.dumps(document, indent=indent, ensure_ascii=ascii_only)
    raw = text.encode("utf-8", "surrogatepass")
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
        at = draw(st.integers(0, len(raw)))
        piece, replaced = draw(st.sampled_from(PIECES)), draw(st.integers(0, 2))
        raw = raw[:at] + piece + raw[at + replaced :]
    if draw(st.integers(0, 9)) == 0:
        old, new = draw(st.sampled_from(SWAPS))
        raw = raw.replace(old, new, draw(st.sampled_from([1, -1])))
    return raw


PIECES = (
    *(b" ", b"\n", b"\t", b"\x0c", b"\xa0", b"\xff", b"\x00", b"\x7f", b'"', b"\\", b"\\u0041"),
    *(b"\\ud800", b"\\u0000", b"\\/", b"NaN", b"1e999", b"-1e999", b"0", b"1", b"-", b".", b"e5"),
    *(b"null", b"[", b"]", b"{", b"}", b",", b":", b'"x":1,', b'"uid":"x",', b'"format":2,', b"//"),
    *(b"\xef\xbb\xbf", b"9" * 320, b"9" * 5000, b'"tags":{"a":1e999},', b'"name":null,'),
)
SWAPS = (
    *((b"1", b"1e999"), (b"0", b"NaN"), (b'":', b'" :'), (b"true", b"True"), (b"a", b"\\u0061")),
    *(
        (b"1", b"1.0"),
        (b"0.", b"."),
        (b"}", b",}"),
        (b'"', b"'"),
        (b"Z", b"+00:00"),
        (b"2026", b"26"),
    ),
)
