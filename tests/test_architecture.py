"""The rules of the house that a machine can hold; each has a twin that breaks it."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from tests.late import LATE_IMPORTS

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "molexp"

# Modules without a test file of their own, and why.
UNMIRRORED: dict[str, str] = {}

MAX_MODULE = 500
MAX_FUNCTION = 60
MAX_PACKAGE = 12
MAX_METHODS = 15

VAGUE = {"utils", "util", "common", "helpers", "helper", "base", "types", "manager", "misc"}

# A path that begins at one machine's root; `0001/work/` in a workspace is none.
MACHINE = re.compile(r"(?<![\w.}/*>-])/(?:work|root|home|Users)/")
INDEX = re.compile(r"(?:pypi|pythonhosted)\.org|--index-url|--find-links|trusted-host")


def _python_files(*tops: str) -> list[Path]:
    return sorted(
        path
        for top in tops
        for path in (ROOT / top).rglob("*.py")
        if "__pycache__" not in path.parts and "workspace_template" not in path.parts
    )


# A private name in a string, as a patch would take it.
QUOTED = re.compile(r"molexp(\.\w+)*\._[a-zA-Z]\w*")


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _trees(*tops: str) -> Iterator[tuple[str, ast.Module]]:
    for path in _python_files(*tops):
        yield _name(path), ast.parse(path.read_text(encoding="utf-8"))


def _lint_imports(directory: Path) -> subprocess.CompletedProcess[str]:
    code = (
        "from importlinter.cli import lint_imports; raise SystemExit(lint_imports(no_cache=True))"
    )
    return subprocess.run(
        [sys.executable, "-c", code], cwd=directory, capture_output=True, text=True, check=False
    )


def test_imports_go_down_only() -> None:
    done = _lint_imports(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("model/ids.py", "from molexp.disk import door"),
        ("model/ids.py", "import os"),
        ("errors.py", "import molexp.model.names"),
        ("recording/__init__.py", "import molexp.catalog"),
        ("integrity/__init__.py", "import molexp.capture"),
        ("new_room/__init__.py", "import molexp.errors"),
    ],
)
def test_an_import_that_goes_up_is_found(tmp_path: Path, file: str, line: str) -> None:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    copy = tmp_path / "molexp"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    for room in ("catalog", "recording", "integrity", "capture"):
        (copy / room).mkdir(exist_ok=True)
        (copy / room / "__init__.py").touch()
    assert _lint_imports(tmp_path).returncode == 0
    target = copy / file
    target.parent.mkdir(exist_ok=True)
    old = target.read_text(encoding="utf-8") if target.exists() else ""
    target.write_text(f"{old}\n{line}\n", encoding="utf-8")
    done = _lint_imports(tmp_path)
    assert done.returncode == 1, done.stdout


def _late_imports(tree: ast.Module) -> set[str]:
    """What is imported elsewhere than at the top; what only type checkers see is never loaded."""
    top = {id(node) for node in tree.body}
    for branch in tree.body:
        if isinstance(branch, ast.If) and ast.unparse(branch.test) == "TYPE_CHECKING":
            top |= {id(inner) for inner in branch.body}
    found: set[str] = set()
    for node in ast.walk(tree):
        if id(node) in top:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or ".")
        elif isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else node.func
            word = called.id if isinstance(called, ast.Name) else called
            if word in ("import_module", "__import__"):
                found.add(f"{word}()")
            elif word == "late":
                found.add(ast.literal_eval(node.args[0]))
    return found


def _unseen(tree: ast.Module) -> set[str]:
    """What is late and not imported under the same name where type checkers and linters look."""
    late, seen = set(), set()
    for branch in tree.body:
        if isinstance(branch, ast.If) and ast.unparse(branch.test) == "TYPE_CHECKING":
            for node in branch.body:
                if isinstance(node, ast.ImportFrom):
                    for alias in node.names:
                        name = alias.asname or alias.name
                        seen.add(f"{name} = late('{node.module}.{alias.name}')")
                elif isinstance(node, ast.Import):
                    seen |= {f"{each.name} = late('{each.name}')" for each in node.names}
            late |= {ast.unparse(node) for node in branch.orelse}
    return late - seen


def test_late_imports_are_the_listed_ones() -> None:
    found = {(name, late) for name, tree in _trees("molexp") for late in _late_imports(tree)}
    assert found == set(LATE_IMPORTS)


def test_a_late_import_is_found() -> None:
    source = (
        "import a\nif TYPE_CHECKING:\n    import t\n"
        "if a:\n    import b\ndef f():\n    from c.d import e\n"
        "    __import__('g')\n    importlib.import_module('h')\n    late('i.j')\n"
    )
    found = {"b", "c.d", "__import__()", "import_module()", "i.j"}
    assert _late_imports(ast.parse(source)) == found


def test_the_linter_of_floors_sees_what_is_late() -> None:
    found = [f"{name}: {each}" for name, tree in _trees("molexp") for each in _unseen(tree)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "source",
    [
        "if TYPE_CHECKING:\n    import b\nelse:\n    b = late('a.b')\n",
        "if TYPE_CHECKING:\n    from a import b\nelse:\n    b = late('a.c')\n",
        "if TYPE_CHECKING:\n    from a import b\nelse:\n    c = late('a.b')\n",
        "if TYPE_CHECKING:\n    from a import b\nelse:\n    b = late('a.b')\n    import c\n",
    ],
)
def test_what_the_linter_of_floors_would_not_see_is_found(source: str) -> None:
    assert len(_unseen(ast.parse(source))) == 1
    seen = "if TYPE_CHECKING:\n    from a import b as c\nelse:\n    c = late('a.b')\n"
    assert not _unseen(ast.parse(seen))


def _oversized(name: str, tree: ast.Module, lines: int) -> Iterator[str]:
    if lines > MAX_MODULE:
        yield f"{name}: {lines} lines"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > MAX_FUNCTION:
                yield f"{name}: {node.name} has {length} lines"
        elif isinstance(node, ast.ClassDef):
            methods = [
                item.name
                for item in node.body
                if isinstance(item, ast.FunctionDef) and not item.name.startswith("_")
            ]
            if len(set(methods)) > MAX_METHODS:
                yield f"{name}: {node.name} has {len(set(methods))} public methods"


def test_modules_functions_and_classes_are_small() -> None:
    found = [
        offence
        for name, tree in _trees("molexp")
        for offence in _oversized(name, tree, len((ROOT / name).read_text().splitlines()))
    ]
    assert not found, "\n".join(found)


def test_what_is_too_large_is_found() -> None:
    function = "def f():\n" + "    pass\n" * MAX_FUNCTION
    methods = "".join(f"    def m{n}(self): ...\n" for n in range(MAX_METHODS + 1))
    tree = ast.parse(f"{function}class C:\n{methods}")
    assert len(list(_oversized("x", tree, MAX_MODULE + 1))) == 3
    assert not list(_oversized("x", ast.parse("def f(): ..."), MAX_MODULE))


def test_packages_are_small() -> None:
    sizes = Counter(
        path.parent for path in _python_files("molexp") if not path.name.startswith("__")
    )
    found = [f"{_name(package)}: {size}" for package, size in sizes.items() if size > MAX_PACKAGE]
    assert not found, "\n".join(found)


def test_names_of_modules_say_something_and_are_not_private() -> None:
    found = [
        _name(path)
        for path in _python_files("molexp")
        if path.stem in VAGUE
        or path.parent.name in VAGUE
        or (path.stem.startswith("_") and path.stem not in ("__init__", "__main__"))
    ]
    assert not found, "\n".join(found)


def _is_private(word: str) -> bool:
    return word.startswith("_") and not (word.startswith("__") and word.endswith("__"))


def _is_ours(module: str | None) -> bool:
    return bool(module) and str(module).split(".")[0] in ("molexp", "tests")


def _our_imports(tree: ast.Module) -> Iterator[tuple[str, str, int]]:
    """What a file imports from our other files: the name there, the name here, the line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.level or _is_ours(node.module)):
            for alias in node.names:
                yield alias.name, alias.asname or alias.name, node.lineno
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if _is_ours(alias.name):
                    yield alias.name, alias.asname or alias.name.split(".")[0], node.lineno


def _crossings(tree: ast.Module) -> Iterator[str]:
    """Private names of our other files that a file uses: imported, as attribute, or in a string."""
    imports = list(_our_imports(tree))
    ours = {here for _, here, _ in imports}
    yield from (f"line {line}: {name}" for name, _, line in imports if _is_private(name))
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and _is_private(node.attr):
            whole = ast.unparse(node)
            if whole.split(".")[0] in ours:
                yield f"line {node.lineno}: {whole}"
        elif isinstance(node, ast.Constant) and QUOTED.fullmatch(str(node.value)):
            yield f"line {node.lineno}: {node.value!r}"


def test_no_private_name_crosses_a_file() -> None:
    found = [f"{name} {x}" for name, tree in _trees("molexp", "tests") for x in _crossings(tree)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "source",
    [
        "from molexp.disk.door import _gate",
        "from molexp.disk import door\ndoor._gate = None",
        "import molexp.disk.door\nprint(molexp.disk.door._gate)",
        "patch('molexp.disk." + "door._gate', None)",
    ],
)
def test_a_private_name_that_crosses_is_found(source: str) -> None:
    assert len(list(_crossings(ast.parse(source)))) == 1


def test_every_module_has_its_test_beside_it() -> None:
    missing = set()
    for path in _python_files("molexp"):
        inner = path.relative_to(PACKAGE)
        if path.stem in ("__init__", "__main__"):
            continue
        if not (ROOT / "tests" / inner.parent / f"test_{inner.name}").exists():
            missing.add(_name(path))
    assert missing == set(UNMIRRORED)


def _committed() -> Iterable[Path]:
    """Every file that is, or would be, committed."""
    git = ["git", "-c", "safe.directory=*"]  # whoever runs the tests need not own the checkout
    listed = subprocess.run(
        [*git, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    paths = (ROOT / name.decode() for name in listed.stdout.split(b"\0") if name)
    return [path for path in paths if path.is_file() and not path.is_symlink()]


def test_no_file_names_a_machine_s_paths_or_a_package_index() -> None:
    found = []
    for path in _committed():
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            continue  # not text
        for number, line in enumerate(lines, 1):
            if path != Path(__file__) and (MACHINE.search(line) or INDEX.search(line)):
                found.append(f"{_name(path)}:{number}: {line.strip()[:80]}")
    assert not found, "\n".join(found)


def test_a_machine_s_path_is_found() -> None:
    assert MACHINE.search("open('/home/someone/lab')")
    assert MACHINE.search("see /work/main")
    assert not MACHINE.search("0001/work/model.pt and {run}/work/x and <run>/work/x")
    assert INDEX.search("https://pypi.org/simple")


TERM = re.compile(r"^(?:[-*] )?\*\*([^*]+)\*\*(?: \([^)]*\))?(?::| —| is | are ) ?(.*)$")


def _terms(text: str) -> tuple[list[str], list[str]]:
    """The terms of a glossary, and the paragraphs or list items that define none."""
    terms, formless = [], []
    for block in re.split(r"\n\s*\n|\n(?=[-*] )", text):
        flat = " ".join(block.split())
        if not flat or flat.startswith(("#", "<!--")):
            continue
        match = TERM.match(flat)
        if match and match[2].rstrip().endswith((".", ")", "`")):
            terms.append(match[1])
        elif terms:  # before the first term stands what the glossary is for
            formless.append(flat[:60])
    return terms, formless


def test_the_glossary_defines_each_term_once() -> None:
    terms, formless = _terms((ROOT / "docs" / "glossary.md").read_text(encoding="utf-8"))
    assert len(terms) >= 20
    assert not formless, "\n".join(formless)
    repeated = [t for t, n in Counter(term.casefold() for term in terms).items() if n > 1]
    assert not repeated


def test_a_formless_glossary_is_found() -> None:
    text = "# Glossary\n\nWhat it is.\n\n- **Run**: one realization.\n- an Asset is a thing\n"
    assert _terms(text) == (["Run"], ["- an Asset is a thing"])
