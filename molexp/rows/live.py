"""What is known of an execution that has no end: its metrics and warnings so far."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from molexp.disk.beneath import Directory
from molexp.disk.walk import EntryType, Found
from molexp.lifecycle.manifest import summed_up


def live(directory: Directory, paths: Iterable[str]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The metrics and first warnings that files tell of, as an end would say them."""
    files = [Found(path, EntryType.FILE, 0, 0, 0, 0, 0) for path in paths]
    said = summed_up(directory, files)
    metrics = {key: json.loads(each.to_json()) for key, each in said["metrics"].items()}
    return metrics, [json.loads(each.to_json()) for each in said["messages"]]
