"""A copy of the template to spoil, and the record that a test showed something being refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from molexp.disk.tree import open_tree
from molexp.integrity.conformance import check_workspace
from molexp.integrity.findings import Violation

ROOT = Path(__file__).parents[2]
TEMPLATE = ROOT / "workspace_template"
DOCS = ROOT / "docs" / "format"

PROJECT = "projects/qm9"
EXPERIMENT = f"{PROJECT}/experiments/baseline"
BEST = f"{EXPERIMENT}/runs/20260302-091300-tprqigxj"
DIVERGED = f"{EXPERIMENT}/runs/20260302-095906-qrq2g7qy"
FAILED = f"{BEST}/0001"
SUCCEEDED = f"{BEST}/0002"
CANCELLED = f"{DIVERGED}/0001"
DATA = "data/qm9-sample/v1"
PUBLISHED = f"{PROJECT}/data/gap-model/v1"
EDITS = "edits-lab-ws1-ada.jsonl"


class Lab:
    """A workspace that can be changed in ways that no writer would."""

    def __init__(self, root: Path) -> None:
        self.root = root
        shutil.copytree(TEMPLATE, root)

    def at(self, path: str) -> Path:
        """Where a path beneath the root leads; never out of it."""
        return self.root / path.lstrip("/")

    def read(self, path: str) -> Any:
        """The JSON in a file."""
        return json.loads(self.at(path).read_bytes())

    def write(self, path: str, data: bytes | str | dict[str, Any]) -> None:
        """Put bytes, text or JSON into a file, whatever was there."""
        place = self.at(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(data, dict):
            data = json.dumps(data)
        place.write_bytes(data.encode() if isinstance(data, str) else data)

    def change(self, path: str, /, **members: Any) -> None:
        """Set some members of the record in a file; those that are ``...`` are taken out."""
        record = self.read(path) | members
        self.write(path, {name: value for name, value in record.items() if value is not ...})

    def append(self, path: str, data: bytes | str) -> None:
        """Append to a file, as it stands."""
        data = data.encode() if isinstance(data, str) else data
        with open(self.at(path), "ab") as file:
            file.write(data)

    def change_line(self, path: str, number: int, change: Callable[[dict[str, Any]], None]) -> None:
        """Change the record in one line of a file."""
        lines = self.at(path).read_text().splitlines()
        line = json.loads(lines[number])
        change(next(iter(line.values())))
        lines[number] = json.dumps(line)
        self.write(path, "\n".join(lines) + "\n")

    def remove(self, path: str) -> None:
        """Delete a file or a directory."""
        place = self.at(path)
        if place.is_dir():
            shutil.rmtree(place)
        else:
            place.unlink()

    def check(self) -> list[Violation]:
        """What the checker says of it."""
        with open_tree(self.root) as tree:
            return check_workspace(tree)


class Refusals:
    """What a test of a rule saw being refused; without any, it is no test of the rule."""

    def __init__(self, rule: str) -> None:
        self.rule = rule
        self.seen = 0

    @contextmanager
    def by(
        self, kind: type[Exception], match: str | None = None
    ) -> Iterator[pytest.ExceptionInfo[Any]]:
        """The block tries what breaks the rule, and is answered by this error."""
        with pytest.raises(kind, match=match) as info:
            yield info
        self.seen += 1

    def in_lab(self, lab: Lab, path: str | None = None) -> Violation:
        """The checker reports that the lab breaks this very rule, there if ``path`` is given."""
        found = [violation for violation in lab.check() if violation.rule == self.rule]
        assert found, f"{self.rule} is not reported: {lab.check()}"
        if path is not None:
            assert path in [violation.path for violation in found]
        self.seen += 1
        return found[0]

    def unequal(self, right: object, wrong: object) -> None:
        """What breaks the rule comes out as something else than what keeps it."""
        assert right != wrong
        self.seen += 1
