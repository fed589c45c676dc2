from __future__ import annotations

import copy
import errno
import inspect
import pickle
import re

import pytest

from molexp import errors
from molexp.errors import MolexpError, NotFoundError, StorageError

CLASSES: list[type[MolexpError]] = [
    thing
    for thing in vars(errors).values()
    if inspect.isclass(thing) and issubclass(thing, MolexpError)
]

DRAWN = re.compile(r"^ {4}((?:│   |    )*)(├── |└── )?([A-Z]\w+)(?: \((\w+)\))?(?: +(\S.*))?$")


def _drawing() -> list[tuple[str, str | None, str | None, str | None]]:
    """Each class of the drawing: name, parent, base outside the tree, what the catcher does."""
    above: list[str] = []
    drawn: list[tuple[str, str | None, str | None, str | None]] = []
    for line in (errors.__doc__ or "").splitlines():
        match = DRAWN.match(line)
        if match is None:
            continue
        bars, branch, name, outside, says = match.groups()
        depth = len(bars) // 4 + bool(branch)
        parent = above[depth - 1] if depth else None
        above[depth:] = [name]
        drawn.append((name, parent, outside, says))
    return drawn


def test_the_drawing_is_the_tree() -> None:
    drawn = {name: [parent, outside] for name, parent, outside, _ in _drawing()}
    built = {}
    for kind in CLASSES:
        bases = [base.__name__ for base in kind.__bases__]
        first = bases[0] if kind is not MolexpError else None
        built[kind.__name__] = [first, bases[1] if len(bases) > 1 else None]
    assert drawn == built
    assert list(drawn) == list(built), "the drawing and the file have one order"


def test_the_drawing_says_what_each_class_is_for() -> None:
    assert [name for name, parent, _, says in _drawing() if parent and not says] == []


def test_every_code_belongs_to_one_class() -> None:
    codes = [kind.code for kind in CLASSES]
    assert len(set(codes)) == len(codes)
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", code) for code in codes)
    assert all("code" in vars(kind) for kind in CLASSES)


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_an_error_shows_what_happened_and_what_to_do(kind: type[MolexpError]) -> None:
    error = kind("the disk is full", cure="free some space", path="a/b", errno=28)
    assert str(error) == "the disk is full; free some space"
    assert (error.message, error.cure) == ("the disk is full", "free some space")
    assert error.details == {"path": "a/b", "errno": 28}


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_an_error_survives_a_process_boundary(kind: type[MolexpError]) -> None:
    error = kind("the disk is full", cure="free some space", path="a/b", errno=28)
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error)):  # noqa: S301 - made here
        assert type(twin) is kind
        assert str(twin) == str(error)
        assert twin.details == error.details
        assert twin.code == error.code


def test_every_class_says_which_details_it_carries() -> None:
    silent = [
        kind.__name__
        for kind in CLASSES
        if not re.search(
            r"Details: \w|cure is a command|only through its subclasses",
            (kind.__doc__ or "").replace("\n    ", " "),
        )
    ]
    assert silent == []


def test_a_storage_error_is_what_the_system_said() -> None:
    said = OSError(errno.ENOSPC, "No space left on device")
    error = StorageError.of(said, "write", "lab/meta.json")
    assert (error.errno, error.filename) == (errno.ENOSPC, "lab/meta.json")
    assert isinstance(error, OSError)
    assert str(error) == (
        "lab/meta.json: cannot write: No space left on device; "
        "free some space on that file system and call again"
    )
    twin = pickle.loads(pickle.dumps(error))  # noqa: S301 - made here
    assert (twin.errno, twin.filename) == (error.errno, error.filename)


def test_the_disk_s_own_troubles_are_told_from_mistakes_in_a_call() -> None:
    assert StorageError.is_about(OSError(errno.EIO, "I/O error"))
    assert not StorageError.is_about(FileExistsError(errno.EEXIST, "File exists"))


def test_an_unknown_trouble_has_a_cure_too() -> None:
    error = StorageError.of(OSError("odd"), "read", "x")
    assert error.errno == errno.EIO
    assert error.cure


def test_a_not_found_error_is_caught_as_a_lookup_error() -> None:
    with pytest.raises(LookupError):
        raise NotFoundError("there is no run 'x'", cure="look", kind="run", key="x", near=[])
