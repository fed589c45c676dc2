"""Log records: each kept once, by the run that it belongs to, and never in the way of logging."""

from __future__ import annotations

import contextvars
import errno
import gc
import json
import logging
import os
import threading
import weakref
from collections.abc import Iterator
from datetime import UTC, datetime
from math import nan
from pathlib import Path
from typing import Any

import pytest

from molexp.capture.records import MAX_REPEATED, MAX_TEXT, MessageHandler
from molexp.disk.beneath import Directory
from molexp.disk.ledger import Appender, LineReader, entries
from molexp.errors import StorageError
from molexp.model.execution import MAX_MESSAGES, Message
from tests.capture import run_python

OTHER = logging.getLogger("tests.capture.other")


@pytest.fixture(autouse=True)
def _all_levels() -> Iterator[None]:
    OTHER.setLevel(logging.DEBUG)
    yield
    assert logging.root.parent is None


@pytest.fixture
def lines() -> list[bytes]:
    return []


@pytest.fixture
def handler(lines: list[bytes]) -> Iterator[MessageHandler]:
    handler = MessageHandler(lines.append)
    handler.attach()
    yield handler
    handler.detach()


def _said(lines: list[bytes]) -> list[dict[str, Any]]:
    return [json.loads(line)["message"] for line in lines]


def _texts(lines: list[bytes]) -> list[str]:
    return [message["text"] for message in _said(lines)]


def test_a_record_is_a_line_that_a_ledger_s_reader_reads(tmp_path: Path) -> None:
    with Directory.open(tmp_path) as place:
        appender = Appender(place, "records.jsonl", 0o644)
        handler = MessageHandler(appender.append)
        handler.attach()
        before = datetime.now(UTC)
        OTHER.info("step %d", 3)
        handler.detach()
        OTHER.info("after")
        appender.close()
        (entry,) = entries(LineReader(place, "records.jsonl"))
    assert entry.name == "message"
    assert isinstance(entry.record, Message)
    message = entry.record
    assert (message.level, message.logger, message.text) == ("INFO", OTHER.name, "step 3")
    # A record's time is a float, and may be a microsecond before the clock's.
    assert abs((message.at - before).total_seconds()) < 60
    assert message.at.tzinfo is UTC


@pytest.mark.usefixtures("handler")
def test_an_exception_s_traceback_belongs_to_the_text(lines: list[bytes]) -> None:
    try:
        raise KeyError("missing")
    except KeyError:
        OTHER.exception("it failed")
    OTHER.info("no exception", exc_info=True)
    OTHER.info("here", stack_info=True)
    failed, none, here = _texts(lines)
    assert failed.startswith("it failed\nTraceback (most recent call last):\n")
    assert failed.endswith("KeyError: 'missing'")
    assert none == "no exception"
    assert here.startswith("here\nStack (most recent call last):")


def test_the_run_s_own_logger_is_kept_once_and_shown_by_the_root_s_handlers(
    handler: MessageHandler, lines: list[bytes], caplog: pytest.LogCaptureFixture
) -> None:
    logger = handler.logger()
    logger.debug("mine")
    logger.getChild("inner").warning("below")
    assert _texts(lines) == ["mine", "below"]
    assert caplog.messages == ["mine", "below"]
    assert _said(lines)[0]["logger"] == "molexp.run"


def test_a_run_s_logger_and_handler_go_with_the_run() -> None:
    known = set(logging.root.manager.loggerDict)
    gone: list[weakref.ref[Any]] = []

    def run() -> None:
        handler = MessageHandler(list[bytes]().append)
        handler.attach()
        logger = handler.logger()
        logger.info("text")
        handler.detach()
        gone.extend([weakref.ref(handler), weakref.ref(logger)])

    for _run in range(3):
        run()
    gc.collect()
    assert [ref() for ref in gone] == [None] * 6
    assert set(logging.root.manager.loggerDict) == known


def test_concurrent_runs_keep_the_records_of_their_own_contexts() -> None:
    kept: dict[str, list[bytes]] = {"a": [], "b": []}
    loggers: dict[str, logging.Logger] = {}
    together, over = threading.Barrier(2), threading.Barrier(3)

    def run(name: str) -> None:
        handler = MessageHandler(kept[name].append)
        handler.attach()
        loggers[name] = handler.logger()
        together.wait()
        OTHER.info("from %s", name)
        over.wait()
        over.wait()
        handler.detach()

    threads = [threading.Thread(target=run, args=(name,)) for name in kept]
    for thread in threads:
        thread.start()
    over.wait()
    OTHER.info("from none")
    loggers["a"].info("own of a")
    over.wait()
    for thread in threads:
        thread.join()
    assert _texts(kept["a"]) == ["from a", "from none", "own of a"]
    assert _texts(kept["b"]) == ["from b", "from none"]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_runs_in_one_context_may_end_in_any_order(order: tuple[int, int]) -> None:
    kept: list[list[bytes]] = [[], []]
    handlers = [MessageHandler(each.append) for each in kept]
    for handler in handlers:
        handler.attach()
    OTHER.info("inner")
    handlers[order[0]].detach()
    OTHER.info("one left")
    handlers[order[1]].detach()
    OTHER.info("none left")
    left = order[1]
    assert _texts(kept[left]) == (["one left"] if left == 0 else ["inner", "one left"])
    assert _texts(kept[1 - left]) == (["inner"] if left == 0 else [])


def test_a_run_that_ended_elsewhere_takes_no_record_from_others(lines: list[bytes]) -> None:
    ended = MessageHandler(list[bytes]().append)
    ended.attach()
    contextvars.copy_context().run(ended.detach)
    running = MessageHandler(lines.append)
    contextvars.Context().run(running.attach)
    OTHER.info("text")
    running.detach()
    assert _texts(lines) == ["text"]


def test_warnings_are_remembered_and_no_more_than_an_end_takes(
    handler: MessageHandler, lines: list[bytes]
) -> None:
    OTHER.info("not this")
    for number in range(MAX_MESSAGES + 5):
        OTHER.warning("%d", number)
    assert len(lines) == MAX_MESSAGES + 6
    assert [m.text for m in handler.messages] == [str(n) for n in range(MAX_MESSAGES)]


def test_text_without_end_is_cut_and_says_so(handler: MessageHandler, lines: list[bytes]) -> None:
    OTHER.warning("%s", "x" * 3_000_000)
    (text,) = _texts(lines)
    assert len(text) == MAX_TEXT
    assert text.endswith("… (3,000,000 characters in all)")
    assert len(handler.messages[0].text) == MAX_REPEATED


def test_text_that_utf_8_cannot_write_is_escaped(
    handler: MessageHandler, lines: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.root, "handlers", [])  # pytest cannot write it, either
    logger = handler.logger("a\udcff")
    logger.warning("half \ud800 é")
    (message,) = _said(lines)
    assert (message["logger"], message["text"]) == ("a\\udcff", "half \\ud800 é")


class _Unspeakable:
    def __str__(self) -> str:
        raise RuntimeError("a user's own")


@pytest.mark.usefixtures("handler")
def test_a_record_that_cannot_be_formatted_is_kept_as_far_as_it_goes(
    lines: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", False)
    monkeypatch.setattr(logging.root, "handlers", [])  # pytest's own fails the test, rightly
    OTHER.info("%d steps", "many")
    OTHER.info(_Unspeakable())
    OTHER.handle(logging.makeLogRecord({"msg": "by hand", "levelno": 20, "created": nan}))
    assert _texts(lines) == [
        "%d steps (its arguments could not be formatted: TypeError)",
        "_Unspeakable (its arguments could not be formatted: RuntimeError)",
        "by hand",
    ]


def test_a_refusal_of_the_disk_is_remembered_and_not_raised() -> None:
    def refuse(line: bytes) -> None:
        raise errors.pop(0)

    first = StorageError("first", cure="none", errno=errno.ENOSPC)
    errors: list[OSError] = [first, OSError(errno.EIO, "second")]
    handler = MessageHandler(refuse)
    handler.attach()
    OTHER.info("one")
    OTHER.info("two")
    handler.detach()
    assert not errors
    assert handler.problem is first


def test_a_writer_that_logs_does_not_write_itself() -> None:
    lines: list[bytes] = []

    def write(line: bytes) -> None:
        lines.append(line)
        OTHER.warning("written")

    handler = MessageHandler(write)
    handler.attach()
    OTHER.info("text")
    handler.detach()
    assert _texts(lines) == ["text"]


def test_threads_lose_nothing(handler: MessageHandler, lines: list[bytes]) -> None:
    def work(number: int) -> None:
        for step in range(200):
            OTHER.warning("%d %d", number, step)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wanted = sorted(f"{number} {step}" for number in range(4) for step in range(200))
    assert sorted(_texts(lines)) == wanted
    assert sorted(message.text for message in handler.messages) == wanted


def test_setting_up_logging_works_as_ever_and_takes_nothing_away(tmp_path: Path) -> None:
    done = run_python(
        tmp_path,
        """
import logging, logging.config
from molexp.capture.records import MessageHandler
lines = []
handler = MessageHandler(lines.append)
handler.attach()
logging.getLogger("a").warning("last resort")
handler.logger().warning("own")
logging.getLogger("a").info("not shown, not kept")
logging.basicConfig(level=logging.INFO, format="BASIC %(message)s")
logging.getLogger("a").info("shown")
logging.config.dictConfig({"version": 1})
logging.basicConfig(level=logging.INFO, format="FORCED %(message)s", force=True)
logging.getLogger("b").info("kept")
assert len(lines) == 4, lines
handler.detach()
logging.getLogger("b").info("only shown")
assert len(lines) == 4, lines
""",
    )
    assert done.returncode == 0, done.stdout
    assert done.stdout.decode().splitlines() == [
        "last resort",
        "own",
        "BASIC shown",
        "FORCED kept",
        "FORCED only shown",
    ]


def test_a_forked_child_is_not_held_up_by_a_thread_of_its_parent(lines: list[bytes]) -> None:
    def write(line: bytes) -> None:
        lines.append(line)
        if os.getpid() == parent:
            inside.set()
            proceed.wait(30)

    parent = os.getpid()
    inside, proceed = threading.Event(), threading.Event()
    handler = MessageHandler(write)
    handler.attach()
    thread = threading.Thread(target=OTHER.info, args=("slow",))
    thread.start()
    inside.wait(30)
    child = os.fork()
    if child == 0:
        OTHER.warning("child")
        handler.detach()
        os._exit(len(lines))
    _, status = os.waitpid(child, 0)
    proceed.set()
    thread.join()
    handler.detach()
    assert os.waitstatus_to_exitcode(status) == 2
    assert _texts(lines) == ["slow"]
