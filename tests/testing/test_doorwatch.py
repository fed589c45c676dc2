"""Whatever changes a watched directory beside the door is seen; what passes it is not accused."""

from __future__ import annotations

import errno
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from molexp.disk import door
from molexp.errors import StorageError
from molexp.testing.doorwatch import watching
from tests.testing.workloads import Placed, folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A directory with a file, a folder, and a link to the folder."""
    path = tmp_path / "root"
    (path / "sub").mkdir(parents=True)
    (path / "file").write_text("old")
    (tmp_path / "outside").write_text("outside")
    (tmp_path / "way").symlink_to(path / "sub")
    return path


def through_a_descriptor(change: Callable[[int], object]) -> Callable[[Path], None]:
    def act(root: Path) -> None:
        fd = folder(root / "sub")
        try:
            change(fd)
        finally:
            os.close(fd)

    return act


def open_beneath(fd: int) -> None:
    os.close(os.open("new", os.O_WRONLY | os.O_CREAT, dir_fd=fd))


def wrap_a_descriptor(fd: int) -> None:
    with os.fdopen(door.create(fd, "new", 0o644), "wb") as file:
        file.write(b"beside")


WRONG: dict[str, tuple[str, Callable[[Path], object]]] = {
    "plain open": ("open", lambda root: (root / "new").open("w").close()),
    "open to append": ("open", lambda root: (root / "file").open("a").close()),
    "open to update": ("open", lambda root: (root / "file").open("r+").close()),
    "write_text": ("open", lambda root: (root / "new").write_text("new")),
    "touch": ("open", lambda root: (root / "new").touch()),
    "os.open beneath": ("open", through_a_descriptor(open_beneath)),
    "a file object around a descriptor": ("open", through_a_descriptor(wrap_a_descriptor)),
    "os.rename": ("os.rename", lambda root: os.rename(root / "file", root / "moved")),
    "os.replace": ("os.rename", lambda root: os.replace(root / "file", root / "moved")),
    "rename out": ("os.rename", lambda root: (root / "file").rename(root.parent / "moved")),
    "rename in": ("os.rename", lambda root: (root.parent / "outside").rename(root / "moved")),
    "os.link": ("os.link", lambda root: os.link(root / "file", root / "second")),
    "symlink": ("os.symlink", lambda root: (root / "link").symlink_to("file")),
    "mkdir": ("os.mkdir", lambda root: (root / "new").mkdir()),
    "mkdir beneath": ("os.mkdir", through_a_descriptor(lambda fd: os.mkdir("new", dir_fd=fd))),
    "rmdir": ("os.rmdir", lambda root: (root / "sub").rmdir()),
    "unlink": ("os.remove", lambda root: (root / "file").unlink()),
    "chmod": ("os.chmod", lambda root: (root / "file").chmod(0o600)),
    "fchmod": ("os.chmod", through_a_descriptor(lambda fd: os.fchmod(fd, 0o700))),
    "chown": ("os.chown", lambda root: os.chown(root / "file", -1, -1)),
    "utime": ("os.utime", lambda root: os.utime(root / "file")),
    "truncate": ("os.truncate", lambda root: os.truncate(root / "file", 0)),
    "shutil.copy": ("shutil.copyfile", lambda root: shutil.copy(root / "file", root / "copy")),
    "shutil.rmtree": ("shutil.rmtree", lambda root: shutil.rmtree(root / "sub")),
    "through a link": ("open", lambda root: (root.parent / "way/new").write_text("new")),
    "the root itself": ("os.chmod", lambda root: root.chmod(0o700)),
}


@pytest.mark.parametrize(("event", "change"), WRONG.values(), ids=WRONG)
def test_a_change_beside_the_door_is_seen(
    event: str, change: Callable[[Path], object], root: Path
) -> None:
    with watching(root) as watch:
        change(root)
    assert any(text.startswith(f"{event} of ") for text in watch.violations), watch
    assert all(__file__ in text for text in watch.violations), watch


def test_what_passes_the_door_is_counted_and_not_accused(root: Path) -> None:
    workload = Placed()
    workload.prepare(root)
    with watching(root) as watch:
        for step in workload.steps(root):
            step.act()
    assert watch.violations == []
    assert watch.passed == 3 * 5
    assert str(watch) == "15 calls passed the door, 0 did not"


def test_reading_and_changes_elsewhere_are_not_accused(root: Path) -> None:
    with watching(root) as watch:
        (root / "file").read_bytes()
        os.listdir(root)
        os.stat(root / "file")
        (root.parent / "outside").write_text("new")
        (root.parent / "root-but-longer").mkdir()
    assert watch.violations == []


def test_nothing_is_accused_when_the_watch_is_over(root: Path) -> None:
    with watching(root) as watch:
        pass
    (root / "new").touch()
    assert watch.violations == []


def test_every_thread_is_watched_and_marked_for_itself(root: Path) -> None:
    inside, done = threading.Event(), threading.Event()

    def slowly(operation: str, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        def passing(*given: Any) -> Any:
            inside.set()
            assert done.wait(10)
            return function(*given)

        return passing(*arguments)

    def through_the_door() -> None:
        fd = folder(root)
        door.mkdir(fd, "by the door", 0o755)
        os.close(fd)

    with watching(root, slowly) as watch:
        thread = threading.Thread(target=through_the_door)
        thread.start()
        assert inside.wait(10)
        (root / "beside").mkdir()
        done.set()
        thread.join()
    assert [text.split(" at ")[0] for text in watch.violations] == [
        f"os.mkdir of {str(root / 'beside')!r}"
    ]


def test_another_gate_can_stand_in_the_watched_door_and_is_watched_itself(root: Path) -> None:
    def full(operation: str, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        (root / "the gate did it").touch()
        raise OSError(errno.ENOSPC, "full")

    fd = folder(root)
    with watching(root, full) as watch, pytest.raises(StorageError):
        door.mkdir(fd, "new", 0o755)
    os.close(fd)
    assert watch.passed == 0
    assert "the gate did it" in watch.violations[0]


def test_two_watches_at_once_are_refused(root: Path) -> None:
    with watching(root), pytest.raises(RuntimeError, match="watched already"), watching(root):
        pass
