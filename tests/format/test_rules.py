"""Every rule of docs/format has a test, every marked test has a rule, and each shows a refusal."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from molexp.integrity import conformance
from tests.format.lab import DOCS, ROOT

HERE = Path(__file__).parent
RULE = re.compile(r"^\*\*([A-Z]+-[1-9][0-9]*)\.\*\* (.+?)(?=\n\n|\Z)", re.MULTILINE | re.DOTALL)
WORDS = re.compile(r"\b(MUST|SHOULD|MAY|is|are|has|have|lies|holds|begins|replaces|passes)\b")


def rules() -> dict[str, str]:
    """The text of each rule by its id."""
    found = [
        match for path in sorted(DOCS.glob("*.md")) for match in RULE.findall(path.read_text())
    ]
    assert [name for name, count in Counter(name for name, _ in found).items() if count > 1] == []
    return dict(found)


def marked_tests() -> Iterator[tuple[str, list[str], list[str]]]:
    """Each test of this directory that is marked: its name, its rules and its arguments."""
    for path in sorted(HERE.glob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                marks = [ast.unparse(decorator) for decorator in node.decorator_list]
                named = [re.fullmatch(r"pytest\.mark\.rule\('(.*)'\)", mark) for mark in marks]
                if any("mark.rule" in mark for mark in marks):
                    arguments = [argument.arg for argument in node.args.args]
                    found = [match[1] for match in named if match]
                    yield f"{path.name}::{node.name}", found, arguments


def test_every_rule_has_a_test_and_every_mark_a_rule() -> None:
    marked = {rule for _, names, _ in marked_tests() for rule in names}
    assert (rules().keys() - marked, marked - rules().keys()) == (set(), set())


def test_a_marked_test_has_one_rule_and_shows_something_being_refused() -> None:
    wrong = [
        name
        for name, names, arguments in marked_tests()
        if len(names) != 1 or "refused" not in arguments
    ]
    assert wrong == []


def test_the_rules_of_a_family_are_numbered_without_gaps() -> None:
    families: dict[str, list[int]] = {}
    for rule in rules():
        family, _, number = rule.rpartition("-")
        families.setdefault(family, []).append(int(number))
    gaps = {
        name: numbers
        for name, numbers in families.items()
        if numbers != [*range(1, len(numbers) + 1)]
    }
    assert gaps == {}


def test_every_rule_says_something_that_can_be_kept() -> None:
    assert [rule for rule, text in rules().items() if not WORDS.search(text)] == []
    assert len(rules()) > 45


def test_what_the_checker_reports_are_rules() -> None:
    known = rules()
    reported = set[str]()
    for path in Path(conformance.__file__).parent.glob("*.py"):
        reported |= set(re.findall(r'"([A-Z]+-[0-9]+)"', path.read_text()))
    assert reported - known.keys() == set()
    assert len(reported) > 40


def test_rules_that_other_rules_name_exist() -> None:
    known = rules()
    families = {rule.rpartition("-")[0] for rule in known}
    for path in DOCS.glob("*.md"):
        for family, number in re.findall(r"\b([A-Z]+)-([0-9]+)\b", path.read_text()):
            assert family not in families or f"{family}-{number}" in known, path.name


TWIN = """
import pytest
pytest_plugins = ["tests.format.conftest"]

@pytest.mark.rule("LAYOUT-1")
def test_that_shows_no_refusal(): pass

@pytest.mark.rule("LAYOUT-1")
def test_that_shows_one(refused):
    with refused.by(ValueError):
        raise ValueError
"""


def test_a_marked_test_that_shows_no_refusal_fails(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    (tmp_path / "test_twin.py").write_text(TWIN)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n    rule(number): a rule\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert "2 passed, 1 error" in done.stdout
    assert "nothing that breaks LAYOUT-1 was refused" in done.stdout
