"""`molexp reap`: end what dead owners left, and nothing else."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from molexp.cli import main
from molexp.workspace.run import Run
from molexp.workspace.workspace import Workspace

Capture = pytest.CaptureFixture[str]

DIE = """
import os, signal, sys
import molexp as me
run = me.Workspace(sys.argv[1]).project("p").experiment("e").run(sys.argv[2])
run.start(capture=False)
os.kill(os.getpid(), signal.SIGKILL)
"""


def _killed(lab: Path, run: str) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    ran = subprocess.run([sys.executable, "-c", DIE, lab, run], env=environment, check=False)
    assert ran.returncode == -signal.SIGKILL


def _from_elsewhere(lab: Path, run: str) -> None:
    """Let the owner of a killed run be one of another machine, silent for an hour."""
    ledger = lab / f"projects/p/experiments/e/runs/{run}/0001/ledger.jsonl"
    line = json.loads(ledger.read_text())
    line["start"]["owner"] |= {"host": "node17", "boot_id": "of-another-machine"}
    ledger.write_text(json.dumps(line) + "\n")
    hour_ago = ledger.stat().st_mtime - 3600
    os.utime(ledger, (hour_ago, hour_ago))


def _status(lab: Path, run: str) -> str:
    with Workspace.load(lab) as workspace:
        found = workspace.find(f"p/e/{run}")
        assert isinstance(found, Run)
        return str(found.status)


def test_what_a_dead_process_left_is_ended_and_named(tmp_path: Path, capsys: Capture) -> None:
    lab = tmp_path / "lab"
    _killed(lab, "one")
    assert main(["reap", "-w", str(lab)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("p/e/one/0001  failed: ")
    assert said[1:] == ["1 execution ended"]
    assert (lab / "projects/p/experiments/e/runs/one/0001/end.json").exists()
    assert main(["reap", "-w", str(lab)]) == 0
    assert capsys.readouterr().out == "nothing ended\n"


def test_it_reaps_beneath_the_address_alone(tmp_path: Path, capsys: Capture) -> None:
    lab = tmp_path / "lab"
    _killed(lab, "one")
    _killed(lab, "two")
    assert main(["reap", "-w", str(lab), "p/e/two", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert list(said) == ["workspace", "reaped", "open", "problems"]
    assert [each["address"] for each in said["reaped"]] == ["p/e/two"]
    assert (said["reaped"][0]["execution"], said["reaped"][0]["status"]) == (1, "failed")
    assert not (lab / "projects/p/experiments/e/runs/one/0001/end.json").exists()


def test_a_live_run_stays_and_is_named(tmp_path: Path, capsys: Capture) -> None:
    lab = tmp_path / "lab"
    with Workspace(lab) as workspace:
        run = workspace.project("p").experiment("e").run("live")
        with run.start(capture=False):
            assert main(["reap", "-w", str(lab), "--confirm"]) == 0
            assert capsys.readouterr().out == "nothing ended\np/e/live  running\n"
        assert run.status == "succeeded"


def test_a_silent_one_from_elsewhere_is_ended_once_a_person_says_so(
    tmp_path: Path, capsys: Capture
) -> None:
    lab = tmp_path / "lab"
    _killed(lab, "far")
    _from_elsewhere(lab, "far")
    assert main(["reap", "-w", str(lab)]) == 0
    said = capsys.readouterr().out
    assert said.startswith("nothing ended\np/e/far  unknown\n")
    assert "`molexp reap --confirm`" in said
    assert _status(lab, "far") == "unknown"
    assert main(["reap", "-w", str(lab), "--confirm"]) == 0
    assert "p/e/far/0001  failed: a person said" in capsys.readouterr().out
    assert _status(lab, "far") == "failed"


def test_a_damaged_run_does_not_keep_the_others(tmp_path: Path, capsys: Capture) -> None:
    lab = tmp_path / "lab"
    _killed(lab, "one")
    _killed(lab, "two")
    (lab / "projects/p/experiments/e/runs/one/0001/ledger.jsonl").write_text("garbage\n")
    (lab / "projects/A copy of p").mkdir()
    assert main(["reap", "-w", str(lab)]) == 1
    said = capsys.readouterr()
    assert "p/e/two/0001  failed" in said.out
    assert "one/0001/ledger.jsonl does not begin" in said.err
    assert "\n  → " in said.err
