"""An experiment's entry point: the script's bytes, and the commit of the repository that holds it.

Files are read and nothing is run: what a repository says is only ever parsed, and beneath its git
directory no link is followed.
"""

from __future__ import annotations

import errno
import os
import re
import stat

from molexp.disk.beneath import Directory
from molexp.errors import InvalidInputError, MolexpError, NotFoundError, StorageError

MAX_SOURCE_BYTES = 10 * 1024 * 1024
"""The bytes that a script has at most."""

MAX_PACKED_BYTES = 64 * 1024 * 1024
"""The bytes that are read at most of a repository's packed refs: about a million of them."""

_MAX_LINE = 4096  # of the small files in a git directory
_MAX_STEPS = 5  # from one symbolic ref to the next, as in git
_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC

_HASH = re.compile(rb"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_STEP = r"(?!\.)(?:(?!\.\.|@\{)[^\x00-\x20\x7f~^:?*\[\\/])+(?<!\.lock)(?<!\.)"
_REF = re.compile(rf"refs(?:/{_STEP})+")
_OWN_REF = re.compile(r"refs/(?:bisect|worktree|rewritten)/")  # each work tree has its own of these


def commit_of(path: str | os.PathLike[str]) -> str | None:
    """The commit that is checked out in the repository that holds a file or directory.

    None if there is none: outside a repository, before its first commit, or if it cannot be read.
    """
    try:
        found = _git_directory(os.path.realpath(path))
        if found is None:
            return None
        with Directory.open(found) as git, _common(git) as common:
            return _resolve(git, common)
    except (OSError, ValueError, MolexpError):
        return None  # what is broken or hostile names no commit


def read_source(path: str | os.PathLike[str]) -> bytes:
    """The bytes of a script.

    Raises NotFoundError if it is not there, InvalidInputError if it is no file or too large, and
    StorageError if it cannot be read.
    """
    text = os.fspath(path)
    try:
        fd = os.open(text, _READ)
    except ValueError as error:  # NUL, or half a character
        raise _refused(text, "no file can have this path") from error
    except OSError as error:
        raise _explained(error, text) from error
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            is_directory = stat.S_ISDIR(status.st_mode)
            raise _refused(text, "it is a directory" if is_directory else "it is no regular file")
        with open(fd, "rb", closefd=False) as file:
            data = file.read(MAX_SOURCE_BYTES + 1)
    except OSError as error:
        raise _explained(error, text) from error
    finally:
        os.close(fd)
    if len(data) > MAX_SOURCE_BYTES:
        raise _refused(text, f"it has more than {MAX_SOURCE_BYTES:,} bytes")
    return data


def _refused(path: str, why: str) -> InvalidInputError:
    shown = path.encode("utf-8", "backslashreplace").decode()
    return InvalidInputError(
        f"{shown!r} cannot be the script of an experiment: {why}",
        cure="give the path of the file that is run, such as train.py",
        argument="path",
        value=shown,
    )


def _explained(error: OSError, path: str) -> MolexpError:
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return NotFoundError(
            f"the script {path} is not there",
            cure=f"check the path; relative ones begin at {_here()}",
            kind="file",
            key=path,
        )
    if error.errno in (errno.ELOOP, errno.ENAMETOOLONG, errno.ENXIO):
        return _refused(path, error.strerror or "it cannot be opened")
    return StorageError.of(error, "read", path)


def _here() -> str:
    try:
        return os.getcwd()
    except OSError:
        return "the current directory, which was removed"


def _git_directory(path: str) -> str | None:
    """The git directory of the nearest repository around a path."""
    at = path if os.path.isdir(path) else os.path.dirname(path)
    while True:
        dot_git = os.path.join(at, ".git")
        if os.path.isfile(dot_git):
            with Directory.open(at) as above:
                says, _, where = above.read(".git", _MAX_LINE).partition(b": ")
            return (
                os.path.join(at, os.fsdecode(where.rstrip(b"\r\n"))) if says == b"gitdir" else None
            )
        if os.path.lexists(os.path.join(dot_git, "HEAD")):
            return dot_git
        above_it = os.path.dirname(at)
        if above_it == at:
            return None
        at = above_it


def _common(git: Directory) -> Directory:
    """Where the refs lie that all work trees of a repository share."""
    try:
        where = os.fsdecode(git.read("commondir", _MAX_LINE).rstrip(b"\r\n"))
    except NotFoundError:
        return Directory.open(git.path)
    return Directory.open(os.path.join(git.path, where))


def _resolve(git: Directory, common: Directory) -> str | None:
    said = git.read("HEAD", _MAX_LINE).rstrip()
    for _step in range(_MAX_STEPS):
        if _HASH.fullmatch(said):
            return said.decode()
        name = os.fsdecode(said.removeprefix(b"ref:").lstrip())
        if not said.startswith(b"ref:") or not _REF.fullmatch(name):
            return None
        try:
            said = (git if _OWN_REF.match(name) else common).read(name, _MAX_LINE).rstrip()
        except MolexpError:  # not there, or a directory that held refs of longer names
            return _packed(common, name)
    return None


def _packed(common: Directory, name: str) -> str | None:
    data = common.read("packed-refs", MAX_PACKED_BYTES)
    name_there = re.escape(os.fsencode(name))
    line = re.compile(rb"^(%b) %b\r?$" % (_HASH.pattern, name_there), re.MULTILINE)
    found = line.search(data)
    return found[1].decode() if found else None
