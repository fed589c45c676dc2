"""Several threads and processes in one run: nothing lost, nothing twice, one end."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.context import BaseContext
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

import molexp as me
from molexp.errors import CancelledError, TransitionError
from molexp.testing.trial import run_in_child
from tests.recording.lab import broken_rules, in_child, killed, lines, make_run, python, raising

WRITERS = 4
EACH = 25


@contextmanager
def _forking() -> Iterator[None]:
    with warnings.catch_warnings():
        # The heartbeat's thread is not in the child, which takes no lock of it.
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


def _write(ctx: me.RunContext, number: int) -> int:
    """What every worker does: as many of each as ``EACH`` says."""
    for count in range(EACH):
        ctx.artifact.save(f"own-{number}.txt", f"{number}:{count}")
        ctx.artifact.save("shared.txt", f"{number}:{count}")
        ctx.log("train").append(f"{number}:{count}")
        ctx.metric("loss", number + count / 100, step=count)
    return os.getpid()


def _check_all_there(run: me.Run, number: int = 1) -> None:
    """By plain files, by what the run tells, and by the rules of the format."""
    wanted = Counter(f"{n}:{c}" for n in range(WRITERS) for c in range(EACH))
    place = run.run_dir / f"{number:04d}"
    artifacts = Counter(
        path.read_text() for path in (place / "artifacts").iterdir() if path.is_file()
    )
    assert artifacts == wanted + wanted
    said = Counter(
        line for path in (place / "logs").iterdir() for line in path.read_text().split() if line
    )
    assert said == wanted
    assert Counter(run.log("train", number).split()) == wanted
    assert len(lines(run, number, "metrics*.jsonl")) == WRITERS * EACH
    made = run.assets.list("artifact")
    assert len(made) == len({each.asset_id for each in made}) == 2 * WRITERS * EACH
    assert len({each.path for each in made}) == len(made)
    shared = [each.version for each in made if each.name == "shared.txt"]
    assert sorted(shared) == list(range(1, WRITERS * EACH + 1))
    logs = run.assets.list("log")
    assert len({each.path for each in logs}) == len(logs)
    assert broken_rules(run.workspace.root) == []


def test_threads_write_in_one_run(run: me.Run) -> None:
    with run.start(capture=False) as ctx:
        threads = [Thread(target=_write, args=(ctx, number)) for number in range(WRITERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    _check_all_there(run)


def test_forked_children_write_in_one_run(run: me.Run) -> None:
    with run.start(capture=False) as ctx, _forking():
        children = []
        for number in range(WRITERS):
            child = os.fork()
            if not child:
                try:
                    _write(ctx, number)
                    os._exit(0)
                finally:
                    os._exit(1)
            children.append(child)
        assert [os.waitpid(child, 0)[1] for child in children] == [0] * WRITERS
        assert run.status == "running"
    assert run.status == "succeeded"
    assert len(list((run.run_dir / "0001").glob("ledger-*.jsonl"))) == WRITERS
    _check_all_there(run)


def _pool(ctx: me.RunContext, how: str) -> set[int]:
    methods: BaseContext = multiprocessing.get_context(how)
    with _forking(), methods.Pool(2) as pool:
        return set(pool.starmap(_write, [(ctx, number) for number in range(WRITERS)], chunksize=1))


@pytest.mark.parametrize("how", ["fork", "spawn"])
def test_the_workers_of_a_pool_write_in_one_run(run: me.Run, how: str) -> None:
    with run.start(capture=False) as ctx:
        pids = _pool(ctx, how)
        assert os.getpid() not in pids
        assert run.status == "running"
    assert run.status == "succeeded"
    # However often a worker gets the context, it is one writer.
    assert len(list((run.run_dir / "0001").glob("ledger-*.jsonl"))) == len(pids)
    _check_all_there(run)


def test_a_program_that_the_run_starts_joins_it(run: me.Run) -> None:
    code = """
import sys
import molexp as me
ctx = me.RunContext.open()
assert me.RunContext.open() is ctx
ctx.artifact.save("theirs.txt", "theirs")
ctx.set_result("from there", ctx.get_result("from here"))
print(ctx.find_asset("mine.txt").read_text(), ctx.execution_id)
with ctx:
    ctx.log("train").append("theirs")
try:
    ctx.log("train").append("left")
except me.errors.TransitionError:
    print("left")
"""
    with run.start(capture=False) as ctx:
        ctx.artifact.save("mine.txt", "mine")
        ctx.set_result("from here", [1])
        told = python(code).split()
        assert told == ["mine", ctx.execution_id, "left"]
        assert ctx.find_asset("theirs.txt").read_text() == "theirs"
        assert ctx.get_result("from there") == [1]
        assert run.status == "running"
    assert "MOLEXP_EXECUTION" not in os.environ
    assert run.status == "succeeded"
    assert broken_rules(run.workspace.root) == []


def test_a_context_that_travels_is_the_same_execution(run: me.Run) -> None:
    with run.start(capture=False) as ctx:
        assert pickle.loads(pickle.dumps(ctx)) is ctx  # noqa: S301 - made in this very line
        assert pickle.loads(pickle.dumps(run)) == run  # noqa: S301 - likewise
        data = pickle.dumps(ctx)

        def child() -> list[Any]:
            before, other = len(os.listdir("/proc/self/fd")), ctx
            for count in range(20):
                other = pickle.loads(data)  # noqa: S301 - made above
                other.log("train").append(str(count))
            for count in range(20, 40):
                with me.RunContext.open() as other:
                    other.log("train").append(str(count))
            return [len(os.listdir("/proc/self/fd")) - before, other.execution_id]

        more, execution = in_child(child)
        assert execution == ctx.execution_id
        assert more < 20
    assert run.log("train").split() == [str(count) for count in range(40)]
    assert len(run.assets.list("log")) == 1
    assert broken_rules(run.workspace.root) == []


@pytest.mark.parametrize("leaves", ["block", "error", "exit", "end", "suspend"])
def test_a_forked_child_never_ends_the_execution(run: me.Run, leaves: str) -> None:
    ctx = run.start(capture=False)

    def child() -> str:
        ctx.log("a").append("of the child")
        if leaves in ("end", "suspend"):
            with pytest.raises(TransitionError, match="its owner ends it"):
                ctx.end() if leaves == "end" else ctx.suspend(at_step=1)
            return "refused"
        error = {"block": None, "error": ValueError("x"), "exit": SystemExit(0)}[leaves]
        ctx.__exit__(type(error) if error is not None else None, error, None)
        return "left"

    assert in_child(child) == ("refused" if leaves in ("end", "suspend") else "left")
    assert run.status == "running"
    ctx.log("a").append("of the owner")
    ctx.end()
    assert run.status == "succeeded"
    assert sorted(run.log("a").splitlines()) == ["of the child", "of the owner"]
    assert broken_rules(run.workspace.root) == []


def test_what_a_killed_worker_acknowledged_is_there(run: me.Run) -> None:
    with run.start(capture=False) as ctx:

        def work(say: Callable[[Any], None]) -> None:
            for count in range(20):
                say(["artifact", ctx.artifact.save("a.txt", str(count)).path, str(count)])
                ctx.log("train").append(f"line {count}")
                say(["line", "", f"line {count}"])
                ctx.metric("loss", count)
                say(["metric", "", count])
                ctx.set_result("last", count)
                if count == 13:
                    os.kill(os.getpid(), signal.SIGKILL)

        acks = killed(work).said
        ctx.log("train").append("of the owner")
    assert len(acks) == 3 * 14
    said = run.log("train").splitlines()
    values = [line["metric"]["value"] for line in lines(run, name="metrics*.jsonl")]
    for kind, path, what in acks:
        if kind == "artifact":
            assert (run.run_dir / "0001" / path).read_text() == what
            assert [each.path for each in run.assets.list("artifact")].count(path) == 1
        elif kind == "line":
            assert said.count(what) == 1
        else:
            assert values.count(what) == 1
    assert run.get_result("last") == 13
    assert "of the owner" in said
    assert broken_rules(run.workspace.root) == []


def test_what_comes_after_the_end_is_refused_or_late(run: me.Run) -> None:
    ctx = run.start(capture=False)
    written, ended = os.pipe(), os.pipe()

    def joined(say: Callable[[Any], None]) -> None:
        ctx.log("a").append("in time")
        os.write(written[1], b"x")
        os.read(ended[0], 1)
        for _ in range(3):
            try:
                say(["late", ctx.artifact.save("late.txt", "late").asset_id])
            except TransitionError:
                say(["refused", ""])

    said: list[list[str]] = []
    child = Thread(target=lambda: said.extend(run_in_child(joined).said))
    child.start()
    os.read(written[0], 1)
    ctx.end()
    os.write(ended[1], b"x")
    child.join()
    for fd in (*written, *ended):
        os.close(fd)
    assert len(said) == 3
    assert run.log("a") == "in time\n"
    late = [asset for outcome, asset in said if outcome == "late"]
    assert [each.asset_id for each in run.assets.list("artifact")] == late
    assert broken_rules(run.workspace.root) == []


def test_eight_processes_make_runs_in_one_experiment(tmp_path: Path) -> None:
    run = make_run(tmp_path / "lab", durability="process")
    code = """
import sys
import molexp as me
exp = me.Workspace.load(sys.argv[1], durability="process").find("qm9/baseline")
for count in range(50):
    mine = exp.run(id=f"w{sys.argv[2]}-{count:02d}")
    both = exp.run(id=f"both-{count:02d}")
    with mine.start(capture=False) as ctx:
        ctx.artifact.save("a.txt", mine.id)
    print(mine.id, both.uid)
"""
    told: list[list[str]] = [[] for _ in range(8)]

    def live(number: int) -> None:
        told[number] = python(code, tmp_path / "lab", number).splitlines()

    threads = [Thread(target=live, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [len(each) for each in told] == [50] * 8
    runs = {each.id: each for each in run.experiment.list_runs()}
    assert len(runs) == 1 + 8 * 50 + 50
    for number in range(8):
        for line, count in zip(told[number], range(50), strict=True):
            name, uid = line.split()
            assert runs[f"both-{count:02d}"].uid == uid
            assert (runs[name].run_dir / "0001" / "artifacts" / "a.txt").read_text() == name
    assert all(each.status == "succeeded" for name, each in runs.items() if name[0] == "w")
    assert broken_rules(tmp_path / "lab") == []


def test_processes_that_make_one_experiment_get_the_same(tmp_path: Path) -> None:
    code = """
import sys
import molexp as me
ws = me.Workspace(sys.argv[1], name="Lab")
print(ws.project("QM9").experiment("baseline", params={"lr": 1}).uid, ws.uid)
"""
    told: list[str] = []
    threads = [Thread(target=lambda: told.append(python(code, tmp_path / "lab"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(told) == 4
    assert len(set(told)) == 1
    assert broken_rules(tmp_path / "lab") == []


ASKED = """
import sys
import molexp as me
run = me.Workspace.load(sys.argv[1]).find("qm9/baseline/first")
getattr(run, sys.argv[2])("because")
"""


def test_another_process_pauses_resumes_and_cancels(run: me.Run) -> None:
    root = run.workspace.root
    with run.start(capture=False) as ctx:
        python(ASKED, root, "pause")
        seen: list[str] = []

        def resume() -> None:
            while run.status != "paused":
                pass
            seen.append(run.status)
            python(ASKED, root, "resume")

        thread = Thread(target=resume)
        thread.start()
        ctx.check()
        thread.join()
        assert seen == ["paused"]
        assert run.status == "running"
        python(ASKED, root, "cancel")
        with pytest.raises(CancelledError, match="because"):
            ctx.check()
        with pytest.raises(CancelledError):
            ctx.check()
        ctx.end("cancelled")
    assert run.status == "cancelled"
    changes = [name for line in lines(run) for name in line if name in ("paused", "resumed")]
    assert changes == ["paused", "resumed"]
    assert broken_rules(root) == []


def test_a_cancelled_task_ends_by_the_error_that_its_next_call_raises(run: me.Run) -> None:
    with raising(CancelledError), run.start(capture=False) as ctx:
        assert run.cancel("enough") is None
        while True:
            ctx.log("a").append("x")
    assert run.status == "cancelled"
    assert run.metadata.execution_history[0].reason == "enough"
    assert run.assets.list("error_trace") == []


def test_a_paused_run_is_cancelled(run: me.Run) -> None:
    with raising(CancelledError), run.start(capture=False) as ctx:
        run.pause()

        def cancel() -> None:
            while run.status != "paused":
                pass
            run.cancel()

        thread = Thread(target=cancel)
        thread.start()
        try:
            ctx.check()
        finally:
            thread.join()
    assert run.status == "cancelled"
    assert broken_rules(run.workspace.root) == []


def test_a_run_whose_process_was_killed_goes_on_from_its_newest_checkpoint(run: me.Run) -> None:
    chain: list[str | None] = []
    for number in (1, 2):

        def work(say: Callable[[Any], None], number: int = number) -> None:
            ctx = run.start(capture=False)
            latest = ctx.checkpoint.latest()
            say([ctx.resumed_step, latest.load()["data"] if latest else None])
            for _ in range(2):
                ckpt = ctx.checkpoint("state", data={"step": 10 * number})
                say([ckpt.ckpt_id, ckpt.parent_ckpt_id])
            os.kill(os.getpid(), signal.SIGKILL)

        (resumed, *made) = killed(work).said
        assert resumed == ([None, None] if number == 1 else [10, {"step": 10}])
        assert run.status == "failed"
        for ckpt, parent in made:
            assert parent == (chain[-1] if chain else None)
            chain.append(ckpt)
    with run.start(capture=False) as ctx:
        assert ctx.resumed_step == 20
        assert ctx.checkpoint("state", data=None).parent_ckpt_id == chain[-1]
    assert [each.status for each in run.metadata.execution_history] == [
        "failed",
        "failed",
        "succeeded",
    ]
    assert broken_rules(run.workspace.root) == []


def test_a_process_that_exits_ends_its_run_as_it_exits(tmp_path: Path) -> None:
    code = """
import sys
import molexp as me
run = me.Workspace(sys.argv[1]).project("QM9").experiment("baseline").run(id=sys.argv[2])
with run.start() as ctx:
    sys.exit(int(sys.argv[2][-1]))
"""
    python(code, tmp_path / "lab", "exit-0")
    python(code, tmp_path / "lab", "exit-3", check=False)
    found = me.Workspace.load(tmp_path / "lab")
    assert isinstance(found.find("qm9/baseline/exit-0"), me.Run)
    states = {
        each.id: each.status for each in found.project("QM9").experiment("baseline").list_runs()
    }
    assert states == {"exit-0": "succeeded", "exit-3": "failed"}
