"""What is removed can be put back as it was, until the trash is emptied on purpose."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from functools import partial
from itertools import count
from pathlib import Path

import pytest

from molexp.disk import door, layout, owner, trash
from molexp.disk.beneath import Directory
from molexp.disk.trash import Removed
from molexp.errors import (
    AlreadyExistsError,
    FormatError,
    InvalidNameError,
    NotFoundError,
    StorageError,
)
from tests.disk import (
    CLOSED,
    FILE,
    INNER,
    LINK,
    MODES,
    RUN,
    Tree,
    before,
    fork_each,
    lies,
    make_lab,
    refusing,
    removal_of,
    remove,
    restore,
    tree_of,
    uid_of,
    with_root,
)
from tests.users import User

PATHS = pytest.mark.parametrize("path", ["projects", RUN, CLOSED, FILE, INNER, LINK])


def _below(lab: Path, path: str) -> Tree:
    return {at: what for at, what in tree_of(lab).items() if f"{at}/".startswith(f"{path}/")}


@PATHS
def test_what_was_removed_comes_back_as_it_was(lab: Path, path: str) -> None:
    there = lies(lab)
    remove(lab, path)
    assert lies(lab) == {at: what for at, what in there.items() if at not in _of(there, path)}
    with Directory.open(lab) as root:
        found, problems = trash.removals(root)
        assert ([removed.path for removed in found], problems) == ([path], [])
    restore(lab)
    assert lies(lab) == there
    assert os.listdir(lab / layout.TRASH) == []


def _of(there: Tree, path: str) -> set[str]:
    return {at for at in there if f"{at}/".startswith(f"{path}/")}


def test_it_lies_in_the_trash_whole_beside_whence_it_came(lab: Path) -> None:
    whole = _below(lab, CLOSED)
    remove(lab, CLOSED)
    place = lab / layout.TRASH / uid_of()
    assert Removed.from_json((place / layout.REMOVED).read_bytes(), "") == removal_of(CLOSED)
    moved = {at.removeprefix(CLOSED): what for at, what in whole.items()}
    content = f"{layout.TRASH}/{uid_of()}/{layout.CONTENT}"
    assert {at.removeprefix(content): what for at, what in _below(lab, content).items()} == moved


def test_what_is_not_there_is_not_removed(lab: Path) -> None:
    there = lies(lab)
    with pytest.raises(NotFoundError, match="none"):
        remove(lab, f"{RUN}/none")
    for crooked in ("", "..", "../lab", f"{RUN}/../r"):
        with pytest.raises(InvalidNameError):
            remove(lab, crooked)
    assert lies(lab) == there
    assert os.listdir(lab / layout.TRASH) == []


@PATHS
def test_nothing_is_put_where_something_lies_by_now(lab: Path, path: str) -> None:
    remove(lab, path)
    if path.startswith(f"{CLOSED}/"):
        (lab / path).parent.chmod(0o755)
    (lab / path).write_bytes(b"new")
    with pytest.raises(AlreadyExistsError, match="is there already"):
        restore(lab)
    assert (lab / path).read_bytes() == b"new"
    (lab / path).unlink()
    restore(lab)
    assert (lab / path).exists()


def test_what_takes_the_place_at_the_last_moment_keeps_it(lab: Path) -> None:
    remove(lab, FILE)
    gate = before(1, lambda: (lab / FILE).write_bytes(b"new"))
    with door.gated(gate), pytest.raises(AlreadyExistsError):
        restore(lab)
    assert (lab / FILE).read_bytes() == b"new"


@pytest.mark.parametrize("path", [RUN, FILE])
def test_what_somebody_else_moves_at_the_last_moment_is_not_found(lab: Path, path: str) -> None:
    remove(lab, path)
    content = lab / layout.TRASH / uid_of() / layout.CONTENT
    gate = before(1, partial(content.rename, lab / "elsewhere"))
    with door.gated(gate), pytest.raises(NotFoundError):
        restore(lab)
    assert (lab / "elsewhere").exists()


@pytest.mark.parametrize("path", [FILE, INNER, LINK])
def test_where_there_are_no_links_files_are_moved_and_still_replace_nothing(
    lab: Path, path: str
) -> None:
    there = lies(lab)
    with door.gated(refusing("link", errno.EPERM)):
        remove(lab, path)
        assert not os.path.lexists(lab / path)
        restore(lab)
        assert lies(lab) == there
        remove(lab, path)
        (lab / path).parent.chmod(0o755)
        (lab / path).write_bytes(b"new")
        with pytest.raises(AlreadyExistsError):
            restore(lab)
    assert (lab / path).read_bytes() == b"new"


def test_what_has_no_place_any_more_stays_in_the_trash(lab: Path) -> None:
    remove(lab, CLOSED, 1)
    remove(lab, RUN, 2)
    with pytest.raises(NotFoundError, match="runs/r"):
        restore(lab, 1)
    restore(lab, 2)
    restore(lab, 1)
    with pytest.raises(NotFoundError):
        restore(lab, 3)
    assert (lab / INNER).read_bytes() == b"weights"


def test_a_record_in_the_trash_leads_nowhere_else(lab: Path, tmp_path: Path) -> None:
    for number, path in enumerate(["../escaped", "/tmp/escaped", "", ".", "a/../../escaped"]):
        place = lab / layout.TRASH / uid_of(number)
        place.mkdir(parents=True)
        record = removal_of("x", number).to_json().replace(b'"x"', b'"%b"' % path.encode())
        (place / layout.REMOVED).write_bytes(record)
        (place / layout.CONTENT).write_bytes(b"content")
        with pytest.raises(InvalidNameError):
            restore(lab, number)
        assert (place / layout.CONTENT).exists()
    assert sorted(os.listdir(tmp_path)) == ["lab"]


def test_the_oldest_removal_comes_first_and_a_damaged_one_hides_no_other(lab: Path) -> None:
    remove(lab, INNER, 2)
    remove(lab, FILE, 1)
    (lab / layout.TRASH / "damaged").mkdir()
    (lab / layout.TRASH / "damaged" / layout.REMOVED).write_bytes(b"{")
    (lab / layout.TRASH / "empty").mkdir()
    (lab / layout.TRASH / ".DS_Store").touch()
    with Directory.open(lab) as root:
        found, problems = trash.removals(root)
    assert [removed.path for removed in found] == [FILE, INNER]
    assert len(problems) == 2
    assert any("damaged/removed.json" in str(problem) for problem in problems)
    with Directory.open(lab / "projects") as bare:
        assert trash.removals(bare) == ([], [])


def test_emptied_is_gone_for_good_and_links_in_it_are_not_followed(
    lab: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_bytes(b"kept")
    (lab / CLOSED).chmod(0o755)
    (lab / CLOSED / "directory").symlink_to(outside)
    (lab / CLOSED / "file").symlink_to(outside / "kept")
    os.mkfifo(lab / CLOSED / "fifo")
    (lab / CLOSED).chmod(0o555)
    remove(lab, RUN)
    with_root(lab, lambda root: trash.empty(root, uid_of()))
    assert os.listdir(lab / layout.TRASH) == []
    assert (outside / "kept").read_bytes() == b"kept"
    assert os.path.exists("/etc/passwd")
    with pytest.raises(NotFoundError):
        restore(lab)


@pytest.mark.parametrize("uid", ["", "..", ".", "../projects", "a/../.."])
def test_only_what_lies_in_the_trash_is_emptied(lab: Path, uid: str) -> None:
    remove(lab, FILE)
    there = tree_of(lab)
    with pytest.raises(InvalidNameError):
        with_root(lab, lambda root: trash.empty(root, uid))
    assert tree_of(lab) == there


def test_a_link_in_place_of_the_trash_is_not_followed(lab: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (lab / layout.TRASH).symlink_to(tmp_path / "outside")
    there = tree_of(tmp_path)
    for act in (partial(remove, lab, FILE), partial(restore, lab)):
        with pytest.raises(FormatError):
            act()
    assert tree_of(tmp_path) == there


def test_two_who_empty_at_once_are_both_content(lab: Path) -> None:
    for at in count(1):
        remove(lab, RUN, at)
        place = lab / layout.TRASH / uid_of(at)
        seen: list[int] = []

        def first(place: Path = place, seen: list[int] = seen) -> None:
            shutil.rmtree(place)
            seen.append(1)

        with door.gated(before(at, first)):
            with_root(lab, lambda root, at=at: trash.empty(root, uid_of(at)))  # type: ignore[misc]
        assert not place.exists()
        if not seen:
            break
        make_lab(lab)
    assert at > 8


def test_only_what_a_dead_writer_left_aside_is_swept(lab: Path) -> None:
    (dead,) = fork_each([owner.writer])
    kernel = owner.writer().partition("-")[0]
    names = [f"{dead}.1", f"{dead}.2", f"{owner.writer()}.1", "0123456789-1-1-abc.1", "stray"]
    names += [f"{kernel}-1", ".hidden"]
    for name in names:
        (lab / layout.TMP / name / "inner").mkdir(parents=True)
        (lab / layout.TMP / name / "inner").chmod(0o555)
    (lab / layout.TMP / f"{dead}.3").touch(0o444)
    with Directory.open(lab) as root:
        assert trash.sweep(root) == [f"{dead}.1", f"{dead}.2", f"{dead}.3"]
        assert trash.sweep(root) == []
        assert sorted(os.listdir(lab / layout.TMP)) == sorted(names[2:])
    with Directory.open(lab / RUN) as bare:
        assert trash.sweep(bare) == []


@pytest.mark.users
def test_its_owner_can_move_what_is_closed_and_bring_it_back_closed(user: User) -> None:
    lab = user.directory / "lab"

    def body() -> None:
        make_lab(lab)
        there = lies(lab)
        with pytest.raises(PermissionError if user.uid else NotADirectoryError):
            os.rename(lab / CLOSED, lab / "moved" if user.uid else lab / FILE)
        for path in (CLOSED, INNER, FILE):
            remove(lab, path)
            assert not os.path.lexists(lab / path)
            restore(lab)
            assert lies(lab) == there
        remove(lab, RUN)
        with_root(lab, lambda root: trash.empty(root, uid_of()))
        assert os.listdir(lab / layout.TRASH) == []

    user.run(body)


@pytest.mark.users
def test_what_is_not_theirs_stays_where_it_is(user: User) -> None:
    lab = user.directory / "lab"
    make_lab(lab)  # of whoever started the tests
    there = lies(lab)

    def body() -> None:
        remove(lab, CLOSED)

    if user.uid == os.geteuid():
        user.run(body)
        return
    with pytest.raises(StorageError, match="ask the owner"):
        user.run(body)
    assert tree_of(lab) == there


def test_the_trash_is_open_to_whom_the_workspace_is(lab: Path) -> None:
    remove(lab, FILE)
    assert stat.S_IMODE((lab / layout.TRASH).stat().st_mode) == MODES.directory
    assert stat.S_IMODE((lab / layout.TRASH / uid_of()).stat().st_mode) == MODES.directory
