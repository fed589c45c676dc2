"""The one door to the file system: what each call does, and what a gate in it sees."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from molexp.disk import door
from molexp.errors import StorageError
from tests.disk import Call, recording, refusing
from tests.users import User

UMASKED = """
import os, stat, sys
os.umask(0o077)
from molexp.disk import door
top = os.open(sys.argv[1], os.O_RDONLY)
os.close(door.create(top, "file", 0o664))
os.close(door.open_append(top, "lines", 0o664))
os.close(door.open_append(top, "lines", 0o600))
door.mkdir(top, "below", 0o775)
for name in ("file", "lines", "below"):
    print(oct(stat.S_IMODE(os.stat(name, dir_fd=top).st_mode)))
"""

SWAPPED = """
import os, sys
os.umask(0o077)
from molexp.disk import door
os.chdir(sys.argv[1])
top = os.open(".", os.O_RDONLY)

def swap(event, arguments):
    if event in ("os.chmod", "open") and arguments[0] == "below" and not os.path.islink("below"):
        os.rmdir("below")
        os.symlink("outside", "below")

sys.addaudithook(swap)
try:
    door.mkdir(top, "below", 0o775)
except OSError as error:
    print(type(error).__name__, os.path.islink("below"))
"""


@pytest.fixture
def top(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path, os.O_RDONLY)
    yield fd
    os.close(fd)


def _put(path: Path, data: bytes = b"data") -> int:
    path.write_bytes(data)
    return os.open(path, os.O_RDWR)


def test_a_file_is_created_where_nothing_was_and_nowhere_else(tmp_path: Path, top: int) -> None:
    fd = door.create(top, "a", 0o640)
    door.write_all(fd, b"hello")
    os.close(fd)
    assert (tmp_path / "a").read_bytes() == b"hello"
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640
    (tmp_path / "dangling").symlink_to("elsewhere")
    for name in ("a", "dangling"):
        with pytest.raises(FileExistsError):
            door.create(top, name, 0o644)
    assert not (tmp_path / "elsewhere").exists()


def test_a_created_file_can_be_read_back_if_asked(top: int) -> None:
    fd = door.create(top, "a", 0o600, readable=True)
    door.write_all(fd, b"hello")
    assert os.pread(fd, 9, 0) == b"hello"
    os.close(fd)
    blind = door.create(top, "b", 0o600)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.pread(blind, 9, 0)
    os.close(blind)


def test_appending_keeps_what_was_there_and_follows_no_link(tmp_path: Path, top: int) -> None:
    for text in (b"one\n", b"two\n"):
        fd = door.open_append(top, "lines", 0o644)
        os.lseek(fd, 0, os.SEEK_SET)
        assert door.write(fd, text) == 4
        os.close(fd)
    assert (tmp_path / "lines").read_bytes() == b"one\ntwo\n"
    (tmp_path / "link").symlink_to("lines")
    with pytest.raises(OSError, match="symbolic links"):
        door.open_append(top, "link", 0o644)


def test_appending_to_a_fifo_does_not_block(tmp_path: Path, top: int) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(OSError, match="No such device"):
        door.open_append(top, "fifo", 0o644)


def test_names_are_made_moved_and_taken_away(tmp_path: Path, top: int) -> None:
    door.mkdir(top, "d", 0o750)
    assert stat.S_IMODE((tmp_path / "d").stat().st_mode) == 0o750
    (tmp_path / "a").write_text("a")
    door.link(top, "a", top, "b")
    assert (tmp_path / "a").samefile(tmp_path / "b")
    door.rename(top, "a", top, "c")
    door.unlink(top, "c")
    door.symlink("b", top, "l")
    assert sorted(os.listdir(tmp_path)) == ["b", "d", "l"]
    assert os.readlink(tmp_path / "l") == "b"
    door.rmdir(top, "d")
    assert not (tmp_path / "d").exists()


def test_a_link_to_a_link_is_a_second_name_of_that_link(tmp_path: Path, top: int) -> None:
    (tmp_path / "l").symlink_to("/etc/passwd")
    door.link(top, "l", top, "m")
    assert os.readlink(tmp_path / "m") == "/etc/passwd"


def test_what_is_taken_or_missing_keeps_its_own_error(tmp_path: Path, top: int) -> None:
    (tmp_path / "a").touch()
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "inner").touch()
    door.mkdir(top, "e", 0o755)
    for call in (
        partial(door.mkdir, top, "a", 0o755),
        partial(door.link, top, "a", top, "d"),
        partial(door.symlink, "x", top, "a"),
    ):
        with pytest.raises(FileExistsError) as raised:
            call()
        assert not isinstance(raised.value, StorageError)
    for missing in (
        partial(door.unlink, top, "none"),
        partial(door.rmdir, top, "none"),
        partial(door.rename, top, "none", top, "x"),
        partial(door.link, top, "none", top, "x"),
    ):
        with pytest.raises(FileNotFoundError):
            missing()
    with pytest.raises(OSError, match="not empty"):
        door.rename(top, "e", top, "d")
    with pytest.raises(OSError, match="not empty"):
        door.rmdir(top, "d")


def test_what_is_open_changes_its_size_mode_and_time(tmp_path: Path) -> None:
    fd = _put(tmp_path / "a", b"0123456789")
    door.truncate(fd, 4)
    door.chmod(fd, 0o444)
    os.utime(tmp_path / "a", (1, 1))
    door.touch(fd)
    status = os.fstat(fd)
    assert (status.st_size, stat.S_IMODE(status.st_mode)) == (4, 0o444)
    assert abs(status.st_mtime - time.time()) < 60
    os.close(fd)


def test_a_write_that_takes_a_part_is_followed_by_one_of_the_rest(tmp_path: Path) -> None:
    fd = _put(tmp_path / "a", b"")
    sizes: list[int] = []

    def gate(operation: str, function: Callable[..., int], arguments: tuple[object, ...]) -> int:
        descriptor, data = arguments
        assert isinstance(data, memoryview)
        sizes.append(len(data))
        return function(descriptor, data[:3])

    with door.gated(gate):
        door.write_all(fd, b"01234567")
    assert sizes == [8, 5, 2]
    assert (tmp_path / "a").read_bytes() == b"01234567"
    os.close(fd)


def _all_calls(top: int, file: int) -> dict[str, Callable[[], object]]:
    return {
        "create": lambda: door.create(top, "n", 0o644),
        "open_append": lambda: door.open_append(top, "l", 0o644),
        "write": lambda: door.write(file, b"x"),
        "truncate": lambda: door.truncate(file, 1),
        "mkdir": lambda: door.mkdir(top, "m", 0o755),
        "rename": lambda: door.rename(top, "a", top, "b"),
        "link": lambda: door.link(top, "b", top, "c"),
        "symlink": lambda: door.symlink("b", top, "s"),
        "unlink": lambda: door.unlink(top, "c"),
        "rmdir": lambda: door.rmdir(top, "m"),
        "chmod": lambda: door.chmod(file, 0o600),
        "touch": lambda: door.touch(file),
        "sync_file": lambda: door.sync_file(file),
        "sync_directory": lambda: door.sync_directory(top),
        "sync_file_system": lambda: door.sync_file_system(top),
    }


def test_a_gate_sees_every_operation_with_plain_arguments(tmp_path: Path, top: int) -> None:
    file = _put(tmp_path / "a")
    calls: list[Call] = []
    with door.gated(recording(calls)):
        made = [call() for call in _all_calls(top, file).values()]
    assert tuple(operation for operation, _ in calls) == door.OPERATIONS
    for _, arguments in calls:
        assert all(type(argument) in (int, str, bytes) for argument in arguments)
    seen = dict(calls)
    assert seen["rename"] == (top, "a", top, "b")
    assert seen["write"] == (file, b"x")
    assert seen["sync_file"] == (file,)
    for fd in (made[0], made[1], file):
        os.close(int(str(fd)))


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS])
@pytest.mark.parametrize("operation", door.OPERATIONS)
def test_the_disk_s_troubles_name_path_operation_number_and_cure(
    tmp_path: Path, top: int, operation: str, number: int
) -> None:
    file = _put(tmp_path / "a")
    with door.gated(refusing(operation, number)), pytest.raises(StorageError) as raised:
        _all_calls(top, file)[operation]()
    os.close(file)
    error = raised.value
    name = {"create": "n", "open_append": "l", "mkdir": "m", "link": "b", "symlink": "s"}
    name |= {"unlink": "c", "rmdir": "m", "sync_directory": "", "sync_file_system": ""}
    assert error.filename == str(tmp_path / name.get(operation, "a"))
    assert error.errno == error.details["errno"] == number
    assert error.details["operation"] == operation.replace("_", " ")
    assert str(error).startswith(f"{error.filename}: cannot ")
    assert error.cure in str(error)
    assert isinstance(error.__cause__, OSError)


def test_gates_do_not_nest_and_leave_the_door_open_behind_them(top: int) -> None:
    calls: list[Call] = []
    with door.gated(recording(calls)), pytest.raises(RuntimeError), door.gated(recording([])):
        pass
    with pytest.raises(KeyError), door.gated(recording(calls)):
        raise KeyError
    door.mkdir(top, "m", 0o755)
    assert calls == []


def test_a_mask_that_takes_bits_away_leaves_the_mode_that_was_asked_for(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", UMASKED, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["0o664", "0o664", "0o775"]


def test_a_link_that_takes_the_place_of_a_new_directory_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir(0o700)
    done = subprocess.run(
        [sys.executable, "-c", SWAPPED, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["NotADirectoryError", "True"]
    assert stat.S_IMODE((tmp_path / "outside").stat().st_mode) == 0o700


@pytest.mark.users
def test_what_a_user_may_not_change_is_refused_with_whom_to_ask(user: User) -> None:
    closed = user.directory / "closed"
    closed.mkdir()
    closed.chmod(0o555)

    def body() -> None:
        top = os.open(closed, os.O_RDONLY)
        try:
            os.close(door.create(top, "new", 0o644))
        finally:
            os.close(top)

    if user.uid == 0:
        user.run(body)
        return
    with pytest.raises(StorageError, match="permission") as raised:
        user.run(body)
    assert raised.value.errno == errno.EACCES
    assert raised.value.filename == str(closed / "new")


@pytest.mark.parametrize("umask", [0, 0o002, 0o022, 0o077])
def test_a_directory_hands_its_group_on_whatever_the_umask_is(tmp_path: Path, umask: int) -> None:
    script = (
        f"import os, sys; os.umask({umask})\n"
        "from molexp.disk import door\n"
        "door.mkdir(os.open(sys.argv[1], os.O_RDONLY), 'group', 0o2770)\n"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True)
    assert stat.S_IMODE((tmp_path / "group").stat().st_mode) == 0o2770
