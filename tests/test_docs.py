"""The documents tell the truth: their code runs, and their links lead somewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted(
    [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "changelog.d").glob("*.md"),
        *(ROOT / "tests").rglob("*.md"),
    ]
)
EXECUTED = [ROOT / "README.md", *(path for path in DOCUMENTS if "docs" in path.parts)]

FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _programs(text: str) -> list[str]:
    return [code for language, code in FENCE.findall(text) if language in ("python", "py")]


def _run(code: str, directory: Path) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": path, "HOME": str(directory)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    "path",
    [path for path in EXECUTED if _programs(path.read_text(encoding="utf-8"))],
    ids=_name,
)
def test_every_python_block_runs(path: Path, tmp_path: Path) -> None:
    """The blocks of one document are one program: a later one may use what an earlier one made."""
    done = _run("\n".join(_programs(path.read_text(encoding="utf-8"))), tmp_path)
    assert done.returncode == 0, done.stderr


def test_a_block_that_fails_is_found(tmp_path: Path) -> None:
    (code,) = _programs("text\n\n```python\nimport molexp\nmolexp.nothing\n```\n")
    assert _run(code, tmp_path).returncode != 0


def test_the_readme_shows_twelve_lines_of_code() -> None:
    (code,) = _programs((ROOT / "README.md").read_text(encoding="utf-8"))
    lines = [line for line in code.splitlines() if line.strip()]
    assert len(lines) == 12


def _broken_links(path: Path, text: str) -> Iterator[str]:
    for target in LINK.findall(FENCE.sub("", text)):
        if "://" in target or target.startswith(("#", "mailto:")):
            continue
        if not (path.parent / target.split("#")[0]).exists():
            yield f"{_name(path)}: {target}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=_name)
def test_every_link_leads_somewhere(path: Path) -> None:
    assert list(_broken_links(path, path.read_text(encoding="utf-8"))) == []


def test_a_link_that_leads_nowhere_is_found() -> None:
    found = list(_broken_links(ROOT / "README.md", "see [this](docs/nowhere.md) and [that](#here)"))
    assert found == ["README.md: docs/nowhere.md"]
