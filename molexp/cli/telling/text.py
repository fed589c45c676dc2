"""Plain text for terminals: nothing from a workspace gets to steer them, and tables that fit.

What a workspace says was written by others: control characters in it are shown as their escapes.
"""

from __future__ import annotations

import json
import shutil
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from molexp.model.codec import encode

_STEERING = ("Cc", "Cf", "Cs", "Zl", "Zp")
_JOINERS = "\u200c\u200d"  # within words of some scripts, and in emoji: they steer nothing
_MIN_COLUMN = 16  # a time needs as many
_MIN_FIRST = 32  # names are to be copied from the screen
_MAX_VALUE = 400
_ENDLESS, _LEAST = 1 << 20, 20
_GAP = 2
_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


def inert(text: str) -> str:
    """A text on one line, in which every character that could steer a terminal is spelt out."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_spelt(letter) if _steers(letter) else letter for letter in text)


def inert_lines(text: str) -> list[str]:
    """The lines of a text, each of them inert; tabs become spaces."""
    whole = text.replace("\r\n", "\n").replace("\r", "\n")  # progress bars return without a line
    return [inert(line.expandtabs()) for line in whole.split("\n")]


def _steers(letter: str) -> bool:
    return unicodedata.category(letter) in _STEERING and letter not in _JOINERS


def _spelt(letter: str) -> str:
    return letter.encode("unicode_escape").decode()


def value_text(value: object, *, short: bool = False) -> str:
    """A value as JSON says it; ``short`` floats have five digits.

    A text has no quotes, unless it would be taken for something else without them.
    """
    if isinstance(value, str) and not _reads_as_json(value):
        return inert(value)
    if isinstance(value, float) and short:
        return f"{value:.5g}"
    if isinstance(value, float):
        return str(value)
    return inert(json.dumps(encode(value), ensure_ascii=False))


def _reads_as_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return not text.strip()
    return True


def pairs_text(values: Mapping[str, Any]) -> str:
    """Names with their values, on one line; only the name where the value is ``true``."""
    return "  ".join(
        inert(name) if value is True else f"{inert(name)}={value_text(value, short=True)}"
        for name, value in values.items()
    )


def time_text(moment: datetime | None, *, seconds: bool = False) -> str:
    """A moment in UTC; nothing for none."""
    if moment is None:
        return ""
    return f"{moment:%Y-%m-%d %H:%M:%S}" if seconds else f"{moment:%Y-%m-%d %H:%M}"


def duration_text(span: timedelta | None) -> str:
    """How long something took, in the two units that matter."""
    if span is None:
        return ""
    seconds = max(span.total_seconds(), 0.0)
    if seconds < 10:
        return f"{seconds:.2f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min"
    return f"{hours // 24} d {hours % 24} h"


def size_text(size: int | None) -> str:
    """A number of bytes in a unit that is easy to read; nothing if it is not known."""
    if size is None:
        return ""
    number = float(size)
    for unit in _UNITS:
        if number < 999.5 or unit == _UNITS[-1]:
            return f"{size} B" if unit == "B" else f"{number:.3g} {unit}"
        number /= 1000
    return ""


def count_text(number: int, noun: str) -> str:
    """``1 run``, ``2 runs``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def width() -> int:
    """How many columns a line may have: those of the terminal; all that are needed for a pipe."""
    return max(shutil.get_terminal_size((_ENDLESS, 0)).columns, _LEAST)


def length(text: str) -> int:
    """How many columns of a terminal a text takes: wide characters take two, accents none."""
    if text.isascii():
        return len(text)
    return sum(_columns(letter) for letter in text)


def _columns(letter: str) -> int:
    if unicodedata.combining(letter) or letter in _JOINERS:
        return 0
    return 2 if unicodedata.east_asian_width(letter) in ("W", "F") else 1


def cut(text: str, columns: int) -> str:
    """A text that takes no more than so many columns; "…" stands for what was cut off."""
    if length(text) <= columns:
        return text
    kept, used = "", 0
    for letter in text:
        used += _columns(letter)
        if used > columns - 1:
            break
        kept += letter
    return f"{kept}…"


def table(
    header: Sequence[str], rows: Sequence[Sequence[str]], *, indent: str = "  "
) -> Iterator[str]:
    """Rows beneath a header, as wide as the terminal allows.

    Columns in which no row says anything are left out, and those for which there is no room; these
    are named below. The first ones are given room first. Cells are to be inert.
    """
    used = [at for at in range(len(header)) if any(row[at] for row in rows)]
    room = width() - len(indent)
    cells: list[list[str]] = []
    left_out: list[str] = []
    least = -_GAP
    for at in used:
        column = [header[at], *(row[at] for row in rows)]
        wanted = _GAP + min(_needed(column), _MIN_COLUMN if cells else _MIN_FIRST)
        if cells and least + wanted > room:
            left_out.append(header[at])
        else:
            cells.append(column)
            least += wanted
    widths = _fitted(cells, room)
    is_number = [_is_column_of_numbers(column[1:]) for column in cells]
    for line in zip(*cells, strict=True):
        said = [
            _padded(cut(cell, columns), columns, right)
            for cell, columns, right in zip(line, widths, is_number, strict=True)
        ]
        yield (indent + (" " * _GAP).join(said)).rstrip()
    if left_out:
        yield cut(f"{indent}(no room for {', '.join(left_out)}; --json says all)", width())


def _needed(column: Sequence[str]) -> int:
    return max(map(length, column))


def _fitted(cells: Sequence[Sequence[str]], room: int) -> list[int]:
    """The widths of the columns: as needed, the widest cut until all fit."""
    widths = [_needed(column) for column in cells]
    over = sum(widths) + _GAP * (len(widths) - 1) - room
    while over > 0 and max(widths) > 1:
        widest = max(widths)
        widths[len(widths) - 1 - widths[::-1].index(widest)] -= 1
        over -= 1
    return widths


def _is_column_of_numbers(column: Sequence[str]) -> bool:
    said = [cell for cell in column if cell]
    return all(cell.replace(",", "").isdigit() or cell.endswith(_UNITS) for cell in said)


def _padded(text: str, columns: int, right: bool) -> str:
    space = " " * (columns - length(text))
    return space + text if right else text + space


def fields(pairs: Sequence[tuple[str, str]], *, indent: str = "") -> Iterator[str]:
    """A line for each name that has a value, the values below one another.

    They are not cut to the width of the terminal, for paths are to be copied.
    """
    said = [(name, value) for name, value in pairs if value]
    broad = max((length(name) for name, _ in said), default=0)
    for name, value in said:
        yield f"{indent}{_padded(name, broad, right=False)}  {cut(value, _MAX_VALUE)}"


def as_json(value: object) -> str:
    """JSON for programs, in ASCII: times as RFC 3339, free values as the format writes them."""
    return json.dumps(_plain(value), indent=2)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float) or (isinstance(value, str) and not _has_half_letters(value)):
        return encode(value)
    return value


def _has_half_letters(text: str) -> bool:
    """Whether a text is no UTF-8, as the path of a file need not be."""
    return any("\ud800" <= letter <= "\udfff" for letter in text)
