"""molexp.integrity.findings."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest

from molexp.disk.tree import open_tree
from molexp.integrity.findings import Findings, Violation, is_unruled
from molexp.model.digest import of_bytes
from molexp.model.scope import WorkspaceMeta
from tests.format.lab import CANCELLED, DATA, SUCCEEDED, TEMPLATE
from tests.users import User


@pytest.fixture
def findings() -> Iterator[Findings]:
    """What a look at the template finds."""
    with open_tree(TEMPLATE) as tree:
        found = Findings(tree)
        found.look()
        yield found


def test_a_look_finds_every_file(findings: Findings) -> None:
    files = [path for name in sorted(findings.below[""]) for path in findings.files(name)]
    there = [path for path in TEMPLATE.rglob("*") if path.is_file() and path.parent != TEMPLATE]
    assert sorted(files) == sorted(path.relative_to(TEMPLATE).as_posix() for path in there)
    assert findings.violations == []


def test_a_file_is_added_up_once(findings: Findings) -> None:
    path = f"{DATA}/files/qm9-sample.csv"
    data = (TEMPLATE / path).read_bytes()
    assert findings.sum_of(path) == (of_bytes(data), len(data))
    assert findings.sum_of(path) is findings.sum_of(path)
    assert findings.sum_of(f"{SUCCEEDED}/artifacts/residuals")[1] == 58


def test_a_record_that_is_not_there_is_reported(findings: Findings) -> None:
    assert findings.record("meta.json", WorkspaceMeta) is not None
    assert findings.record("projects/meta.json", WorkspaceMeta) is None
    assert [violation.rule for violation in findings.violations] == ["WRITE-3"]


def test_lines_of_other_names_are_reported(findings: Findings) -> None:
    path = f"{CANCELLED}/metrics.jsonl"
    assert len(list(findings.lines(path, ["metric"]))) == 6
    assert list(findings.lines(path, ["edit"])) == []
    wrong = Violation("LINE-6", path, "a line of 'metric' does not belong here")
    assert findings.violations == [wrong] * 6


@pytest.mark.users
def test_a_record_that_may_not_be_read_is_reported(user: User) -> None:
    shutil.copy(TEMPLATE / "meta.json", user.directory)
    (user.directory / "meta.json").chmod(0)

    def body() -> list[Violation]:
        with open_tree(user.directory) as tree:
            found = Findings(tree)
            found.look()
            found.record("meta.json", WorkspaceMeta)
            return found.violations

    violations = user.run(body)
    assert [violation[:2] for violation in violations] == (
        [] if user.uid == 0 else [("WRITE-3", "meta.json")]
    )
    assert all("cannot be read" in violation.message for violation in violations)


def test_the_first_bytes_of_a_file_have_a_digest_of_their_own(findings: Findings) -> None:
    path = f"{DATA}/files/qm9-sample.csv"
    data = (TEMPLATE / path).read_bytes()
    for size in (0, 1, len(data), len(data) + 1):
        assert findings.digest_of_first(path, size) == of_bytes(data[:size])
    assert findings.violations == []
    findings.digest_of_first("gone", 1)
    assert [violation[:2] for violation in findings.violations] == [("WRITE-3", "gone")]


def test_what_is_reported_can_be_printed(findings: Findings) -> None:
    findings.report("END-4", os.fsdecode(b"work/\xff"), "is \udcfe")
    assert str(findings.violations[0]) == "work/\\udcff: is \\udcfe [END-4]"


def test_nobody_rules_in_work_and_in_what_was_removed() -> None:
    for place in (f"{SUCCEEDED}/work", "trash/x/content"):
        assert is_unruled(place)
        assert is_unruled(f"{place}/a/b\n")
    for place in (f"{SUCCEEDED}/works", SUCCEEDED, "projects/work", "trash/x", "trash/x/contents"):
        assert not is_unruled(place)
