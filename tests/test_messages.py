"""What messages promise: a command that one of them names is there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from molexp.cli import COMMANDS

PACKAGE = Path(__file__).parents[1] / "molexp"
NAMES = set(COMMANDS)

NAMED = re.compile(r"`molexp\s+([^\s`]+)")
OPTIONS = {"--help", "--version"}
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def _texts(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Every string but the docstrings; what an f-string fills in is shown as ``{}``."""
    passed: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            first = node.body[0]
            passed.update(ast.walk(first))
        if isinstance(node, ast.JoinedStr):
            parts = (part for part in node.values if isinstance(part, ast.Constant))
            passed.update(parts)
            yield (
                node.lineno,
                "".join(
                    str(part.value) if isinstance(part, ast.Constant) else "{}"
                    for part in node.values
                ),
            )
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in passed:
            yield node.lineno, node.value


def _unknown(tree: ast.Module) -> Iterator[str]:
    """Commands that a string names, and that nobody can call."""
    for line, text in _texts(tree):
        for word in NAMED.findall(text):
            if word not in NAMES | OPTIONS:
                yield f"{line}: `molexp {word}`"


def test_a_message_names_only_commands_that_are_there() -> None:
    found = [
        f"{path.relative_to(PACKAGE.parent)}:{offence}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for offence in _unknown(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "source",
    [
        "'call `molexp nosuch` first'",
        "'call ' '`molexp ' 'nosuch`'",
        "f'call `molexp nosuch {path}` first'",
        "f'call `molexp {command}` first'",
        "def f():\n    cure = '`molexp nosuch`'",
    ],
)
def test_a_command_that_is_not_there_is_found(source: str) -> None:
    assert len(list(_unknown(ast.parse(f"'''A module.'''\n{source}")))) == 1


@pytest.mark.parametrize(
    "source",
    [
        "f'call `molexp demo {path}`, or `molexp --version`'",
        "'install it: `pip install molexp[ray]`'",
        "def f():\n    '''It does what `molexp nosuch` will.'''",
        "'molexp wrote a file there'",
    ],
)
def test_a_command_that_is_there_is_fine(source: str) -> None:
    assert not list(_unknown(ast.parse(f"'''A module.'''\n{source}")))
