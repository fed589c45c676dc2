from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

import molexp as me
from molexp.disk import door
from molexp.errors import StorageError
from tests.recording.lab import broken_rules, files, in_child, lines, python

PRINTING = """
import logging, os, subprocess, sys
import molexp as me
run = me.Workspace(sys.argv[1]).project("p").experiment("e").run(id="r")
with run.start() as ctx:
    print("printed")
    os.write(1, b"written\\n")
    print("an error", file=sys.stderr)
    subprocess.run(["echo", "from a program"], check=True)
    logging.getLogger("mine").warning("careful: %s", 3)
    ctx.logger.info("kept")
    ctx.log("run").append("told")
print("afterwards")
"""


def test_what_is_printed_and_logged_is_kept_and_still_shown(tmp_path: Path) -> None:
    shown = python(PRINTING, tmp_path / "lab")
    run = me.Workspace.load(tmp_path / "lab").find("p/e/r")
    assert isinstance(run, me.Run)
    said = run.log()
    for word in ("started by process", "printed", "written", "from a program", "told"):
        assert word in said
    assert "afterwards" not in said
    for word in ("printed", "written", "from a program", "afterwards"):
        assert word in shown
    assert "an error" in run.log() + run.log("run-stderr")
    (end,) = [each.end for each in run.metadata.execution_history]
    assert end is not None
    assert [(each.level, each.logger, each.text) for each in end.messages] == [
        ("WARNING", "mine", "careful: 3")
    ]
    records = lines(run, name="logs/records.jsonl")
    assert {each["message"]["text"] for each in records} >= {"careful: 3", "kept"}
    assert broken_rules(tmp_path / "lab") == []


def test_the_logger_of_a_run_keeps_records_without_any_capture(run: me.Run) -> None:
    with run.start(capture=False) as ctx:
        ctx.logger.warning("first %d", 1)
        ctx.logger.error("second")
        logging.getLogger("elsewhere").warning("not kept")
    kept = [line["message"] for line in lines(run, name="logs/records.jsonl")]
    assert [(each["level"], each["text"]) for each in kept] == [
        ("WARNING", "first 1"),
        ("ERROR", "second"),
    ]
    assert all(each["at"].endswith("Z") and each["logger"] for each in kept)
    end = run.metadata.execution_history[0].end
    assert end is not None
    assert [each.text for each in end.messages] == ["first 1", "second"]


def test_a_second_run_at_the_same_time_keeps_log_records_only_and_says_so(
    run: me.Run, capfd: pytest.CaptureFixture[str]
) -> None:
    other = run.experiment.run(id="second")
    with run.start() as first:
        os.write(1, b"of the first\n")
        with other.start() as second:
            second.logger.warning("mine")
            os.write(1, b"of both\n")
        first.logger.warning("and mine")
    assert "of both" in run.log()
    assert "of both" not in other.log()
    texts = [line["message"]["text"] for line in lines(other, name="logs/records.jsonl")]
    assert "mine" in texts
    assert any("another run of this process" in text for text in texts)
    assert "of the first" in capfd.readouterr().out
    assert broken_rules(run.workspace.root) == []


def test_a_run_that_prints_nothing_has_no_logs(run: me.Run) -> None:
    with run.start():
        pass
    assert files(run.run_dir / "0001") == {"ledger.jsonl", "end.json"}
    assert not (run.run_dir / "0001" / "logs").exists()


def test_the_machine_and_the_code_are_captured(tmp_path: Path, run: me.Run) -> None:
    script = tmp_path / "train.py"
    script.write_text("print('train')\n")
    experiment = run.experiment.project.experiment("coded", workflow_source=script)
    coded = experiment.run(id="r")
    script.write_text("print('changed since')\n")
    with coded.start():
        pass
    snapshot = coded.metadata.snapshot
    assert snapshot.environment is not None
    assert snapshot.code is not None
    (kept,) = snapshot.code.files
    assert kept.object is not None
    digest = kept.object.removeprefix("sha256:")
    stored = run.workspace.root / "objects" / digest[:2] / digest
    assert stored.read_text() == "print('changed since')\n"
    assert broken_rules(run.workspace.root) == []


def test_code_that_is_gone_is_a_problem_that_is_told_and_stops_nothing(
    tmp_path: Path, run: me.Run
) -> None:
    script = tmp_path / "train.py"
    script.write_text("x = 1\n")
    gone = run.experiment.project.experiment("gone", workflow_source=script).run(id="r")
    script.unlink()
    with gone.start():
        pass
    assert gone.status == "succeeded"
    assert "train.py" in " ".join(gone.metadata.snapshot.problems)


def test_a_capture_that_is_refused_leaves_no_run_behind_that_nobody_ends(run: me.Run) -> None:
    def gate(operation: str, function: object, arguments: tuple[object, ...]) -> object:
        if operation == "mkdir" and arguments[1] == "logs":
            raise OSError(28, "No space left on device")
        return function(*arguments)  # type: ignore[operator]

    with door.gated(gate), pytest.raises(StorageError):
        run.start()
    assert run.status == "failed"
    with run.start():
        pass
    assert run.status == "succeeded"
    assert broken_rules(run.workspace.root) == []


def test_a_forked_child_of_a_captured_run_prints_into_it_and_ends_nothing(tmp_path: Path) -> None:
    code = """
import os, sys
import molexp as me
run = me.Workspace(sys.argv[1]).project("p").experiment("e").run(id="r")
with run.start() as ctx:
    pid = os.fork()
    if not pid:
        print("of the child")
        ctx.logger.warning("logged by the child")
        sys.exit(3)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 3
    assert run.status == "running"
    print("of the parent")
"""
    python(code, tmp_path / "lab")
    run = me.Workspace.load(tmp_path / "lab").find("p/e/r")
    assert isinstance(run, me.Run)
    assert run.status == "succeeded"
    assert "of the child" in run.log()
    assert "of the parent" in run.log()
    texts = [line["message"]["text"] for line in lines(run, name="logs/records*.jsonl")]
    assert texts == ["logged by the child"]
    assert broken_rules(tmp_path / "lab") == []


def test_what_was_printed_is_an_asset_even_if_its_line_was_refused_once(tmp_path: Path) -> None:
    code = """
import os, sys
import molexp as me
from molexp.disk import door
run = me.Workspace(sys.argv[1]).project("p").experiment("e").run(id="r")
ctx = run.start()
print("printed", flush=True)
def gate(operation, function, arguments):
    if operation == "write" and b'"log"' in bytes(arguments[1]):
        raise OSError(28, "No space left on device")
    return function(*arguments)
with door.gated(gate):
    try:
        ctx.end()
    except me.errors.StorageError:
        pass
    else:
        raise SystemExit("it was not refused")
ctx.end()
"""
    python(code, tmp_path / "lab")
    run = me.Workspace.load(tmp_path / "lab").find("p/e/r")
    assert isinstance(run, me.Run)
    assert [each.name for each in run.assets.list("log")] == ["run"]
    assert broken_rules(tmp_path / "lab") == []


def test_a_spawned_process_that_joins_prints_on_its_own(tmp_path: Path, run: me.Run) -> None:
    with run.start(capture=False) as ctx:
        done = subprocess.run(
            [sys.executable, "-c", "import molexp as me\nwith me.RunContext.open(): print('hi')"],
            capture_output=True,
            text=True,
            check=True,
            cwd=Path(__file__).parents[2],
        )
        assert done.stdout == "hi\n"
        assert in_child(lambda: ctx.execution_id) == ctx.execution_id
    assert run.status == "succeeded"
