"""A fresh process that opens a signac project and answers "a == 3 and succeeded".

python -m tests.benchmarks.catalog.ask_signac PROJECT count|list|cache

`cache` asks nothing, and has signac make the cache of state points that it then uses by itself.
"""

from __future__ import annotations

import sys
from importlib import import_module  # signac is in its own environment, not where mypy looks


def main(place: str, how: str) -> None:
    """Print how many they are, or the id of each."""
    project = import_module("signac").get_project(place)
    if how == "cache":
        project.update_cache()
        return
    jobs = project.find_jobs({"a": 3, "doc.status": "succeeded"})
    if how == "count":
        print(len(jobs))
    else:
        print("\n".join(job.id for job in jobs))


if __name__ == "__main__":
    main(*sys.argv[1:3])
