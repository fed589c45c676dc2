"""What all commands share: the version, a wrong call, and an output that takes nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from molexp import __version__
from molexp.cli import COMMANDS, STOPPED, main

CLI = [sys.executable, "-m", "molexp.cli"]
CALLS = (
    ["demo", "{}/lab"],
    ["demo", "{}/lab", "--json"],
    ["init", "{}/lab"],
    ["ls", "-w", "{}/springs"],
    ["show", "-w", "{}/springs", "springs/learning-rates/best", "--log"],
    ["problems", "-w", "{}/springs"],
    ["reap", "-w", "{}/springs"],
    ["query", "-w", "{}/springs"],
    ["sql", "-w", "{}/springs", "select 1"],
    ["sync", "-w", "{}/springs"],
    ["rebuild", "-w", "{}/springs"],
    ["--help"],
    ["--version"],
)


def test_a_call_without_a_command_says_which_there_are() -> None:
    ran = subprocess.run(CLI, capture_output=True, text=True, check=False)
    assert ran.returncode == 2
    assert "COMMAND" in ran.stderr


def test_each_command_describes_itself_and_its_options(capsys: pytest.CaptureFixture[str]) -> None:
    for name in COMMANDS:
        with pytest.raises(SystemExit) as ended:
            main([name, "--help"])
        assert ended.value.code == 0
        said = capsys.readouterr().out
        assert f"usage: molexp {name}" in said
        assert "--json" in said


def test_all_commands_are_listed_and_none_of_them_is_loaded_for_that() -> None:
    code = "import sys\nfrom molexp.cli import main\ntry:\n    main(['--help'])\nfinally:\n"
    code += "    print(*(name for name in sys.modules if name.startswith('molexp.cli.')))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    *lines, loaded = ran.stdout.splitlines()
    listed = [line.split(maxsplit=1) for line in lines if line.startswith("    ")]
    assert listed == [[name, does] for name, does in COMMANDS.items()]
    assert loaded.split() == ["molexp.cli.telling", "molexp.cli.telling.text"]


def test_ctrl_c_is_one_line_and_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], springs: Path
) -> None:
    def interrupted() -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr("sys.stdin", SimpleNamespace(read=interrupted))
    assert main(["sql", "-w", str(springs), "-"]) == STOPPED
    assert capsys.readouterr().err == "molexp: stopped\n"


def test_a_word_too_many_is_a_wrong_call(capsys: pytest.CaptureFixture[str]) -> None:
    for call in (["ls", "a", "b"], ["query", "--foo"], ["sync", "a"]):
        with pytest.raises(SystemExit) as ended:
            main(call)
        assert ended.value.code == 2
        assert f"unrecognized arguments: {call[-1]}" in capsys.readouterr().err


def test_a_terminal_that_lacks_a_letter_gets_it_spelt_out(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    call = [*CLI, "init", f"{tmp_path}/lab", "--name", "数据"]
    ran = subprocess.run(call, capture_output=True, text=True, check=True, env=environment)
    assert "called \\u6570\\u636e" in ran.stdout
    call = [*CLI, "ls", "-w", f"{tmp_path}/数据"]
    ran = subprocess.run(call, capture_output=True, text=True, check=False, env=environment)
    assert (ran.returncode, ran.stderr.count("\n")) == (1, 2)


def test_an_error_steers_no_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ls", "-w", f"{tmp_path}/\x1b[31m"]) == 1
    assert "\\x1b[31m" in capsys.readouterr().err


def test_it_tells_its_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"molexp {__version__}\n"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="only Linux has such a device")
@pytest.mark.parametrize("call", CALLS)
def test_a_full_output_is_one_line_and_no_traceback(
    tmp_path: Path, springs: Path, call: list[str]
) -> None:
    (tmp_path / "springs").symlink_to(springs)
    with open("/dev/full", "w") as full:
        status, said = _run_into(full.fileno(), tmp_path, call)
    assert (status, said) == (1, "molexp: the output: No space left on device\n")


@pytest.mark.parametrize("call", CALLS)
def test_a_pipe_that_nobody_reads_is_left_quietly(
    tmp_path: Path, springs: Path, call: list[str]
) -> None:
    (tmp_path / "springs").symlink_to(springs)
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
