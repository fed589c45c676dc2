"""What can be saved: values to bytes, and the media type that they have."""

from __future__ import annotations

import json
import mimetypes
import os
from functools import lru_cache
from typing import Any

from molexp.errors import InvalidInputError
from molexp.model.codec import encode

JSON = "application/json"


def to_bytes(content: Any) -> bytes | memoryview:
    """The bytes of what a user saves: bytes, text, a pydantic model, or JSON values.

    Raises InvalidInputError for anything else.
    """
    if isinstance(content, bytes):
        return content
    if isinstance(content, bytearray | memoryview):
        return memoryview(content).cast("B")
    if isinstance(content, str):
        try:
            return content.encode()
        except UnicodeEncodeError as error:
            raise InvalidInputError(
                f"this text cannot be written: {error}",
                cure="it holds half a character: encode it yourself, and save the bytes",
                argument="content",
            ) from error
    return json.dumps(_plain(content), indent=1, ensure_ascii=False).encode()


def media_type(name: object, content: Any) -> str | None:
    """The media type by the name, else by what is saved under it."""
    guessed = _by_name(name) if isinstance(name, str) else None
    if guessed is not None or isinstance(content, bytes | bytearray | memoryview | os.PathLike):
        return guessed
    return "text/plain" if isinstance(content, str) else JSON


@lru_cache(maxsize=256)
def _by_name(name: str) -> str | None:
    return mimetypes.guess_type(name)[0]


def _plain(content: Any) -> Any:
    dump = getattr(content, "model_dump", None)
    if callable(dump) and not isinstance(content, type):
        content = dump(mode="json")
    return encode(content, "content")
