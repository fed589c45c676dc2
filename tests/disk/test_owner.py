"""Alive is what lives, dead is what is proven dead, and of all else nothing is said."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cached_property

import pytest
from hypothesis import given
from hypothesis import strategies as st

from molexp.disk import owner
from molexp.disk.owner import Life
from molexp.model.execution import Owner
from molexp.model.ids import Process
from tests.disk import fork_each
from tests.users import User

ME = owner.current()


def _owner_of(pid: int) -> Process:
    """A live process as it would name itself."""
    with open(f"/proc/{pid}/stat") as file:
        started = int(file.read().rpartition(")")[2].split()[19])
    return ME._replace(pid=pid, started=started)


def _writer_of(named: Process) -> str:
    kernel = owner.writer().partition("-")[0]
    return f"{kernel}-{named.pid}-{named.started}-0123ab"


def _judged(named: Process) -> Life:
    """What both ways of asking say, which is the same."""
    life = owner.judge(named)
    assert owner.judge_writer(_writer_of(named)) is life
    return life


@contextmanager
def _sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "60"]) as process:
        try:
            yield process
        finally:
            process.kill()


def test_this_process_and_its_parent_live() -> None:
    assert ME.pid == os.getpid()
    assert _judged(ME) is Life.ALIVE
    assert _judged(_owner_of(os.getppid())) is Life.ALIVE
    assert owner.judge_writer(owner.writer()) is Life.ALIVE


def test_a_killed_process_is_dead_before_and_after_its_parent_notices() -> None:
    with _sleeper() as process:
        named = _owner_of(process.pid)
        assert _judged(named) is Life.ALIVE
        process.send_signal(signal.SIGSTOP)
        assert _judged(named) is Life.ALIVE
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it is a zombie from here on
        assert _judged(named) is Life.DEAD
        process.wait()
        assert _judged(named) is Life.DEAD


def test_a_process_whose_first_thread_has_ended_lives() -> None:
    code = (
        "import ctypes, threading, time\n"
        "threading.Thread(target=time.sleep, args=(60,)).start()\n"
        "print(flush=True)\n"
        "ctypes.CDLL(None).syscall(60, 0)\n"  # exit of this one thread
    )
    if os.uname().machine != "x86_64":
        pytest.skip("the number of that system call is another one here")
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        named = _owner_of(process.pid)
        for _ in range(1000):
            with open(f"/proc/{process.pid}/stat") as file:
                if file.read().rpartition(")")[2].split()[0] == "Z":
                    break
            time.sleep(0.005)
        else:
            raise AssertionError("its first thread did not end")
        assert _judged(named) is Life.ALIVE
        process.kill()


def test_a_pid_that_someone_else_has_by_now_is_dead() -> None:
    for change in (-1, 1):
        assert _judged(ME._replace(started=ME.started + change)) is Life.DEAD
    with _sleeper() as process:
        named = _owner_of(process.pid)
        assert _judged(named._replace(started=named.started - 1)) is Life.DEAD


def test_a_pid_that_nobody_can_have_is_dead() -> None:
    for pid in (2**31 - 1, 2**31, 2**63):
        assert _judged(ME._replace(pid=pid)) is Life.DEAD


@pytest.mark.parametrize("field", ["boot_id", "pid_namespace"])
@pytest.mark.parametrize("value", ["", "another"])
def test_of_another_boot_or_namespace_nothing_is_known(field: str, value: str) -> None:
    for named in (ME, ME._replace(pid=2**31 - 1), ME._replace(started=ME.started + 1)):
        elsewhere = Process(**{**named._asdict(), field: value})
        assert owner.judge(elsewhere) is Life.UNKNOWN


def test_a_host_that_was_renamed_is_the_same_machine() -> None:
    assert owner.judge(ME._replace(host="another")) is Life.ALIVE


@given(st.text() | st.from_regex(r"\A[0-9a-f]{10}-[0-9]+-[0-9]+-.*\Z"))
def test_of_what_no_writer_is_called_nothing_is_known(text: str) -> None:
    assert owner.judge_writer(text) is Life.UNKNOWN


@pytest.mark.parametrize("rest", ["", "-", "-1", "-1-", "-x-1-a", "-1-x-a", "--1-1-a", "-٣-1-a"])
def test_a_writer_s_id_that_is_cut_or_bent_proves_nothing(rest: str) -> None:
    kernel = owner.writer().partition("-")[0]
    assert owner.judge_writer(kernel + rest) is Life.UNKNOWN
    assert owner.judge_writer(f"{kernel}-0-1-a") is Life.UNKNOWN
    assert owner.judge_writer(f"{kernel}-{'9' * 5000}-1-a") is not Life.ALIVE


def test_a_writer_is_one_for_a_process_and_fit_for_a_file_name() -> None:
    assert owner.writer() == owner.writer()
    assert len(owner.writer()) < 60
    assert "." not in owner.writer()
    assert "/" not in owner.writer()


def test_a_forked_child_is_another_owner_and_another_writer() -> None:
    def tell() -> str:
        return f"{owner.writer()} {owner.current().pid} {os.getpid()} {owner.judge(ME)}"

    (said,) = fork_each([tell])
    writer, named, pid, parent = str(said).split()
    assert named == pid != str(ME.pid)
    assert writer != owner.writer()
    assert parent == "alive"
    assert owner.judge_writer(writer) is Life.DEAD


def test_a_child_that_was_forked_many_times_over_never_repeats_an_id() -> None:
    writers = fork_each([owner.writer] * 20)
    assert len({owner.writer(), *writers}) == 21


@pytest.mark.users
def test_a_process_of_another_user_is_never_taken_for_dead(user: User) -> None:
    with _sleeper() as process:  # of whoever started the tests
        named = _owner_of(process.pid)
        assert user.run(lambda: owner.judge(named)) in (Life.ALIVE, Life.UNKNOWN)
        reused = named._replace(started=named.started - 1)
        assert user.run(lambda: owner.judge(reused)) in (Life.DEAD, Life.UNKNOWN)


INSIDE = """
import os, time
from molexp.disk import owner
me = owner.current()
child = os.fork()
if not child:
    time.sleep(60)
path = f"/proc/{child}/stat"
with open(path if os.path.exists(path) else os.devnull) as file:
    fields = file.read().rpartition(")")[2].split()
named = me._replace(pid=child, started=int(fields[19]) + 1 if fields else 1)
print(me.to_json().decode())
print(me.pid, owner.judge(me), owner.judge(named), owner.judge(me._replace(pid=2**22)))
os.kill(child, 9)
"""


def _unshare(*options: str) -> list[str]:
    """What a process says that is the first in a pid namespace of its own."""
    if shutil.which("unshare") is None:
        pytest.skip("no `unshare` here")
    if os.geteuid() != 0:
        pytest.skip("only root makes a pid namespace")
    command = ["unshare", "--pid", "--fork", *options, sys.executable, "-c", INSIDE]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    if "unshare" in done.stderr and done.returncode:
        pytest.skip(f"no pid namespace can be made here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_of_a_process_in_another_pid_namespace_nothing_is_known() -> None:
    named, said = _unshare("--mount-proc")
    assert said == "1 alive dead dead"
    inner = Owner.from_json(named.encode(), "inner").process
    assert inner.boot_id == ME.boot_id
    assert inner.pid_namespace != ME.pid_namespace
    assert owner.judge(inner) is Life.UNKNOWN


def test_where_proc_shows_another_namespace_its_word_proves_nothing() -> None:
    named, said = _unshare()
    assert said == "1 alive unknown unknown"
    assert owner.judge(Owner.from_json(named.encode(), "inner").process) is Life.UNKNOWN


NAMED = """
import ctypes, sys, time
ctypes.CDLL(None).prctl(15, bytes.fromhex(sys.argv[1]), 0, 0, 0)
from molexp.disk import owner
print(owner.current().started, flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("name", [b") Z\n", b"\xff\xfe", b") (a", b"\n\n"])
def test_a_process_is_judged_whatever_it_calls_itself(name: bytes) -> None:
    command = [sys.executable, "-c", NAMED, name.hex()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        started = int(process.stdout.readline())
        try:
            assert _judged(ME._replace(pid=process.pid, started=started)) is Life.ALIVE
        finally:
            process.kill()


def test_all_threads_write_under_one_id() -> None:
    def ask() -> set[str]:
        with ThreadPoolExecutor(8) as pool:
            return set(pool.map(lambda _: owner.writer(), range(64)))

    assert len(ask()) == 1


class _Elsewhere(owner.System):
    """A machine on which this process is the third, and nobody else lives."""

    @cached_property
    def current(self) -> Process:
        return ME._replace(pid=3, boot_id="another")

    def has(self, pid: int) -> bool:
        return pid == 3


def test_a_machine_that_is_played_is_believed_by_the_thread_that_plays_alone() -> None:
    with owner.asking(_Elsewhere()), ThreadPoolExecutor(1) as pool:
        elsewhere = owner.current()
        assert elsewhere.pid == 3
        assert owner.writer().split("-")[1] == "3"
        assert owner.judge(ME) is Life.UNKNOWN
        assert owner.judge(elsewhere._replace(pid=4)) is Life.DEAD
        assert pool.submit(owner.current).result() == ME
    assert owner.current() == ME
