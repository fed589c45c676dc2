"""Records appear whole or not at all, whoever contends, and whatever is deleted meanwhile."""

from __future__ import annotations

import errno
import itertools
import os
import shutil
import stat
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from molexp.disk import door, layout, record
from molexp.disk.beneath import Directory
from molexp.disk.commit import Batch, begin
from molexp.disk.record import Aside
from molexp.errors import (
    AlreadyExistsError,
    FormatError,
    FormatVersionError,
    NotFoundError,
    StorageError,
)
from molexp.model.execution import Owner
from molexp.model.record import Document
from tests.disk import aside_of, entries, fork_each, meet, put_two, recording, refusing, tree_of
from tests.users import User

MODES = layout.ACCESS["private"]
OWNER = Owner(host="h", boot_id="b", pid_namespace="n", pid=1, started=2)
LINKLESS = [errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK]


class Sign(Document):
    """A record of these tests' own."""

    text: str


def test_a_record_is_read_back_as_it_was_written(root: Directory) -> None:
    record.write_new(root, "owner.json", OWNER.to_json(), 0o444)
    assert record.read(root, "owner.json", Owner) == OWNER
    assert record.read_if_there(root, "owner.json", Owner) == OWNER
    assert record.read_if_there(root, "none.json", Owner) is None
    with pytest.raises(NotFoundError, match=r"none\.json"):
        record.read(root, "none.json", Owner)


@pytest.mark.parametrize(
    ("data", "place"),
    [
        (b"", ""),
        (b'{"host":"h"', "line 1"),
        (b"[1]", ""),
        (b'{"text":7,"format":1}', "text"),
        (b'{"text":"\xff","format":1}', "line 1"),
        (b'{"text":"' + b"[" * 5000 + b'"', "line 1"),
        (b'{"text":' + b"[" * 5000, "line 1"),
        (b'{"text":"t"}', "format"),
    ],
)
def test_a_damaged_record_names_its_file_and_the_place(
    root: Directory, tmp_path: Path, data: bytes, place: str
) -> None:
    (tmp_path / "sign.json").write_bytes(data)
    with pytest.raises(FormatError) as raised:
        record.read_if_there(root, "sign.json", Sign)
    assert str(raised.value).startswith(f"{tmp_path}/sign.json")
    assert str(raised.value.details["place"]).startswith(place)


def test_a_newer_record_names_the_command_to_run(root: Directory, tmp_path: Path) -> None:
    (tmp_path / "sign.json").write_bytes(b'{"format":2,"text":"t"}')
    with pytest.raises(FormatVersionError, match="pip install --upgrade"):
        record.read(root, "sign.json", Sign)


def test_an_oversized_record_is_refused_unread(root: Directory, tmp_path: Path) -> None:
    (tmp_path / "sign.json").touch()
    os.truncate(tmp_path / "sign.json", Sign.max_bytes + 1)
    with pytest.raises(FormatError, match="more than"):
        record.read(root, "sign.json", Sign)


def test_what_has_its_name_is_whole_and_nothing_stays_aside(
    root: Directory, aside: Aside, batch: Batch, tmp_path: Path
) -> None:
    aside.publish_file(b"data", root, "end.json", 0o444, batch)
    made = aside.publish_directory(put_two, root, "0001", batch)
    assert made.names() == ["a", "b"]
    assert made.path == f"{tmp_path}/0001"
    made.close()
    assert (tmp_path / "end.json").read_bytes() == b"data"
    assert stat.S_IMODE((tmp_path / "end.json").stat().st_mode) == 0o444
    assert stat.S_IMODE((tmp_path / "0001").stat().st_mode) == MODES.directory
    assert aside_of(root) == []


def test_what_is_aside_begins_with_its_writer(root: Directory, aside: Aside, batch: Batch) -> None:
    seen: list[str] = []
    aside.publish_directory(lambda made: seen.extend(aside_of(root)), root, "d", batch).close()
    assert [name.split(".")[0] for name in seen] == ["w"]


@pytest.mark.parametrize("there", [b"o", b"other", b"much longer than what comes second", b""])
@pytest.mark.parametrize("number", [0, *LINKLESS])
def test_the_second_of_two_learns_that_it_is_the_second(
    root: Directory, aside: Aside, batch: Batch, tmp_path: Path, there: bytes, number: int
) -> None:
    (tmp_path / "end.json").write_bytes(there)
    gate = refusing("link" if number else "none", number)
    with door.gated(gate), pytest.raises(AlreadyExistsError) as raised:
        aside.publish_file(b"mine!", root, "end.json", 0o444, batch)
    assert raised.value.details["path"] == f"{tmp_path}/end.json"
    assert (tmp_path / "end.json").read_bytes() == there
    assert aside_of(root) == []


@pytest.mark.parametrize("kind", ["directory", "link", "dangling", "fifo"])
def test_whatever_has_the_name_keeps_it(
    root: Directory, aside: Aside, batch: Batch, tmp_path: Path, kind: str
) -> None:
    if kind == "directory":
        (tmp_path / "end.json").mkdir()
    elif kind == "fifo":
        os.mkfifo(tmp_path / "end.json")
    else:
        (tmp_path / "other").write_bytes(b"mine")
        (tmp_path / "end.json").symlink_to("other" if kind == "link" else "none")
    before_it = tree_of(tmp_path) if kind != "fifo" else {}
    with pytest.raises(AlreadyExistsError):
        aside.publish_file(b"mine", root, "end.json", 0o444, batch)
    shutil.rmtree(tmp_path / layout.CACHE)
    assert kind == "fifo" or tree_of(tmp_path) == before_it


@pytest.mark.parametrize("number", [0, *LINKLESS])
def test_the_same_bytes_again_are_no_conflict(
    root: Directory, aside: Aside, batch: Batch, tmp_path: Path, number: int
) -> None:
    with door.gated(refusing("link" if number else "none", number)):
        for _ in range(2):
            aside.publish_file(b"data", root, "end.json", 0o444, batch)
    assert (tmp_path / "end.json").read_bytes() == b"data"


@pytest.mark.parametrize("links", [True, False])
def test_of_eight_processes_one_wins_and_seven_are_told(tmp_path: Path, links: bool) -> None:
    def contend(number: int) -> str:
        with Directory.open(tmp_path) as root:
            aside, won = Aside(root, MODES, writer=f"w{number}"), []
            batch = begin(root, "process")
            with door.gated(refusing("none" if links else "link", errno.EPERM)):
                for round_ in range(30):
                    data = f"{number} {round_}".encode() * (number * 500 + 1)
                    meet(tmp_path / f"met-{round_}", f"{number}", 8)
                    try:
                        aside.publish_file(data, root, f"{round_}.json", 0o444, batch)
                        won.append(str(round_))
                    except AlreadyExistsError:
                        pass
        return " ".join(won)

    said = fork_each([partial(contend, number) for number in range(8)])
    winners = [text.split() if text is not None else ["died"] for text in said]
    assert sorted(itertools.chain(*winners), key=int) == [str(round_) for round_ in range(30)]
    assert sum(map(bool, winners)) > 1  # or they did not contend
    for number, rounds in enumerate(winners):
        for round_ in rounds:
            content = (tmp_path / f"{round_}.json").read_bytes()
            assert content == f"{number} {round_}".encode() * (number * 500 + 1)


def test_who_looks_meanwhile_sees_nothing_or_the_whole(root: Directory, aside: Aside) -> None:
    data, number = os.urandom(200_000), 100
    done = threading.Event()

    def write() -> None:
        batch = begin(root, "process")
        for at in range(number):
            aside.publish_file(data, root, f"{at}", 0o444, batch)
        done.set()

    writer, missed = threading.Thread(target=write), 0
    writer.start()
    for at in range(number):
        while not root.exists(f"{at}"):
            missed += 1
        assert root.read(f"{at}", len(data)) == data
    writer.join()
    assert missed
    assert done.is_set()


def test_two_who_write_under_one_id_do_not_meet(root: Directory, batch: Batch) -> None:
    one, other = Aside(root, MODES, writer="w"), Aside(root, MODES, writer="w")

    def fill(made: Directory) -> None:
        other.publish_file(b"x", root, "x", 0o444, batch)
        other.publish_directory(put_two, root, "e", batch).close()

    one.publish_directory(fill, root, "d", batch).close()
    assert entries(root) == ["d", "e", "x"]


def test_what_a_filling_raises_comes_out_and_leaves_nothing(
    root: Directory, aside: Aside, batch: Batch
) -> None:
    for error in (KeyboardInterrupt(), FileNotFoundError("elsewhere"), NotFoundError("", cure="")):

        def fill(made: Directory, error: BaseException = error) -> None:
            put_two(made)
            raise error

        with pytest.raises(type(error)):
            aside.publish_directory(fill, root, "it", batch)
        assert entries(root) == []
        assert aside_of(root) == []


@pytest.mark.parametrize("kind", ["full", "file", "link"])
def test_a_directory_takes_no_name_that_something_has(
    root: Directory, aside: Aside, batch: Batch, tmp_path: Path, kind: str
) -> None:
    if kind == "full":
        (tmp_path / "it").mkdir()
        (tmp_path / "it" / "inner").touch()
    elif kind == "file":
        (tmp_path / "it").touch()
    else:
        (tmp_path / "it").symlink_to("/tmp")
    there = tree_of(tmp_path)
    with pytest.raises(AlreadyExistsError, match="it is there already"):
        aside.publish_directory(put_two, root, "it", batch)
    assert aside_of(root) == []
    shutil.rmtree(tmp_path / layout.CACHE)
    assert tree_of(tmp_path) == there


def test_an_empty_directory_gives_way_for_nothing_is_lost_with_it(
    root: Directory, aside: Aside, batch: Batch, tmp_path: Path
) -> None:
    (tmp_path / "it").mkdir()
    aside.publish_directory(put_two, root, "it", batch).close()
    assert sorted(os.listdir(tmp_path / "it")) == ["a", "b"]


def test_a_file_is_synced_before_its_name_and_its_name_after(
    root: Directory, aside: Aside, batch: Batch
) -> None:
    calls: list[tuple[str, tuple[object, ...]]] = []
    with door.gated(recording(calls)):
        aside.publish_file(b"data", root, "end.json", 0o444, batch)
    order = [name for name, _ in calls if name in ("write", "sync_file", "link", "sync_directory")]
    assert order == ["write", "sync_file", "link", "sync_directory"]


@pytest.mark.users
def test_a_workspace_that_may_not_be_written_says_so_and_stays_as_it_was(user: User) -> None:
    (user.directory / "there").touch()
    user.directory.chmod(0o555)

    def body() -> None:
        with Directory.open(user.directory) as root:
            aside, batch = Aside(root, MODES, writer="w"), begin(root)
            try:
                aside.publish_file(b"data", root, "end.json", 0o444, batch)
            finally:
                batch.close()

    if user.uid == 0:
        user.run(body)
        return
    with pytest.raises(StorageError, match="ask the owner"):
        user.run(body)
    assert os.listdir(user.directory) == ["there"]


def test_a_file_appears_whole_although_molexp_is_deleted_before_its_link(
    root: Directory, tmp_path: Path
) -> None:
    calls: list[str] = []

    def gate(operation: str, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        if operation == "link" and "link" not in calls:
            shutil.rmtree(tmp_path / layout.CACHE)
        calls.append(operation if arguments[1:2] != ("end.json",) else f"{operation} in place")
        return function(*arguments)

    aside, batch = Aside(root, MODES), begin(root)
    with door.gated(gate):
        aside.publish_file(b"whole", root, "end.json", 0o444, batch)
    assert (tmp_path / "end.json").read_bytes() == b"whole"
    assert calls.count("link") == 2
    assert "create in place" not in calls, "what is created in place can be torn"


def test_a_file_for_a_directory_that_is_gone_is_refused(root: Directory, tmp_path: Path) -> None:
    aside, batch = Aside(root, MODES), begin(root)
    place = root.make("a", 0o755)
    (tmp_path / "a").rmdir()
    with pytest.raises(NotFoundError):
        aside.publish_file(b"x", place, "end.json", 0o444, batch)
    assert list((tmp_path / layout.TMP).iterdir()) == []


def test_a_forked_child_makes_things_aside_under_its_own_name(
    root: Directory, tmp_path: Path
) -> None:
    aside, batch = Aside(root, MODES), begin(root, "process")
    names: list[str] = []

    def gate(operation: str, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        if operation == "create":
            names.append(arguments[1])
            (tmp_path / f"{len(list(tmp_path.glob('seen*')))}seen-{arguments[1]}").touch()
        return function(*arguments)

    with door.gated(gate):
        aside.publish_file(b"x", root, "parent", 0o444, batch)
        child = os.fork()
        if not child:
            aside.publish_file(b"x", root, "child", 0o444, batch)
            os._exit(0)
        os.waitpid(child, 0)
    made = {path.name.partition("seen-")[2].partition(".")[0] for path in tmp_path.glob("*seen-*")}
    assert len(made) == 2
    assert {writer.split("-")[1] for writer in made} == {str(os.getpid()), str(child)}


@pytest.mark.parametrize("number", [errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK])
def test_whether_there_are_links_is_found_by_trying(
    root: Directory, aside: Aside, number: int
) -> None:
    assert aside.can_link() is True
    with door.gated(refusing("link", number)):
        assert aside.can_link() is False
    assert aside_of(root) == []


@pytest.mark.parametrize("operation", ["create", "link"])
def test_a_disk_that_refuses_says_nothing_of_links(
    root: Directory, aside: Aside, operation: str
) -> None:
    aside.moment()
    with door.gated(refusing(operation, errno.EIO)), pytest.raises(StorageError):
        aside.can_link()
    assert aside_of(root) == []
    assert aside.can_link() is True


def test_a_moment_is_the_file_system_s_and_leaves_nothing(root: Directory, aside: Aside) -> None:
    moments = []
    for _ in range(3):
        moments.append(aside.moment())
        Path(root.path, "file").write_bytes(b"x")
        moments.append(Path(root.path, "file").stat().st_mtime)
    assert moments == sorted(moments)
    assert aside_of(root) == []
    with door.gated(refusing("create", errno.EROFS)), pytest.raises(StorageError):
        aside.moment()


def test_a_moment_is_told_although_molexp_was_deleted(root: Directory, aside: Aside) -> None:
    aside.moment()
    shutil.rmtree(Path(root.path, layout.CACHE))
    assert aside.moment() > 0
