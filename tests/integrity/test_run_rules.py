"""molexp.integrity.run_rules."""

from __future__ import annotations

import pytest

from molexp.integrity.run_rules import leads_down


@pytest.mark.parametrize("path", ["a", "a/b.txt", ".hidden", "..a/b"])
def test_names_joined_by_slashes_lead_down(path: str) -> None:
    assert leads_down(path)


@pytest.mark.parametrize("path", ["", "/", "/a", "a/", "a//b", ".", "a/..", "a\0"])
def test_all_else_does_not(path: str) -> None:
    assert not leads_down(path)
