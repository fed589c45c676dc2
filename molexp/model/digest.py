"""Digests of bytes, of trees of files, and of scopes: one text form, one way to add them up.

A digest is written ``sha256:`` and 64 hexadecimal digits. Many of them are added up by hashing
their sorted ``sha256sum`` text, so that standard tools give the same answer.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

ALGORITHM = "sha256"

_DIGEST = re.compile(r"sha256:([0-9a-f]{64})", re.ASCII)


def new_hash() -> hashlib._Hash:
    """An empty hash to feed bytes to."""
    return hashlib.sha256(usedforsecurity=False)


def spell(raw_hash: hashlib._Hash) -> str:
    """The digest of what ``raw_hash`` was fed."""
    return f"{ALGORITHM}:{raw_hash.hexdigest()}"


def of_bytes(data: bytes) -> str:
    """The digest of ``data``.

    >>> of_bytes(b"")[:23]
    'sha256:e3b0c44298fc1c14'
    """
    return spell(hashlib.sha256(data, usedforsecurity=False))


def hex_of(digest: str) -> str:
    """The hexadecimal part; raises ValueError if ``digest`` is not one."""
    match = _DIGEST.fullmatch(digest)
    if match is None:
        raise ValueError(f"not a digest: {digest!r}")
    return match[1]


def sum_text(digests: Mapping[str, str]) -> str:
    """What ``sha256sum`` prints for these paths, sorted by the bytes of the path.

    >>> sum_text({"b": of_bytes(b""), "a": of_bytes(b"")}).count("e3b0c442")
    2
    """
    return "".join(
        _sum_line(path, hex_of(digests[path]))
        for path in sorted(digests, key=lambda path: path.encode("utf-8", "surrogateescape"))
    )


def _sum_line(path: str, hexadecimal: str) -> str:
    escaped = path.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
    mark = "\\" if escaped != path else ""  # GNU's sign that a path is escaped
    return f"{mark}{hexadecimal}  {escaped}\n"


def total(digests: Mapping[str, str]) -> str:
    """One digest for many: a directory's for its files, a scope's seal for its records.

    A seal adds up the digests of a scope's own closed records and, under their directory's path
    with a trailing ``/``, the seals of the scopes it holds.
    """
    return of_bytes(sum_text(digests).encode("utf-8", "surrogateescape"))
