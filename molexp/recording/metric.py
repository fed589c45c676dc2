"""Metrics: numbers over steps, a line each."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from math import isfinite
from numbers import Real
from typing import Any

from molexp.disk import layout
from molexp.errors import InvalidInputError
from molexp.lifecycle.manifest import Summaries
from molexp.model.codec import encode
from molexp.recording.recorder import Recorder


class Metrics:
    """``ctx.metric(key, value, step=)``, also as ``ctx.metrics.scalar``."""

    def __init__(self, recorder: Recorder, summaries: Summaries) -> None:
        self._summaries = summaries  # of what the owner wrote
        self._recorder = recorder
        self._keys: dict[str, str] = {}  # as JSON spells them

    def scalar(self, key: str, value: float, *, step: int | None = None) -> None:
        """Add one value; NaN and the infinities are values, too.

        Raises InvalidInputError for what is no number, and StorageError.
        """
        number = value if type(value) is float else _number(key, value)
        if step is not None and (type(step) is not int or not 0 <= step < 1 << 63):
            step = _step(key, step)
        spelt = self._keys.get(key) if type(key) is str else None
        spelt = spelt or self._spell(key)
        writing = self._recorder.writing()
        file = writing.files.get(layout.METRICS)
        if file is None:
            file = writing.lines(layout.METRICS)
        at = datetime.now(UTC).isoformat()[:-6]
        shown = repr(number) if isfinite(number) else f'"{encode(number)}"'
        last = f',"step":{step}' if step is not None else ""
        line = f'{{"metric":{{"at":"{at}Z","key":{spelt},"value":{shown}{last}}}}}\n'
        writing.append(file, line.encode())
        if writing.is_owner:
            self._summaries.add(key, number)

    def _spell(self, key: Any) -> str:
        if not isinstance(key, str) or not key:
            raise InvalidInputError(
                f"a metric is not named {key!r}",
                cure="give it a text as its name",
                argument="key",
            )
        encode(key, "key")
        spelt = self._keys[key] = json.dumps(key, ensure_ascii=False)
        return spelt


def _number(key: str, value: Any) -> float:
    plain = getattr(value, "item", None)  # of NumPy and PyTorch
    if callable(plain) and not isinstance(value, type):
        try:
            value = plain()
        except (TypeError, ValueError, RuntimeError) as error:
            raise _no_number(key, value) from error
    if isinstance(value, bool) or not isinstance(value, Real):
        raise _no_number(key, value)
    try:
        return float(value)
    except OverflowError as error:
        raise _no_number(key, value) from error


def _no_number(key: str, value: object) -> InvalidInputError:
    return InvalidInputError(
        f"the metric {key!r} is a {type(value).__qualname__}, which is no single number",
        cure="give a number; for anything else there is `ctx.set_result` or an artifact",
        argument="value",
    )


def _step(key: str, step: Any) -> int:
    counts = getattr(step, "__index__", None)  # NumPy's integers count as well
    number = counts() if counts is not None and not isinstance(step, bool) else -1
    if not 0 <= number < 1 << 63:
        raise InvalidInputError(
            f"the step of the metric {key!r} is {step!r}",
            cure="count steps by integers from 0",
            argument="step",
        )
    return int(number)
