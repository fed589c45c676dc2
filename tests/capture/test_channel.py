"""A file in the place of descriptors: what is added to it is shown once, in its order."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from molexp.capture.channel import Channel
from molexp.disk.beneath import Directory
from molexp.errors import NotFoundError


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Directory]:
    with Directory.open(tmp_path) as directory:
        yield directory


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    yield reading, writing
    os.close(reading)
    os.close(writing)


def test_what_its_descriptor_is_given_lands_in_the_file_and_is_shown_when_asked(
    place: Directory, pipe: tuple[int, int]
) -> None:
    reading, writing = pipe
    channel = Channel(place, "log", 0o644, (writing,))
    channel.take()
    os.write(writing, b"kept")
    assert channel.size == 4
    with pytest.raises(BlockingIOError):
        os.read(reading, 10)
    channel.show()
    assert os.read(reading, 10) == b"kept"
    channel.give_back()
    os.write(writing, b"straight")
    assert os.read(reading, 10) == b"straight"
    channel.close()
    assert channel.size == 4


def test_text_that_its_own_stream_shows_is_not_shown_again(
    place: Directory, pipe: tuple[int, int]
) -> None:
    reading, writing = pipe
    channel = Channel(place, "log", 0o644, (writing,), teed=True)
    channel.take()
    channel.keep("hidden 1 ")
    os.write(writing, b"shown 1 ")
    channel.keep("hidden 2 ")
    channel.keep("hidden 3 ")
    os.write(writing, b"shown 2 ")
    channel.show()
    assert os.read(reading, 100) == b"shown 1 shown 2 "
    channel.keep("hidden 4 ")
    channel.show()
    os.write(writing, b"shown 3")
    channel.show()
    assert os.read(reading, 100) == b"shown 3"
    channel.give_back()
    channel.close()
    kept = (Path(place.path) / "log").read_text()
    assert kept == "hidden 1 shown 1 hidden 2 hidden 3 shown 2 hidden 4 shown 3"


def test_what_lay_in_the_file_before_is_neither_shown_nor_counted(
    place: Directory, pipe: tuple[int, int]
) -> None:
    reading, writing = pipe
    (Path(place.path) / "log").write_bytes(b"old\n")
    channel = Channel(place, "log", 0o644, (writing,))
    channel.take()
    os.write(writing, b"new")
    channel.show()
    channel.give_back()
    channel.close()
    assert os.read(reading, 100) == b"new"
    assert channel.size == 3
    assert (Path(place.path) / "log").read_bytes() == b"old\nnew"


def test_a_reader_that_takes_a_part_gets_the_rest_later(
    place: Directory, pipe: tuple[int, int]
) -> None:
    reading, writing = pipe
    data = bytes(range(256)) * 1000
    os.set_blocking(writing, False)
    channel = Channel(place, "log", 0o644, (writing,))
    channel.take()
    assert os.write(writing, data) == len(data)
    got = b""
    while len(got) < len(data):
        channel.show()
        got += os.read(reading, len(data))
    channel.give_back()
    channel.close()
    assert got == data


def test_programs_inherit_it_as_a_file_that_blocks(place: Directory, pipe: tuple[int, int]) -> None:
    channel = Channel(place, "log", 0o644, (pipe[1],))
    channel.take()
    assert os.get_blocking(pipe[1])
    assert os.get_inheritable(pipe[1])
    channel.give_back()
    channel.close()


def test_without_a_descriptor_it_only_keeps(place: Directory) -> None:
    channel = Channel(place, "log", 0o644, (), teed=True)
    channel.take()
    channel.keep("text")
    channel.show(patient=True)
    channel.give_back()
    channel.close()
    channel.keep("late")
    assert (Path(place.path) / "log").read_bytes() == b"text"


def test_a_directory_that_is_gone_is_said_so_and_nothing_stays_open(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    with Directory.open(tmp_path / "gone") as place:
        (tmp_path / "gone").rmdir()
        before = len(os.listdir("/proc/self/fd"))
        with pytest.raises(NotFoundError, match="log"):
            Channel(place, "log", 0o644, ())
        assert len(os.listdir("/proc/self/fd")) == before
