"""A fresh process that opens a workspace and answers "a == 3 and succeeded".

python -m tests.benchmarks.catalog.ask_molexp WORKSPACE count|list
"""

from __future__ import annotations

import sys

from tests.benchmarks.catalog import face


def main(place: str, how: str) -> None:
    """Print how many they are, or where each lies."""
    workspace = face.open_workspace(place)
    if how == "count":
        print(face.count_chosen(workspace))
    else:
        print("\n".join(face.list_chosen(workspace)))


if __name__ == "__main__":
    main(*sys.argv[1:3])
