"""What is known of an execution that has no end: its metrics and warnings so far."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from molexp.errors import FormatError
from molexp.lifecycle.manifest import Summaries, is_warning
from molexp.model import execution
from molexp.model.codec import split_line
from molexp.rows import plain
from molexp.rows.shapes import Measured, Message


def live(files: Iterable[bytes]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The metrics and first warnings that files of lines tell of, as an end would say them.

    Lines that are none are passed over, as at the end; the checker reports them.
    """
    metrics, messages = Summaries(), []
    for data in files:
        for found in _lines(data):
            if isinstance(found, Measured):
                metrics.add(found.key, float(found.value))
            elif is_warning(found.level):
                messages.append(found)
    messages.sort(key=lambda message: datetime.fromisoformat(message.at))
    said = {key: json.loads(each.to_json()) for key, each in metrics.result().items()}
    first = messages[: execution.MAX_MESSAGES]
    return said, [{name: getattr(each, name) for name in _OF_MESSAGE} for each in first]


_OF_MESSAGE = Message.__struct_fields__


def _lines(data: bytes) -> Iterator[Measured | Message]:
    for line in data.split(b"\n")[:-1]:
        found = plain.live_line(line) or _judged(line)
        if found is not None:
            yield found


def _judged(line: bytes) -> Measured | Message | None:
    """What the records say of a line that is not plainly right."""
    try:
        kind, raw = split_line(line)
        if kind not in ("metric", "message"):
            return None
        record = execution.LINES[kind].from_json(raw, "")
    except (ValueError, FormatError):
        return None
    said = json.loads(record.to_json())
    return plain.made(Measured, said) if kind == "metric" else plain.made(Message, said)
