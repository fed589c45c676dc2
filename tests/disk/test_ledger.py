"""Lines: what was acknowledged is read back, once, whatever is torn around it."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from molexp.disk import door
from molexp.disk.beneath import Directory
from molexp.disk.digest import hash_file
from molexp.disk.ledger import MAX_LINE_BYTES, Appender, LineReader, entries, tail
from molexp.errors import FormatError, InvalidInputError, NotFoundError, StorageError
from molexp.model.codec import join_line
from tests.disk import calls_of, die, fork_each, meet, refusing
from tests.users import User

ASSET = (
    b'{"asset":{"asset_id":"01ARYZ6S410000000000000000","kind":"artifact","name":"a",'
    b'"created_at":"2026-01-01T00:00:00Z"}}\n'
)
INPUT = b'{"input":{"at":"2026-01-01T00:00:00Z","name":"x","value":1}}\n'


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Directory]:
    with Directory.open(tmp_path) as directory:
        yield directory


def _lines(root: Directory, offset: int = 0) -> list[bytes]:
    return [line.data for line in LineReader(root, "l", offset)]


def _put(root: Directory, data: bytes) -> Path:
    path = Path(root.path) / "l"
    path.write_bytes(data)
    return path


def _cutting(at: int, left: int) -> door.Gate:
    """A gate at which the ``at``-th write takes only so many bytes."""
    seen = 0

    def gate(
        operation: str, function: Callable[..., object], arguments: tuple[object, ...]
    ) -> object:
        nonlocal seen
        seen += operation == "write"
        if operation == "write" and seen == at:
            descriptor, data = arguments
            assert isinstance(data, bytes)
            return function(descriptor, data[:left])
        return function(*arguments)

    return gate


@pytest.mark.parametrize("shared", [False, True])
def test_a_line_is_one_write(root: Directory, shared: bool) -> None:
    appender = Appender(root, "l", 0o644, shared=shared)
    assert calls_of(lambda: appender.append(b"x" * 1_000_000 + b"\n")) == ["write"]
    appender.append(b"two\n")
    appender.close()
    appender.close()
    assert _lines(root) == [b"x" * 1_000_000, b"two"]


@pytest.mark.parametrize("left", [0, 1, 5, 6])
def test_a_write_that_falls_short_raises_and_spoils_no_other_line(
    root: Directory, left: int
) -> None:
    appender = Appender(root, "l", 0o644)
    with door.gated(_cutting(2, left)):
        appender.append(b"line 0\n")
        with pytest.raises(StorageError, match=f"only {left} of 7 bytes") as raised:
            appender.append(b"line 1\n")
        appender.append(b"line 2\n")
        appender.append(b"line 3\n")
    assert raised.value.filename == f"{root.path}/l"
    lines = _lines(root)
    assert [line for line in lines if line in (b"line 0", b"line 2", b"line 3")] == [
        b"line 0",
        b"line 2",
        b"line 3",
    ]
    assert len(lines) <= 4
    appender.close()


def test_a_full_disk_raises_and_the_same_line_goes_in_later(root: Directory) -> None:
    appender = Appender(root, "l", 0o644)
    with door.gated(refusing("write", errno.ENOSPC)), pytest.raises(StorageError, match="space"):
        appender.append(b"line\n")
    appender.append(b"line\n")
    assert _lines(root) == [b"line"]
    appender.close()


def test_what_another_process_left_torn_swallows_no_line(root: Directory) -> None:
    _put(root, b"whole\nto")
    appender = Appender(root, "l", 0o644)
    appender.append(b"mine\n")
    appender.close()
    assert _lines(root) == [b"whole", b"to", b"mine"]


def test_a_line_that_no_reader_takes_is_not_acknowledged(root: Directory) -> None:
    appender = Appender(root, "l", 0o644)
    appender.append(b"x" * MAX_LINE_BYTES + b"\n")
    with pytest.raises(InvalidInputError, match="bytes"):
        appender.append(b"y" * (MAX_LINE_BYTES + 1) + b"\n")
    appender.append(b"after\n")
    appender.close()
    assert [len(line) for line in _lines(root)] == [MAX_LINE_BYTES, 5]


@pytest.mark.parametrize("kind", ["link", "directory", "fifo"])
def test_no_line_goes_to_what_is_no_file(root: Directory, tmp_path: Path, kind: str) -> None:
    (tmp_path / "other").write_bytes(b"untouched")
    held = -1
    if kind == "link":
        (tmp_path / "l").symlink_to("other")
    elif kind == "directory":
        (tmp_path / "l").mkdir()
    else:
        os.mkfifo(tmp_path / "l")
        held = os.open(tmp_path / "l", os.O_RDWR)  # with someone at its other end, it opens
    with pytest.raises(FormatError, match="move away what took its place"):
        Appender(root, "l", 0o644).append(b"line\n")
    assert (tmp_path / "other").read_bytes() == b"untouched"
    if held >= 0:
        os.close(held)


@pytest.mark.parametrize("shared", [False, True])
def test_every_acknowledged_line_of_many_processes_is_there_once(
    root: Directory, tmp_path: Path, shared: bool
) -> None:
    """Without the newline before each line, a killed writer's half swallows somebody's line."""
    lives = [200, 200, 200, 200, 7, 77, 117, 151]

    def write(number: int) -> str:
        acked = os.open(tmp_path / f"acked-{number}", os.O_WRONLY | os.O_CREAT, 0o600)
        appender = Appender(root, "l", 0o644, shared=shared)

        def gate(called: str, call: Callable[..., object], given: tuple[object, ...]) -> object:
            if lives[number] < 200 and at == lives[number]:
                descriptor, data = given
                assert isinstance(data, bytes)
                call(descriptor, data[: len(data) // 2])
                die()
            return call(*given)

        meet(tmp_path / "met", f"{number}", 8)
        with door.gated(gate):
            for at in range(200):
                line = f"{number}:{at}:{'x' * (at % 50)}\n".encode()
                appender.append(line)
                os.write(acked, line)
                if at % 10 == 0:
                    time.sleep(0.0005)  # the others' turn
        return ""

    said = fork_each([partial(write, number) for number in range(8)])
    assert said == [""] * 4 + [None] * 4
    acked = [(tmp_path / f"acked-{number}").read_bytes().split() for number in range(8)]
    assert [len(lines) for lines in acked] == lives
    found = _lines(root)
    if shared:
        assert all(found.count(line) == 1 for lines in acked for line in lines)
    else:
        # The known-bad twin: each of the killed spoils the line that happened to come next.
        assert {line for lines in acked for line in lines} - set(found)


@given(
    lines=st.lists(st.binary(max_size=20).map(lambda line: line.replace(b"\n", b"")), max_size=8),
    torn=st.binary(max_size=9).map(lambda line: line.replace(b"\n", b"")),
    cut=st.integers(0, 8),
)
def test_a_look_begins_where_the_one_before_ended(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], torn: bytes, cut: int
) -> None:
    with Directory.open(tmp_path_factory.getbasetemp()) as root:
        first, rest = lines[:cut], lines[cut:]
        path = _put(root, b"".join(line + b"\n" for line in first) + torn)
        reader = LineReader(root, "l")
        assert [line.data for line in reader] == [line for line in first if line]
        assert reader.torn == len(torn)
        assert reader.offset == path.stat().st_size - len(torn)
        with path.open("ab") as file:
            file.write(b"".join(line + b"\n" for line in [b"", *rest]))
        seen = list(reader)
        whole = [line for line in (torn, *rest) if line]
        assert [line.data for line in seen] == whole
        data = path.read_bytes()
        assert all(data[line.offset :].startswith(line.data + b"\n") for line in seen)
        assert reader.torn == 0
        assert list(reader) == []
        assert [line.data for line in LineReader(root, "l", reader.offset)] == []


def test_a_reader_that_stops_early_goes_on_behind_what_it_got(root: Directory) -> None:
    _put(root, b"one\ntwo\nthree\n")
    reader = LineReader(root, "l")
    assert next(iter(reader)).data == b"one"
    assert [line.data for line in reader] == [b"two", b"three"]


@pytest.mark.parametrize("extra", [1, 1 << 20, (1 << 20) + 7])
@pytest.mark.parametrize("behind", [b"", b"\n", b"\nafter\nlast\n", b"\nafter\nlast\n\nto"])
def test_an_oversized_line_is_passed_over_and_its_neighbours_kept(
    root: Directory, extra: int, behind: bytes
) -> None:
    path = _put(root, b"before\n")
    os.truncate(path, 7 + MAX_LINE_BYTES + extra)  # a line of zeros, which takes no room
    with path.open("ab") as file:
        file.write(behind)
    reader = LineReader(root, "l")
    after = [b"after", b"last"] if b"last" in behind else []
    assert [line.data for line in reader] == [b"before", *after]
    assert [problem.details["place"] for problem in reader.problems] == ["byte 7"] * bool(behind)
    torn = len(behind.rpartition(b"\n")[2]) if behind else MAX_LINE_BYTES + extra
    assert reader.torn == torn


def test_what_is_not_there_is_said_at_the_first_look(root: Directory) -> None:
    with pytest.raises(NotFoundError):
        list(LineReader(root, "l"))
    with pytest.raises(NotFoundError):
        tail(root, "l", 1)


DAMAGED = [
    b'{"asset":{"asset_id":"01ARYZ6S41',
    b"\x00\x00\x00\x00",
    b"\xff\xfe",
    b"[]",
    b"null",
    b'{"asset":{}}',
    b'{"asset":{"kind":7}}',
    b'{"input":[]}',
    b'{"input":' + b"[" * 5000,
    b'{"input":{"at":"yesterday"}}',
    b'{"input":{"at":"2026-01-01T00:00:00Z"},"asset":{}}',
    b'{"":{}}',
    b'{"start":{"format":1}}',
]


@pytest.mark.parametrize("where", [0, 1, 2])
def test_damaged_lines_are_passed_over_and_reported_wherever_they_stand(
    root: Directory, where: int
) -> None:
    good = [ASSET, INPUT]
    _put(root, b"".join([*good[:where], *(line + b"\n" for line in DAMAGED), *good[where:]]))
    reader = LineReader(root, "l")
    assert [entry.name for entry in entries(reader)] == ["asset", "input"]
    assert len(reader.problems) == len(DAMAGED)
    place = sum(map(len, good[:where]))
    for line, problem in zip(DAMAGED, reader.problems, strict=True):
        assert f"{root.path}/l" in str(problem)
        assert f"byte {place}" in str(problem)
        place += len(line) + 1


def test_names_of_a_newer_release_empty_lines_and_a_torn_end_are_no_problems(
    root: Directory,
) -> None:
    _put(root, b"\n\n" + join_line("later", b'{"x":1}') + b"\n" + INPUT + b"\n" + ASSET[:-20])
    reader = LineReader(root, "l")
    assert [entry.name for entry in entries(reader)] == ["input"]
    assert reader.problems == []
    assert reader.torn == len(ASSET) - 20


def _expected_tail(data: bytes, lines: int) -> list[bytes]:
    return data.split(b"\n")[:-1][-lines:] if lines > 0 else []


@given(data=st.lists(st.sampled_from([b"\n", b"a", b"bc"]), max_size=30), lines=st.integers(-1, 9))
def test_the_tail_is_the_last_whole_lines(
    tmp_path_factory: pytest.TempPathFactory, data: list[bytes], lines: int
) -> None:
    with Directory.open(tmp_path_factory.getbasetemp()) as root:
        _put(root, b"".join(data))
        assert tail(root, "l", lines) == _expected_tail(b"".join(data), lines)


@pytest.mark.parametrize("size", [1, 65_535, 65_536, 65_537, 200_000])
@pytest.mark.parametrize("end", [b"", b"torn", b"t" * 70_000])
def test_the_tail_of_long_lines_is_found_across_any_step(
    root: Directory, size: int, end: bytes
) -> None:
    data = b"".join(b"%d" % number * size + b"\n" for number in range(5)) + end
    _put(root, data)
    for lines in (1, 2, 4, 5, 6, 100):
        assert tail(root, "l", lines) == _expected_tail(data, lines)


def test_the_tail_of_a_giant_costs_as_much_as_its_lines(root: Directory) -> None:
    path = _put(root, b"")
    os.truncate(path, 1 << 40)
    with path.open("ab") as file:
        file.write(b"\none\ntwo\n")
    assert tail(root, "l", 2) == [b"one", b"two"]


@pytest.mark.users
def test_a_closed_ledger_takes_no_line(user: User) -> None:
    path = user.directory / "l"
    path.write_bytes(b"closed\n")
    os.chown(path, user.uid, -1)
    path.chmod(0o444)

    def body() -> None:
        with Directory.open(user.directory) as root, suppress(StorageError):
            Appender(root, "l", 0o644).append(b"late\n")
            if user.uid:
                raise AssertionError("a closed file was written to")

    user.run(body)
    assert path.read_bytes() == (b"closed\n" if user.uid else b"closed\n\nlate\n")


def _entry_is_true(root: Directory, appender: Appender) -> bool:
    """Whether the ledger knows itself, and says what its bytes say."""
    entry = appender.as_entry("l")
    return entry is not None and entry == hash_file(root, "l")


def test_a_ledger_knows_its_own_digest(root: Directory) -> None:
    appender = Appender(root, "l", 0o644, hashed=True)
    assert _entry_is_true(root, appender)
    for number in range(5):
        appender.append(b"line %d\n" % number)
        assert _entry_is_true(root, appender)
    appender.close()
    assert appender.as_entry("l") is None


@pytest.mark.parametrize("left", [0, 1, 6])
def test_after_a_write_that_fell_short_nobody_claims_to_know_the_digest(
    root: Directory, left: int
) -> None:
    appender = Appender(root, "l", 0o644, hashed=True)
    with door.gated(_cutting(2, left)):
        appender.append(b"line 0\n")
        with pytest.raises(StorageError):
            appender.append(b"line 1\n")
        for _ in range(2):
            assert appender.as_entry("l") in (None, hash_file(root, "l"))
            appender.append(b"line 2\n")
    appender.close()


def test_after_a_refused_write_nobody_claims_to_know_the_digest(root: Directory) -> None:
    appender = Appender(root, "l", 0o644, hashed=True)
    appender.append(b"line 0\n")
    with door.gated(refusing("write", errno.EIO)), pytest.raises(StorageError):
        appender.append(b"line 1\n")
    assert appender.as_entry("l") is None, "some of it may have been written"
    appender.append(b"line 1\n")
    assert appender.as_entry("l") is None
    appender.close()


def test_what_somebody_else_appends_is_not_vouched_for(root: Directory) -> None:
    appender = Appender(root, "l", 0o644, hashed=True)
    appender.append(b"mine\n")
    with Path(root.path, "l").open("ab") as file:
        file.write(b"theirs\n")
    assert appender.as_entry("l") is None
    appender.append(b"mine again\n")
    assert appender.as_entry("l") is None
    appender.close()


def test_a_ledger_that_was_there_or_is_not_to_be_hashed_is_read_by_others(
    root: Directory,
) -> None:
    _put(root, b"before\n")
    for hashed in (True, False):
        appender = Appender(root, "l", 0o644, hashed=hashed)
        appender.append(b"line\n")
        assert appender.as_entry("l") is None
        appender.close()
        Path(root.path, "l").unlink()
    other = Appender(root, "l", 0o644, shared=True, hashed=True)
    other.append(b"line\n")
    assert _entry_is_true(root, other), "the newline before it is a part of it"
    other.close()
