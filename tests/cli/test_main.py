"""What all commands share: the version, a wrong call, and an output that takes nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from molexp import __version__
from molexp.cli import main

CLI = [sys.executable, "-m", "molexp.cli"]
CALLS = (["demo", "{}/lab"], ["demo", "{}/lab", "--json"], ["--help"], ["--version"])


def test_a_call_without_a_command_says_which_there_are() -> None:
    ran = subprocess.run(CLI, capture_output=True, text=True, check=False)
    assert ran.returncode == 2
    assert "COMMAND" in ran.stderr


def test_it_tells_its_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"molexp {__version__}\n"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="only Linux has such a device")
@pytest.mark.parametrize("call", CALLS)
def test_a_full_output_is_one_line_and_no_traceback(tmp_path: Path, call: list[str]) -> None:
    with open("/dev/full", "w") as full:
        status, said = _run_into(full.fileno(), tmp_path, call)
    assert (status, said) == (1, "molexp: the output: No space left on device\n")


@pytest.mark.parametrize("call", CALLS)
def test_a_pipe_that_nobody_reads_is_left_quietly(tmp_path: Path, call: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        assert _run_into(writer, tmp_path, call) == (1, "")
    finally:
        os.close(writer)


def _run_into(output: int, place: Path, call: list[str]) -> tuple[int, str]:
    """Exit status, and what is said on standard error."""
    command = [*CLI, *(word.format(place) for word in call)]
    # Unbuffered, argparse would swallow the error of its own output.
    environment = {name: said for name, said in os.environ.items() if name != "PYTHONUNBUFFERED"}
    ran = subprocess.run(
        command,
        stdout=output,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        env=environment,
    )
    return ran.returncode, ran.stderr
