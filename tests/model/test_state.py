"""States: one table of what may follow which."""

from __future__ import annotations

import json

import pytest

from molexp.errors import TransitionError
from molexp.model.state import TERMINAL, TRANSITIONS, ExecutionState, check_transition

# The states and what may follow, as the design says it and not as the code does.
ENDS = "succeeded failed cancelled suspended"
MAY_BECOME = {
    "pending": "running cancelled",
    "running": f"paused {ENDS}",
    "paused": f"running {ENDS}",
    "suspended": "",
    "succeeded": "",
    "failed": "",
    "cancelled": "",
    "unknown": "",
}


@pytest.mark.parametrize("wanted", MAY_BECOME)
@pytest.mark.parametrize("current", MAY_BECOME)
def test_a_state_becomes_those_that_the_design_allows_and_no_other(
    current: str, wanted: str
) -> None:
    one, other = ExecutionState(current), ExecutionState(wanted)
    allowed = MAY_BECOME[current].split()
    if wanted in allowed:
        check_transition(one, other)
        return
    with pytest.raises(TransitionError) as caught:
        check_transition(one, other)
    assert caught.value.details == {
        "current": current, "wanted": wanted, "allowed": sorted(allowed)
    }  # fmt: skip
    assert f"that is {current} cannot become {wanted}" in caught.value.message
    assert all(state in caught.value.cure for state in allowed)


def test_the_states_are_those_of_the_design() -> None:
    assert [str(state) for state in ExecutionState] == [
        "pending", "running", "paused", "suspended", "succeeded", "failed", "cancelled", "unknown"
    ]  # fmt: skip
    assert {str(state) for state in TERMINAL} == set(ENDS.split())
    assert set(TRANSITIONS) == set(ExecutionState) - {ExecutionState.UNKNOWN}


@pytest.mark.parametrize("state", list(ExecutionState))
def test_a_state_equals_its_string_and_knows_whether_it_is_an_end(state: ExecutionState) -> None:
    assert state == state.value
    assert {state.value: 1}[state] == 1
    assert f"{state}" == str(state) == state.value
    assert json.dumps(state) == f'"{state.value}"'
    assert state.is_terminal == (state in ENDS.split())
