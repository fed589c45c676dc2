"""Make ``workspace_template/``: ``python -m tests.format.make_template DIR`` fills a new directory.

A small study with a clock, an owner and luck of its own, so that every byte is the same each time:
data is imported, a run fails and succeeds when it is started again, another diverges and is
cancelled, and the fitted model is published.
"""

from __future__ import annotations

import json
import math
import sys
from hashlib import sha256
from pathlib import Path

from molexp.disk import layout
from molexp.disk.beneath import Directory
from molexp.disk.digest import hash_tree
from molexp.model.address import Address
from molexp.model.asset import (
    ArtifactAsset,
    CheckpointAsset,
    DataAsset,
    ErrorTraceAsset,
    ExecutionStateAsset,
    LogAsset,
    OutputAsset,
    Producer,
)
from molexp.model.execution import (
    CodeSnapshot,
    EnvironmentSnapshot,
    Input,
    Problem,
    Request,
    Snapshot,
    StateChange,
)
from molexp.model.ids import RUN_ENTROPY_BYTES, run_id
from molexp.model.scope import ExperimentMeta, ProjectMeta, RunMeta, WorkflowSource, WorkspaceMeta
from molexp.model.state import ExecutionState
from tests.format import gap_model
from tests.format.study import PERSON, Execution, Study, desk, owner, writer

# Computed with B3LYP/6-31G(2df,p), in hartree: the first molecules of QM9.
_MOLECULES = """\
id,smiles,heavy_atoms,homo,lumo,gap
gdb_1,C,1,-0.3877,0.1171,0.5048
gdb_2,N,1,-0.2570,0.0829,0.3399
gdb_3,O,1,-0.2928,0.0687,0.3615
gdb_4,C#C,2,-0.2845,0.0506,0.3351
gdb_5,C#N,2,-0.3604,0.0191,0.3796
gdb_6,C=O,2,-0.2670,-0.0406,0.2263
"""
_PACKAGES = "molexp==0.1.0\npydantic==2.11.7\npydantic-core==2.33.2\n"
_FAILING = "        file.writelines(predictions(points, weight, bias))"


def _traceback() -> str:
    lines = Path(gap_model.__file__).read_text().splitlines()
    return (
        "Traceback (most recent call last):\n"
        f'  File "gap_model.py", line {lines.index(_FAILING) + 1}, in save\n'
        f"    {_FAILING.strip()}\n"
        "OSError: [Errno 122] Disk quota exceeded\n"
    )


def make(path: Path) -> None:
    """Write the whole workspace into an empty directory."""
    with Directory.open(path) as root:
        study = Study(root)
        workflow, snapshot = _make_scopes(study)
        data = _import_data(study)
        best = _make_best_run(study, data, workflow, snapshot)
        _make_diverging_run(study, data, workflow, snapshot)
        study.edit("", labels={"group": "theory"}, notes="Six molecules are enough to try a model.")
        study.edit("qm9/baseline", reason="the only one that converged", aliases={"best": best})


def _make_scopes(study: Study) -> tuple[WorkflowSource, Snapshot]:
    study.put(
        layout.META,
        WorkspaceMeta.make(
            format=1, uid=study.uid("workspace"), name="Gaps", created_at=study.now
        ).to_json(),
    )
    study.later(20)
    project = ProjectMeta.make(
        format=1,
        uid=study.uid("project"),
        name="QM9",
        created_at=study.now,
        description="What of a molecule's gap follows from its size?",
    )
    study.put("projects/qm9/meta.json", project.to_json())
    study.later(40)
    source = study.keep(Path(gap_model.__file__).read_bytes())
    commit = sha256(b"commit").hexdigest()[:40]
    workflow = WorkflowSource.make(
        path="gap_model.py", type="script", object=source, git_commit=commit
    )
    experiment = ExperimentMeta.make(
        format=1,
        uid=study.uid("experiment"),
        name="Baseline",
        created_at=study.now,
        tags={"model": "linear", "reference": True},
        params={"lr": 0.1, "steps": 40},
        workflow=workflow,
    )
    study.put("projects/qm9/experiments/baseline/meta.json", experiment.to_json())
    code = CodeSnapshot.make(
        source="git",
        dirty=False,
        commit=commit,
        branch="main",
        remote="https://example.org/ada/gaps.git",
    )
    environment = EnvironmentSnapshot.make(
        python="3.11.7",
        platform="Linux-6.1.0-x86_64",
        argv=("gap_model.py",),
        packages=study.keep(_PACKAGES.encode()),
        variables={"OMP_NUM_THREADS": "2"},
    )
    return workflow, Snapshot.make(code=code, environment=environment)


def _import_data(study: Study) -> DataAsset:
    study.later(120)
    place = "data/qm9-sample/v1"
    digest = study.put(f"{place}/files/qm9-sample.csv", _MOLECULES.encode())
    asset = DataAsset.make(
        format=1,
        kind="data",
        asset_id=study.uid("data"),
        name="qm9-sample",
        created_at=study.now,
        path="files/qm9-sample.csv",
        size=len(_MOLECULES),
        mime="text/csv",
        content_hash=digest,
        origin="https://doi.org/10.6084/m9.figshare.978904",
        tags={"source": "QM9"},
    )
    study.put(f"{place}/asset.json", asset.to_json())
    return asset


def _make_run(
    study: Study, workflow: WorkflowSource, parameters: dict[str, object]
) -> tuple[str, RunMeta]:
    study.later(600)
    name = run_id(
        study.now.strftime("%Y%m%d-%H%M%S"), study.luck(f"run {parameters}", RUN_ENTROPY_BYTES)
    )
    meta = RunMeta.make(
        format=1,
        uid=study.uid(name),
        name=name,
        created_at=study.now,
        parameters=parameters,
        workflow=workflow,
        replica=0,
    )
    path = layout.scope_path(Address.parse(f"qm9/baseline/{name}"))
    study.put(f"{path}/meta.json", meta.to_json())
    return path, meta


def _use_data(execution: Execution, data: DataAsset) -> None:
    study = execution.study
    execution.say(
        "input",
        Input.make(
            at=study.later(0.25),
            asset=data.asset_id,
            name=data.name,
            content_hash=data.content_hash,
            task="fit",
        ),
    )


def _fit(
    execution: Execution,
    label: str,
    lr: float,
    steps: range,
    state: tuple[float, float],
    every: int,
) -> tuple[float, float, float]:
    """Fit on, and write the log and the metrics; what came out."""
    study, log, loss = execution.study, f"{layout.LOGS}/fit.log", math.nan
    entry = LogAsset.make(
        asset_id=study.uid(f"log {label}"),
        kind="log",
        name="fit",
        created_at=study.now,
        path=log,
        mime="text/plain",
        producer=Producer.make(task="fit"),
    )
    execution.asset(entry)
    text = ""
    for step, (weight, bias, loss) in enumerate(  # noqa: B007 - the last ones are the result
        gap_model.fit(gap_model.read(_MOLECULES), lr, len(steps), *state), steps.start + 1
    ):
        if step % every == 0:
            study.later(1)
            text += f"step {step}: loss {loss:.6g}\n"
            execution.metric("loss", loss, step)
    digest, size = execution.put(log, text.encode())
    execution.asset(entry.evolve(content_hash=digest, size=size))
    return weight, bias, loss


def _checkpoint(
    execution: Execution, step: int, state: tuple[float, float], parent: str | None
) -> str:
    study, path = execution.study, f"{layout.CHECKPOINTS}/fit.json"
    data = json.dumps({"step": step, "weight": state[0], "bias": state[1]}).encode()
    digest, size = execution.put(path, data)
    uid = study.uid(f"checkpoint {step}")
    execution.asset(
        CheckpointAsset.make(
            asset_id=uid,
            kind="checkpoint",
            name="fit",
            created_at=study.now,
            path=path,
            size=size,
            mime="application/json",
            content_hash=digest,
            producer=Producer.make(task="fit"),
            parent=parent,
            step=step,
        )
    )
    return uid


def _make_best_run(
    study: Study, data: DataAsset, workflow: WorkflowSource, snapshot: Snapshot
) -> str:
    path, meta = _make_run(study, workflow, {"lr": 0.1, "steps": 40})
    weight, bias, saved = _fail(study, path, data, snapshot)
    study.later(1800)
    second = Execution(
        study, f"{path}/0002", owner(4390, 1180240), snapshot, resumed_from=saved, resumed_step=20
    )
    _use_data(second, data)
    weight, bias, loss = _fit(second, "2", 0.1, range(20, 40), (weight, bias), 10)
    last = _checkpoint(second, 40, (weight, bias), saved)
    model = _save_results(second, data, last, weight, bias, loss)
    second.end(ExecutionState.SUCCEEDED, last_step=40)
    _publish(study, model, meta)
    study.edit(f"qm9/baseline/{meta.name}", tags={"converged": True})
    return meta.uid


def _fail(study: Study, path: str, data: DataAsset, snapshot: Snapshot) -> tuple[float, float, str]:
    """The first execution, and the checkpoint that it leaves."""
    first = Execution(study, f"{path}/0001", owner(4121, 983211), snapshot)
    _use_data(first, data)
    weight, bias, _ = _fit(first, "1", 0.1, range(20), (0.0, 0.0), 10)
    saved = _checkpoint(first, 20, (weight, bias), None)
    digest, size = first.put(layout.ERROR, _traceback().encode())
    trace = ErrorTraceAsset.make(
        asset_id=study.uid("trace"),
        kind="error_trace",
        name="error",
        created_at=study.now,
        path=layout.ERROR,
        size=size,
        mime="text/plain",
        content_hash=digest,
        type="OSError",
        message="[Errno 122] Disk quota exceeded",
    )
    first.asset(trace)
    first.message("WARNING", "predictions.csv could not be written")
    error = Problem.make(type=trace.type, message=trace.message, trace=trace.asset_id)
    first.end(ExecutionState.FAILED, error=error, last_step=20)
    return weight, bias, saved


def _save_results(
    execution: Execution, data: DataAsset, last: str, weight: float, bias: float, loss: float
) -> ArtifactAsset:
    study = execution.study
    producer = Producer.make(task="save", consumed=(data.asset_id, last))
    digest, size = execution.put(
        "artifacts/model.json", json.dumps({"weight": weight, "bias": bias}).encode()
    )
    model = ArtifactAsset.make(
        asset_id=study.uid("model"),
        kind="artifact",
        name="model.json",
        created_at=study.now,
        path="artifacts/model.json",
        size=size,
        mime="application/json",
        content_hash=digest,
        producer=producer,
    )
    execution.asset(model)
    for kind, atoms in (("one-heavy-atom", 1.0), ("two-heavy-atoms", 2.0)):
        residuals = [weight * x + bias - y for x, y in gap_model.read(_MOLECULES) if x == atoms]
        text = "".join(f"{residual:.6f}\n" for residual in residuals)
        execution.put(f"artifacts/residuals/{kind}.txt", text.encode())
    with study.root.enter(f"{execution.path}/artifacts/residuals") as directory:
        tree = hash_tree(directory)
    execution.asset(
        ArtifactAsset.make(
            asset_id=study.uid("residuals"),
            kind="artifact",
            name="residuals",
            created_at=study.now,
            path="artifacts/residuals",
            size=tree.size,
            content_hash=tree.content_hash,
            producer=producer,
        )
    )
    lines = gap_model.predictions(gap_model.read(_MOLECULES), weight, bias)
    execution.put("work/predictions.csv", "".join(lines).encode())
    common = {"created_at": study.now, "producer": Producer.make(task="save")}
    execution.asset(
        OutputAsset.make(
            asset_id=study.uid("output"), kind="output", name="loss", value=loss, **common
        )
    )
    execution.asset(
        ExecutionStateAsset.make(
            asset_id=execution.uid,
            kind="execution_state",
            name="state",
            tags={"converged": True},
            **common,
        )
    )
    return model


def _publish(study: Study, model: ArtifactAsset, meta: RunMeta) -> None:
    study.later(300)
    published = DataAsset.make(
        format=1,
        kind="data",
        asset_id=study.uid("published"),
        name="gap-model",
        created_at=study.now,
        size=model.size,
        mime=model.mime,
        content_hash=model.content_hash,
        producer=Producer.make(run=meta.uid, execution=2, task="save"),
        origin=f"qm9/baseline/{meta.name}",
        refers_to=model.asset_id,
    )
    study.put("projects/qm9/data/gap-model/v1/asset.json", published.to_json())


def _make_diverging_run(
    study: Study, data: DataAsset, workflow: WorkflowSource, snapshot: Snapshot
) -> None:
    path, meta = _make_run(study, workflow, {"lr": 1.0, "steps": 1000, "schedule": None})
    execution = Execution(study, f"{path}/0001", owner(4512, 1283904), snapshot)
    _use_data(execution, data)
    execution.say("input", Input.make(at=study.now, name="clip", value=math.inf))
    _fit(execution, "3", 1.0, range(300), (0.0, 0.0), 50)
    execution.message("WARNING", "the loss is not finite")
    for verb, says in (("pause", "paused"), ("resume", "resumed"), ("cancel", "")):
        reason = "it diverges" if verb == "cancel" else None
        request = Request.make(
            format=1,
            uid=study.uid(f"{path} {verb}"),
            verb=verb,
            execution=execution.uid,
            at=study.later(30),
            writer=writer(desk()),
            by=PERSON,
            reason=reason,
        )
        study.put(f"{path}/requests/0001-{request.uid}-{verb}.json", request.to_json())
        if says:
            execution.say(says, StateChange.make(at=study.later(0.5), by=PERSON))
    execution.end(ExecutionState.CANCELLED, reason="it diverges")
    study.edit(
        f"qm9/baseline/{meta.name}",
        notes="A learning rate beyond 0.29 cannot converge on these points.",
        tags={"converged": "no"},
    )


if __name__ == "__main__":
    make(Path(sys.argv[1]))
