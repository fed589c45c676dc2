"""The seal of a scope, computed as docs/format says it and as a stranger would: from the files."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from molexp.model.digest import of_bytes, sum_text, total

_BELOW = ("projects", "experiments", "runs")


def seal(scope: Path) -> str:
    """The seal of the scope in a directory."""
    return total(dict(_parts(scope)))


def seal_text(scope: Path) -> str:
    """The text whose hash is the seal."""
    return sum_text(dict(_parts(scope)))


def _parts(scope: Path) -> Iterator[tuple[str, str]]:
    for pattern in ("meta.json", "data/*/v*/asset.json", "[0-9]*/end.json"):
        for path in scope.glob(pattern):
            yield path.relative_to(scope).as_posix(), of_bytes(path.read_bytes())
    for between in _BELOW:
        for path in scope.glob(f"{between}/*/meta.json"):
            yield f"{path.parent.relative_to(scope).as_posix()}/", seal(path.parent)


def by_hand(text: str) -> str:
    """What ``sha256sum`` says of a text, in this format's spelling."""
    return f"sha256:{sha256(text.encode()).hexdigest()}"
