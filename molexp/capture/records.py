"""Log records are kept as lines, each by the run in whose context it was made.

Handlers of runs sit above the root logger, not on it: there, ``logging.basicConfig`` would find a
handler and do nothing, and ``dictConfig`` would take them away.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from contextvars import ContextVar
from datetime import UTC, datetime
from threading import RLock, local

from molexp.errors import MolexpError
from molexp.model.codec import join_line
from molexp.model.execution import MAX_MESSAGES, Message

MAX_TEXT = 1 << 20
"""The characters that a line has at most; no reader takes lines of any length."""

MAX_REPEATED = 10_000
"""The characters that a message has at most in an end, which repeats a thousand of them."""

_FORMATTER = logging.Formatter()
_thread = local()


class MessageHandler(logging.Handler):
    """Gives each log record to ``write`` as a line; it never raises what the disk answers.

    ``write`` is called from any thread, in a forked child too. What it logs itself is not kept.
    Several runs have one each: a record goes to the one that was attached in its context, and one
    from a context without, as a new thread is, to all of them.
    """

    def __init__(self, write: Callable[[bytes], None], level: int = logging.NOTSET) -> None:
        super().__init__(level)
        self.messages: list[Message] = []
        """The first of those that warn or worse."""
        self.problem: OSError | MolexpError | None = None
        """The first that went wrong in writing."""
        self.is_attached = False
        self._write = write
        self.outer: MessageHandler | None = None
        """The one that was attached around it."""

    def createLock(self) -> None:  # noqa: N802 - the name is that of the standard library
        """No lock: a writer that logs under a lock of its own would wait for itself."""
        self.lock = None

    def attach(self) -> None:
        """Take records from now on, those of this context before all other handlers."""
        with _switch:
            self.outer = _nearest(_running.get())
            self.is_attached = True
            _running.set(self)
            _TOP.addHandler(self)
            _put_on_top()

    def detach(self) -> None:
        """Take none any more."""
        with _switch:
            self.is_attached = False
            _TOP.removeHandler(self)
            if _running.get() is self:
                _running.set(_nearest(self.outer))
            self.outer = None
            if _TOP.handlers == [_LAST_RESORT] and logging.root.parent is _TOP:
                logging.root.parent = None

    def logger(self, name: str = "molexp.run", level: int = logging.DEBUG) -> logging.Logger:
        """A logger whose records go to this handler from every context, and to the root's.

        Nothing else refers to it, so that it goes when its run does.
        """
        return _RunLogger(name, level, self)

    def handle(self, record: logging.LogRecord) -> bool:
        """Keep a record if it is this run's."""
        mine = _nearest(_running.get())
        if mine is not None and mine is not self:
            return False
        if not self.filter(record):
            return False
        self.emit(record)
        return True

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record as a line."""
        if getattr(_thread, "is_writing", False):
            return
        message = message_of(record)
        if record.levelno >= logging.WARNING and len(self.messages) < MAX_MESSAGES:
            self._remember(message)
        _thread.is_writing = True
        try:
            self._write(join_line("message", message.to_json()))
        except (OSError, MolexpError) as error:
            self.problem = self.problem or error
        finally:
            _thread.is_writing = False

    def _remember(self, message: Message) -> None:
        if len(message.text) > MAX_REPEATED:
            message = message.evolve(text=_cut(message.text, MAX_REPEATED))
        with _switch:  # several threads may warn at once, and an end takes no more
            if len(self.messages) < MAX_MESSAGES:
                self.messages.append(message)


class _RunLogger(logging.Logger):
    def __init__(self, name: str, level: int, handler: MessageHandler) -> None:
        super().__init__(name, level)
        self.parent = logging.root
        self._handler = handler

    def handle(self, record: logging.LogRecord) -> None:
        token = _running.set(self._handler)
        try:
            super().handle(record)
        finally:
            _running.reset(token)


class _LastResort(logging.Handler):
    """Prints what the standard library prints where no handler is set up: ours are none."""

    def handle(self, record: logging.LogRecord) -> bool:
        last = logging.lastResort
        if last is None or record.levelno < last.level or _has_handler(record.name):
            return False
        return bool(last.handle(record))


_running: ContextVar[MessageHandler | None] = ContextVar("molexp_messages", default=None)
_switch = RLock()  # a signal's handler may warn, or end a run, in the middle
_LAST_RESORT = _LastResort()
_TOP = logging.Logger("molexp.top")  # noqa: LOG001 - the registry would put it beneath the root
_TOP.addHandler(_LAST_RESORT)


def _unlock() -> None:
    """In a forked child nobody is there to let go of the lock."""
    global _switch
    _switch = RLock()


os.register_at_fork(after_in_child=_unlock)


def message_of(record: logging.LogRecord) -> Message:
    """A log record as it is kept: with its traceback, and whatever UTF-8 cannot write escaped."""
    text = _text_of(record)
    if record.exc_info and record.exc_info[0] is not None:
        text = f"{text}\n{_FORMATTER.formatException(record.exc_info)}"
    elif record.exc_text and not record.exc_info:  # made elsewhere, and sent here
        text = f"{text}\n{record.exc_text}"
    if record.stack_info:
        text = f"{text}\n{record.stack_info}"
    return Message(
        at=_time_of(record),
        level=_sayable(str(record.levelname)),
        logger=_sayable(str(record.name)),
        text=_sayable(_cut(text, MAX_TEXT)),
    )


def _text_of(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception as error:  # noqa: BLE001 - its arguments are a user's own objects
        what = record.msg if isinstance(record.msg, str) else type(record.msg).__name__
        return f"{what} (its arguments could not be formatted: {type(error).__name__})"


def _time_of(record: logging.LogRecord) -> datetime:
    try:
        return datetime.fromtimestamp(record.created, UTC)
    except (ValueError, OverflowError, OSError, TypeError):
        return datetime.now(UTC)  # a record that was made by hand


def _sayable(text: str) -> str:
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def _cut(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    end = f"… ({len(text):,} characters in all)"
    return text[: limit - len(end)] + end


def _nearest(handler: MessageHandler | None) -> MessageHandler | None:
    """A handler, or that around it, that is attached still."""
    while handler is not None and not handler.is_attached:
        handler = handler.outer
    return handler


def _put_on_top() -> None:
    """Let what reaches the root logger reach the handlers of runs, too."""
    top: logging.Logger = logging.root
    while top.parent is not None:
        top = top.parent
    if top is not _TOP:
        top.parent = _TOP


def _has_handler(name: str) -> bool:
    """Whether the program set up a handler for a logger's records."""
    known = logging.Logger.manager.loggerDict.get(name)
    logger: logging.Logger | None = known if isinstance(known, logging.Logger) else logging.root
    while logger is not None and logger is not _TOP:
        if logger.handlers:
            return True
        logger = logger.parent
    return False
