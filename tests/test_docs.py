"""The documents tell the truth: what they run works and prints what they say, names and links are.

A block of Python or `sh` is run where its document says so (`RUN`), one after the other in one
empty directory; a `text` block right after it is what it prints, "…" standing for anything.
"""

from __future__ import annotations

import inspect
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import molexp
from molexp import errors
from molexp.catalog import register
from molexp.cli import COMMANDS
from molexp.errors import MolexpError
from molexp.recording import session
from molexp.rows.tables import tables
from tests.documented import CLASSES, public_names, signature

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
REFERENCE = DOCS / "reference"
DOCUMENTS = sorted(
    [
        *ROOT.glob("*.md"),
        *DOCS.rglob("*.md"),
        *(ROOT / "changelog.d").glob("*.md"),
        *(ROOT / "tests").rglob("*.md"),
    ]
)
EXECUTED = [ROOT / "README.md", *(path for path in DOCUMENTS if "docs" in path.parts)]

BLOCK = re.compile(r"^```(\w*)[ ]?([^\n]*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
END = "\x1e"  # printed after each block

# Runs the blocks that come as JSON: each as a user would, in one namespace and one directory.
RUNNER = f"""
import json, subprocess, sys
blocks, names = json.load(sys.stdin), dict(__name__="__main__")
for place, language, code in blocks:
    if language == "sh":
        subprocess.run(["sh", "-euc", code], check=True, stdin=subprocess.DEVNULL)
    else:
        exec(compile(code, place, "exec"), names)
    print({END!r}, flush=True)
"""


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@dataclass
class Block:
    """A block of a document that is run, and what the document says that it prints."""

    language: str
    code: str
    says: str | None = None


def _blocks(text: str, languages: tuple[str, ...] = ("python", "sh")) -> list[Block]:
    """The blocks to run; one that names a file is written there by a block that a user runs."""
    found: list[Block] = []
    after = 0
    for match in BLOCK.finditer(text):
        language, file, code = match.groups()
        if language == "text" and found and not text[after : match.start()].strip():
            found[-1].says = code
        elif language in languages:
            if file:
                code = f"import pathlib\npathlib.Path({file!r}).write_text({code!r})\n"
            found.append(Block("python" if file else language, code))
        after = match.end() if language in languages else 0
    return found


def _languages(path: Path) -> tuple[str, ...]:
    """Commands are run where they speak of a workspace, and not of installing molexp."""
    is_run = path.parent in (DOCS / "guide", REFERENCE) or path == DOCS / "tour.md"
    return ("python", "sh") if is_run else ("python",)


def _run(blocks: list[Block], directory: Path, name: str = "text") -> list[str]:
    """What each block prints; fails with the traceback of the first that does not run."""
    bin_dir, home = directory / "bin", directory / "page"
    bin_dir.mkdir()
    home.mkdir()
    for tool, arguments in (("molexp", "-m molexp.cli"), ("python", "")):
        (bin_dir / tool).write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments} "$@"\n')
        (bin_dir / tool).chmod(0o755)
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    env = {
        **{key: value for key, value in os.environ.items() if key != "MOLEXP_EXECUTION"},
        "PYTHONPATH": path,
        "HOME": str(home),
        "PATH": f"{bin_dir}{os.pathsep}{os.environ['PATH']}",
        "COLUMNS": "110",
        "GIT_CEILING_DIRECTORIES": str(directory),
    }
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", RUNNER],
        input=json.dumps(
            [(f"{name}, block {n}", each.language, each.code) for n, each in enumerate(blocks, 1)]
        ),
        cwd=home,
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    return [said.removeprefix("\n") for said in done.stdout.split(END)[:-1]]


def _untrue(blocks: list[Block], printed: list[str]) -> Iterator[str]:
    """What a document says that its blocks print, and they do not."""
    for block, text in zip(blocks, printed, strict=True):
        if block.says is None:
            continue
        lines = "\n".join(line.rstrip() for line in text.strip("\n").splitlines())
        parts = map(re.escape, block.says.strip("\n").split("…"))
        if not re.fullmatch(".*?".join(parts), lines, re.DOTALL):
            yield f"{block.code}\nsays\n{block.says}\nand prints\n{lines}"


@pytest.mark.parametrize(
    "path",
    [path for path in EXECUTED if _blocks(path.read_text(encoding="utf-8"), _languages(path))],
    ids=_name,
)
def test_every_block_runs_and_prints_what_is_said(path: Path, tmp_path: Path) -> None:
    """The blocks of one document are one program: a later one may use what an earlier one made."""
    blocks = _blocks(path.read_text(encoding="utf-8"), _languages(path))
    found = list(_untrue(blocks, _run(blocks, tmp_path, _name(path))))
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "text",
    [
        "text\n\n```python\nimport molexp\nmolexp.nothing\n```\n",
        "```sh\nmolexp nothing\n```\n",
        "```python x.py\n1 / 0\n```\n```sh\npython x.py\n```\n",
    ],
)
def test_a_block_that_fails_is_found(text: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        _run(_blocks(text), tmp_path)


def test_an_output_that_is_not_printed_is_found(tmp_path: Path) -> None:
    text = (
        "```python\nprint(1)\n```\n```text\n2\n```\n"
        "```sh\necho one two three\n```\n\n```text\none … three\n```\n"
        "```python\nprint(4)\n```\nprose\n```text\n5\n```\n"
    )
    blocks = _blocks(text)
    (found,) = _untrue(blocks, _run(blocks, tmp_path))
    assert found == "print(1)\n\nsays\n2\n\nand prints\n1"


def test_the_readme_shows_twelve_lines_of_code() -> None:
    (block,) = _blocks((ROOT / "README.md").read_text(encoding="utf-8"), ("python",))
    lines = [line for line in block.code.splitlines() if line.strip()]
    assert len(lines) == 12


def _broken_links(path: Path, text: str) -> Iterator[str]:
    for target in LINK.findall(BLOCK.sub("", text)):
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


def test_every_document_can_be_reached_from_the_index() -> None:
    reached: set[Path] = set()
    waiting = [DOCS / "index.md"]
    while waiting:
        path = waiting.pop()
        if path in reached or path.suffix != ".md":
            continue
        reached.add(path)
        links = LINK.findall(BLOCK.sub("", path.read_text(encoding="utf-8")))
        waiting += [
            (path.parent / each.split("#")[0]).resolve() for each in links if "://" not in each
        ]
    missing = {path for path in DOCS.rglob("*.md") if "design" not in path.parts} - reached
    assert sorted(map(_name, missing)) == []


SECTION = re.compile(r"^## `?([\w.]+)`?[^\n]*\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
ENTRY = re.compile(r"^- `(\w+)(\([^`]*\))?`:\s+\S", re.MULTILINE)


def _sections(name: str) -> dict[str, str]:
    return dict(SECTION.findall((REFERENCE / name).read_text(encoding="utf-8")))


def _differences(section: str, thing: Any) -> Iterator[str]:
    """Where a page and a class say different things."""
    said = {name: arguments or None for name, arguments in ENTRY.findall(section)}
    there = public_names(thing)
    yield from (f"{name} is not on the page" for name in sorted(there.keys() - said.keys()))
    yield from (f"{name} is not in the code" for name in sorted(said.keys() - there.keys()))
    for name in sorted(said.keys() & there.keys()):
        actual = signature(there[name])
        if said[name] != actual:
            yield f"{name}: the page says {said[name]}, the code {actual}"


def test_the_api_page_has_every_class_and_no_other() -> None:
    assert list(_sections("api.md")) == [each.__name__ for each in CLASSES]


@pytest.mark.parametrize("thing", CLASSES, ids=lambda each: each.__name__)
def test_the_api_page_says_what_the_code_has(thing: type) -> None:
    found = list(_differences(_sections("api.md")[thing.__name__], thing))
    assert not found, "\n".join(found)


def test_a_difference_between_page_and_code_is_found() -> None:
    class Thing:
        size = 1

        def save(self, name: str, *, mode: str = "w") -> None: ...

        def _hidden(self) -> None: ...

    assert list(_differences("- `save(name, *, mode='w')`: it.\n- `size`: it.", Thing)) == []
    found = list(_differences("- `save(name)`: it.\n- `other`: it.", Thing))
    assert found == [
        "size is not on the page",
        "other is not in the code",
        "save: the page says (name), the code (name, *, mode='w')",
    ]


def test_every_public_name_is_on_the_api_page() -> None:
    opening, *_ = (REFERENCE / "api.md").read_text(encoding="utf-8").partition("\n## ")
    said = set(re.findall(r"`(\w+)[`(]", opening))
    assert [name for name in molexp.__all__ if name not in said] == []
    classes = {name for name in molexp.__all__ if inspect.isclass(getattr(molexp, name))}
    assert classes <= {each.__name__ for each in CLASSES}


ERRORS = {
    thing.__name__: thing
    for thing in vars(errors).values()
    if inspect.isclass(thing) and issubclass(thing, MolexpError)
}


def test_the_errors_page_has_every_class_with_its_code() -> None:
    said = {
        name: re.findall(r"^Code `(\w+)`", text, re.MULTILINE)
        for name, text in _sections("errors.md").items()
    }
    assert said == {name: [kind.code] for name, kind in ERRORS.items()}
    assert list(said) == list(ERRORS), "the page has the order of the tree"


def test_the_errors_page_says_where_each_class_belongs_and_what_it_carries() -> None:
    for name, text in _sections("errors.md").items():
        kind = ERRORS[name]
        for base in kind.__bases__ if kind is not MolexpError else ():
            assert f"`{base.__name__}`" in text, f"{name} is a {base.__name__}"
        said = re.search(r"Details: ([^.;]+)", kind.__doc__ or "")
        for detail in said[1].split(",") if said else []:
            assert f"`{detail.strip()}`" in text, f"{name} carries {detail.strip()}"


def test_the_errors_page_says_which_classes_nothing_raises_yet() -> None:
    code = "".join(
        path.read_text(encoding="utf-8")
        for path in (ROOT / "molexp").rglob("*.py")
        if path.name != "errors.py"
    )
    raised = {name for name in ERRORS if re.search(rf"\b{name}(\.of)?\(", code)}
    said = {
        name for name, text in _sections("errors.md").items() if "Nothing raises it yet" in text
    }
    assert said == ERRORS.keys() - raised - {"MolexpError"}


def test_the_config_page_names_every_environment_variable_that_is_read() -> None:
    code = "".join(
        path.read_text(encoding="utf-8")
        for path in (ROOT / "molexp").rglob("*.py")
        if "testing" not in path.parts
    )
    read = {*re.findall(r"environ(?:\.get\(|\[)\"(\w+)", code), session.VARIABLE}
    if "get_terminal_size" in code:
        read.add("COLUMNS")  # it is the standard library that reads it
    text = (REFERENCE / "config.md").read_text(encoding="utf-8")
    said = set(re.findall(r"^\| `([A-Z_]+)`", text, re.MULTILINE))
    assert said == read


def test_every_command_is_on_the_command_line_page() -> None:
    text = (REFERENCE / "cli.md").read_text(encoding="utf-8")
    assert [name for name in COMMANDS if f"## molexp {name}\n" not in text] == []


TABLE_ROW = re.compile(r"^\| `(\w+)` \| `([^`]+)` \| \S", re.MULTILINE)
RELATION = re.compile(
    r"^- `(\w+)`: the row of \[`(\w+)`\]\(#(\w+)\) with ([^\n]+)\.$", re.MULTILINE
)


def _table_said(section: str) -> dict[str, Any]:
    """What the page says of a table."""
    key = re.search(r"^Key: (.+?)\.(?: Found by `get` by its `(\w+)`\.)?$", section, re.MULTILINE)
    assert key is not None, section
    relations = {}
    for name, table, link, pairs in RELATION.findall(section):
        assert table == link
        relations[name] = table, dict(re.findall(r"`(\w+)` = `(\w+)`", pairs))
    return {
        "columns": TABLE_ROW.findall(section),
        "key": re.findall(r"`(\w+)`", key[1]),
        "uid": key[2],
        "relations": relations,
    }


def test_the_page_of_tables_says_what_the_code_has() -> None:
    sections = _sections("tables.md")
    names = list(tables())
    assert list(sections) == [*names, "scopes", "A"]
    for name, table in tables().items():
        relations = {
            relation: (each.table, dict(each.on)) for relation, each in table.relations.items()
        }
        assert _table_said(sections[name]) == {
            "columns": list(table.columns.items()),
            "key": list(table.key),
            "uid": table.uid,
            "relations": relations,
        }, name
    assert TABLE_ROW.findall(sections["scopes"]) == list(register.COLUMNS.items())[:7]


def test_a_difference_between_a_page_and_a_table_is_found() -> None:
    text = "| Column | type | |\n|---|---|---|\n| `a` | `JSON` | x |\n\nKey: `a`, `b`.\n\n"
    text += "- `run`: the row of [`runs`](#runs) with `a` = `b`, `c` = `d`.\n"
    assert _table_said(text) == {
        "columns": [("a", "JSON")],
        "key": ["a", "b"],
        "uid": None,
        "relations": {"run": ("runs", {"a": "b", "c": "d"})},
    }
