from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.users import NOBODY, Roll, User

ROOT = Path(__file__).parents[1]
IS_ROOT = os.geteuid() == 0

BOTH = """
import os, pathlib, pytest

@pytest.mark.users
def test_a(user):
    user.run(lambda: None)
"""
NEVER_RUN = """
import pytest

@pytest.mark.users
def test_a(user):
    pass
"""
UNMARKED = """
def test_a(user):
    user.run(lambda: None)
"""


def _pytest(directory: Path, source: str, *options: str) -> subprocess.CompletedProcess[str]:
    """A suite of its own, with no more than the plugin under test."""
    (directory / "test_inner.py").write_text(source)
    (directory / "pytest.ini").write_text("[pytest]\nmarkers = users\n")
    inner = [sys.executable, "-m", "pytest", "-p", "tests.users"]
    inner += ["-p", "no:cacheprovider", "-p", "no:hypothesispytest"]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    return subprocess.run(
        [*inner, "-c", str(directory / "pytest.ini"), str(directory), *options],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_suite_started_as_root_exercises_both_users(tmp_path: Path, workers: str) -> None:
    done = _pytest(tmp_path, BOTH, "-n", workers)
    assert done.returncode == 0, done.stdout
    if IS_ROOT:
        assert "permissions: exercised as root and as nobody" in done.stdout
        assert "2 passed" in done.stdout
    else:
        assert "alone, who started the tests" in done.stdout


@pytest.mark.skipif(not IS_ROOT, reason="whoever is not root exercises one user only")
@pytest.mark.parametrize(("workers", "chosen"), [("0", "root"), ("1", "nobody")])
def test_a_suite_started_as_root_fails_if_one_user_is_left_out(
    tmp_path: Path, workers: str, chosen: str
) -> None:
    done = _pytest(tmp_path, BOTH, "-n", workers, "-k", chosen)
    assert "1 passed" in done.stdout
    assert "permissions: FAILED, not exercised as" in done.stdout
    assert done.returncode == 1


def test_a_body_that_was_never_run_exercised_nobody(tmp_path: Path) -> None:
    done = _pytest(tmp_path, NEVER_RUN)
    assert "permissions: FAILED" in done.stdout
    assert done.returncode == 1


def test_a_suite_without_such_tests_says_nothing(tmp_path: Path) -> None:
    done = _pytest(tmp_path, "def test_a(): pass")
    assert "permissions" not in done.stdout
    assert done.returncode == 0


def test_a_test_that_forgot_its_mark_is_refused(tmp_path: Path) -> None:
    done = _pytest(tmp_path, UNMARKED)
    assert "is marked `users`" in done.stdout
    assert done.returncode != 0


def test_started_by_a_normal_user_one_user_is_enough_and_named() -> None:
    roll = Roll(["alice"])
    roll.note(["users"], [("user", "alice")])
    assert roll.missing() == []
    assert roll.verdict() == "permissions: exercised as alice alone, who started the tests"


@pytest.mark.users
def test_the_body_runs_as_the_user_in_a_directory_of_theirs(user: User) -> None:
    def body() -> tuple[int, int, int, bytes]:
        (user.directory / "mine").write_bytes(b"written")
        content = (user.directory / "mine").read_bytes()
        return os.geteuid(), os.getuid(), (user.directory / "mine").stat().st_uid, content

    assert user.run(body) == (user.uid, user.uid, user.uid, b"written")


@pytest.mark.users
def test_the_file_system_refuses_everybody_but_root(user: User) -> None:
    (user.directory / "closed").mkdir()
    (user.directory / "closed").chmod(0o555)

    def body() -> None:
        (user.directory / "closed" / "new").touch()

    if user.uid == 0:
        user.run(body)
    else:
        with pytest.raises(PermissionError):
            user.run(body)


@pytest.mark.users
def test_what_the_body_raises_arrives_with_its_traceback(user: User) -> None:
    class Unpicklable(Exception):
        pass

    def where_it_happened() -> None:
        raise ValueError("told by the body")

    def local() -> None:
        raise Unpicklable("told by the body")

    with pytest.raises(ValueError, match="told by the body") as raised:
        user.run(where_it_happened)
    if IS_ROOT and user.uid == NOBODY:
        assert "where_it_happened" in raised.value.__notes__[0]
    with pytest.raises((Unpicklable, AssertionError), match="told by the body"):
        user.run(local)


@pytest.mark.skipif(not IS_ROOT, reason="only root can become another user")
@pytest.mark.users
def test_a_body_that_dies_is_an_error(user: User) -> None:
    if user.uid == 0:
        user.run(lambda: None)  # root's body runs in this very process
        return
    with pytest.raises(AssertionError, match="died"):
        user.run(lambda: os._exit(3))


@pytest.mark.users
def test_a_process_still_sees_its_own_open_files(user: User) -> None:
    def body() -> str:
        descriptor = os.open(user.directory, os.O_RDONLY)
        try:
            return os.readlink(f"/proc/{os.getpid()}/fd/{descriptor}")
        finally:
            os.close(descriptor)

    assert user.run(body) == str(user.directory.resolve())
