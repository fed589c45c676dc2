"""`molexp init`: make a workspace, and say what to do next."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from molexp.cli import main
from molexp.disk.tree import open_tree
from molexp.integrity.conformance import check_workspace
from molexp.workspace.workspace import Workspace

Capture = pytest.CaptureFixture[str]


def test_it_makes_a_workspace_that_keeps_the_rules(tmp_path: Path, capsys: Capture) -> None:
    lab = tmp_path / "new/lab"
    assert main(["init", str(lab)]) == 0
    assert capsys.readouterr().out.startswith(f"made     {lab}, a workspace called lab\n")
    assert stat.S_IMODE(lab.stat().st_mode) == 0o700
    with open_tree(lab) as tree:
        assert check_workspace(tree) == []


def test_without_a_path_it_is_the_current_directory(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["init", "--name", "Größe"]) == 0
    assert "a workspace called Größe" in capsys.readouterr().out
    assert Workspace.load(tmp_path).record.name == "Größe"


def test_a_directory_that_holds_other_things_is_left_alone(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "thesis.tex").touch()
    monkeypatch.chdir(tmp_path)
    assert main(["init"]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert "is no workspace, and holds other things, such as 'thesis.tex'" in said.err
    assert "→ give a directory of its own" in said.err
    assert os.listdir(tmp_path) == ["thesis.tex"]


def test_a_workspace_that_is_there_stays_as_it_is(tmp_path: Path, capsys: Capture) -> None:
    lab = tmp_path / "lab"
    assert main(["init", str(lab), "--name", "first"]) == 0
    before = (lab / "meta.json").read_bytes()
    capsys.readouterr()
    assert main(["init", str(lab)]) == 0
    assert capsys.readouterr().out == f"there    {lab}, a workspace called first\n"
    assert main(["init", str(lab), "--name", "first"]) == 0
    assert main(["init", str(lab), "--name", "second"]) == 1
    said = capsys.readouterr().err
    assert "is a workspace already, and is called 'first'" in said
    assert (lab / "meta.json").read_bytes() == before


def test_it_speaks_json(tmp_path: Path, capsys: Capture) -> None:
    lab = str(tmp_path / "lab")
    for made in (True, False):
        assert main(["init", lab, "--json"]) == 0
        said = json.loads(capsys.readouterr().out)
        assert said == {"workspace": lab, "name": "lab", "made": made}


def test_what_it_says_to_do_next_works(tmp_path: Path) -> None:
    call = [sys.executable, "-m", "molexp.cli"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}

    def said(*words: str) -> str:
        ran = subprocess.run(
            words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
        )
        return ran.stdout

    text = said(*call, "init", "my lab")
    code = textwrap.dedent(text[text.index("    import molexp") : text.index("and then")])
    said(sys.executable, "-c", code)
    command = re.search(r"^    molexp (.*)$", text, re.MULTILINE)
    assert command is not None
    assert command[1] == "ls -w 'my lab' first/try"
    assert "0.25" in said(*call, "ls", "-w", "my lab", "first/try")
