"""Nothing is reached through a link, whatever lies there and whoever swaps it, at any moment."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from molexp.disk import door
from molexp.disk.beneath import Directory
from molexp.errors import FormatError, InvalidNameError, MolexpError, NotFoundError, StorageError
from tests.disk import before
from tests.users import User

SECRET = b"a secret that lies outside"
INSIDE = b"what lies inside"

CROOKED = ["..", ".", "../outside", "a/../b", "a/./b", "/etc/passwd", "a//b", "a/", "//", "a\0b"]
CROOKED += ["sub/..", "sub/../../outside/secret", "\ud800", "a/\ud800/b"]


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    """A directory with something in it, beside a secret."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_bytes(SECRET)
    lab = tmp_path / "lab"
    (lab / "sub" / "below").mkdir(parents=True)
    (lab / "sub" / "secret").write_bytes(INSIDE)
    return lab


@pytest.fixture
def root(lab: Path) -> Iterator[Directory]:
    with Directory.open(lab) as directory:
        yield directory


def _reads(root: Directory) -> list[Callable[[str], object]]:
    return [lambda path: root.read(path, 100), root.open_file]


def _all(root: Directory) -> list[Callable[[str], object]]:
    return [*_reads(root), root.stat, root.exists, root.enter, lambda path: root.make(path, 0o755)]


def _open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_files_and_directories_are_found_by_their_paths(root: Directory, lab: Path) -> None:
    assert root.read("sub/secret", 100) == INSIDE
    assert root.stat("sub/secret").st_size == len(INSIDE)
    assert root.names() == ["sub"]
    with root.enter("sub") as sub, root.enter("") as again:
        assert sub.names() == ["below", "secret"]
        assert again.names() == ["sub"]
        assert sub.where("secret") == f"{lab}/sub/secret"
    assert root.exists("sub/below")
    assert not root.exists("sub/none")
    assert not root.exists("none/secret")


@pytest.mark.parametrize("path", CROOKED)
def test_a_path_that_does_not_lead_straight_down_is_refused(root: Directory, path: str) -> None:
    for look in _all(root):
        with pytest.raises(InvalidNameError, match="refused") as raised:
            look(path)
        assert raised.value.details["rule"] == "beneath"


def test_the_directory_itself_is_no_entry_of_its_own(root: Directory) -> None:
    for look in (*_reads(root), root.stat, root.exists):
        with pytest.raises(InvalidNameError):
            look("")


@given(st.text(st.characters(), max_size=12))
def test_no_text_leads_out_or_raises_what_nobody_expects(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    base = tmp_path_factory.getbasetemp()
    with Directory.open(base) as root, suppress(MolexpError):
        path = Path(os.path.realpath(root.enter(text).path))
        assert path.is_relative_to(base)
    with suppress(MolexpError):
        Directory.open(text + "\0").close()


def _plant(lab: Path, kind: str) -> str:
    """Put something else where a file is looked for; the path to read."""
    outside = lab.parent / "outside"
    if kind == "file link":
        (lab / "x").symlink_to(outside / "secret")
    elif kind == "relative link":
        (lab / "x").symlink_to("../outside/secret")
    elif kind == "inner link":
        (lab / "x").symlink_to("sub/secret")
    elif kind == "dangling link":
        (lab / "x").symlink_to("nowhere")
    elif kind == "loop":
        (lab / "x").symlink_to("x")
    elif kind == "directory link":
        (lab / "d").symlink_to(outside)
        return "d/secret"
    elif kind == "link in the middle":
        (lab / "sub" / "d").symlink_to(outside.parent)
        return "sub/d/outside/secret"
    elif kind == "fifo":
        os.mkfifo(lab / "x")
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(str(lab / "x"))
    elif kind == "directory":
        (lab / "x").mkdir()
    return "x"


PLANTS = ["file link", "relative link", "inner link", "dangling link", "loop", "directory link"]
PLANTS += ["link in the middle", "fifo", "socket", "directory"]


@pytest.mark.parametrize("kind", PLANTS)
def test_only_a_regular_file_is_read(root: Directory, lab: Path, kind: str) -> None:
    path, count = _plant(lab, kind), _open_descriptors()
    for read in _reads(root):
        with pytest.raises(FormatError) as raised:
            read(path)
        assert str(lab) in str(raised.value)
        assert "move away what took its place" in raised.value.cure
    assert _open_descriptors() == count


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes devices")
def test_a_device_is_not_read(root: Directory, lab: Path) -> None:
    try:
        os.mknod(lab / "zero", 0o600 | 0o020000, os.makedev(1, 5))
    except PermissionError:
        pytest.skip("no devices can be made here")
    with pytest.raises((FormatError, StorageError)):
        root.read("zero", 10)


@pytest.mark.parametrize("kind", ["directory link", "link in the middle", "file link", "fifo"])
def test_no_directory_is_entered_or_made_through_what_is_none(
    root: Directory, lab: Path, kind: str
) -> None:
    path = _plant(lab, kind)
    above = path.rpartition("/")[0] or path
    for look in (root.enter, lambda path: root.make(path, 0o755)):
        for target in (above, f"{above}/new"):
            with pytest.raises(FormatError, match="follows no links"):
                look(target)
    assert os.listdir(lab.parent / "outside") == ["secret"]


def test_a_link_is_told_as_a_link_and_not_followed_by_stat(root: Directory, lab: Path) -> None:
    (lab / "x").symlink_to("nowhere")
    assert root.exists("x")
    assert root.stat("x").st_size == len("nowhere")


def test_what_is_missing_says_where_it_was_looked_for(root: Directory, lab: Path) -> None:
    for look in (*_reads(root), root.enter, root.stat):
        with pytest.raises(NotFoundError, match=f"{lab}/sub/none is not there"):
            look("sub/none")
    with pytest.raises(NotFoundError, match="no-such-place"):
        Directory.open(lab / "no-such-place")
    with pytest.raises(FormatError):
        Directory.open(lab / "sub" / "secret")


def test_a_file_of_the_limit_is_read_and_one_byte_more_is_not(root: Directory, lab: Path) -> None:
    (lab / "x").write_bytes(b"x" * 1000)
    assert root.read("x", 1000) == b"x" * 1000
    assert root.read("x", 1 << 40) == b"x" * 1000
    with pytest.raises(FormatError, match=r"more than 999 bytes"):
        root.read("x", 999)
    (lab / "empty").touch()
    assert root.read("empty", 0) == b""


def test_a_sparse_giant_costs_no_memory(root: Directory, lab: Path) -> None:
    (lab / "x").touch()
    os.truncate(lab / "x", 1 << 40)
    with pytest.raises(FormatError):
        root.read("x", 1 << 20)


def test_a_file_that_grows_is_read_up_to_some_moment_of_its_own(root: Directory, lab: Path) -> None:
    done = threading.Event()

    def grow() -> None:
        with open(lab / "x", "ab", buffering=0) as file:
            for number in range(2000):
                file.write(b"%07d\n" % number)
        done.set()

    (lab / "x").touch()
    writer = threading.Thread(target=grow)
    writer.start()
    sizes = [0]
    while not done.is_set():
        lines = root.read("x", 1 << 20).split(b"\n")
        assert lines[:-1] == [b"%07d" % number for number in range(len(lines) - 1)]
        sizes.append(len(lines))
    writer.join()
    assert sizes == sorted(sizes)
    assert len(root.read("x", 1 << 20)) == 16000


def test_directories_are_made_once_and_told_of(root: Directory, lab: Path) -> None:
    changed: list[str] = []
    root.make("a/b/c", 0o750, lambda directory: changed.append(directory.path)).close()
    root.make("a/b/d", 0o750, lambda directory: changed.append(directory.path)).close()
    assert changed == [str(lab), f"{lab}/a", f"{lab}/a/b", f"{lab}/a/b"]
    assert (lab / "a" / "b" / "c").stat().st_mode & 0o777 == 0o750


def test_a_directory_that_another_makes_meanwhile_is_as_good(root: Directory, lab: Path) -> None:
    with door.gated(before(1, (lab / "a").mkdir)), root.make("a/b", 0o755) as made:
        assert made.names() == []


def test_what_fails_leaves_no_descriptor_open(root: Directory, lab: Path) -> None:
    (lab / "link").symlink_to("sub")
    count = _open_descriptors()
    for path in ("a/..", "link/x", "sub/secret/x", "sub/none/x" + "y" * 300, "x" * 300):
        for look in (root.stat, root.enter, lambda path: root.make(path, 0o755)):
            with pytest.raises(MolexpError):
                look(path)
    assert _open_descriptors() == count


def test_many_threads_list_one_directory_and_each_sees_it_whole(root: Directory, lab: Path) -> None:
    for number in range(2000):
        (lab / "sub" / "below" / f"{number:04}").touch()
    found: list[int] = []
    with root.enter("sub/below") as shared:

        def look() -> None:
            found.extend(len(shared.names()) for _ in range(40))

        threads = [threading.Thread(target=look) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found == [2000] * 120


@pytest.mark.users
def test_what_a_user_may_not_read_is_refused_with_whom_to_ask(user: User) -> None:
    (user.directory / "closed").write_bytes(INSIDE)
    (user.directory / "closed").chmod(0)
    (user.directory / "shut").mkdir(0)

    def body() -> bytes:
        with Directory.open(user.directory) as root:
            root.enter("shut").close()
            return root.read("closed", 100)

    if user.uid == 0:
        assert user.run(body) == INSIDE
    else:
        with pytest.raises(StorageError, match="ask the owner"):
            user.run(body)


@contextmanager
def _swapping(lab: Path) -> Iterator[None]:
    """Somebody else swaps a directory for a link to the one outside, as fast as they can."""
    (lab / "link").symlink_to("../outside")
    child = os.fork()
    if child == 0:
        here, real, fake = (str(lab / name) for name in ("sub", "real", "link"))
        with suppress(BaseException):
            while os.getppid() != 1:
                os.rename(here, real)
                os.rename(fake, here)
                os.rename(here, fake)
                os.rename(real, here)
        os._exit(0)
    try:
        yield
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)


def _naive_read(lab: Path) -> bytes:
    """The known-bad twin: look where the path leads, then open it."""
    path = lab / "sub" / "secret"
    if not os.path.realpath(path).startswith(f"{lab}/"):
        raise FileNotFoundError
    return path.read_bytes()


def test_no_swap_of_a_link_leads_a_read_outside(root: Directory, lab: Path) -> None:
    read, refused = set(), 0
    with _swapping(lab):
        for _ in range(20_000):
            try:
                read.add(root.read("sub/secret", 100))
            except (FormatError, NotFoundError):
                refused += 1
    assert read == {INSIDE}
    assert refused  # or nobody swapped anything


def test_looking_before_opening_loses_that_race(lab: Path) -> None:
    with _swapping(lab):
        for _ in range(200_000):
            with suppress(OSError):  # a look that found it half swapped
                if _naive_read(lab) == SECRET:
                    return
    raise AssertionError("the harness is too tame: it did not even catch the known-bad twin")
