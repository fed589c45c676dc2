"""What importing molexp costs, beside bare Python and beside pydantic alone.

Run as ``python -m tests.benchmarks.bench_import``.
"""

from __future__ import annotations

import sys

from tests.benchmarks.interleave import Bar, command, interleave, report

PYDANTIC = "from pydantic import BaseModel"
STATEMENTS = {
    "bare Python": "pass",
    "import molexp": "import molexp",
    "me.errors": "import molexp as me; me.errors",
    "me.Workspace": "import molexp as me; me.Workspace('lab')",
    PYDANTIC: PYDANTIC,
    "model.asset": "from molexp.model.asset import ArtifactAsset",
    "me.ArtifactAsset": "import molexp as me; me.ArtifactAsset",
}
BARS = [
    Bar("import molexp", "bare Python", 2.0),
    Bar("me.errors", "bare Python", 2.0),
    Bar("me.Workspace", "bare Python", 4.0),
    Bar("model.asset", PYDANTIC, 1.5),
    Bar("me.ArtifactAsset", PYDANTIC, 1.5),
]


def main() -> int:
    """Measure, print, and say whether the bars hold."""
    contestants = {name: command([sys.executable, "-c", code]) for name, code in STATEMENTS.items()}
    return 0 if report("import", interleave(contestants, repetitions=21), BARS) else 1


if __name__ == "__main__":
    sys.exit(main())
