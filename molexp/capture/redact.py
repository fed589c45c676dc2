"""Secrets are taken out of what a command line says, before it is written down.

What looks like a secret is one: that a parameter called ``sort_key`` is not shown costs less than a
password that is. The name stays, so that one sees what was given.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

REDACTED = "[redacted]"
"""What stands in a secret's place."""

_SECRET_WORDS = re.compile(
    "auth|authorization|bearer|cookies?|cred|creds|jwt|keys?|pass|pat|pw|pwd|sas|tokens?"
)
_SECRET_PARTS = re.compile(
    "password|passwd|passphrase|passcode|secret|credential|(api|access|private|auth)key|token$"
)
_WHERE_IT_LIES = re.compile("file|path|dir|env|stdin|name")
_COUNTING = re.compile("tokens|max|min|num|n|count|total|limit|len|length|size|id|per|new")

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_OPTION = re.compile(r"-+[A-Za-z]")
_ANOTHER = re.compile(r"--[A-Za-z]|-[A-Za-z]+$")  # option, and no secret that begins with a dash
_NUMBER = re.compile(r"[-+]?[0-9]{1,9}(?:\.[0-9]*)?(?:[eE][-+]?[0-9]{1,3})?")
_PAIR = re.compile(r"(-D|[-+~/]*)([A-Za-z_][\w.\-/]*)\s*[=:]\s*(.*)", re.DOTALL)
_NAMED = re.compile(r"(?<![\w.\-])([\w.\-]+)[\"']?\s*[=:]\s*")
_VALUE = re.compile(r"(?i:bearer|basic)\s+[^\s\"',;&})\]]+|\"[^\"]*\"?|'[^']*'?|[^\s\"',;&})\]]+")
_USERINFO = re.compile(r"(?<=://)(?!git@)(?:[^\s/:@]*:(?![0-9]+(?:/|$))[^\s]*@|[^\s/?#]*@)")
_SHAPES = re.compile(
    r"-----BEGIN[^-]*PRIVATE KEY-----.*"
    r"|\b(?:gh[pousr]_|github_pat_|glpat-|xox[a-z]-)[\w-]{8,}"
    r"|\b(?:hf_|npm_)[A-Za-z0-9]{20,}|\b(?:sk|pypi)-(?=[\w-]*[0-9])[\w-]{20,}"
    r"|\b(?:AKIA|ASIA)[0-9A-Z]{12,}|\bAIza[\w-]{20,}"
    r"|\beyJ[\w-]+\.[\w-]+\.[\w-]*"
    r"|(?<=\b(?i:bearer) )[^\s\"',;]+",
    re.DOTALL,
)


def redacted(arguments: Iterable[str]) -> list[str]:
    """A command line without secrets; there are as many arguments as before.

    >>> redacted(["train.py", "--api-key", "abc", "--lr=0.1", "url=https://me:pw@host/x"])
    ['train.py', '--api-key', '[redacted]', '--lr=0.1', 'url=https://[redacted]@host/x']
    """
    result: list[str] = []
    asked = ""  # the option whose value comes next
    for argument in arguments:
        if asked and not _ANOTHER.match(argument) and not _is_count(asked, argument):
            result.append(REDACTED)
            asked = ""
            continue
        is_name = _OPTION.match(argument) and "=" not in argument and is_secret_name(argument)
        asked = argument if is_name else ""
        result.append(redacted_text(argument))
    return result


def redacted_text(text: str) -> str:
    """Text without what looks like a secret in it.

    >>> redacted_text("Authorization: Bearer abc.def")
    'Authorization: [redacted]'
    """
    pair = _PAIR.fullmatch(text)
    if pair and is_secret_name(pair[2]) and not _is_count(pair[2], pair[3]):
        return text[: pair.start(3)] + REDACTED if pair[3] else text
    text = _USERINFO.sub(f"{REDACTED}@", text)
    return _SHAPES.sub(REDACTED, _without_named(text))


def is_secret_name(name: str) -> bool:
    """Whether what has this name is taken for a secret.

    >>> [n for n in ("apiKey", "max_tokens", "tokenizer", "author", "db.pwd", "key-file")
    ...  if is_secret_name(n)]
    ['apiKey', 'max_tokens', 'db.pwd']
    """
    words = _words(name)
    if not words or _WHERE_IT_LIES.fullmatch(words[-1]):
        return False
    return any(_SECRET_WORDS.fullmatch(word) or _SECRET_PARTS.search(word) for word in words)


def _without_named(text: str) -> str:
    """Text without the values that stand in it under the name of a secret."""
    parts: list[str] = []
    done = 0
    for named in _NAMED.finditer(text):
        if named.start() < done or not is_secret_name(named[1]):
            continue
        value = _VALUE.match(text, named.end())
        if value is not None and not _is_count(named[1], value[0].strip("\"'")):
            parts += [text[done : named.end()], REDACTED]
            done = value.end()
    return "".join([*parts, text[done:]])


def _is_count(name: str, value: str) -> bool:
    """Whether a value is a number under a name such as ``max_tokens``."""
    words = _words(name)
    others = [word for word in words if word not in ("token", "tokens")]
    return (
        _NUMBER.fullmatch(value) is not None
        and len(others) < len(words)
        and not is_secret_name(" ".join(others))
        and any(_COUNTING.fullmatch(word) for word in words)
    )


def _words(name: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(name)]
