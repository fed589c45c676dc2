"""What a run prints: kept in files whatever becomes of the process, and shown as ever."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest

from molexp.capture.streams import Streams
from molexp.disk import door
from molexp.disk.beneath import Directory
from molexp.errors import FormatError, StorageError
from molexp.testing.doorwatch import watching
from tests.capture import run_python
from tests.disk import refusing

NAMES = ("run-w.log", "run-stderr-w.log")
LOG, ERR = NAMES


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Directory]:
    with Directory.open(tmp_path) as directory:
        yield directory


def test_prints_of_python_and_of_programs_are_kept_in_order_and_shown(tmp_path: Path) -> None:
    done = run_python(
        tmp_path,
        """
print("before")
streams = begin()
print("one")
subprocess.run(["echo", "two"])
print("three", file=sys.stderr)
os.write(1, b"four\\n")
assert streams.names == ("run-w.log",)
assert streams.size == 19, streams.size
assert streams.end() == 19
print("after")
""",
    )
    assert (tmp_path / LOG).read_bytes() == b"one\ntwo\nthree\nfour\n"
    assert done.stdout == b"before\none\ntwo\nthree\nfour\nafter\n"
    assert os.listdir(tmp_path) == [LOG]


def test_streams_that_lead_to_two_places_are_kept_in_two_files(tmp_path: Path) -> None:
    done = run_python(
        tmp_path,
        """
streams = begin()
print("out")
print("error", file=sys.stderr)
assert streams.sizes == {"run-w.log": 4, "run-stderr-w.log": 6}, streams.sizes
assert streams.end() == 10
""",
        stderr=subprocess.PIPE,
    )
    assert (done.stdout, done.stderr) == (b"out\n", b"error\n")
    assert (tmp_path / LOG).read_bytes() == b"out\n"
    assert (tmp_path / ERR).read_bytes() == b"error\n"


def test_what_was_printed_survives_a_kill(tmp_path: Path) -> None:
    done = run_python(
        tmp_path,
        """
begin()
print("not flushed by the program")
os.kill(os.getpid(), signal.SIGKILL)
""",
    )
    assert done.returncode == -9
    assert (tmp_path / LOG).read_bytes() == b"not flushed by the program\n"


def test_the_trace_of_a_crash_is_kept(tmp_path: Path) -> None:
    run_python(
        tmp_path,
        """
faulthandler.enable()
begin()
crash = "import faulthandler, ctypes; faulthandler.enable(); ctypes.string_at(0)"
subprocess.run([sys.executable, "-c", crash])
print("its parent goes on")
ctypes.string_at(0)
""",
    )
    kept = (tmp_path / LOG).read_bytes()
    child, parent = kept.split(b"its parent goes on")
    assert b"Segmentation fault" in child
    assert b"Segmentation fault" in parent


def test_what_is_printed_is_shown_while_the_run_goes_on(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    done = run_python(
        tmp_path,
        f"""
shown, sending = os.pipe()
os.dup2(sending, 1)
streams = begin()
print("now")
assert os.read(shown, 100) == b"now\\n"
os.write({writing}, b"seen")
streams.end()
""",
        pass_fds=[writing],
    )
    os.close(writing)
    with os.fdopen(reading, "rb") as told:
        assert told.read() == b"seen", done.stdout


def test_a_traceback_at_the_end_of_a_program_is_kept_and_shown(tmp_path: Path) -> None:
    done = run_python(tmp_path, "begin()\nraise RuntimeError('why')")
    assert done.stdout.endswith(b"RuntimeError: why\n")
    assert (tmp_path / LOG).read_bytes() == done.stdout


def test_what_c_holds_back_is_kept_by_the_run_that_printed_it(tmp_path: Path) -> None:
    done = run_python(
        tmp_path,
        """
libc = ctypes.CDLL(None)
libc.printf(b"before ")
streams = begin()
libc.printf(b"within ")
streams.end()
libc.printf(b"after")
""",
    )
    assert (tmp_path / LOG).read_bytes() == b"within "
    assert done.stdout == b"before within after"


def test_one_capture_at_a_time(tmp_path: Path) -> None:
    done = run_python(
        tmp_path,
        """
first = begin()
assert begin("second.log") is None
first.end()
second = begin("second.log")
print("second")
first.end()
print("still second")
second.end()
assert first.end() == 0 and second.end() == 20
""",
    )
    assert done.returncode == 0, done.stdout
    assert (tmp_path / LOG).read_bytes() == b""
    assert (tmp_path / "second.log").read_bytes() == b"second\nstill second\n"


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1), (0, 1, 2)])
def test_a_closed_descriptor_stays_closed(tmp_path: Path, closed: tuple[int, ...]) -> None:
    inner = """
import os, sys
from molexp.capture.streams import Streams
from molexp.disk import door
from molexp.disk.beneath import Directory
report = os.open(sys.argv[1] + "/report", os.O_WRONLY | os.O_CREAT)
os.dup2(report, 9)
if report > 2:
    os.close(report)
def opened():
    return [fd for fd in range(30) if fd != 9 and os.path.exists(f"/proc/self/fd/{fd}")]
place = Directory(os.dup(os.open(sys.argv[1], os.O_RDONLY)), "")
before = opened()
streams = Streams.begin(place, ("run-w.log", "run-stderr-w.log"), 0o644)
for stream in (sys.stdout, sys.stderr):
    if stream:
        print("said", file=stream)
os.write(9, f"{streams.names} {streams.end()} {before == opened()}".encode())
"""
    redirections = " ".join(f"{fd}>&-" for fd in closed)
    done = run_python(
        tmp_path,
        f"subprocess.run(['sh', '-c', '\"$0\" -c \"$1\" \"$2\" {redirections}', sys.executable, "
        f"{inner!r}, sys.argv[1]])",
    )
    names = {(0,): (LOG,), (1,): (ERR,), (2,): (LOG,), (0, 1): (ERR,), (0, 1, 2): ()}[closed]
    size = 5 * sum(fd not in closed for fd in (1, 2))
    assert (tmp_path / "report").read_text() == f"{names} {size} True", done.stdout


def test_a_forked_child_prints_into_the_file_and_restores_nothing(tmp_path: Path) -> None:
    done = run_python(
        tmp_path,
        """
streams = begin()
print("parent")
if os.fork() == 0:
    print("child", flush=True)
    streams.end()
    print("child again", flush=True)
    os._exit(0)
os.wait()
print("parent again")
streams.end()
""",
    )
    assert (tmp_path / LOG).read_bytes() == b"parent\nchild\nchild again\nparent again\n"
    assert done.stdout == b"parent\nchild\nchild again\nparent again\n"


def test_a_forked_child_keeps_a_run_of_its_own(tmp_path: Path) -> None:
    done = run_python(
        tmp_path,
        """
streams = begin()
if os.fork() == 0:
    own = begin("child.log")
    print("child")
    own.end()
    print("after")
    os._exit(0)
os.wait()
streams.end()
""",
    )
    assert (tmp_path / "child.log").read_bytes() == b"child\n"
    assert (tmp_path / LOG).read_bytes() == b"child\nafter\n"
    assert done.stdout == b"child\nafter\n"


def test_a_forked_child_does_not_keep_the_reader_of_the_output_waiting(tmp_path: Path) -> None:
    done = run_python(
        tmp_path,
        """
keep = os.dup(2)
(reading, writing), (ready, closed), (until, over) = os.pipe(), os.pipe(), os.pipe()
os.dup2(writing, 1)
os.dup2(writing, 2)
os.close(writing)
streams = begin()
if os.fork() == 0:
    for fd in (0, 1, 2, over):
        os.close(fd)
    os.write(closed, b"x")
    os.read(until, 1)
    os._exit(0)
os.read(ready, 1)
streams.end()
os.dup2(keep, 1)
os.dup2(keep, 2)
os.set_blocking(reading, False)
assert os.read(reading, 1) == b""
""",
    )
    assert done.returncode == 0, done.stdout


def test_descriptors_that_somebody_else_redirected_are_left(tmp_path: Path) -> None:
    done = run_python(
        tmp_path,
        """
streams = begin()
other = os.open(sys.argv[1] + "/other", os.O_WRONLY | os.O_CREAT)
os.dup2(other, 1)
streams.end()
print("mine")
""",
    )
    assert done.stdout == b""
    assert (tmp_path / "other").read_bytes() == b"mine\n"


def test_a_reader_that_went_away_stops_nothing(tmp_path: Path) -> None:
    run_python(
        tmp_path,
        """
reading, writing = os.pipe()
os.dup2(writing, 1)
os.dup2(writing, 2)
streams = begin()
os.close(writing)
os.close(reading)
for number in range(3):
    print(number)
    time.sleep(0.1)
streams.end()
""",
    )
    assert (tmp_path / LOG).read_bytes() == b"0\n1\n2\n"


def test_a_reader_that_takes_nothing_does_not_hold_up_the_end_for_ever(tmp_path: Path) -> None:
    done = run_python(
        tmp_path,
        """
keep = os.dup(1)
reading, writing = os.pipe()
os.set_blocking(writing, False)
os.dup2(writing, 1)
streams = begin()
data = b"x" * 1_000_000
while data:
    data = data[os.write(1, data):]
assert streams.end() == 1_000_000
os.write(keep, b"ended")
""",
    )
    assert done.stdout == b"ended"
    assert (tmp_path / LOG).stat().st_size == 1_000_000


def test_an_interrupt_while_it_ends_restores_everything(tmp_path: Path) -> None:
    done = run_python(
        tmp_path,
        """
keep = os.dup(1)
reading, writing = os.pipe()
os.dup2(writing, 1)
streams = begin()
data = b"x" * 1_000_000
while data:
    data = data[os.write(1, data):]
sys.stdout.reconfigure(line_buffering=False)
threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    streams.end()
except KeyboardInterrupt:
    os.write(keep, b"interrupted ")
os.write(keep, str(os.path.samestat(os.fstat(1), os.fstat(writing))).encode())
assert streams.end() == 1_000_000
os.set_blocking(reading, False)
while True:
    try:
        os.read(reading, 1_000_000)
    except BlockingIOError:
        break
again = begin("again.log")
assert again is not None
os._exit(0)
""",
    )
    assert done.stdout == b"interrupted True"
    assert done.returncode == 0


def test_threads_may_print_while_it_ends(tmp_path: Path) -> None:
    done = run_python(
        tmp_path,
        """
lines, over = 0, threading.Event()
def chatter():
    global lines
    while not over.is_set():
        os.write(1, b"%07d\\n" % lines)
        lines += 1
thread = threading.Thread(target=chatter)
streams = begin()
thread.start()
for number in range(50):
    streams.end()
    streams = begin(f"{number}.log")
over.set()
thread.join()
streams.end()
os.write(2, b"%d lines\\n" % lines)
""",
    )
    *lines, last = done.stdout.decode().splitlines()
    shown = {int(line) for line in lines}
    kept: list[int] = []
    for file in tmp_path.iterdir():
        kept += map(int, file.read_text().splitlines())
    assert len(kept) == len(set(kept))
    # Each line was in a file or went straight to the pipe; none was shown twice, or lost.
    assert sorted(shown | set(kept)) == list(range(int(last.split()[0])))
    assert len(lines) == len(shown)


def test_a_full_disk_is_the_error_of_whoever_prints(tmp_path: Path) -> None:
    done = run_python(
        tmp_path,
        """
import resource
streams = begin()
resource.setrlimit(resource.RLIMIT_FSIZE, (10, resource.RLIM_INFINITY))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
try:
    print("x" * 20)
    print("y" * 20)
except OSError as error:
    said = error.errno
streams.end()
print(said)
""",
    )
    assert (tmp_path / LOG).read_bytes() == b"x" * 10
    assert done.stdout.endswith(b"%d\n" % errno.EFBIG)


def test_a_notebook_s_stream_shows_its_text_once_and_the_file_has_it(tmp_path: Path) -> None:
    done = run_python(
        tmp_path,
        """
class Notebook(io.StringIO):
    def fileno(self):
        raise io.UnsupportedOperation("fileno")
notebook = sys.stdout = Notebook()
streams = begin()
print("cell")
subprocess.run(["echo", "program"])
time.sleep(0.2)
print("half \\ud800")
assert sys.stdout.getvalue() == notebook.getvalue()
held = sys.stdout
size = streams.end()
assert sys.stdout is notebook
print("late", file=held)
assert notebook.getvalue() == "cell\\nhalf \\ud800\\nlate\\n", notebook.getvalue()
assert size == 25, size
""",
    )
    assert done.returncode == 0, done.stdout
    assert (tmp_path / LOG).read_bytes() == b"cell\nprogram\nhalf \\ud800\n"
    assert done.stdout == b"program\n"


def test_a_fork_under_a_notebook_is_kept_and_shown_by_the_parent(tmp_path: Path) -> None:
    done = run_python(
        tmp_path,
        """
sys.stdout = io.StringIO()
streams = begin()
if os.fork() == 0:
    print("child")
    os._exit(0)
os.wait()
print("parent")
assert sys.stdout.getvalue() == "parent\\n"
streams.end()
""",
    )
    assert (tmp_path / LOG).read_bytes() == b"child\nparent\n"
    assert done.stdout == b"child\n"


def test_a_stream_of_the_user_s_own_on_the_standard_one_is_kept_once(tmp_path: Path) -> None:
    run_python(
        tmp_path,
        """
class Logger:
    def __init__(self):
        self.terminal = sys.stdout
    def write(self, text):
        return self.terminal.write(text)
    def flush(self):
        pass
sys.stdout = Logger()
streams = begin()
print("once")
streams.end()
""",
    )
    assert (tmp_path / LOG).read_bytes() == b"once\n"


def test_a_stream_that_was_replaced_within_stays(
    place: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", StringIO())
    streams = Streams.begin(place, NAMES, 0o644)
    assert streams is not None
    own = StringIO()
    sys.stdout = own
    streams.end()
    assert sys.stdout is own


def test_text_that_cannot_be_kept_is_shown_and_the_problem_said(
    place: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = StringIO()
    monkeypatch.setattr(sys, "stdout", shown)
    streams = Streams.begin(place, NAMES, 0o644)
    assert streams is not None
    with door.gated(refusing("write", errno.ENOSPC)):
        sys.stdout.write("shown all the same\n")
    streams.end()
    assert shown.getvalue() == "shown all the same\n"
    assert isinstance(streams.problem, StorageError)


def test_the_buffering_of_streams_is_as_before(tmp_path: Path) -> None:
    done = run_python(
        tmp_path,
        """
assert not sys.stdout.line_buffering
streams = begin()
assert sys.stdout.line_buffering
streams.end()
assert not sys.stdout.line_buffering
""",
    )
    assert done.returncode == 0, done.stdout


def test_nothing_is_left_open_or_running(place: Directory) -> None:
    def opened() -> list[str]:
        return sorted(os.listdir("/proc/self/fd"))

    streams = Streams.begin(place, NAMES, 0o644)
    assert streams is not None
    streams.end()
    descriptors, threads = opened(), threading.active_count()
    for _run in range(20):
        streams = Streams.begin(place, NAMES, 0o644)
        assert streams is not None
        streams.end()
    assert opened() == descriptors
    assert threading.active_count() == threads


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES])
def test_a_file_that_cannot_be_made_changes_nothing(place: Directory, number: int) -> None:
    stdout, before = sys.stdout, (os.fstat(1), os.fstat(2), len(os.listdir("/proc/self/fd")))
    with door.gated(refusing("open_append", number)), pytest.raises(StorageError):
        Streams.begin(place, NAMES, 0o644)
    after = (os.fstat(1), os.fstat(2), len(os.listdir("/proc/self/fd")))
    assert sys.stdout is stdout
    assert [(s.st_dev, s.st_ino) for s in after[:2]] == [(s.st_dev, s.st_ino) for s in before[:2]]
    assert after[2] == before[2]
    streams = Streams.begin(place, NAMES, 0o644)
    assert streams is not None
    streams.end()


def test_what_took_the_file_s_place_is_refused(tmp_path: Path, place: Directory) -> None:
    (tmp_path / "target").touch()
    (tmp_path / LOG).symlink_to("target")
    (tmp_path / ERR).symlink_to("target")
    with pytest.raises(FormatError):
        Streams.begin(place, NAMES, 0o644)
    (tmp_path / LOG).unlink()
    os.mkfifo(tmp_path / LOG)
    with pytest.raises(FormatError):
        Streams.begin(place, NAMES, 0o644)


def test_nothing_passes_beside_the_door(tmp_path: Path, place: Directory) -> None:
    with watching(tmp_path) as watch:
        streams = Streams.begin(place, NAMES, 0o644)
        assert streams is not None
        sys.stdout.write("text")
        streams.end()
    assert watch.passed, str(watch)
    assert not watch.violations, str(watch)
