"""A late module is loaded when something of it is first used, and not before."""

from __future__ import annotations

import subprocess
import sys
from collections import abc

import pytest

from molexp.late import late


def test_a_late_module_gives_what_the_module_has_now(monkeypatch: pytest.MonkeyPatch) -> None:
    module = late("collections.abc")
    assert module.Mapping is abc.Mapping
    assert set(vars(abc)) <= set(dir(module))
    monkeypatch.setattr(abc, "Mapping", dict)
    assert module.Mapping is dict


def test_a_late_module_says_which_it_is_and_loads_nothing_for_that() -> None:
    assert repr(late("collections.nowhere")) == "<late module 'collections.nowhere'>"


def test_what_a_module_has_not_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Maping'"):
        _ = late("collections.abc").Maping
    with pytest.raises(ModuleNotFoundError):
        _ = late("collections.nowhere").anything


def test_nothing_is_loaded_before_something_is_used() -> None:
    code = (
        "import sys; from molexp.late import late; x = late('fractions')\n"
        "assert 'fractions' not in sys.modules\n"
        "x.Fraction; assert 'fractions' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
