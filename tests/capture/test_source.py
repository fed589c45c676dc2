"""The entry point: its bytes, and its commit, read and never run."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from molexp.capture.source import MAX_SOURCE_BYTES, commit_of, read_source
from molexp.errors import InvalidInputError, NotFoundError, StorageError
from tests.users import User

HASH = "0123456789abcdef0123456789abcdef01234567"
LONG = HASH + "0123456789abcdef01234567"


def _git(directory: Path, *arguments: str) -> str:
    settings = ("user.name=n", "user.email=e", "protocol.file.allow=always")
    options = [word for setting in settings for word in ("-c", setting)]
    environment = {
        **os.environ,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CEILING_DIRECTORIES": str(directory.parent),
    }
    done = subprocess.run(
        ["git", *options, *arguments],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def _commit(repository: Path, text: str = "print()\n") -> str:
    (repository / "train.py").write_text(text)
    _git(repository, "add", ".")
    _git(repository, "commit", "-qm", "subject")
    return _git(repository, "rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    path = tmp_path / "repository"
    path.mkdir()
    _git(path, "init", "-q")
    return path


def _by_hand(directory: Path, head: str | bytes, **files: str) -> Path:
    """A directory that looks like a repository; ``__`` in names is ``/``, and ``_`` is ``-``."""
    git = directory / ".git"
    git.mkdir(parents=True)
    (git / "HEAD").write_bytes(head.encode() if isinstance(head, str) else head)
    for name, text in files.items():
        path = git / name.replace("__", "/").replace("_", "-")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return directory


def test_the_commit_of_a_file_and_of_a_directory_is_that_of_the_repository(
    repository: Path,
) -> None:
    assert commit_of(repository) is None  # before its first commit
    commit = _commit(repository)
    (repository / "below").mkdir()
    assert len(commit) == 40
    for path in (repository, repository / "train.py", repository / "below"):
        assert commit_of(path) == commit
    link = repository.parent / "link.py"
    link.symlink_to(repository / "train.py")
    assert commit_of(link) == commit
    assert commit_of(str(repository / "below" / "missing.py")) == commit


def test_a_new_commit_is_seen_at_once_packed_or_detached(repository: Path) -> None:
    first = _commit(repository)
    _git(repository, "pack-refs", "--all")
    assert not list((repository / ".git/refs/heads").iterdir())
    assert commit_of(repository) == first
    second = _commit(repository, "print(2)\n")
    assert commit_of(repository) == second != first
    _git(repository, "checkout", "-q", "--detach", first)
    assert commit_of(repository) == first
    _git(repository, "checkout", "-qb", "some/branch-of.mine")
    assert commit_of(repository) == first


def test_a_repository_with_longer_hashes_is_read(tmp_path: Path) -> None:
    _git(tmp_path, "init", "-q", "--object-format=sha256")
    commit = _commit(tmp_path)
    assert len(commit) == 64
    assert commit_of(tmp_path) == commit


def test_a_work_tree_beside_has_its_own_commit(repository: Path) -> None:
    first = _commit(repository)
    other = repository.parent / "other"
    _git(repository, "worktree", "add", "-q", "-b", "topic", str(other))
    second = _commit(other, "print(2)\n")
    assert commit_of(other / "train.py") == second
    assert commit_of(repository) == first
    _git(repository, "pack-refs", "--all")
    assert commit_of(other) == second
    third = _git(other, "checkout", "-q", "--detach", first) or first
    assert commit_of(other) == third


def test_a_submodule_has_its_own_commit(repository: Path) -> None:
    _commit(repository)
    library = repository.parent / "library"
    library.mkdir()
    _git(library, "init", "-q")
    commit = _commit(library, "print('library')\n")
    _git(repository, "submodule", "-q", "add", str(library), "library")
    assert commit_of(repository / "library" / "train.py") == commit
    assert commit_of(repository) != commit


def test_outside_of_a_repository_there_is_none(tmp_path: Path) -> None:
    assert commit_of(tmp_path) is None
    (tmp_path / ".git").mkdir()  # empty: git passes it over, too
    assert commit_of(tmp_path) is None
    assert commit_of("a\0b") is None


def test_by_hand_is_read_as_git_reads_it(tmp_path: Path) -> None:
    branch = "ref: refs/heads/a\n"
    assert commit_of(_by_hand(tmp_path / "1", HASH)) == HASH
    assert commit_of(_by_hand(tmp_path / "2", LONG + "\n")) == LONG
    assert commit_of(_by_hand(tmp_path / "3", branch, refs__heads__a=HASH)) == HASH
    packed = f"# pack-refs with: peeled\n{LONG} refs/heads/ab\n{HASH} refs/heads/a\n^{LONG}\n"
    assert commit_of(_by_hand(tmp_path / "4", branch, packed_refs=packed)) == HASH
    steps = {"refs__heads__a": "ref: refs/heads/b", "refs__heads__b": HASH}
    assert commit_of(_by_hand(tmp_path / "5", branch, **steps)) == HASH


@pytest.mark.parametrize(
    "head",
    [
        "",
        "ref:",
        "ref: refs/heads/missing",
        "ref: refs/heads/../../../secret",
        "ref: refs/heads/..",
        "ref: ../secret",
        "ref: secret",
        "ref: /etc/passwd",
        "ref: refs//secret",
        "ref: refs/heads/.hidden",
        "ref: refs/heads/a.lock",
        "ref: refs/heads/link",
        "ref: refs/outside/secret",
        "ref: refs/heads/loop",
        "ref: refs/heads/fifo",
        "ref: refs/heads/text",
        f"refs: {HASH}",
        HASH[:-1],
        HASH + "0",
        HASH.upper(),
        f"{HASH} {HASH}",
        "x" * 100_000,
        b"ref: refs/heads/\xff\xfe",
        b"\0" * 40,
    ],
)
def test_a_broken_or_hostile_repository_names_no_commit(tmp_path: Path, head: str | bytes) -> None:
    (tmp_path / "secret").write_text(HASH)
    heads = {"refs__heads__text": "no hash", "refs__heads__loop": "ref: refs/heads/loop"}
    top = _by_hand(tmp_path / "top", head, **heads)
    (top / ".git/secret").write_text(HASH)
    (top / "secret").write_text(HASH)
    for name in (".hidden", "a.lock"):
        (top / ".git/refs/heads" / name).write_text(HASH)
    (top / ".git/refs/heads/link").symlink_to(tmp_path / "secret")
    (top / ".git/refs/outside").symlink_to(tmp_path)
    os.mkfifo(top / ".git/refs/heads/fifo")
    assert commit_of(top) is None


@pytest.mark.parametrize("text", ["", "gitdir", "gitdir: missing", "gitdir: \0", "x" * 9999])
def test_a_file_that_leads_to_no_git_directory_names_no_commit(tmp_path: Path, text: str) -> None:
    (tmp_path / ".git").write_text(text)
    assert commit_of(tmp_path) is None


def test_a_git_directory_full_of_links_and_pipes_names_no_commit(tmp_path: Path) -> None:
    git = _by_hand(tmp_path, HASH) / ".git"
    assert commit_of(tmp_path) == HASH
    (tmp_path / "head").write_text(HASH)
    (git / "HEAD").unlink()
    (git / "HEAD").symlink_to(tmp_path / "head")
    assert commit_of(tmp_path) is None
    (git / "HEAD").unlink()
    os.mkfifo(git / "HEAD")
    assert commit_of(tmp_path) is None
    (git / "HEAD").unlink()
    (git / "HEAD").write_text(HASH)
    (git / "commondir").write_text("nowhere")
    assert commit_of(tmp_path) is None


def test_a_script_is_read_whole(tmp_path: Path) -> None:
    script = tmp_path / "träin.py"
    script.write_bytes(b"x = 1\r\n" * 100_000)
    assert read_source(script) == b"x = 1\r\n" * 100_000
    (tmp_path / "link.py").symlink_to(script)
    assert read_source(str(tmp_path / "link.py")) == script.read_bytes()


def test_a_script_that_is_not_there_is_said_so_with_where_it_was_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NotFoundError, match=r"train\.py") as raised:
        read_source("train.py")
    assert str(tmp_path) in raised.value.cure
    (tmp_path / "file").touch()
    with pytest.raises(NotFoundError):
        read_source("file/train.py")


def _large(path: Path) -> Path:
    path.touch()
    os.truncate(path, MAX_SOURCE_BYTES + 1)
    return path


def _fifo(path: Path) -> Path:
    os.mkfifo(path)
    return path


def _loop(path: Path) -> Path:
    path.symlink_to(path)
    return path


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda path: path.parent, "a directory"),
        (_large, "more than 10,485,760 bytes"),
        (_fifo, "no regular file"),
        (_loop, "symbolic links"),
        (lambda path: f"{path}\0", "no file can have"),
        (lambda path: f"{path}\ud800", "no file can have"),
        (lambda path: path.parent / ("x" * 300), "too long"),
    ],
)
def test_what_is_no_script_is_refused(
    tmp_path: Path, make: Callable[[Path], str | Path], why: str
) -> None:
    with pytest.raises(InvalidInputError, match=why) as raised:
        read_source(make(tmp_path / "script"))
    str(raised.value).encode()


def test_a_script_of_the_largest_size_is_read(tmp_path: Path) -> None:
    script = _large(tmp_path / "script")
    os.truncate(script, MAX_SOURCE_BYTES)
    assert len(read_source(script)) == MAX_SOURCE_BYTES


@pytest.mark.users
def test_a_script_that_may_not_be_read_is_refused_by_the_disk(user: User) -> None:
    def body() -> None:
        script = user.directory / "script.py"
        script.write_text("secret")
        script.chmod(0)
        if os.geteuid() == 0:
            assert read_source(script) == b"secret"
            return
        with pytest.raises(StorageError, match="permission"):
            read_source(script)

    user.run(body)
