"""What is at work is summed up as its end will sum it up."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

import molexp as me
from molexp.errors import FormatError
from molexp.model.codec import split_line
from molexp.model.execution import Metric
from molexp.rows.live import live


def test_the_sums_are_those_of_the_end(tmp_path: Path) -> None:
    workspace = me.Workspace(tmp_path / "lab", durability="process")
    run = workspace.project("p").experiment("e").run(id="r")
    with run.start(capture=False) as ctx:
        for value in (3.0, math.nan, 1.0):
            ctx.metric("loss", value)
        ctx.logger.warning("look out")
        ctx.logger.info("never mind")
        files = [
            path.read_bytes()
            for path in (
                ctx.execution_dir / "metrics.jsonl",
                ctx.execution_dir / "logs/records.jsonl",
            )
        ]
    metrics, messages = live([*files, b"no line\n{torn"])
    end = run.metadata.execution_history[0].end
    assert end is not None
    assert metrics["loss"]["count"] == end.metrics["loss"].count == 3
    assert metrics["loss"]["min"] == end.metrics["loss"].min == 1.0
    assert (
        [each["text"] for each in messages] == [each.text for each in end.messages] == ["look out"]
    )


AT = '"at":"2026-01-01T00:00:00Z"'


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        (f'{{"metric":{{{AT},"key":"k","value":2}}}}', 2.0),
        (f'{{"metric":{{{AT},"key":"k","value":"NaN"}}}}', "NaN"),
        (f'{{"metric":{{{AT},"key":"k","value":-0.5,"step":3}}}}', -0.5),
        (f'{{"metric":{{{AT},"key":"k","value":1,"later":[]}}}}', 1.0),
        (f' {{ "metric" : {{{AT},"key":"\\u006b","value":1}}}} ', 1.0),
        ('{"metric":{"at":"2026-01-01T01:00:00+01:00","key":"k","value":1}}', 1.0),
        (f'{{"metric":{{{AT},"key":"k","value":true}}}}', None),
        (f'{{"metric":{{{AT},"key":"k","value":"1"}}}}', None),
        (f'{{"metric":{{{AT},"key":"k"}}}}', None),
        ('{"metric":{"at":"now","key":"k","value":1}}', None),
        (f'{{"metric":{{{AT},"key":"k","value":1}},"metric2":{{}}}}', None),
        (f'{{"input":{{{AT},"name":"k"}}}}', None),
        ("", None),
    ],
)
def test_a_line_counts_if_its_record_takes_it(line: str, wanted: object) -> None:
    metrics, _ = live([f"{line}\n".encode()])
    assert metrics.get("k", {}).get("last") == wanted
    try:
        kind, raw = split_line(line.encode())
        record = Metric.from_json(raw, "") if kind == "metric" else None
    except (ValueError, FormatError):
        record = None
    assert (record is None) == (wanted is None)


def test_warnings_come_in_the_order_of_their_times() -> None:
    at = ("2026-01-01T00:00:02Z", "2026-01-01T01:00:01+01:00", "2026-01-01T00:00:01.500000Z")
    lines = [
        f'{{"message":{{"at":"{each}","level":"ERROR","logger":"l","text":"{n}"}}}}\n'
        for n, each in enumerate(at)
    ]
    _, messages = live(["".join(lines).encode()])
    assert [each["text"] for each in messages] == ["1", "2", "0"]
