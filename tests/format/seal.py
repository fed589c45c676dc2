"""The seal of a scope, computed as docs/format says it and as a stranger would: from the files."""

from __future__ import annotations

import json
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
    records = [scope / "meta.json", *scope.glob("data/*/v*/asset.json"), *_ends(scope)]
    for path in records:
        yield path.relative_to(scope).as_posix(), of_bytes(path.read_bytes())
    for between in _BELOW:
        for path in scope.glob(f"{between}/*/meta.json"):
            yield f"{path.parent.relative_to(scope).as_posix()}/", seal(path.parent)


def _ends(run: Path) -> Iterator[Path]:
    """The ends of a run's executions; a hold is none, and each lies where its start says."""
    for ledger in run.glob("[0-9]*/ledger.jsonl"):
        with open(ledger, "rb") as lines:
            start = json.loads(next(lines))["start"]
        end = ledger.parent / ("end.json" if start.get("links", True) else "end/end.json")
        if start.get("purpose", "run") == "run" and end.exists():
            yield end


def by_hand(text: str) -> str:
    """What ``sha256sum`` says of a text, in this format's spelling."""
    return f"sha256:{sha256(text.encode()).hexdigest()}"
