"""What is odd is judged by its record: taken as that says it, or refused with its words."""

from __future__ import annotations

import json

import pytest

from molexp.errors import FormatError, FormatVersionError
from molexp.rows.judge import judged
from tests.rows.documents import DOCUMENTS, KINDS


@pytest.mark.parametrize("kind", KINDS)
def test_every_real_document_is_taken(kind: str) -> None:
    for each in DOCUMENTS[kind]:
        assert json.loads(judged(kind, json.dumps(each).encode(), "there"))


def test_a_newer_format_is_refused_with_the_command_to_run() -> None:
    newer = {**DOCUMENTS["run"][0], "format": 99}
    with pytest.raises(FormatVersionError, match="format 99"):
        judged("run", json.dumps(newer).encode(), "there")


def test_an_asset_of_another_kind_is_no_data() -> None:
    [asset, *_] = DOCUMENTS["asset"]
    with pytest.raises(FormatError, match="where data belongs"):
        judged("data", json.dumps(asset).encode(), "there")
