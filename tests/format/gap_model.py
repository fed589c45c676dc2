"""Fit the gap of small molecules to their number of heavy atoms, by gradient descent."""

import csv
from collections.abc import Iterable, Iterator

Point = tuple[float, float]


def read(text: str) -> list[Point]:
    """Heavy atoms and gap (in hartree) of each molecule in a table."""
    rows = csv.DictReader(text.splitlines())
    return [(float(row["heavy_atoms"]), float(row["gap"])) for row in rows]


def fit(
    points: list[Point], lr: float, steps: int, weight: float = 0.0, bias: float = 0.0
) -> Iterator[tuple[float, float, float]]:
    """After each step: weight, bias and mean squared error of ``gap = weight * atoms + bias``."""
    for _ in range(steps):
        errors = [weight * x + bias - y for x, y in points]
        slope = sum(2 * error * x for error, (x, _) in zip(errors, points, strict=True))
        drift = sum(2 * error for error in errors)
        weight -= lr * slope / len(points)
        bias -= lr * drift / len(points)
        yield weight, bias, sum(error * error for error in errors) / len(points)


def predictions(points: Iterable[Point], weight: float, bias: float) -> Iterator[str]:
    """The gap of each molecule as the model has it, a line each."""
    for x, _ in points:
        yield f"{weight * x + bias:.6f}\n"


def save(points: Iterable[Point], weight: float, bias: float, path: str) -> None:
    """Write the predictions into a file."""
    with open(path, "w") as file:
        file.writelines(predictions(points, weight, bias))
