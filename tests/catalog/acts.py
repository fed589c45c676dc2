"""What the processes of a story do: each act is one call of the product's API."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import molexp as me
from molexp.disk import layout
from molexp.disk.owner import asking
from molexp.errors import MolexpError, NotFoundError
from molexp.lifecycle.heart import heart
from molexp.lifecycle.look import look_at
from molexp.lifecycle.site import now
from molexp.model.address import Address
from molexp.model.execution import StateChange
from molexp.model.state import ExecutionState
from molexp.recording import session
from molexp.recording.context import RunContext
from molexp.recording.session import Session
from molexp.recording.writing import Writing
from tests.catalog.stage import Played

PROJECTS = ("p0", "p1")
EXPERIMENTS = ("p0/e0", "p0/e1", "p1/e0")
RUNS = ("p0/e0/r0", "p0/e0/r1", "p0/e1/r0", "p1/e0/r0")
SCOPES = ("", *PROJECTS, *EXPERIMENTS, *RUNS)
ENDS = ("succeeded", "failed", "cancelled", "suspended")

PARAMETERS: tuple[dict[str, Any], ...] = (
    {"lr": 0.1, "layers": 3, "optimizer": {"name": "adam", "beta": [0.9, 0.99]}},
    {"lr": float("nan"), "name": "NaN", "flag": True, "nothing": None},
    {"big": 10**30, "text": 'zwölf "x", y\nz', "empty": ""},
    {},
)


class Actor:
    """One process at work in one workspace."""

    def __init__(self, system: Played, root: Path) -> None:
        self.system, self.root = system, root
        self._workspace: me.Workspace | None = None
        self.sessions: list[Session] = []

    @property
    def workspace(self) -> me.Workspace:
        """The workspace, as this process has it open."""
        if self._workspace is None:
            self._workspace = me.Workspace(self.root, durability="process")
        return self._workspace

    def acts(self, name: str, a: int, b: int) -> None:
        """Do something; that the product refuses it is no news."""
        with asking(self.system), suppress(MolexpError):
            ACTS[name](self, a, b)

    def find(self, address: str) -> Any:
        """A scope; raises NotFoundError."""
        return self.workspace.find(address) if address else self.workspace

    def session(self, number: int) -> Session:
        """One of the executions that it writes in."""
        self.sessions = [each for each in self.sessions if not each.is_over]
        if not self.sessions:
            raise NotFoundError("none is open", cure="start one", kind="execution", key="")
        return self.sessions[number % len(self.sessions)]

    def context(self, number: int) -> RunContext:
        """The same, as its author sees it."""
        return RunContext(self.session(number))


def make_project(actor: Actor, a: int, b: int) -> None:
    actor.workspace.project(PROJECTS[a % 2], tags={"made": str(b)} if b % 2 else None)


def make_experiment(actor: Actor, a: int, b: int) -> None:
    project, name = EXPERIMENTS[a % 3].split("/")
    actor.find(project).experiment(name, params={"seed": a % 3}, n_replicas=b + 1)


def make_run(actor: Actor, a: int, b: int) -> None:
    experiment, _, name = RUNS[a % 4].rpartition("/")
    labels = {"tags": {"kept": True}} if b % 2 else {}
    actor.find(experiment).run(id=name, parameters=PARAMETERS[a % 4], **labels)


def start(actor: Actor, a: int, b: int) -> None:
    address = Address.parse(RUNS[a % 4])
    profile, config = ("quick", {"epochs": b}) if b % 2 else (None, None)
    site = actor.workspace.site_to_write()
    made = session.start(site, address, again=True, capture=False, profile=profile, config=config)
    heart(site.beat).remove(made.recorder.unchecked().beat)
    actor.sessions.append(made)


def join(actor: Actor, a: int, b: int) -> None:
    """As in a process of its own: what this one has open already says nothing."""
    site, address = actor.workspace.site(), Address.parse(RUNS[a % 4])
    run = site.root.enter(layout.scope_path(address))
    found = look_at(run).executions
    if not found or found[-1].end is not None:
        raise NotFoundError("nobody is at work", cure="start", kind="execution", key="")
    place = run.enter(layout.execution_name(found[-1].number))
    writing = Writing(site, address, run, place, found[-1].number, found[-1].start)
    made = Session(writing, look_at(run).meta)
    actor.sessions.append(made)
    RunContext(made).set_result("joined", b)


def artifact(actor: Actor, a: int, b: int) -> None:
    tags: dict[str, str | bool] = {"best": True, "of": str(b)} if b % 2 else {}
    actor.context(a).artifact.save(f"a{b % 2}.json", {"b": b}, tags=tags, meta={"n": b})


def log(actor: Actor, a: int, b: int) -> None:
    actor.context(a).log("train").append(f"line {b}")


def metric(actor: Actor, a: int, b: int) -> None:
    value = (0.5, float("nan"), float("inf"), -1.0, 1e300, 2.0)[b % 6]
    actor.context(a).metric("loss" if b % 2 else "accuracy", value)


def result(actor: Actor, a: int, b: int) -> None:
    actor.context(a).set_result(
        "score", (0.5, "NaN", float("nan"), [1, {"x": None}], None, "")[b % 6]
    )


def use(actor: Actor, a: int, b: int) -> None:
    actor.context(a).set_active_task("train" if b % 2 else None)
    actor.context(a).input(f"in{b}", (0.1, None, {"deep": [1]}, "text", True, "")[b % 6])


def warn(actor: Actor, a: int, b: int) -> None:
    actor.context(a).logger.warning("careful %s", b)


def pause(actor: Actor, a: int, b: int) -> None:
    name = "paused" if b % 2 else "resumed"
    writing = actor.session(a).recorder.unchecked()
    if writing.is_owner:
        writing.tell(name, StateChange.make(at=now()).to_json())


def beat(actor: Actor, a: int, b: int) -> None:
    actor.session(a).recorder.unchecked().beat()


def end(actor: Actor, a: int, b: int) -> None:
    owned = [e for e in actor.sessions if not e.is_over and e.recorder.unchecked().is_owner]
    if not owned:
        return
    recorded = owned[a % len(owned)]
    if b == 5:
        recorded.end(ExecutionState.FAILED, error=ValueError("no\nluck"))
    else:
        recorded.end(ExecutionState(ENDS[b % 4]), reason="so it is" if b % 2 else None)


def reap(actor: Actor, a: int, b: int) -> None:
    actor.workspace.reap(confirm=b == 5)


def cancel(actor: Actor, a: int, b: int) -> None:
    actor.find(RUNS[a % 4]).cancel("not wanted")


def edit(actor: Actor, a: int, b: int) -> None:
    patches: tuple[dict[str, Any], ...] = (
        {"tags": {"x": "1", "y": True}},
        {"tags": {"x": None}, "reason": "it was wrong"},
        {"labels": {"group": "theory"}},
        {"notes": "a\nb"},
        {"description": "", "notes": ""},
        {"labels": {"group": None}, "description": "said"},
    )
    actor.find(SCOPES[a % len(SCOPES)]).edit(**patches[b % 6])


def alias(actor: Actor, a: int, b: int) -> None:
    experiment, _, name = RUNS[a % 4].rpartition("/")
    actor.find(experiment).alias("best", name if b % 3 else None)


def delete_execution(actor: Actor, a: int, b: int) -> None:
    run = actor.find(RUNS[a % 4])
    history = run.metadata.execution_history
    if history:
        run.delete_execution(history[b % len(history)].number, force=True)


def move(actor: Actor, a: int, b: int) -> None:
    run = actor.find(RUNS[a % 4])
    run.move_to(actor.find(EXPERIMENTS[b % 3]))


def trash(actor: Actor, a: int, b: int) -> None:
    address = SCOPES[1 + a % (len(SCOPES) - 1)]
    above, _, name = address.rpartition("/")
    kind = ("project", "experiment", "run")[address.count("/")]
    getattr(actor.find(above), f"delete_{kind}")(name, force=True)


def restore(actor: Actor, a: int, b: int) -> None:
    found = actor.workspace.trash.list()
    if found:
        actor.workspace.trash.restore(found[-1 - a % len(found)].uid)


def empty(actor: Actor, a: int, b: int) -> None:
    actor.workspace.trash.empty()


def import_data(actor: Actor, a: int, b: int) -> None:
    source = actor.root.parent / f"source-{b % 3}.csv"
    source.write_text(f"{b % 3}\n")
    tags: dict[str, str | bool] = {"raw": True} if b % 2 else {}
    library = actor.find(SCOPES[a % len(SCOPES)]).data_assets
    library.import_asset("table", source, tags=tags)


def publish(actor: Actor, a: int, b: int) -> None:
    ctx = actor.context(a)
    made = ctx.artifact.save("published.txt", str(b))
    ctx.publish(made, ("experiment", "project", "workspace")[b % 3])


def shut(actor: Actor, a: int, b: int) -> None:
    actor.sessions = [each for each in actor.sessions if not each.is_over]
    if not actor.sessions:
        actor.workspace.close()


ACTS: dict[str, Callable[[Actor, int, int], None]] = {
    act.__name__: act
    for act in (
        *(make_project, make_experiment, make_run, start, join, artifact, log, metric, result),
        *(use, warn, pause, beat, end, reap, cancel, edit, alias, delete_execution, move, trash),
        *(restore, empty, import_data, publish, shut),
    )
}
WORDS = tuple(ACTS)
