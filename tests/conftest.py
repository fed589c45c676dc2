"""How far the tests go, and the fixtures that all of them share."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, settings

pytest_plugins = ["tests.users"]

PROFILE = os.environ.get("MOLEXP_PROFILE", "every_change")

# Deadlines are off in all of them: the machines that run the tests are shared.
# On every change the examples are the same, so that a red test is the change's own fault; the
# nightly run is the one that looks for new ones.
settings.register_profile(
    "every_change",
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "quick",
    settings.get_profile("every_change"),
    max_examples=10,
    phases=[Phase.explicit, Phase.generate],
)
settings.register_profile(
    "nightly",
    deadline=None,
    max_examples=10_000,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile(PROFILE)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if PROFILE == "nightly":
        return
    skip = pytest.mark.skip(reason="the long form: set MOLEXP_PROFILE=nightly")
    for item in items:
        if item.get_closest_marker("nightly") is not None:
            item.add_marker(skip)


@pytest.fixture(autouse=True)
def _no_heart_beats_on() -> Iterator[None]:
    """What a test leaves at work stops beating, or the next test's gate would see its beats."""
    yield
    if (module := sys.modules.get("molexp.lifecycle.heart")) is not None:
        for heart in module._hearts.values():  # noqa: SLF001 - only a test leaves one to itself
            heart._beats.clear()  # noqa: SLF001 - likewise
