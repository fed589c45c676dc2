"""The study that `molexp demo` records: how large may the steps of a gradient descent be?

It is written as a user writes one, with the public names alone. A line is fitted to twelve
measurements of a spring by gradient descent, once for each learning rate; the largest one is too
large, and its run fails.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path

import molexp as me

RATES = (0.003, 0.01, 0.03, 0.1, 0.3)
STEPS = 120
EVERY = 40  # steps between two checkpoints
MEASURED = Path(__file__).with_name("springs.csv")

Points = list[tuple[float, float]]


def record(workspace: me.Workspace) -> me.Experiment:
    """Record the whole study: data, a run for each learning rate, and which of them is best."""
    project = workspace.project("Springs", description="how far loads extend a spring")
    project.data_assets.import_asset("measurements", MEASURED)
    experiment = project.experiment(
        "Learning rates",
        params={"steps": STEPS},
        workflow_source=__file__,
        description="a line through the measurements, by gradient descent",
    )
    for rate in RATES:
        run = experiment.run(f"lr-{rate}", parameters={"lr": rate, "steps": STEPS})
        context = run.start()
        try:
            with context:
                train(context)
        except FloatingPointError:
            if not run.status.is_terminal:  # not even the failure could be written down: say why
                context.end("failed")
            run.edit(tags={"diverged": True}, notes="Too large a step: each one overshoots more.")
    runs = [run for run in experiment.list_runs() if run.get_result("loss") is not None]
    experiment.alias("best", min(runs, key=lambda run: float(run.get_result("loss"))))
    return experiment


def train(context: me.RunContext) -> None:
    """One run: fit a line, and leave behind what came of it."""
    measurements = context.find_asset("measurements")  # written down as used
    points = read(measurements.read_text())
    slope, intercept, loss = descend(context, points)
    fit = {"slope": slope, "intercept": intercept, "loss": loss}
    context.artifact.save("fit.json", fit, consumed=[measurements])
    context.set_result("loss", loss)
    context.set_result("slope", slope)


def descend(context: me.RunContext, points: Points) -> tuple[float, float, float]:
    """Walk downhill from a flat line; raises FloatingPointError if it goes uphill instead."""
    rate, steps = float(str(context.params["lr"])), int(str(context.params["steps"]))
    slope = intercept = 0.0
    first = loss = mean_square(points, slope, intercept)
    for step in range(1, steps + 1):
        down, across = gradient(points, slope, intercept)
        slope, intercept = slope - rate * down, intercept - rate * across
        loss = mean_square(points, slope, intercept)
        context.metric("loss", loss, step=step)
        if step == 1 and loss > first:
            context.logger.warning("the first step went uphill")
        check_converging(first, loss, step)
        if step % EVERY == 0:
            context.log("training").append(f"step {step}: loss {loss:.6f}, slope {slope:.4f}")
            context.checkpoint_step(step, {"slope": slope, "intercept": intercept})
    return slope, intercept, loss


def check_converging(first: float, loss: float, step: int) -> None:
    """Raises FloatingPointError once the loss is a million times what it was."""
    if loss > 1e6 * first:
        raise FloatingPointError(
            f"step {step}: the loss grew from {first:.3g} to {loss:.3g}; "
            "choose a smaller learning rate"
        )


def mean_square(points: Points, slope: float, intercept: float) -> float:
    """How far the line is from the points."""
    return sum((slope * x + intercept - y) ** 2 for x, y in points) / len(points)


def gradient(points: Points, slope: float, intercept: float) -> tuple[float, float]:
    """Where uphill is, for the slope and the intercept."""
    off = [(x, slope * x + intercept - y) for x, y in points]
    count = len(points)
    return sum(2 * x * error for x, error in off) / count, sum(2 * e for _, e in off) / count


def read(text: str) -> Points:
    """The measurements in a CSV file."""
    rows = csv.reader(io.StringIO(text))
    next(rows)  # the names of the columns
    return [(float(load), float(extension)) for load, extension in rows]
