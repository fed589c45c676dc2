"""What run number i of a made workspace is: a pure function of the seed and of i.

Contestants that store the same runs elsewhere, and whoever checks an answer, ask here. A smaller
workspace holds the first runs of a greater one.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import shake_128

from molexp.model.ids import run_id, ulid

BEGAN = 1_767_571_200  # 2026-01-05, in seconds since 1970
_APART = 30_000
"""A run is created so many milliseconds after the one before, and a little more."""

PROJECTS = 4
EXPERIMENTS = 5
BLOCK = 10
"""So many projects, with so many experiments each; runs go to them in blocks, one of each ``a``."""

LUCK_BYTES = 32
_FAILED = 0x10000 * 5 // 100
_EDITED, _MEASURED, _WARNED = 26, 51, 5  # of 256: 10 %, 20 % and 2 %


@dataclass(frozen=True, slots=True)
class Plan:
    """How large a workspace is; its assets are those of ledgers, a failed run's trace among them.

    Without ``files`` the bytes of assets are left out, which no writer would do: it saves room
    where only records are read.
    """

    runs: int
    assets: int = 2
    seed: int = 1
    files: bool = True

    def to_labels(self) -> dict[str, str]:
        """What the workspace's own labels say of it, so that it can be found again."""
        return {
            "runs": str(self.runs),
            "assets": str(self.assets),
            "seed": str(self.seed),
            "files": "kept" if self.files else "left out",
        }

    @classmethod
    def from_labels(cls, labels: dict[str, str]) -> Plan:
        """The plan that these labels say."""
        return cls(
            int(labels["runs"]),
            int(labels["assets"]),
            int(labels["seed"]),
            labels["files"] == "kept",
        )


@dataclass(frozen=True, slots=True)
class RunFacts:
    """One run: where it lies, with what, and how it went. ``luck`` is for its ids."""

    number: int
    project: int
    experiment: int
    parameters: dict[str, float | int | str]
    is_failed: bool
    is_edited: bool
    is_measured: bool
    is_warned: bool
    luck: bytes

    @property
    def status(self) -> str:
        """The status of its only execution."""
        return "failed" if self.is_failed else "succeeded"

    @property
    def milliseconds(self) -> int:
        """When it was created, since 1970."""
        return BEGAN * 1000 + _APART * self.number + int.from_bytes(self.luck[27:29], "big") % 900

    @property
    def name(self) -> str:
        """Its id."""
        stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(self.milliseconds // 1000))
        return run_id(stamp, self.luck[16:24])

    @property
    def experiment_address(self) -> str:
        """Where its experiment lies."""
        return experiment_address(self.project, self.experiment)

    @property
    def address(self) -> str:
        """Where it lies."""
        return f"{self.experiment_address}/{self.name}"

    def uids(self) -> list[str]:
        """The uids of the run, of its execution, and of its assets."""
        moment, luck = self.milliseconds, self.luck
        return [ulid(moment, luck[at : at + 16]) for at in range(LUCK_BYTES, len(luck), 16)]


def runs(plan: Plan) -> Iterator[RunFacts]:
    """All runs of a workspace, in the order in which they were made."""
    return (run(plan, number) for number in range(plan.runs))


def run(plan: Plan, number: int) -> RunFacts:
    """Run ``number`` of any workspace of this seed."""
    luck = shake_128(b"%d/%d" % (plan.seed, number)).digest(LUCK_BYTES + 16 * (2 + plan.assets))
    project, experiment = divmod(number // BLOCK % (PROJECTS * EXPERIMENTS), EXPERIMENTS)
    return RunFacts(
        number=number,
        project=project,
        experiment=experiment,
        parameters=_parameters(number, luck),
        is_failed=int.from_bytes(luck[:2], "big") < _FAILED,
        is_edited=luck[2] < _EDITED,
        is_measured=luck[3] < _MEASURED,
        is_warned=luck[4] < _WARNED,
        luck=luck,
    )


def _parameters(number: int, luck: bytes) -> dict[str, float | int | str]:
    """Ten; no two runs are alike, and one is a digit, so that it tells a tenth of them."""
    return {
        "a": number % 10,
        "lr": (1 + luck[5]) / 10_000,
        "batch_size": 16 << luck[6] % 5,
        "optimizer": ("adamw", "sgd", "lion")[luck[7] % 3],
        "weight_decay": 0.01,
        "epochs": 10 + luck[8] % 90,
        "model": ("schnet", "painn", "mace", "nequip")[luck[9] % 4],
        "cutoff": 3.0 + luck[10] % 8 / 2,
        "layers": 2 + luck[11] % 6,
        "seed": number,
    }


def experiment_address(project: int, experiment: int) -> str:
    """Where an experiment lies."""
    return f"p{project}/e{experiment}"


def count_chosen(plan: Plan) -> int:
    """How many runs have ``a == 3`` and succeeded: the answer that every contestant must give."""
    return sum(not run(plan, number).is_failed for number in range(plan.runs) if number % 10 == 3)


def count_traces(plan: Plan, address: str) -> int:
    """How many traces of failed runs there are in an experiment."""
    return sum(each.is_failed and each.experiment_address == address for each in runs(plan))


def some_addresses(plan: Plan, wanted: int, turn: int) -> list[str]:
    """Runs from all over a workspace, other ones in each turn; none that failed.

    So whatever is done with them, and even if they succeed again, no answer changes.
    """
    stride = max(1, plan.runs // wanted)
    found: dict[str, None] = {}
    for begin in range(turn % stride, plan.runs, stride):
        near = (run(plan, number) for number in range(begin, plan.runs))
        chosen = next((each for each in near if not each.is_failed), None)
        if chosen is not None:
            found[chosen.address] = None
    return list(found)[:wanted]
