"""What a run prints is kept: descriptors 1 and 2 lead into log files for its time.

What was written survives the death of the process, and what other programs print is kept in its
order. Meanwhile the streams are no terminals (``isatty`` is false), and what is printed is shown
up to a twentieth of a second later; if the process dies, the last of it is in the file alone. Where
the disk is full, the task's own ``print`` raises OSError, as with any redirected output. Programs
that outlive the run go on writing into its file, and show nothing.
"""

from __future__ import annotations

import atexit
import io
import os
import sys
import time
from contextlib import suppress
from threading import Event, RLock, Thread
from typing import Any, Self

from molexp.capture.channel import Channel
from molexp.capture.tee import Tee, flush, leads_to_descriptor, number_of
from molexp.disk.beneath import Directory

PERIOD = 0.05
"""Seconds between two looks at what is new."""

_STREAMS = (("stdout", 1), ("stderr", 2))


class Streams:
    """The capture of what this process prints, from :meth:`begin` to :meth:`end`."""

    def __init__(self, directory: Directory, names: tuple[str, str], mode: int) -> None:
        self.problem: Exception | None = None
        """The first text that a replaced stream showed and that could not be kept."""
        self._pid = os.getpid()
        self._copying = RLock()
        self._is_over = self._is_closing = False
        self._tees: list[tuple[str, Tee]] = []
        self._buffered: list[io.TextIOWrapper] = []
        self._channels: list[Channel] = []
        try:
            self._open(directory, names, mode)
        except BaseException:
            self._close()
            raise

    @classmethod
    def begin(cls, directory: Directory, names: tuple[str, str], mode: int) -> Self | None:
        """Keep in files of ``directory`` what is printed; None if a capture is under way already.

        The first name is for both streams where they lead to the same place, else for stdout; the
        second one for stderr. Nothing changes for a descriptor that is closed. Raises
        StorageError, or FormatError if what lies there is no regular file.
        """
        global _current
        with _switch:
            if _current is not None:
                return None
            _start_follower()
            _flush_all()
            streams = cls(directory, names, mode)
            try:
                _current = streams
                streams._take()
                _wanted.set()
            except BaseException:
                streams.end()
                raise
        return streams

    @property
    def names(self) -> tuple[str, ...]:
        """The files that are written; none where there is nothing to keep."""
        return tuple(channel.name for channel in self._channels)

    @property
    def sizes(self) -> dict[str, int]:
        """How many bytes were added to each file."""
        return {channel.name: channel.size for channel in self._channels}

    @property
    def size(self) -> int:
        """How many bytes were added in all."""
        return sum(channel.size for channel in self._channels)

    def end(self) -> int:
        """Let everything lead where it led, show what is left, and give the size.

        Where it is interrupted, everything is restored, and what is not yet shown is in the files
        alone. Called again, or in a forked child, it only gives the size.
        """
        if self._is_over or self._pid != os.getpid():
            return self.size
        try:
            _flush_all()
            self._show()  # before what others print when all is restored
        except BaseException:
            self._give_back()
            self._close()
            raise
        self._give_back()
        try:
            self._show(patient=True)
        finally:
            self._close()
        return self.size

    def follow(self) -> None:
        """Show what is new: for the thread that does it for all runs of a process."""
        self._show()
        if self._is_closing:
            self._close()

    def leave(self) -> None:
        """In a forked child: hold nothing of the parent's open that shows."""
        for channel in self._channels:
            channel.leave()

    def _open(self, directory: Directory, names: tuple[str, str], mode: int) -> None:
        teed = {}
        for name, _number in _STREAMS:
            stream = getattr(sys, name)
            teed[name] = stream is not None and not leads_to_descriptor(stream)
        out, err = (_status(name, number) for name, number in _STREAMS)
        if out is not None and err is not None and _is_same_place(out, err):
            both = Channel(directory, names[0], mode, (1, 2), teed=any(teed.values()))
            self._channels.append(both)
            places = {"stdout": both, "stderr": both}
        else:
            places = {}
            for (name, number), status, file in zip(_STREAMS, (out, err), names, strict=True):
                if status is None and not teed[name]:
                    continue
                targets = (number,) if status is not None else ()
                places[name] = Channel(directory, file, mode, targets, teed=teed[name])
                self._channels.append(places[name])
        for name, channel in places.items():
            if teed[name]:
                tee = Tee(getattr(sys, name), channel.keep, self._failed)
                self._tees.append((name, tee))

    def _take(self) -> None:
        for channel in self._channels:
            channel.take()
        for name, tee in self._tees:
            setattr(sys, name, tee)
        for stream in _streams():
            # Else what a kill takes away is thousands of bytes, and programs' output comes first.
            if not isinstance(stream, io.TextIOWrapper) or stream.line_buffering:
                continue
            if number_of(stream) in (1, 2):
                self._buffered.append(stream)
                stream.reconfigure(line_buffering=True)

    def _give_back(self) -> None:
        """Restore what is still ours; done twice, it changes nothing."""
        global _current
        with _switch:
            for name, tee in self._tees:
                if getattr(sys, name) is tee:
                    setattr(sys, name, tee.stream)
                tee.stop()
            while self._buffered:
                with suppress(ValueError, OSError):  # closed meanwhile, or full
                    self._buffered[-1].reconfigure(line_buffering=False)
                self._buffered.pop()
            for channel in self._channels:
                channel.give_back()
            self._is_over = True
            if _current is self:
                _current = None
                _wanted.clear()

    def _show(self, *, patient: bool = False) -> None:
        with self._copying:
            for channel in self._channels:
                channel.show(patient=patient)

    def _close(self) -> None:
        """Let go of the files; where the follower is at work in them, it does when it is done."""
        self._is_closing = True
        if self._copying.acquire(blocking=False):
            try:
                for channel in self._channels:
                    channel.close()
            finally:
                self._copying.release()

    def _failed(self, error: OSError) -> None:
        self.problem = self.problem or error


_current: Streams | None = None
_switch = RLock()  # who changes what the descriptors lead to; a signal's handler may end a run
_wanted = Event()
_follower: Thread | None = None


def _start_follower() -> None:
    """One thread for all runs of this process: to start one takes longer than a short run."""
    global _follower
    if _follower is None:
        thread = Thread(target=_follow, name="molexp-streams", daemon=True)
        with suppress(RuntimeError):  # no more threads: what is printed is shown at the end
            thread.start()
            _follower = thread


def _follow() -> None:
    while True:
        _wanted.wait()
        streams = _current
        time.sleep(PERIOD)
        if streams is not None:
            streams.follow()


def _end_at_exit() -> None:
    if _current is not None:
        _current.end()


def _forget_parent() -> None:
    """A forked child prints into its parent's file; its own runs begin anew."""
    global _current, _switch, _wanted, _follower
    inherited, _current, _follower = _current, None, None
    _switch, _wanted = RLock(), Event()
    if inherited is not None:
        inherited.leave()


atexit.register(_end_at_exit)
os.register_at_fork(after_in_child=_forget_parent)


def _streams() -> list[object]:
    named = (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__)
    return list({id(stream): stream for stream in named if stream is not None}.values())


def _flush_all() -> None:
    """Let Python and C write what they hold back, to where it was meant."""
    for stream in _streams():
        flush(stream)
    ctypes: Any = sys.modules.get("ctypes")  # what prints from C has mostly loaded it
    libc = ctypes and ctypes.CDLL(None)
    if libc:
        # stdout alone: to flush all files would wait for a thread that reads one of them.
        with suppress(ValueError):  # where it has another name
            libc.fflush(ctypes.c_void_p.in_dll(libc, "stdout"))


def _status(name: str, fd: int) -> os.stat_result | None:
    """Where a standard descriptor leads; None if it is closed.

    If it was closed when Python started, any file may have its number by now.
    """
    if getattr(sys, f"__{name}__") is None:
        return None
    try:
        return os.fstat(fd)
    except OSError:
        return None


def _is_same_place(one: os.stat_result, other: os.stat_result) -> bool:
    mine = (one.st_dev, one.st_ino, one.st_rdev)
    return mine == (other.st_dev, other.st_ino, other.st_rdev)
