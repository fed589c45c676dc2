"""A process that rebuilds or folds a catalog, and says what that took.

python -m tests.benchmarks.catalog.act_molexp WORKSPACE rebuild|fold
"""

from __future__ import annotations

import sys

import duckdb  # so that its import is no part of what is measured

from tests.benchmarks.catalog import face
from tests.benchmarks.catalog.own_process import measured


def main(place: str, what: str) -> None:
    """Do it once."""
    duckdb.connect().execute("select 1").fetchall()
    workspace = face.open_workspace(place)
    action = {"rebuild": face.rebuild, "fold": face.fold}[what]
    measured(lambda: action(workspace))


if __name__ == "__main__":
    main(*sys.argv[1:3])
