"""Real owners that are stopped, killed and woken: they beat every 50 milliseconds.

Nothing here is timed: what is read at a moment is held against how silent the owner was by then.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from molexp import Workspace
from molexp.disk import layout
from molexp.disk.owner import Life
from molexp.errors import ConflictError
from molexp.lifecycle import look
from molexp.lifecycle.look import SILENT_BEATS
from molexp.lifecycle.reaping import CONFIRMED
from molexp.model.state import ExecutionState
from molexp.workspace.run import Run

BEAT = 0.05
SILENCE = SILENT_BEATS * BEAT
GRAIN = 0.05  # how far a file's time may lag behind the clock
STOPS = {"quick": 4, "nightly": 200}.get(os.environ.get("MOLEXP_PROFILE", ""), 12)
EACH = 4  # stops of one owner

OWNER = """
import select, sys
from molexp import Workspace

workspace = Workspace.load(sys.argv[1], durability="process")
workspace.site_to_write().beat = float(sys.argv[2])
run = workspace.project("lab").experiment("one").run("a")
step = 0
try:
    with run.start(capture=False, again=True) as ctx:
        print("started", flush=True)
        while not select.select([sys.stdin], [], [], 0.002)[0]:
            ctx.metric("loss", 1.0, step=step)
            step += 1
            if step % 25 == 0:
                ctx.set_result("steps", step)
    print("ended", flush=True)
except Exception as error:
    print(type(error).__name__, flush=True)
"""


@dataclass
class RealOwner:
    """A process at work in the run; ``pid`` is what this test's processes call it."""

    process: subprocess.Popen[str]
    pid: int

    def says(self) -> str:
        """The next thing that it says."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def stop(self) -> None:
        """Stop it; all its threads stand still when this returns."""
        os.kill(self.pid, signal.SIGSTOP)
        while self.state() != "T":
            time.sleep(0.001)

    def wake(self) -> None:
        """Let it go on."""
        os.kill(self.pid, signal.SIGCONT)

    def end(self) -> str:
        """Ask it to end; what came of that."""
        assert self.process.stdin is not None
        self.process.stdin.write("end\n")
        self.process.stdin.flush()
        return self.says()

    def state(self) -> str:
        """What the system says of it: that of its first thread once none runs."""
        states = set()
        for task in Path(f"/proc/{self.pid}/task").iterdir():
            states.add((task / "stat").read_text().rpartition(")")[2].split()[0])
        return states.pop() if len(states) == 1 else "some of each"


@contextmanager
def at_work(run: Run, *around: str) -> Iterator[RealOwner]:
    """A process that owns the run, started by the command ``around`` if that is said."""
    command = [*around, sys.executable, "-c", OWNER, os.fspath(run.workspace.root), str(BEAT)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        pid = process.pid
        try:
            owner = RealOwner(process, pid)
            said = owner.says()
            if around:
                if not said:
                    pytest.skip("no pid namespace can be made here")
                children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
                owner.pid = pid = int(children[0])
            assert said == "started"
            yield owner
        finally:
            if process.poll() is None:
                for each in dict.fromkeys([pid, process.pid]):  # first who is inside
                    os.kill(each, signal.SIGKILL)


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    workspace = Workspace(tmp_path / "lab", durability="process")
    site = workspace.site_to_write()
    site.beat = BEAT
    yield workspace.project("lab").experiment("one").run("a")
    site.close()


def ledger(run: Run, number: int = 1) -> Path:
    return run.run_dir / layout.execution_name(number) / layout.LEDGER


def check_status(run: Run) -> ExecutionState:
    """The status of an owner of whom nothing is known, which is as silent as it should be."""
    before, touched = time.time(), ledger(run).stat().st_mtime
    state = run.status
    if state is ExecutionState.UNKNOWN:
        assert time.time() - touched >= SILENCE - GRAIN, "a beating owner read unknown"
    else:
        assert state is ExecutionState.RUNNING
        latest = ledger(run).stat().st_mtime
        assert before - latest < SILENCE + GRAIN, "a silent owner did not read unknown"
    return state


def check_kept(run: Run) -> None:
    """Nobody takes its run from an owner who lives here, however silent."""
    assert run.status is ExecutionState.RUNNING
    with pytest.raises(ConflictError):
        run.start(capture=False, again=True)
    assert run.reap() == []
    assert run.reap(confirm=True) == []
    assert run.status is ExecutionState.RUNNING


@pytest.mark.parametrize("first", range(0, STOPS, EACH))
def test_an_owner_that_is_stopped_keeps_its_run(run: Run, first: int) -> None:
    rng = random.Random(first)
    with at_work(run) as owner:
        for _ in range(EACH):
            time.sleep(rng.uniform(0, 2 * BEAT))  # stopped in the middle of anything
            owner.stop()
            time.sleep((SILENT_BEATS + 2) * BEAT * rng.choice([0, 1]))
            check_kept(run)
            owner.wake()
        assert owner.end() == "ended"
    assert run.status is ExecutionState.SUCCEEDED
    assert [each.number for each in run.metadata.execution_history] == [1]


@pytest.mark.parametrize("judged", [Life.UNKNOWN, Life.DEAD])
def test_a_judge_who_takes_the_silent_for_gone_is_caught(
    run: Run, judged: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    with at_work(run) as owner:
        owner.stop()
        check_kept(run)
        time.sleep((SILENT_BEATS + 2) * BEAT)
        monkeypatch.setattr(look, "judge", lambda _: judged)
        with pytest.raises(AssertionError):
            check_kept(run)


@pytest.mark.parametrize("noticed", [True, False], ids=["waited for", "a zombie"])
@pytest.mark.parametrize("stopped", [True, False], ids=["stopped first", "at work"])
def test_an_owner_that_was_killed_is_found_at_once(run: Run, noticed: bool, stopped: bool) -> None:
    with at_work(run) as owner:
        if stopped:
            owner.stop()
        owner.process.kill()
        os.waitid(os.P_PID, owner.pid, os.WEXITED | os.WNOWAIT)  # a zombie from here on
        if noticed:
            owner.process.wait()
        assert run.status is ExecutionState.FAILED
        (reaped,) = run.reap()
        assert (reaped.number, reaped.status) == (1, ExecutionState.FAILED)
        assert run.reap() == []
        with run.start(capture=False) as ctx:
            ctx.metric("loss", 0.5)
        history = run.metadata.execution_history
        assert [each.status for each in history] == ["failed", "succeeded"]


def test_of_a_killed_owner_the_next_start_makes_an_end(run: Run) -> None:
    with at_work(run) as owner:
        owner.process.kill()
        os.waitid(os.P_PID, owner.pid, os.WEXITED | os.WNOWAIT)
        with run.start(capture=False):
            history = run.metadata.execution_history
            assert [each.status for each in history] == ["failed", "running"]


def counted(place: Path) -> dict[str, str]:
    """The digests of all that the end says counts."""
    end = json.loads((place / layout.END).read_text())
    return {
        entry["path"]: hashlib.sha256(
            (place / entry["path"]).read_bytes()[: entry["size"]]
        ).hexdigest()
        for entry in end["manifest"]
    }


def test_an_owner_elsewhere_reads_unknown_when_it_is_silent_and_wakes_to_a_conflict(
    run: Run,
) -> None:
    if shutil.which("unshare") is None or os.geteuid() != 0:
        pytest.skip("only root makes a pid namespace, with `unshare`")
    with at_work(run, "unshare", "--pid", "--fork", "--mount-proc") as owner:
        for _ in range(20):
            check_status(run)
            with pytest.raises(ConflictError):
                run.start(capture=False)
        owner.stop()
        while check_status(run) is not ExecutionState.UNKNOWN:
            time.sleep(BEAT / 5)
        with pytest.raises(ConflictError):  # nobody takes the silent for dead
            run.start(capture=False)
        assert run.reap() == []
        (reaped,) = run.reap(confirm=True)
        assert (reaped.status, reaped.reason) == (ExecutionState.FAILED, CONFIRMED)
        place = ledger(run).parent
        end, before = (place / layout.END).read_bytes(), counted(place)
        owner.wake()
        time.sleep(2 * BEAT)  # it goes on, and does not know
        assert owner.end() == "ConflictError"
        assert (place / layout.END).read_bytes() == end
        assert counted(place) == before
        with run.start(capture=False) as ctx:
            assert ctx.execution_dir.name == layout.execution_name(2)
        history = run.metadata.execution_history
        assert [each.status for each in history] == ["failed", "succeeded"]
