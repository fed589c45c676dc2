"""A process that rebuilds or folds a catalog, and says what that took.

python -m tests.benchmarks.catalog.act_molexp WORKSPACE rebuild|fold

It first does both to a workspace of one run, so that all that they import is there.
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.benchmarks.catalog import change, face
from tests.benchmarks.catalog.own_process import measured

SMALL = "p/e/r"


def main(place: str, what: str) -> None:
    """Do it once."""
    with TemporaryDirectory() as aside:
        _rehearse(Path(aside))
    workspace = face.open_workspace(place)
    action = {"rebuild": face.rebuild, "fold": face.fold}[what]
    measured(lambda: action(workspace))


def _rehearse(aside: Path) -> None:
    small = face.open_workspace(aside / "lab")
    project, experiment, run = SMALL.split("/")
    small.project(project).experiment(experiment).run(id=run)
    face.rebuild(small)
    (aside / "addresses").write_text(SMALL, encoding="utf-8")
    for way in ("restart", "edit"):
        change.main(str(aside / "lab"), str(aside / "addresses"), way)
    face.fold(small)
    small.close()


if __name__ == "__main__":
    main(*sys.argv[1:3])
