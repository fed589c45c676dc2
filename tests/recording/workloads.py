"""What the fault harnesses run over runs while they are recorded."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import molexp as me
from molexp.disk import layout, owner
from molexp.errors import ConflictError, MolexpError, StorageError
from molexp.model.execution import End, Input, Request
from molexp.model.scope import RunMeta
from molexp.testing.workload import Ack, Step, Workload
from tests.recording.lab import broken_rules, make_run

UNLINKS = frozenset({"unlink", "rmdir"})
PLACE = "projects/qm9/experiments/baseline/runs/first"


class RecordedWorkload(Workload):
    """What all of them share: one run, and an oracle over what it left."""

    writers = (owner.writer().rpartition("-")[0].partition("-")[0],)
    durability: Literal["power", "process"] = "process"

    def __init__(self) -> None:
        for record in (End, RunMeta, Input, Request):
            record.model_rebuild()

    def prepare(self, root: Path) -> None:
        make_run(root, durability=self.durability).workspace.close()
        (root / layout.TMP).mkdir(parents=True, exist_ok=True)
        (root / layout.JOURNAL).mkdir(parents=True, exist_ok=True)

    def load(self, root: Path) -> me.Run:
        """The run, as a process that has just begun finds it."""
        workspace = me.Workspace.load(root, durability=self.durability)
        run = workspace.find("qm9/baseline/first")
        assert isinstance(run, me.Run)
        return run

    def recover(self, root: Path) -> None:
        """The next process starts the run once more, and so ends what the dead one left."""
        run = self.load(root)
        with run.start(capture=False, again=True) as ctx:
            ctx.set_result("recovered", True)
        run.workspace.close()

    def check(self, root: Path, acks: Sequence[Ack]) -> list[str]:
        broken = broken_rules(root)
        complaints = [rule for rule in broken if not rule.endswith(("[LINE-1]", "[LINE-4]"))]
        run = me.Workspace.load(root).find("qm9/baseline/first")
        assert isinstance(run, me.Run)
        for ack in acks:
            wrong = _wrong(root / PLACE, run, ack)
            complaints += [f"{wrong} of {ack}"] if wrong else []
        complaints += _twice(run)
        run.workspace.close()
        return complaints


def _wrong(place: Path, run: me.Run, ack: Ack) -> str:
    """What is wrong with one thing that was acknowledged."""
    below = place / f"{ack['number']:04d}"
    if "file" in ack:
        path = below / ack["file"]
        if not path.is_file() or path.read_text() != ack["text"]:
            return "the bytes"
        named = [each for each in run.assets.list() if each.asset_id == ack["asset"]]
        return "" if len(named) == 1 and named[0].size == len(ack["text"]) else "the record"
    if "line" in ack:
        path = below / ack["in"]
        found = path.read_text().splitlines() if path.is_file() else []
        return "" if sum(ack["line"] in line for line in found) == 1 else "the line"
    if "end" in ack:
        ends = {each.number: each for each in run.metadata.execution_history}
        end = ends[ack["number"]].end if ack["number"] in ends else None
        return "" if end is not None and end.status == ack["end"] else "the end"
    return "" if below.is_dir() else "the execution"


def _twice(run: me.Run) -> list[str]:
    paths = [
        (each.producer.execution if each.producer else 0, each.path)
        for each in run.assets.list()
        if each.path is not None and each.kind != "log"
    ]
    return [f"{path} is there twice" for path in {each for each in paths if paths.count(each) > 1}]


class RunWithArtifacts(RecordedWorkload):
    """A run with artifacts, a directory, a log, a metric, a result, and its end."""

    def steps(self, root: Path) -> Sequence[Step]:
        run = self.load(root)
        held: list[me.RunContext] = []

        def number() -> int:
            return int(held[0].execution_dir.name)  # a start that was refused took one as well

        def start() -> Ack:
            held.append(run.start(capture=False))
            return {"number": number()}

        def file(asset: Any, text: str) -> Ack:
            return {"number": number(), "file": asset.path, "text": text, "asset": asset.asset_id}

        def save() -> Ack:
            return file(held[0].artifact.save("a/metrics.json", "{}", tags={"a": "b"}), "{}")

        def stream() -> Ack:
            with held[0].artifact.open("big.txt", "w") as opened:
                opened.write("streamed")
            return file(opened.asset, "streamed")

        def directory() -> Ack:
            with held[0].artifact.directory("tiles") as place:
                (place / "one").write_text("1")
            found = held[0].find_asset("tiles").path
            return {"number": number(), "line": f'"{found}"', "in": layout.LEDGER}

        def log() -> Ack:
            held[0].log("train").append("epoch 1")
            return {"number": number(), "line": "epoch 1", "in": "logs/train.log"}

        def metric() -> Ack:
            held[0].metric("loss", 0.125, step=1)
            return {"number": number(), "line": "0.125", "in": layout.METRICS}

        def result() -> Ack:
            held[0].set_result("final", 42)
            return {"number": number()}

        def end() -> Ack:
            held[0].end()
            return {"number": number(), "end": "succeeded"}

        calls: list[Callable[[], Ack]] = [start, save, stream, directory, log, metric, result, end]
        return [Step(call.__name__, call, tolerates=UNLINKS) for call in calls]


class CheckpointedLoop(RecordedWorkload):
    """A loop with a log line and a checkpoint a step, each checkpoint a commit point."""

    durability: Literal["power", "process"] = "power"
    epochs = 2

    def steps(self, root: Path) -> Sequence[Step]:
        run = self.load(root)
        held: list[me.RunContext] = []

        def at_work() -> me.RunContext:
            """The context; begun anew by who comes after one whose sync failed."""
            if not held:
                held.append(run.start(capture=False, again=True))
            return held[-1]

        def number() -> int:
            return int(at_work().execution_dir.name)

        def start() -> Ack:
            return {"number": number()}

        def log(epoch: int) -> Ack:
            at_work().log("train").append(f"epoch {epoch}.")
            return {"number": number(), "line": f"epoch {epoch}.", "in": "logs/train.log"}

        def save(epoch: int) -> Ack:
            ckpt = at_work().checkpoint(f"epoch-{epoch}", data=b"weights", step=epoch)
            return {
                "number": number(),
                "file": ckpt.path,
                "text": "weights",
                "asset": ckpt.asset_id,
                "commits": True,
            }

        def end() -> Ack:
            at = number()
            at_work().end()
            return {"number": at, "end": "succeeded", "commits": True}

        made = [Step("start", start, tolerates=UNLINKS)]
        for epoch in range(self.epochs):
            made += [
                Step(f"log {epoch}", lambda epoch=epoch: log(epoch), tolerates=UNLINKS),  # type: ignore[misc]
                Step(
                    f"checkpoint {epoch}",
                    lambda epoch=epoch: save(epoch),  # type: ignore[misc]
                    fresh_after_sync=True,
                    tolerates=UNLINKS,
                ),
            ]
        return [*made, Step("end", end, fresh_after_sync=True, tolerates=UNLINKS)]

    def recover(self, root: Path) -> None:
        """Whoever comes next ends what is open: this process's own, if a sync failed in it."""
        for each in (root / PLACE).glob("[0-9]*"):
            try:
                me.RunContext.open(each).end("failed")
            except (StorageError, ConflictError):
                continue
            except MolexpError:
                continue
        super().recover(root)


class PowerLost(CheckpointedLoop):
    """The same, looked at by plain files alone: its owner lives, for no power was lost really."""

    def recover(self, root: Path) -> None:
        """Nobody comes: what is there is looked at as it is."""

    def check(self, root: Path, acks: Sequence[Ack]) -> list[str]:
        lost = [f"lost: {ack}" for ack in acks if not _survived(root / PLACE, ack)]
        ends = (root / PLACE).glob(f"*/{layout.END}")
        return lost + [f"{end} speaks of what is not there" for end in ends if not _is_true(end)]


def _is_true(end: Path) -> bool:
    """Whether an end is whole, and so is every file of its manifest."""
    try:
        listed = json.loads(end.read_bytes())["manifest"]
    except ValueError:
        return False
    return all(_is_there(end.parent / each["path"], each["content_hash"]) for each in listed)


def _is_there(path: Path, digest: str) -> bool:
    return path.is_file() and f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}" == digest


def _survived(place: Path, ack: Ack) -> bool:
    below = place / f"{ack['number']:04d}"
    if "file" in ack:
        path, ledger = below / ack["file"], below / layout.LEDGER
        is_named = ledger.is_file() and ack["asset"] in ledger.read_text("utf-8", "replace")
        return is_named and path.is_file() and path.read_text() == ack["text"]
    if "line" in ack:
        path = below / ack["in"]
        return path.is_file() and ack["line"] in path.read_text("utf-8", "replace")
    if "end" in ack:
        path = below / layout.END
        return path.is_file() and json.loads(path.read_bytes())["status"] == ack["end"]
    return below.is_dir()


class RetryAfterKill(RecordedWorkload):
    """A run whose first process died goes on from its newest checkpoint."""

    def prepare(self, root: Path) -> None:
        super().prepare(root)
        run = self.load(root)
        context = run.start(capture=False)
        context.checkpoint("epoch-1", data=b"one", step=1)
        context.suspend(reason="wall time")
        run.workspace.close()

    def steps(self, root: Path) -> Sequence[Step]:
        run = self.load(root)
        held: list[me.RunContext] = []

        def number() -> int:
            return int(held[0].execution_dir.name)

        def start() -> Ack:
            held.append(run.start(capture=False))
            latest = held[-1].checkpoint.latest()
            assert latest is not None
            assert (latest.load(), held[-1].resumed_step) == (b"one", 1)
            return {"number": number()}

        def checkpoint() -> Ack:
            ckpt = held[-1].checkpoint("epoch-2", data=b"two", step=2)
            assert ckpt.parent_ckpt_id is not None
            return {"number": number(), "file": ckpt.path, "text": "two", "asset": ckpt.asset_id}

        def end() -> Ack:
            held[-1].end()
            return {"number": number(), "end": "succeeded"}

        return [
            Step("start", start, tolerates=UNLINKS),
            Step("checkpoint", checkpoint, tolerates=UNLINKS),
            Step("end", end, tolerates=UNLINKS),
        ]
