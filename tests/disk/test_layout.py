"""The names on disk: each is spelled in one place, and read back as what it was."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from molexp.disk import layout
from molexp.model.address import Address

SLUGS = st.from_regex(r"[a-z0-9]{1,6}(-[a-z0-9]{1,6})?", fullmatch=True)
GROUP = """
import os, stat, sys
os.umask(0o022)
from molexp.disk import layout
from molexp.disk.beneath import Directory
with Directory.open(sys.argv[1]) as root:
    root.make("a/b", layout.ACCESS["group"].directory).close()
    print(oct(stat.S_IMODE(root.stat("a/b").st_mode)))
"""


@given(st.lists(SLUGS, max_size=3))
def test_a_scope_is_found_where_its_address_says(steps: list[str]) -> None:
    address = Address.parse("/".join(steps))
    assert layout.address_of(layout.scope_path(address)) == address


ELSEWHERE = ["meta.json", "projects", "runs/a", "data/a", "/projects/a", "projects/a/"]
ELSEWHERE += ["projects/a/runs/b", "projects/a/experiments/b/runs/c/0001"]
ELSEWHERE += ["projects/a/experiments/b/runs/c/0001/d/e"]


@pytest.mark.parametrize("path", ELSEWHERE)
def test_no_scope_lies_anywhere_else(path: str) -> None:
    assert layout.address_of(path) is None


@given(st.integers(1, 10**12))
def test_an_execution_s_number_is_read_back_from_its_name(number: int) -> None:
    assert layout.execution_number(layout.execution_name(number)) == number


def test_names_of_executions_sort_as_their_numbers() -> None:
    names = [layout.execution_name(number) for number in (1, 9, 10, 9999)]
    assert names == sorted(names) == ["0001", "0009", "0010", "9999"]


@pytest.mark.parametrize(
    "name", ["", "1", "001", "0000", "00001", "+001", "-001", "0x01", "٠٠٠١", "0001 ", "000a"]
)
def test_one_number_has_one_name(name: str) -> None:
    assert layout.execution_number(name) is None


def test_an_object_lies_under_the_first_two_digits_of_its_hash() -> None:
    assert layout.object_path("ab" + "0" * 62) == "objects/ab/ab" + "0" * 62
    assert layout.version_name(12) == "v12"


def test_ended_things_are_closed_and_live_ones_open_to_whom_the_access_says() -> None:
    for access, others in (("private", 0), ("group", 0o020)):
        modes = layout.ACCESS[access]
        assert modes.file & 0o222 == modes.directory & 0o222 == 0o200 | others
        assert modes.ended_file & 0o222 == modes.ended_directory & 0o222 == 0
        assert modes.directory & 0o2000 == layout.ROOT_MODES[access] & 0o2000
    assert layout.ROOT_MODES["private"] & 0o077 == 0


def test_directories_of_a_group_hand_its_id_down_under_any_mask(tmp_path: Path) -> None:
    tmp_path.chmod(layout.ROOT_MODES["group"])
    done = subprocess.run(
        [sys.executable, "-c", GROUP, os.fspath(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "0o2775"


@given(st.integers(1, 10**30))
def test_a_version_is_read_back_from_its_name(version: int) -> None:
    assert layout.version_number(layout.version_name(version)) == version


@pytest.mark.parametrize("name", ["", "v", "v0", "v01", "v-1", "V1", "1", "v1x", "v 1", "v\u0661"])
def test_what_names_no_version_has_no_number(name: str) -> None:
    assert layout.version_number(name) is None
