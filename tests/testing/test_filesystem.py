"""Histories with the states that power loss may legally leave after them, written by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from molexp.disk import door
from molexp.testing.aftermath import legal_states
from molexp.testing.filesystem import ROOT, FileSystem, State, patched, read_tree, write_tree

EVERY = 1_000_000

History = Callable[[FileSystem], object]


def make_file(system: FileSystem, name: str, data: bytes, directory: int = ROOT) -> int:
    """A file whose bytes are safe, and whose name is not."""
    file = system.create(directory, name)
    system.write(file, 0, data)
    system.sync_file(file)
    return file


def keep_file(system: FileSystem, name: str, data: bytes, directory: int = ROOT) -> int:
    """A file that is safe with its name."""
    file = make_file(system, name, data, directory)
    system.sync_directory(directory)
    return file


def keep_directory(system: FileSystem, name: str) -> int:
    directory = system.mkdir(ROOT, name)
    system.sync_directory(ROOT)
    return directory


HISTORIES: dict[str, tuple[History, list[State]]] = {}


def history(*states: State) -> Callable[[History], History]:
    """The legal states after a history; its name says what it shows."""

    def register(act: History) -> History:
        HISTORIES[act.__name__] = (act, list(states))
        return act

    return register


@history({}, {"x": b""})
def a_new_name_may_be_lost(system: FileSystem) -> None:
    system.create(ROOT, "x")


@history({"x": b""})
def a_new_name_is_kept_by_a_sync_of_its_directory(system: FileSystem) -> None:
    system.create(ROOT, "x")
    system.sync_directory(ROOT)


@history(
    {},
    {"x": b""},
    {"x": b"\0"},
    {"x": b"\0\0"},
    {"x": b"a"},
    {"x": b"a\0"},
    {"x": b"ab"},
)
def new_bytes_may_be_dropped_cut_or_zeroed(system: FileSystem) -> None:
    system.write(system.create(ROOT, "x"), 0, b"ab")


@history({}, {"x": b"ab"})
def a_sync_of_a_file_keeps_its_bytes_and_not_its_name(system: FileSystem) -> None:
    make_file(system, "x", b"ab")


@history({"x": b""}, {"x": b"\0"}, {"x": b"a"})
def a_sync_of_a_directory_keeps_a_name_and_not_its_bytes(system: FileSystem) -> None:
    system.write(system.create(ROOT, "x"), 0, b"a")
    system.sync_directory(ROOT)


@history({"x": b"ab"})
def both_syncs_keep_the_file_in_either_order(system: FileSystem) -> None:
    file = system.create(ROOT, "x")
    system.sync_directory(ROOT)
    system.write(file, 0, b"ab")
    system.sync_file(file)


@history({"d": None, "d/x": b"ab", "y": b"c"})
def one_sync_of_the_file_system_keeps_everything(system: FileSystem) -> None:
    system.write(system.create(system.mkdir(ROOT, "d"), "x"), 0, b"ab")
    system.write(system.create(ROOT, "y"), 0, b"c")
    system.sync_file_system()


@history({"x": b""}, {"x": b"\0"}, {"x": b"a"})
def what_is_written_after_a_sync_is_not_kept_by_it(system: FileSystem) -> None:
    file = system.create(ROOT, "x")
    system.sync_file_system()
    system.write(file, 0, b"a")


@history({"x": b"a"}, {"x": b"a\0"}, {"x": b"ab"})
def what_was_there_stays_when_more_is_appended(system: FileSystem) -> None:
    system.write(keep_file(system, "x", b"a"), 1, b"b")


@history({"x": b"ab"}, {"x": b"Xb"}, {"x": b"XY"})
def bytes_written_over_others_may_be_torn(system: FileSystem) -> None:
    system.write(keep_file(system, "x", b"ab"), 0, b"XY")


@history({"x": b"ab"}, {"x": b"Xb"}, {"x": b"aY"}, {"x": b"XY"})
def two_writes_reach_the_disk_in_any_order(system: FileSystem) -> None:
    file = keep_file(system, "x", b"ab")
    system.write(file, 0, b"X")
    system.write(file, 1, b"Y")


@history(
    {"x": b""},
    {"x": b"\0"},
    {"x": b"\0\0"},
    {"x": b"a"},
    {"x": b"a\0"},
    {"x": b"\0b"},
    {"x": b"ab"},
)
def a_later_line_may_be_there_where_an_earlier_one_is_zeros(system: FileSystem) -> None:
    file = keep_file(system, "x", b"")
    system.write(file, 0, b"a")
    system.write(file, 1, b"b")


@history({"x": b"abc"}, {"x": b"a"})
def a_file_may_keep_the_size_that_it_had(system: FileSystem) -> None:
    system.truncate(keep_file(system, "x", b"abc"), 1)


@history({"x": b"ab"}, {"x": b""}, {"x": b"\0"}, {"x": b"X"}, {"x": b"Xb"})
def bytes_written_after_a_cut_may_be_there_without_it(system: FileSystem) -> None:
    file = keep_file(system, "x", b"ab")
    system.truncate(file, 0)
    system.write(file, 0, b"X")


@history({}, {"x": b""}, {"y": b""}, {"x": b"", "y": b""})
def two_names_are_kept_or_lost_independently(system: FileSystem) -> None:
    system.create(ROOT, "x")
    system.create(ROOT, "y")


@history({}, {"d": None, "d/x": b""})
def what_lies_in_a_lost_directory_is_lost(system: FileSystem) -> None:
    directory = system.mkdir(ROOT, "d")
    system.create(directory, "x")
    system.sync_directory(directory)


@history({"d": None}, {"d": None, "d/x": b""})
def a_sync_of_a_directory_keeps_nothing_below_its_entries(system: FileSystem) -> None:
    system.create(system.mkdir(ROOT, "d"), "x")
    system.sync_directory(ROOT)


@history({"x": b"a"}, {})
def a_removal_may_be_undone(system: FileSystem) -> None:
    keep_file(system, "x", b"a")
    system.unlink(ROOT, "x")


@history({})
def a_removal_is_kept_by_a_sync_of_the_directory(system: FileSystem) -> None:
    keep_file(system, "x", b"a")
    system.unlink(ROOT, "x")
    system.sync_directory(ROOT)


@history({}, {"x": b"1"}, {"x": b"2"})
def a_name_may_stand_as_at_any_moment_since_the_last_sync(system: FileSystem) -> None:
    make_file(system, "x", b"1")
    system.unlink(ROOT, "x")
    make_file(system, "x", b"2")


@history({"x": b"new", "y": b"old"}, {"x": b"new", "y": b"new"}, {"y": b"new"})
def a_rename_over_a_file_leaves_the_old_or_the_new_one(system: FileSystem) -> None:
    keep_file(system, "x", b"new")
    keep_file(system, "y", b"old")
    system.rename(ROOT, "x", ROOT, "y")


@history({"y": b"new"})
def a_rename_is_kept_by_a_sync_of_its_directory(system: FileSystem) -> None:
    keep_file(system, "x", b"new")
    keep_file(system, "y", b"old")
    system.rename(ROOT, "x", ROOT, "y")
    system.sync_directory(ROOT)


@history(
    {"x": b"old"}, {"x": b"new"}, {"aside": b"new", "x": b"old"}, {"aside": b"new", "x": b"new"}
)
def a_file_made_aside_and_synced_is_never_seen_torn(system: FileSystem) -> None:
    keep_file(system, "x", b"old")
    make_file(system, "aside", b"new")
    system.rename(ROOT, "aside", ROOT, "x")


@history(
    {"x": b"o"},
    {"x": b""},
    {"x": b"\0"},
    {"x": b"n"},
    {"aside": b"", "x": b"o"},
    {"aside": b"\0", "x": b"o"},
    {"aside": b"n", "x": b"o"},
    {"aside": b"", "x": b""},
    {"aside": b"\0", "x": b"\0"},
    {"aside": b"n", "x": b"n"},
)
def a_name_given_before_a_sync_may_show_nothing_where_something_was(system: FileSystem) -> None:
    keep_file(system, "x", b"o")
    system.write(system.create(ROOT, "aside"), 0, b"n")
    system.rename(ROOT, "aside", ROOT, "x")


def move_across(system: FileSystem) -> tuple[int, int]:
    a, b = keep_directory(system, "a"), keep_directory(system, "b")
    keep_file(system, "x", b"1", a)
    system.rename(a, "x", b, "x")
    return a, b


BOTH: State = {"a": None, "b": None}


@history({**BOTH, "a/x": b"1"}, {**BOTH, "a/x": b"1", "b/x": b"1"}, {**BOTH, "b/x": b"1"})
def a_move_may_be_seen_half_and_never_loses_both_names(system: FileSystem) -> None:
    move_across(system)


@history({**BOTH, "a/x": b"1", "b/x": b"1"}, {**BOTH, "b/x": b"1"})
def the_new_name_is_kept_by_a_sync_of_its_directory_alone(system: FileSystem) -> None:
    _a, b = move_across(system)
    system.sync_directory(b)


@history(BOTH, {**BOTH, "b/x": b"1"})
def a_sync_of_the_old_directory_alone_keeps_the_loss_alone(system: FileSystem) -> None:
    a, _b = move_across(system)
    system.sync_directory(a)


@history({**BOTH, "b/x": b"1"})
def a_move_is_kept_by_a_sync_of_both_directories(system: FileSystem) -> None:
    for directory in move_across(system):
        system.sync_directory(directory)


@history(
    BOTH,
    {**BOTH, "a/x": b"1"},
    {**BOTH, "b/x": b"1"},
    {**BOTH, "a/x": b"1", "b/x": b"1"},
)
def what_never_had_a_sure_name_may_be_lost_by_a_move(system: FileSystem) -> None:
    a, b = keep_directory(system, "a"), keep_directory(system, "b")
    make_file(system, "x", b"1", a)
    system.rename(a, "x", b, "x")


@history(
    {"tmp": None, "tmp/e": b"1"},
    {"tmp": None, "tmp/e": b"1", "e": b"1"},
    {"tmp": None, "e": b"1"},
    {"tmp": None},
)
def a_second_name_protects_from_the_loss_of_the_first_only_once_synced(system: FileSystem) -> None:
    tmp = keep_directory(system, "tmp")
    keep_file(system, "e", b"1", tmp)
    system.link(tmp, "e", ROOT, "e")
    system.unlink(tmp, "e")


@history(
    {"d": None, "d/x": b"1"},
    {"d": None, "d/x": b"1", "x": b"1"},
    {"d": None, "x": b"1"},
    {"x": b"1"},
)
def a_directory_does_not_go_before_what_was_taken_out_of_it(system: FileSystem) -> None:
    directory = keep_directory(system, "d")
    keep_file(system, "x", b"1", directory)
    system.rename(directory, "x", ROOT, "x")
    system.rmdir(ROOT, "d")


@history(
    {"d": None, "d/x": b"1"},
    {"d": None, "d/x": b"1", "e": None, "e/x": b"1"},
    {"e": None, "e/x": b"1"},
)
def a_directory_moves_with_all_that_it_holds(system: FileSystem) -> None:
    keep_file(system, "x", b"1", keep_directory(system, "d"))
    system.rename(ROOT, "d", ROOT, "e")


@history({}, {"s": "far/away"})
def a_link_keeps_its_text_or_is_lost(system: FileSystem) -> None:
    system.symlink("far/away", ROOT, "s")


@history({"x": b"1", "y": b"1"})
def a_rename_onto_another_name_of_the_same_file_changes_nothing(system: FileSystem) -> None:
    keep_file(system, "x", b"1")
    system.link(ROOT, "x", ROOT, "y")
    system.sync_directory(ROOT)
    system.rename(ROOT, "x", ROOT, "y")


@pytest.mark.parametrize(("act", "states"), HISTORIES.values(), ids=HISTORIES)
def test_power_loss_leaves_exactly_the_legal_states(act: History, states: list[State]) -> None:
    system = FileSystem()
    act(system)
    found = list(legal_states(system, EVERY))
    assert [state for state in found if state not in states] == []
    assert [state for state in states if state not in found] == []
    assert len(found) == len(states)


def test_there_are_at_least_twenty_histories() -> None:
    assert len(HISTORIES) >= 20


def test_every_operation_of_the_door_is_known_or_changes_nothing_that_is_modelled() -> None:
    unknown = {name for name in door.OPERATIONS if not hasattr(FileSystem, name)}
    assert unknown == {"open_append", "chmod", "touch"}  # the first is a create, if anything


def test_halves_of_moves_that_form_a_ring_are_followed_once() -> None:
    system = FileSystem()
    a, b = keep_directory(system, "a"), keep_directory(system, "b")
    system.rename(ROOT, "b", a, "b")
    system.rename(a, "b", ROOT, "c")
    system.rename(ROOT, "a", b, "a")
    states = list(legal_states(system, EVERY))
    assert {"c": None, "c/a": None} in states
    assert {"a": None, "a/b": None, "c": None, "c/a": None} in states  # no a/b/a, and no c/a/b


def test_an_unknown_name_is_an_error() -> None:
    system = FileSystem()
    with pytest.raises(LookupError, match="nothing has the name 'x'"):
        system.unlink(ROOT, "x")


def test_a_gap_before_a_write_reads_as_zeros() -> None:
    assert patched(b"a", [(3, b"b"), (1, b"cd")]) == b"acdb"
    assert patched(b"a", [(5, b"")]) == b"a"


def test_a_tree_is_read_as_it_was_written(tmp_path: Path) -> None:
    tree: State = {"a": None, "a/b": None, "a/b/x": b"\0\xff", "a-b": b"", "s": "a/b", "t": "none"}
    write_tree(tree, tmp_path)
    assert read_tree(tmp_path) == tree
