"""A writer that knows the files and nothing of hints: what docs/format/index.md tells it to do."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import molexp as me


def _found(root: Path) -> list[str]:
    """What somebody finds who asks for the first time."""
    with me.Workspace.load(root) as lab:
        return [row["id"] for row in lab.catalog.runs().rows()]


def test_an_empty_file_made_after_a_change_lets_everybody_look(tmp_path: Path) -> None:
    root = tmp_path / "lab"
    with me.Workspace(root) as lab:
        first = lab.project("p").experiment("e").run("first", parameters={"x": 1})
        lab.sync()  # from here on, what no hint names is not looked at
        place = first.run_dir
    copied = place.with_name("second")
    shutil.copytree(place, copied)
    meta = json.loads((copied / "meta.json").read_text())
    (copied / "meta.json").write_text(json.dumps({**meta, "uid": "0" * 25 + "1", "name": "second"}))
    assert _found(root) == ["first"]
    (root / ".molexp/journal/mark.another-program.0123456789abcdef").touch()
    assert _found(root) == ["first", "second"]
    with me.Workspace.load(root) as lab:
        lab.catalog.fold()
    shutil.rmtree(copied)
    assert _found(root) == ["first", "second"]
    (root / ".molexp/journal/mark.another-program.0123456789abcdee").touch()
    assert _found(root) == ["first"]
