from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from molexp.errors import InvalidInputError
from molexp.recording.content import media_type, to_bytes


class Model(BaseModel):
    path: Path
    value: float


@pytest.mark.parametrize(
    ("content", "wanted"),
    [(b"a", b"a"), (bytearray(b"a"), b"a"), (memoryview(b"abc")[::1], b"abc"), ("ä", "ä".encode())],
)
def test_bytes_and_text_pass_as_they_are(content: Any, wanted: bytes) -> None:
    assert bytes(to_bytes(content)) == wanted


def test_a_model_is_dumped_as_json_says_it() -> None:
    data = json.loads(bytes(to_bytes(Model(path=Path("/a"), value=float("inf")))))
    assert data["path"] == "/a"


@pytest.mark.parametrize("content", ["\ud800", object(), {1}, Model, {"a": Path("x")}])
def test_what_no_file_can_say_is_refused(content: Any) -> None:
    with pytest.raises(InvalidInputError):
        to_bytes(content)


@pytest.mark.parametrize(
    ("name", "content", "wanted"),
    [
        ("a.png", b"", "image/png"),
        ("a.json", "text", "application/json"),
        ("a", "text", "text/plain"),
        ("a", {"x": 1}, "application/json"),
        ("a", b"", None),
        ("a", Path("x.png"), None),
    ],
)
def test_the_media_type_is_that_of_the_name_else_of_the_content(
    name: str, content: Any, wanted: str | None
) -> None:
    assert media_type(name, content) == wanted
