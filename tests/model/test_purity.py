"""The model is values: no module of it knows a file, a clock, the environment or luck."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import molexp.model

MODULES = sorted(Path(molexp.model.__file__).parent.glob("*.py"))
# What a floor without opinions may use of the standard library; the rest needs a reason here.
PURE = {"__future__", "collections", "copy", "datetime", "difflib", "enum", "functools", "hashlib"}
PURE |= {"itertools", "json", "math", "re", "typing", "unicodedata", "pydantic", "pydantic_core"}
CLOCKS = {"now", "utcnow", "today", "default_rng", "getenv", "environ"}
DOORS = {"open", "input", "print", "exec", "eval", "__import__", "breakpoint"}


def impurities(source: str) -> list[str]:
    """What in ``source`` reaches beyond values."""
    found = []
    tree = ast.parse(source)
    tree.body = [node for node in tree.body if not _is_for_type_checkers(node)]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [name.name for name in node.names if name.name.split(".")[0] not in PURE]
        elif isinstance(node, ast.ImportFrom):
            module = node.module or "."
            ours = module == "molexp.errors" or module.startswith("molexp.model.")
            if node.level or not (ours or module.split(".")[0] in PURE):
                found.append(module)
        elif isinstance(node, ast.Attribute) and node.attr in CLOCKS:
            found.append(node.attr)
        elif isinstance(node, ast.Name) and node.id in DOORS:
            found.append(node.id)
    return found


def _is_for_type_checkers(node: ast.stmt) -> bool:
    """Whether nothing in it is ever loaded."""
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_a_module_of_the_model_is_pure(path: Path) -> None:
    assert impurities(path.read_text(encoding="utf-8")) == []


def test_the_modules_are_found() -> None:
    assert {"names", "ids", "codec", "record", "scope"} <= {path.stem for path in MODULES}


@pytest.mark.parametrize(
    "source",
    ["import os", "import os.path", "from time import time", "from pathlib import Path",
     "import io, json", "import random", "import socket", "from . import names",
     "from molexp.disk import door", "from datetime import datetime\ndatetime.now()",
     "if FLAG:\n    import os", "def f():\n    import secrets", "datetime.date.today()",
     "open('x')", "x = __import__('os')"],
)  # fmt: skip
def test_what_is_impure_is_found(source: str) -> None:
    assert impurities(source) != []
