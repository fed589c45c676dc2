"""What a name may be: the rules for names that users choose, and the slug, their only rewriting."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from molexp.errors import AlreadyExistsError, InvalidNameError

MAX_NAME_BYTES = 240  # of the 255 that file systems allow: versions add a suffix like ``.v12``
MAX_PATH_BYTES = 1024
MAX_SLUG = 80

# Opening such a name reaches a device on Windows, whatever the extension.
_DEVICES = frozenset(
    ["con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in "123456789¹²³")]
)
_ORDINARY = re.compile(r"[a-z0-9_][a-z0-9_-]*(\.[a-z0-9_-]+)*", re.ASCII)
_DRIVE = re.compile(r"[A-Za-z]:")


def check_name(name: str) -> str:
    """Return ``name`` if it can be one file or directory; raises InvalidNameError with the rule."""
    _check_text(name)
    if len(name) <= MAX_SLUG and _ORDINARY.fullmatch(name) and name.split(".")[0] not in _DEVICES:
        return name
    rule = _broken_rule(name)
    if rule is not None:
        raise InvalidNameError(
            f"the name {name!r} is refused: {rule}",
            cure="names are never rewritten: choose another one",
            name=name,
            rule=rule,
        )
    return name


def check_path(path: str) -> str:
    """Return ``path`` if it is names joined by ``/``; raises InvalidNameError with the rule."""
    _check_text(path)
    if len(path.encode("utf-8", "replace")) > MAX_PATH_BYTES:
        raise InvalidNameError(
            f"the path {path[:40]!r}… is refused: it is longer than {MAX_PATH_BYTES} bytes",
            cure="choose shorter names or fewer subfolders",
            name=path,
            rule="length",
        )
    for name in path.split("/"):
        check_name(name)
    return path


def _check_text(name: object) -> None:
    if not isinstance(name, str):
        raise InvalidNameError(
            f"the name {name!r} is refused: it is a {type(name).__qualname__}, and no text",
            cure="give a text; a path is saved as content: `save(name, path)`",
            name=str(name),
            rule="text",
        )


def _broken_rule(name: str) -> str | None:
    """The first rule that ``name`` breaks, in words."""
    if not name:
        return "a name must not be empty (and a path has no leading, trailing or double '/')"
    if name in (".", ".."):
        return "'.' and '..' are not names"
    if "/" in name or "\\" in name:
        return "a name holds no '/' and no '\\'"
    if _DRIVE.match(name):
        return "a name does not begin like a drive ('C:')"
    try:
        size = len(name.encode("utf-8"))
    except UnicodeEncodeError:
        return "a name is text that UTF-8 can write (no lone surrogates)"
    if size > MAX_NAME_BYTES:
        return f"a name has at most {MAX_NAME_BYTES} bytes in UTF-8, this one has {size}"
    if any(unicodedata.category(letter) in ("Cc", "Cf", "Zl", "Zp") for letter in name):
        return "a name holds no control or invisible characters"
    if unicodedata.normalize("NFC", name) != name:
        return "a name is in Unicode normal form C"
    if name != name.strip() or name.endswith("."):
        return "a name does not begin or end with a space, nor end with a dot"
    if name.split(".")[0].rstrip().casefold() in _DEVICES:
        return "the name is reserved on Windows"
    return None


def twin_key(name: str) -> str:
    """Equal for names that some file systems cannot tell apart: by case or by normal form."""
    if name.isascii():
        return name.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


class Siblings:
    """The names in one directory that somebody knows of, no two of them twins."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._known = {twin_key(name): name for name in names}

    def add(self, name: str) -> None:
        """Know this one as well; raises InvalidNameError if another spelling of it is there."""
        other = self._known.setdefault(twin_key(name), name)
        if other != name:
            raise InvalidNameError(
                f"the name {name!r} is refused: {other!r} is here, and differs only in case",
                cure=f"use {other!r}, or choose a name that differs in more than case",
                name=name,
                rule="no case twins",
            )


def slug(name: str) -> str:
    """The directory name of a scope called ``name``; raises InvalidNameError if nothing is left.

    >>> slug("QM9, second try")
    'qm9-second-try'
    """
    _check_text(name)
    folded = unicodedata.normalize("NFKC", name).lower()
    result = re.sub(r"[^a-z0-9]+", "-", folded).strip("-")[:MAX_SLUG].rstrip("-")
    if not result:
        raise InvalidNameError(
            f"the name {name!r} is refused: it holds no letter a–z and no digit",
            cure="add one, for the name of its directory is made of them",
            name=name,
            rule="slug",
        )
    if result in _DEVICES:
        raise InvalidNameError(
            f"the name {name!r} is refused: {result!r} is reserved on Windows",
            cure="choose another one",
            name=name,
            rule="slug",
        )
    return result


def is_slug(text: str) -> bool:
    """Whether ``text`` is the slug of itself."""
    try:
        return slug(text) == text
    except InvalidNameError:
        return False


def check_same_name(wanted: str, existing: str) -> None:
    """Raises AlreadyExistsError if two display names share one slug."""
    if wanted != existing:
        raise AlreadyExistsError(
            f"{wanted!r} would lie in the same directory as {existing!r}, which is here already",
            cure=f"use the name {existing!r}, or one that differs in letters or digits",
            kind="scope",
            key=existing,
        )
