"""All states where there are few, and where there are many a sample that misses nothing simple."""

from __future__ import annotations

from itertools import islice

from hypothesis import given
from hypothesis import strategies as st

from molexp.testing.aftermath import legal_contents, legal_states
from molexp.testing.filesystem import ROOT, File, FileSystem

EVERY = 1_000_000
MANY = 40


def many_files() -> FileSystem:
    """More names and bytes in doubt than there is time for."""
    system = FileSystem()
    for number in range(MANY):
        system.write(system.create(ROOT, f"x{number}"), 0, b"line\n" * 10)
    return system


def frozen(system: FileSystem, limit: int = EVERY) -> set[frozenset[tuple[str, object]]]:
    return {frozenset(state.items()) for state in legal_states(system, limit)}


def test_a_sample_is_as_large_as_asked_for_and_repeats_nothing() -> None:
    assert len(list(legal_states(many_files(), 500))) == 500
    assert len(frozen(many_files(), 500)) == 500


def test_a_sample_begins_with_all_none_and_each_one_alone() -> None:
    states = list(legal_states(many_files(), 1_000))
    whole = b"line\n" * 10
    names = [f"x{number}" for number in range(MANY)]
    assert dict.fromkeys(names, whole) in states
    assert {} in states
    for name in names:
        assert {name: whole} in states
        assert {name: b""} in states
        assert {other: whole for other in names if other != name} in states
        assert {**dict.fromkeys(names, whole), name: b""} in states


def test_a_sample_is_the_same_for_the_same_seed_and_another_for_another() -> None:
    first, same, other = (list(legal_states(many_files(), 1_500, seed)) for seed in (1, 1, 2))
    assert first == same
    assert first != other


def test_a_sample_of_few_states_ends() -> None:
    system = FileSystem()
    for _ in range(60):  # 2^120 ways to choose, and hardly any that differ
        system.create(ROOT, "x")
        system.unlink(ROOT, "x")
    assert frozen(system, 100) == {frozenset(), frozenset({("x", b"")})}


def test_contents_go_from_what_is_sure_to_what_was_there() -> None:
    short = File(b"ab", [(2, b"cd"), (0, b"X")])
    assert legal_contents(short)[0] == b"ab"
    assert legal_contents(short)[-1] == b"Xbcd"
    long = File(b"ab", [(2, b"c" * 5_000), (5_002, b"d" * 5_000)])
    contents = legal_contents(long)
    assert contents[0] == b"ab"
    assert contents[-1] == long.present()
    assert b"ab" + bytes(10_000) in contents
    assert b"ab" + bytes(5_000) + b"d" * 5_000 in contents
    assert b"ab" + b"c" * 2_500 in contents
    assert b"ab" + b"c" * 5_000 + b"d" * 4_999 in contents
    assert len(contents) < 50


OPERATIONS = ["create", "write", "mkdir", "rename", "unlink", "sync_file", "sync_directory"]
steps = st.lists(
    st.tuples(st.sampled_from(OPERATIONS), st.integers(0, 3), st.integers(0, 3)), max_size=6
)


def apply(system: FileSystem, operation: str, one: int, two: int) -> bool:
    """Do what can be done of it; whether that was a sync."""
    directories = [ROOT, system.find(ROOT, "0")]
    known = [number for number in directories if number is not None]
    folders = [n for n in known if not isinstance(system.nodes[n], File)]
    source, target = folders[one % len(folders)], folders[two % len(folders)]
    found = system.find(source, str(one))
    is_file = found is not None and isinstance(system.nodes[found], File)
    if operation == "create" and found is None:
        system.create(source, str(one))
    elif operation == "mkdir" and system.find(ROOT, "0") is None:
        system.mkdir(ROOT, "0")
    elif operation == "write" and found is not None and is_file:
        system.write(found, 0, b"w")
    elif operation == "unlink" and is_file:
        system.unlink(source, str(one))
    elif operation == "rename" and is_file and system.find(target, f"r{two}") is None:
        system.rename(source, str(one), target, f"r{two}")
    elif operation == "sync_file" and found is not None and is_file:
        system.sync_file(found)
        return True
    elif operation == "sync_directory":
        system.sync_directory(source)
        return True
    return False


@given(steps)
def test_what_is_not_synced_adds_states_and_takes_none(history: list[tuple[str, int, int]]) -> None:
    """Why it is enough to lose the power right before each sync and at the end."""
    system = FileSystem()
    before = frozen(system)
    for step in history:
        synced = apply(system, *step)
        after = frozen(system)
        assert after <= before if synced else before <= after
        assert frozenset(system.state().items()) in after
        before = after


@given(steps)
def test_a_sample_holds_legal_states_alone(history: list[tuple[str, int, int]]) -> None:
    system = FileSystem()
    for step in history:
        apply(system, *step)
    every = frozen(system)
    for limit in (1, 2, 5):
        sample = {frozenset(state.items()) for state in islice(legal_states(system, limit), limit)}
        assert sample <= every


@given(steps)
def test_after_a_sync_of_everything_one_state_is_left(history: list[tuple[str, int, int]]) -> None:
    system = FileSystem()
    for step in history:
        apply(system, *step)
    system.sync_file_system()
    assert list(legal_states(system, EVERY)) == [system.state()]
