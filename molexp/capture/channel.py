"""A log file that stands where descriptors led, and the way from it to where they led before.

Whatever is written to the descriptors lands in the file itself, so that no death of the process
takes it away; :meth:`Channel.show` copies it on to those who watch.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import stat
from collections import deque
from contextlib import suppress
from threading import RLock

from molexp.disk import door
from molexp.disk.beneath import Directory, explained

PATIENCE = 1000
"""Milliseconds that a reader who takes nothing is waited for when a capture ends."""

_CHUNK = 1 << 16
_FIRST = 3  # below it are the standard descriptors, which must stay closed where they were closed


class Channel:
    """A log file, the descriptors that lead into it, and where they led.

    ``targets`` are the open descriptors that it is to take; there may be none. ``teed`` says that
    :meth:`keep` will be called. Raises StorageError, or FormatError if what lies there is no
    regular file.
    """

    def __init__(
        self,
        directory: Directory,
        name: str,
        mode: int,
        targets: tuple[int, ...],
        *,
        teed: bool = False,
    ) -> None:
        self.name = name
        self._targets = targets
        self._pid = os.getpid()
        self._log = self._side = self._read = self._original = -1
        self._is_taken = False
        # Where text lies that its own stream has shown, and that is not to be shown once more.
        self._shown: deque[tuple[int, int]] = deque()
        self._lock = RLock()  # of those places; a signal's handler may print in the middle
        try:
            self._log = _open_log(directory, name, mode)
            self._read = _high(directory.open_file(name))
            if teed:
                # Opened once more: nobody else moves its place, so that it tells where text lies.
                self._side = _open_log(directory, name, mode)
            if targets:
                self._original = _dup_high(targets[0])
        except BaseException as error:
            self.close()
            if isinstance(error, OSError):
                raise explained(error, directory.where(name)) from error
            raise
        self._start = self._offset = self._size = os.fstat(self._read).st_size

    @property
    def size(self) -> int:
        """How many bytes were added to the file since it was opened."""
        with self._lock:  # the thread that follows may be closing it
            if self._read >= 0:
                self._size = os.fstat(self._read).st_size
            return self._size - self._start

    def take(self) -> None:
        """Let the descriptors lead into the file."""
        self._is_taken = True
        for target in self._targets:
            os.dup2(self._log, target)

    def give_back(self) -> None:
        """Let the descriptors lead where they led, save those that lead elsewhere by now."""
        if not self._is_taken:
            return
        ours = os.fstat(self._log)
        for target in self._targets:
            with suppress(OSError):  # closed meanwhile, which is not ours to mend
                if os.path.samestat(os.fstat(target), ours):
                    os.dup2(self._original, target)
        self._is_taken = False

    def keep(self, text: str) -> None:
        """Add text that its own stream shows; what a forked child keeps is shown by its parent.

        Raises StorageError.
        """
        data = text.encode("utf-8", "backslashreplace")
        if self._log < 0 or not data:
            return
        if os.getpid() != self._pid:
            door.write_all(self._log, data)
            return
        with self._lock:
            door.write_all(self._side, data)
            if self._original < 0:
                return
            end = os.lseek(self._side, 0, os.SEEK_CUR)
            start = end - len(data)
            if self._shown and self._shown[-1][1] == start:
                start = self._shown.pop()[0]
            self._shown.append((start, end))

    def show(self, *, patient: bool = False) -> None:
        """Copy what is new to where the descriptors led; ``patient`` waits for a slow reader."""
        if self._original < 0:
            return
        with suppress(OSError):  # nobody watches any more; what is written is kept all the same
            with self._lock:  # whose text is in the file, its place is known
                end = os.fstat(self._read).st_size
            while self._offset < end:
                stop = self._next_stop(end)
                chunk = os.pread(self._read, min(_CHUNK, stop - self._offset), self._offset)
                passed = _pass_on(self._original, chunk, patient=patient) if chunk else 0
                self._offset += passed
                if not passed and self._offset < stop:
                    return
            return
        self._offset = 1 << 62

    def leave(self) -> None:
        """In a forked child: hold nothing open of the parent's, save the file itself."""
        for fd in (self._side, self._read, self._original):
            _close(fd)
        self._side = self._read = self._original = -1
        self._lock = RLock()
        self._is_taken = False

    def close(self) -> None:
        """Let go of everything."""
        with self._lock:  # whoever asks for the size must not ask it of a descriptor that is gone
            if self._read >= 0:
                self._size = os.fstat(self._read).st_size
            held = (self._log, self._side, self._read, self._original)
            self._log = self._side = self._read = self._original = -1
            for fd in held:
                _close(fd)

    def _next_stop(self, end: int) -> int:
        """How far to copy, once the place has moved past what was shown already."""
        with self._lock:
            while self._shown and self._shown[0][0] <= self._offset:
                self._offset = max(self._offset, self._shown.popleft()[1])
            return min(end, self._shown[0][0]) if self._shown else max(end, self._offset)


def _open_log(directory: Directory, name: str, mode: int) -> int:
    fd = _high(door.open_append(directory.fd, name, mode))
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.ENXIO, "not a regular file")
    # Programs that are started inherit it, and some take what does not block for a terminal.
    fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) & ~os.O_NONBLOCK)
    return fd


def _high(fd: int) -> int:
    """The same open file under a number that is no standard stream's."""
    if fd >= _FIRST:
        return fd
    try:
        return _dup_high(fd)
    finally:
        os.close(fd)


def _dup_high(fd: int) -> int:
    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _FIRST)


def _pass_on(fd: int, data: bytes, *, patient: bool) -> int:
    """How many bytes were taken by whoever watches."""
    try:
        return os.write(fd, data)
    except BlockingIOError:
        pass
    if not patient:
        return 0
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    if not poll.poll(PATIENCE):
        return 0
    try:
        return os.write(fd, data)
    except BlockingIOError:
        return 0


def _close(fd: int) -> None:
    if fd >= 0:
        os.close(fd)
