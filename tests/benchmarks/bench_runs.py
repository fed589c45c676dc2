"""What 10,000 runs cost, against a plain script, signac and MLflow, each in its own environment.

python -m tests.benchmarks.bench_runs [--environments DIR] [--place DIR] [--repeat 1] [--runs 1000]

"10,000 runs in one experiment (10 parameters, a 4 KiB artifact, 10 log lines, one edit, final
status): own CPU per run at most 1.25 times signac's and a tenth of MLflow's file store with
`durability="process", capture=False`; (tenths 9–10) / (tenths 2–3), divided by the plain script's
own, at most 1.2, median of three."

The contestants are processes that take turns at making some more runs, so that all of them grow at
the same time; their first turn warms them up. MLflow, and molexp's own dearer settings, which are
shown and not judged, make fewer runs by default: per run is what counts. That favours MLflow's file
store, which lists all runs of the experiment several times for each: 8 ms for the first of them
become 26 ms at 1,500. What captures, captures the repository that this is started in.

A peer's environment lies in `--environments`, in a directory of the peer's name; what is missing is
made there with venv and pip. Without the option, both are made for this once.

Exits with 1 if a bar is missed, and with 2 if one could not be judged.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from types import TracebackType

from tests.benchmarks.interleave import Bar, Contestant, Sample, Samples, interleave, report

ROUNDS = 40
"""In how many turns each contestant makes its runs: four to a tenth."""

PEERS = {"signac": "signac==2.4.1", "mlflow": "mlflow==3.17.2"}
"""What is installed where a peer's environment is missing; one that is there is used as it is."""

JUDGED = "molexp"
BARS = (Bar(JUDGED, "signac", 1.25), Bar(JUDGED, "mlflow files", 0.1))
GROWTH_LIMIT = 1.2


@dataclass(frozen=True)
class Entrant:
    """A contestant: its module in `runs`, with arguments, and whose environment it needs."""

    name: str
    module: str
    arguments: tuple[str, ...] = ()
    peer: str | None = None
    is_full: bool = True


ENTRANTS = (
    Entrant("plain", "plain"),
    Entrant("signac", "with_signac", peer="signac"),
    Entrant(JUDGED, "with_molexp", ("process", "bare")),
    Entrant("molexp, capture", "with_molexp", ("process", "capture"), is_full=False),
    Entrant("molexp, commit points", "with_molexp", ("power", "bare"), is_full=False),
    Entrant("mlflow files", "with_mlflow", ("files",), "mlflow", is_full=False),
    Entrant("mlflow sqlite", "with_mlflow", ("sqlite",), "mlflow", is_full=False),
)


class Worker:
    """A contestant's process; leaving it as a context ends it."""

    def __init__(self, words: Sequence[str], scratch: Path) -> None:
        self._process = subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "TMPDIR": str(scratch)},
        )
        self.library = str(self._answer()["library"])

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.communicate()
        if self._process.returncode and error is None:
            raise RuntimeError(f"{self._process.args!r} failed at its end")

    def make_runs(self, count: int) -> Sample:
        """Let it make so many more runs; the sample is per run."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"runs {count}\n")
        self._process.stdin.flush()
        took = self._answer()
        return Sample(float(took["cpu"]) / count, float(took["wall"]) / count)

    def _answer(self) -> dict[str, str | float]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._process.args!r} ended; what it said is above")
        answer: dict[str, str | float] = json.loads(line)
        return answer


def usual_place() -> Path | None:
    """Where workspaces are made unless it is said: in memory, if files can be made there."""
    memory = Path("/dev/shm")
    return memory if os.access(memory, os.W_OK) else None


@contextmanager
def fresh_place(parent: Path | None, keep: bool = False) -> Iterator[Path]:
    """A new directory, in which nothing is deleted before the end."""
    place = Path(tempfile.mkdtemp(prefix="bench-", dir=parent))
    try:
        yield place
    finally:
        if not keep:
            shutil.rmtree(place, onerror=_lift)


def _lift(remove: Callable[[str], object], path: str, _: object) -> None:
    """Closed directories lack the write bit that removing their entries needs."""
    os.chmod(os.path.dirname(path), 0o700)
    os.chmod(path, 0o700)
    remove(path)


def find_environment(peer: str, environments: Path) -> str | None:
    """The peer's interpreter; the environment is made if need be. None: it cannot be."""
    place = environments / peer
    python = place / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", place], check=True)
    if not _succeeds([python, "-c", f"import {peer}"]):
        print(f"installing {PEERS[peer]} …", flush=True)
        if not _succeeds([python, "-m", "pip", "install", "--quiet", PEERS[peer]]):
            print(f"{peer} cannot be installed here: it is left out, and no bar with it is judged")
            return None
    return str(python)


def _succeeds(words: Sequence[str | Path]) -> bool:
    done = subprocess.run(words, check=False, capture_output=True, text=True)
    if done.returncode and "install" in words:
        print("\n".join(done.stderr.splitlines()[-3:]))
    return done.returncode == 0


def measure(
    entrants: Iterable[Entrant], pythons: dict[str, str], place: Path, options: argparse.Namespace
) -> Samples:
    """One repetition: fresh processes with fresh workspaces, which are left as they are."""
    place.mkdir()
    with ExitStack() as stack:
        contestants: dict[str, Contestant] = {}
        libraries = []
        for entrant in entrants:
            words = [
                pythons[entrant.peer or ""],
                "-m",
                f"tests.benchmarks.runs.{entrant.module}",
                str(place / entrant.name),
                *entrant.arguments,
            ]
            worker = stack.enter_context(Worker(words, place))
            total = options.runs if entrant.is_full else min(options.runs, options.fewer)
            contestants[entrant.name] = _turns(worker, options.warm_up, total // ROUNDS)
            libraries.append(f"{entrant.name}: {total:,} runs with {worker.library}")
        print("\n" + "; ".join(libraries), flush=True)
        return interleave(contestants, ROUNDS)


def _turns(worker: Worker, warm_up: int, count: int) -> Contestant:
    """The first turn is not counted, and may be longer."""
    is_warm = False

    def turn() -> Sample:
        nonlocal is_warm
        if is_warm:
            return worker.make_runs(count)
        is_warm = True
        return worker.make_runs(warm_up)

    return turn


def growth(taken: Sequence[Sample]) -> float:
    """What a run takes in tenths 9 and 10, against tenths 2 and 3."""
    tenth = len(taken) // 10
    cpu = [sample.cpu for sample in taken]
    return mean(cpu[8 * tenth :]) / mean(cpu[tenth : 3 * tenth])


def report_growth(repetitions: Sequence[Samples]) -> bool:
    """Print how each contestant's cost grows, and whether the bar holds; that is also returned."""
    print(f"\n(tenths 9–10) / (tenths 2–3) of cpu: medians of {len(repetitions)} repetitions")
    width = max(map(len, repetitions[0]))
    for name in repetitions[0]:
        alone = median(growth(samples[name]) for samples in repetitions)
        relative = _relative(repetitions, name)
        print(f"  {name:<{width}}  {alone:.3f}   divided by plain {relative:.3f}")
    if JUDGED not in repetitions[0]:
        return True
    ratio = _relative(repetitions, JUDGED)
    holds = ratio <= GROWTH_LIMIT
    verdict = "holds" if holds else "MISSED"
    print(f"  {JUDGED} / plain: {ratio:.3f}; bar {GROWTH_LIMIT:g} of cpu: {verdict}")
    return holds


def _relative(repetitions: Sequence[Samples], name: str) -> float:
    return median(growth(samples[name]) / growth(samples["plain"]) for samples in repetitions)


def report_entries(place: Path, names: Iterable[str], runs: Callable[[str], int]) -> None:
    """Print how many files and directories a run is, the workspace's own spread over all."""
    print("\nfiles and directories per run")
    for name in names:
        files = directories = 0.0
        for _, inner, found in os.walk(place / name):
            files += len(found) / runs(name)
            directories += len(inner) / runs(name)
        print(f"  {name:<22}  {files:6.2f} files  {directories:6.2f} directories")


def main(words: Sequence[str] | None = None) -> int:
    """Measure, print, and say whether the bars hold."""
    options = _read(words)
    with ExitStack() as stack:
        place = stack.enter_context(fresh_place(options.place, options.keep))
        environments = options.environments or place / "environments"
        pythons = {"": sys.executable}
        entrants = [entrant for entrant in ENTRANTS if entrant.name in options.only]
        for peer in dict.fromkeys(entrant.peer for entrant in entrants if entrant.peer):
            python = find_environment(peer, environments)
            if python is not None:
                pythons[peer] = python
        present = [entrant for entrant in entrants if (entrant.peer or "") in pythons]
        print(f"in {place}")
        repetitions = [
            measure(present, pythons, place / str(number), options)
            for number in range(options.repeat)
        ]
        return _judge(repetitions, place, options)


def _judge(repetitions: Sequence[Samples], place: Path, options: argparse.Namespace) -> int:
    names = list(repetitions[0])
    whole = {name: [x for samples in repetitions for x in samples[name]] for name in names}
    bars = [bar for bar in BARS if bar.name in whole and bar.reference in whole]
    holds = report(f"a run, of {options.runs:,}", whole, bars)
    holds &= report_growth(repetitions)
    full = {entrant.name for entrant in ENTRANTS if entrant.is_full}
    fewer = min(options.runs, options.fewer)
    if fewer < options.runs and not full.issuperset(names):
        slow = ", ".join(name for name in names if name not in full)
        print(f"  {slow}: after {fewer:,} runs; what grows would be dearer at {options.runs:,}")
    report_entries(
        place / "0", names, lambda name: options.warm_up + (options.runs if name in full else fewer)
    )
    for bar in BARS:
        if bar not in bars:
            print(f"NOT JUDGED: {bar.name} / {bar.reference}")
    if not holds:
        return 1
    return 0 if len(bars) == len(BARS) else 2


def _read(words: Sequence[str] | None) -> argparse.Namespace:
    names = [entrant.name for entrant in ENTRANTS]
    parser = argparse.ArgumentParser(prog="bench_runs", description="see the file's first lines")
    parser.add_argument("--environments", type=Path, help="where the peers' environments are")
    parser.add_argument(
        "--place", type=Path, default=usual_place(), help="where to make workspaces"
    )
    parser.add_argument("--runs", type=int, default=10_000, help="runs of those that are judged")
    parser.add_argument("--fewer", type=int, default=1_000, help="runs of the slow ones")
    parser.add_argument("--warm-up", type=int, default=200, help="runs before, not counted")
    parser.add_argument("--repeat", type=int, default=3, help="repetitions of it all")
    parser.add_argument("--only", nargs="+", default=names, choices=names, help="some contestants")
    parser.add_argument("--keep", action="store_true", help="leave the workspaces at the end")
    options = parser.parse_args(words)
    if options.runs % ROUNDS or options.fewer % ROUNDS or "plain" not in options.only:
        parser.error(f"runs are counted in {ROUNDS} rounds, and plain is what growth is held to")
    return options


if __name__ == "__main__":
    sys.exit(main())
