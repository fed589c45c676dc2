"""A stream beside a file: everything reaches both, and nobody can tell them apart."""

from __future__ import annotations

import copy
import io
import os
import sys
from collections.abc import Iterator

import pytest

from molexp.capture.tee import Tee, flush, leads_to_descriptor, number_of


def _fail(error: OSError) -> None:
    raise AssertionError(error)


def test_text_goes_to_both_until_it_is_stopped() -> None:
    stream, kept = io.StringIO(), list[str]()
    tee = Tee(stream, kept.append, _fail)
    print("one", file=tee)
    tee.writelines(["two\n", "three\n"])
    tee.stop()
    print("four", file=tee)
    assert "".join(kept) == "one\ntwo\nthree\n"
    assert stream.getvalue() == "one\ntwo\nthree\nfour\n"


def test_a_failure_to_keep_is_told_and_the_text_shown() -> None:
    def refuse(text: str) -> None:
        raise OSError(28, text)

    failures: list[OSError] = []
    stream = io.StringIO()
    assert Tee(stream, refuse, failures.append).write("text") == 4
    assert stream.getvalue() == "text"
    assert [str(failure) for failure in failures] == ["[Errno 28] text"]


def test_what_is_no_text_is_refused_as_the_stream_refuses_it() -> None:
    kept: list[str] = []
    with pytest.raises(TypeError):
        Tee(io.StringIO(), kept.append, _fail).write(b"bytes")  # type: ignore[arg-type]
    assert not kept


def test_everything_else_is_the_stream_s_own() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="latin-1")
    tee = Tee(stream, list[str]().append, _fail)
    assert (tee.encoding, tee.isatty(), tee.buffer) == ("latin-1", False, stream.buffer)
    with pytest.raises(AttributeError):
        copy.copy(Tee.__new__(Tee)).encoding  # noqa: B018 - and does not ask itself for ever


class _Logger:
    def __init__(self, terminal: object) -> None:
        self.terminal = terminal


class _Broken:
    def fileno(self) -> int:
        raise RuntimeError("a user's own")

    def flush(self) -> None:
        raise RuntimeError("a user's own")


@pytest.fixture
def standard() -> Iterator[io.TextIOWrapper]:
    """A stream on descriptor 1, whatever pytest made of ``sys.stdout``."""
    stream = open(os.dup(1), "w", closefd=True)  # noqa: SIM115 - closed below
    yield stream
    stream.close()


def test_streams_that_reach_a_standard_descriptor_are_known() -> None:
    with open(1, "w", closefd=False) as out, open(2, "w", closefd=False) as error:
        assert leads_to_descriptor(out)
        assert leads_to_descriptor(error)
    assert leads_to_descriptor(_Logger(sys.__stdout__))
    assert leads_to_descriptor(_Logger(sys.__stderr__))


def test_streams_that_lead_elsewhere_are_known(standard: io.TextIOWrapper) -> None:
    for stream in (io.StringIO(), standard, _Broken(), _Logger(None), _Logger(io.StringIO())):
        assert not leads_to_descriptor(stream)
    assert number_of(standard) == standard.fileno()
    assert number_of(_Broken()) == -1


def test_a_stream_that_cannot_be_flushed_stops_nobody() -> None:
    flush(_Broken())
    closed = io.StringIO()
    closed.close()
    flush(closed)
    held = io.TextIOWrapper(io.BytesIO())
    held.write("text")
    flush(held)
    assert held.buffer.getvalue() == b"text"
