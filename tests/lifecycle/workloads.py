"""What the fault harnesses run over executions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from molexp.disk import layout, owner
from molexp.disk.beneath import Directory
from molexp.lifecycle.attempt import Attempt, end_attempt, start_run
from molexp.lifecycle.look import look_at
from molexp.lifecycle.site import Site
from molexp.model.codec import join_line
from molexp.model.execution import End, ExecutionState
from molexp.testing.workload import Ack, Step, Workload
from tests.lifecycle.lab import ADDRESS, RUN, broken_rules, make_lab, open_site


class AttemptWorkload(Workload):
    """A run that is started, written to, ended, and started again."""

    writers = (owner.writer().rpartition("-")[0].partition("-")[0],)

    def prepare(self, root: Path) -> None:
        make_lab(root)
        (root / layout.TMP).mkdir(parents=True)
        End.model_rebuild()

    def steps(self, root: Path) -> Sequence[Step]:
        site = open_site(root)
        held: list[Attempt] = []

        def start() -> Ack:
            held.append(start_run(site, ADDRESS))
            return {"number": held[-1].number, "end": None}

        def say() -> Ack:
            held[-1].ledger.append(join_line("paused", b'{"at":"2026-03-02T09:00:00Z"}'))
            return {"number": held[-1].number, "line": "paused"}

        def end() -> Ack:
            if not held:  # a sync failed, so that this is another life: start again to end it
                held.append(start_run(site, ADDRESS))
            number = held[-1].number
            end_attempt(site, held[-1], ExecutionState.FAILED)
            return {"number": number, "end": "failed"}

        unlinks = frozenset({"unlink", "rmdir"})
        return [
            Step("start", start, tolerates=unlinks),
            Step("say", say),
            Step("end", end, fresh_after_sync=True, tolerates=unlinks),
            Step("start again", start, tolerates=unlinks),
        ]

    def recover(self, root: Path) -> None:
        """The next process starts the run again, and so ends what the dead one left."""
        site = Site(Directory.open(root))
        end_attempt(site, start_run(site, ADDRESS), ExecutionState.CANCELLED)
        site.close()

    def check(self, root: Path, acks: Sequence[Ack]) -> list[str]:
        # A torn line is no loss: it was never acknowledged, and readers report and pass over it.
        broken = broken_rules(root)
        complaints = [rule for rule in broken if not rule.endswith(("[LINE-1]", "[LINE-4]"))]
        with Directory.open(root / RUN) as run:
            found = {each.number: each for each in look_at(run).numbered}
        for ack in acks:
            each = found.get(ack["number"])
            if each is None:
                complaints.append(f"execution {ack['number']} is lost")
            elif ack.get("end") and (each.end is None or each.end.status != ack["end"]):
                complaints.append(f"the end of execution {ack['number']} is lost")
            elif ack.get("line") and ack["line"] not in _ledger(root, ack["number"]):
                complaints.append(f"a line of execution {ack['number']} is lost")
        return complaints


def _ledger(root: Path, number: int) -> str:
    return (root / RUN / layout.execution_name(number) / layout.LEDGER).read_text()
