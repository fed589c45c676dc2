"""Change runs through the library, as users do, and say nothing of what it took.

python -m tests.benchmarks.catalog.change WORKSPACE ADDRESSES edit|restart

ADDRESSES is a file of addresses of runs, a line each. A restart is another whole execution.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import molexp as me
from molexp.workspace.run import Run


def main(place: str, addresses: str, how: str) -> None:
    """Change each of them."""
    workspace = me.Workspace(place, durability="process")
    for address in Path(addresses).read_text(encoding="utf-8").split():
        run = workspace.find(address)
        if not isinstance(run, Run):
            raise SystemExit(f"{address} is no run")
        if how == "edit":
            run.edit(tags={"seen": str(time.time_ns())})
            continue
        with run.start(capture=False, again=True) as ctx:
            ctx.set_result("energy", 0.5)
    workspace.close()


if __name__ == "__main__":
    main(*sys.argv[1:4])
