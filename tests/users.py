"""Tests of permissions run once as root and once as a user whom the file system can refuse.

A test marked ``users`` takes the fixture ``user`` and gives its body to ``user.run``. Root is never
refused anything, so a suite started as root fails unless both were exercised; started by anybody
else, it runs these tests as that user, and says so.
"""

from __future__ import annotations

import ctypes
import os
import pickle
import pkgutil
import pwd
import shutil
import stat
import tempfile
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import NoReturn, TypeVar

import pytest

from tests.late import LATE_IMPORTS

T = TypeVar("T")

NOBODY = 65534
PR_SET_DUMPABLE = 4


@dataclass(frozen=True)
class User:
    """Someone to run a test's body as; ``directory`` is new, empty, and theirs."""

    name: str
    uid: int
    directory: Path
    exercised: Callable[[str], None]

    def run(self, function: Callable[[], T]) -> T:
        """What ``function`` gives when this user calls it; what it raises is raised here.

        For another user than the present one it is called in a forked child, so its value must be
        picklable, and it changes nothing in this process.
        """
        self.exercised(self.name)
        if self.uid == os.geteuid():
            return function()
        return _call_as(self, function)


def _call_as(user: User, function: Callable[[], T]) -> T:
    _import_everything()
    receiving, sending = os.pipe()
    child = os.fork()
    if not child:
        os.close(receiving)
        _answer(user, function, sending)
    os.close(sending)
    with open(receiving, "rb") as answer:
        size = int.from_bytes(answer.read(8), "big")
        data = answer.read(size)
    _, status = os.waitpid(child, 0)
    if not data:
        raise AssertionError(f"the child that ran as {user.name} died: wait status {status}")
    value, error = pickle.loads(data)  # noqa: S301 - written a moment ago by our own child
    if error is not None:
        raise error
    result: T = value
    return result


def _answer(user: User, function: Callable[[], T], sending: int) -> NoReturn:
    """In the child: become the user, call, send (value, error) and be gone."""
    try:
        _become(user)
        answer = pickle.dumps((function(), None))
    except BaseException as error:  # noqa: BLE001 - whatever it is, the parent raises it
        answer = pickle.dumps((None, _carried(error)))
    try:
        with open(sending, "wb") as pipe:
            pipe.write(len(answer).to_bytes(8, "big") + answer)
    finally:
        os._exit(0)


def _become(user: User) -> None:
    """Give up root for good, in this process.

    The effect is that of ``setpriv --reuid 65534 --regid 65534 --clear-groups``, without its exec:
    the interpreter, its packages and this checkout may lie where only root can read. An exec would
    also make the process's own /proc entries its user's again, which the prctl does here.
    """
    os.chdir(user.directory)
    os.environ["HOME"] = str(user.directory)
    os.setgroups([])
    os.setresgid(user.uid, user.uid, user.uid)
    os.setresuid(user.uid, user.uid, user.uid)
    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)


def _carried(error: BaseException) -> BaseException:
    """The error, with the child's traceback as a note, in a form that survives the pipe."""
    text = "".join(traceback.format_exception(error))
    copy: BaseException
    try:
        copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - made in this very line
    except Exception:  # noqa: BLE001 - any class may refuse to be pickled, in any way
        copy = AssertionError(f"{type(error).__name__}: {error}")
    copy.add_note(f"in the child that ran as another user:\n{text}")
    return copy


@cache
def _import_everything() -> None:
    """Load now what the child may be unable to read: every module, every deferred model."""
    import molexp
    from molexp.model.record import Record

    for module in pkgutil.walk_packages(molexp.__path__, "molexp."):
        if not module.name.endswith("__main__"):
            import_module(module.name)
    for _, late in LATE_IMPORTS:
        if not late.endswith("()"):
            import_module(late)
    waiting: list[type[Record]] = [Record]
    while waiting:
        record = waiting.pop()
        record.model_rebuild()
        waiting += record.__subclasses__()


def _reachable_base() -> str:
    """A directory for temporary files that every user can reach; pytest's own are its user's."""
    for base in (tempfile.gettempdir(), "/dev/shm", "/tmp"):
        path = Path(base).resolve()
        if path.is_dir() and all(p.stat().st_mode & stat.S_IXOTH for p in (path, *path.parents)):
            return base
    raise AssertionError("no directory for temporary files is open to all users: set TMPDIR")


def _make_directory(uid: int) -> Path:
    outer = Path(tempfile.mkdtemp(prefix="molexp-users-", dir=_reachable_base()))
    outer.chmod(0o755)
    inner = outer / "home"
    inner.mkdir(0o700)
    os.chown(inner, uid, uid if uid == NOBODY else -1)
    return inner


def _remove(directory: Path) -> None:
    """Remove a tree in which directories may be closed, to their owner too."""
    directory.chmod(0o700)
    for at, below, _ in os.walk(directory):
        for name in below:
            if not os.path.islink(os.path.join(at, name)):
                os.chmod(os.path.join(at, name), 0o700)
    shutil.rmtree(directory)


def _names() -> list[str]:
    """Whom the tests run as, given who started them."""
    if os.geteuid() == 0:
        return ["root", "nobody"]
    try:
        return [pwd.getpwuid(os.geteuid()).pw_name]
    except KeyError:  # a container may run as a number that nobody named
        return [str(os.geteuid())]


@pytest.fixture
def user(request: pytest.FixtureRequest) -> Iterator[User]:
    """Someone to run the test's body as."""
    name: str = request.param
    uid = NOBODY if os.geteuid() == 0 and name == "nobody" else os.geteuid()
    directory = _make_directory(uid)
    properties: list[tuple[str, object]] = request.node.user_properties
    yield User(name, uid, directory, lambda name: properties.append(("user", name)))
    _remove(directory.parent)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "user" in metafunc.fixturenames:
        if metafunc.definition.get_closest_marker("users") is None:
            pytest.fail("a test that takes `user` is marked `users`", pytrace=False)
        metafunc.parametrize("user", _names(), indirect=True)


@dataclass
class Roll:
    """Which tests of permissions there were, and whom they were exercised as."""

    expected: list[str]
    collected: bool = False
    exercised: set[str] = field(default_factory=set)

    def note(self, keywords: Iterable[str], properties: Iterable[tuple[str, object]]) -> None:
        """Take in what one test reports."""
        self.collected = self.collected or "users" in keywords
        self.exercised |= {str(value) for key, value in properties if key == "user"}

    def missing(self) -> list[str]:
        """Whom the tests should have been exercised as, and were not."""
        if not self.collected:
            return []
        return [name for name in self.expected if name not in self.exercised]

    def verdict(self) -> str | None:
        """What to tell whoever started the tests; None if no test asked for a user."""
        if not self.collected:
            return None
        if self.missing():
            return f"permissions: FAILED, not exercised as {' and '.join(self.missing())}"
        if len(self.expected) > 1:
            return f"permissions: exercised as {' and as '.join(self.expected)}"
        return f"permissions: exercised as {self.expected[0]} alone, who started the tests"


_roll = Roll(_names())


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when in ("setup", "call"):
        _roll.note(report.keywords, report.user_properties)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    is_worker = hasattr(session.config, "workerinput")  # of xdist: it has seen a part only
    if not is_worker and _roll.missing() and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    verdict = _roll.verdict()
    if verdict is not None:
        terminalreporter.write_line(verdict, red=bool(_roll.missing()))
