"""What is known of an execution that has no end: its metrics and warnings so far."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from molexp.errors import FormatError
from molexp.lifecycle.manifest import Summaries, is_warning
from molexp.model.codec import split_line
from molexp.model.execution import MAX_MESSAGES, Message, Metric


def live(files: Iterable[bytes]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The metrics and first warnings that files of lines tell of, as an end would say them.

    Lines that are none are passed over, as at the end; the checker reports them.
    """
    metrics, messages = Summaries(), []
    for data in files:
        for line in data.split(b"\n")[:-1]:
            try:
                kind, raw = split_line(line)
                if kind == "metric":
                    metric = Metric.from_json(raw, "")
                    metrics.add(metric.key, metric.value)
                elif kind == "message":
                    message = Message.from_json(raw, "")
                    if is_warning(message.level):
                        messages.append(message)
            except (ValueError, FormatError):
                continue
    messages.sort(key=lambda message: message.at)
    said = {key: json.loads(each.to_json()) for key, each in metrics.result().items()}
    return said, [json.loads(each.to_json()) for each in messages[:MAX_MESSAGES]]
