"""The commands that are promised, the commands that are run, and what they may cost."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
RUN = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
PARTS = re.findall(r"^part (\w+) ", RUN, re.MULTILINE)
BUDGET: dict[str, int] = tomllib.loads((ROOT / ".ci" / "budget.toml").read_text())["seconds"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

FRAGMENT = re.compile(r"# (Added|Changed|Fixed|Removed): [A-Z0-9`].*[^.\n]\n\n[^\s#](.|\n)*\.\n")


def _commands_of_readme() -> list[str]:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```(?:bash|sh|shell|console)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.strip()]


def test_the_readme_has_two_commands_and_they_are_what_is_run() -> None:
    demo = re.findall(r'^demo_command="(.*)"$', RUN, re.MULTILINE)
    test = re.findall(r'^test_command="(.*)"$', RUN, re.MULTILINE)
    assert _commands_of_readme() == [*demo, *test]
    assert re.search(r'^part tests "\$test_command"$', RUN, re.MULTILINE)
    assert re.search(r'^part demo ".* && \$demo_command"$', RUN, re.MULTILINE)


def test_every_part_has_a_budget_and_every_budget_a_part() -> None:
    assert list(BUDGET) == PARTS


def test_the_whole_budget_is_under_twenty_minutes() -> None:
    assert min(BUDGET.values()) > 0
    assert sum(BUDGET.values()) < 20 * 60


def test_the_lowest_versions_are_the_bounds_of_the_package() -> None:
    lines = (ROOT / ".ci" / "lowest.txt").read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    bounds = dict(entry.split(">=") for entry in PROJECT["dependencies"])
    assert pins.keys() == bounds.keys()
    for name, bound in bounds.items():
        assert pins[name] in (bound, f"{bound}.0"), name


def test_the_core_dependencies_are_these() -> None:
    names = [entry.split(">=")[0] for entry in PROJECT["dependencies"]]
    assert names == ["pydantic", "duckdb", "msgspec", "watchdog", "gitpython", "fsspec"]


# The frame of .ci/run with other parts: what is tested is how it goes on, adds up and ends.
def _run_with(tmp_path: Path, parts: str, budget: str) -> subprocess.CompletedProcess[str]:
    (tmp_path / ".ci").mkdir()
    frame = re.sub(r"^part \w+ .*\n", "", RUN, flags=re.MULTILINE)
    head, end = frame.split("export -f make_machine_ready\n")
    (tmp_path / ".ci" / "run").write_text(f"{head}\n{parts}\n{end}", encoding="utf-8")
    (tmp_path / ".ci" / "budget.toml").write_text(budget)
    return subprocess.run(
        ["bash", str(tmp_path / ".ci" / "run")], capture_output=True, text=True, check=False
    )


def test_a_failing_part_stops_no_other_and_fails_the_whole(tmp_path: Path) -> None:
    summary = "'==== 3 passed in 1.02s ===='"
    done = _run_with(
        tmp_path,
        f'part tests "echo {summary}; false"\npart lint "true"\n',
        "[seconds]\ntests = 60\nlint = 70\n",
    )
    assert done.returncode == 1
    table = done.stdout.splitlines()[-5:]
    assert table[0].split() == ["part", "used", "budget"]
    assert [row.split()[0] for row in table[1:4]] == ["tests", "lint", "whole"]
    assert table[1].endswith("60  FAILED")
    assert table[2].endswith("70  ok")
    assert table[3].endswith("130  FAILED")
    assert table[4] == "==== 3 passed in 1.02s ===="


def test_when_every_part_is_well_so_is_the_whole(tmp_path: Path) -> None:
    done = _run_with(tmp_path, 'part tests "true"\n', "[seconds]\ntests = 60\n")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_part_over_its_budget_is_marked_and_fails_nothing(tmp_path: Path) -> None:
    done = _run_with(tmp_path, 'part tests "sleep 2"\n', "[seconds]\ntests = 1\n")
    assert done.returncode == 0
    assert "over budget" in done.stdout


@pytest.mark.parametrize(
    "path",
    sorted(p for p in (ROOT / "changelog.d").glob("*") if p.name != "README.md"),
    ids=lambda path: path.name,
)
def test_a_changelog_fragment_has_the_form(path: Path) -> None:
    assert re.fullmatch(r"\d{4}-[a-z0-9]+(-[a-z0-9]+)*\.md", path.name)
    text = path.read_text(encoding="utf-8")
    assert FRAGMENT.fullmatch(text), text


def test_a_fragment_without_the_form_is_found() -> None:
    assert FRAGMENT.fullmatch("# Fixed: It works\n\nIt did not work before.\n")
    assert not FRAGMENT.fullmatch("# Fixed: It works.\n\nIt did not work before.\n")
    assert not FRAGMENT.fullmatch("# Fixed: It works\n")
    assert not FRAGMENT.fullmatch("Fixed it.\n")
