"""Whatever becomes of a generation: the same answers as from the files, and it is left alone."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from molexp.catalog import generation
from molexp.catalog.engine import connect
from molexp.disk import layout
from molexp.testing.trial import run_in_child
from tests.catalog import truth
from tests.conftest import PROFILE

NIGHTLY = PROFILE == "nightly"
HEADERS = 3 * 4096
BLOCK = 1 << 18
STEP = 4096

Damage = Callable[[Path], None]


@dataclass
class Lab:
    """A workspace with some generations, and what its files say."""

    root: Path
    wanted: str
    pristine: dict[str, bytes]
    """The generations by their names, the newest first."""

    @property
    def newest(self) -> bytes:
        """The bytes of the newest generation."""
        return next(iter(self.pristine.values()))

    def put_back(self, kept: int) -> Path:
        """Let the newest generations lie there as they were made; the newest of all."""
        catalog = self.root / layout.CATALOG
        shutil.rmtree(catalog)
        catalog.mkdir()
        for name, data in list(self.pristine.items())[:kept]:
            (catalog / name).write_bytes(data)
        return catalog / next(iter(self.pristine))

    def complaints(self, damage: Damage, kept: int = 2, *, folds: bool = True) -> list[str]:
        """What goes wrong in a process that meets a damaged generation, and in the next one."""
        target = self.put_back(kept)
        damage(target)
        before = _state(target)
        ending = run_in_child(lambda say: self._live(say, folds=folds))
        wrong = [text for text in [*ending.said, ending.raised] if text]
        if len(ending.said) != (4 if folds else 2):
            wrong.append(f"only {len(ending.said)} answers: {ending}")
        if _state(target) != before:
            wrong.append("it was not left alone")
        return wrong

    def _live(self, say: Callable[[str], None], *, folds: bool) -> None:
        with closing(truth.view(self.root)) as view:
            say(self._compared("first", view.ask(truth.shown)))
            say(self._compared("later", view.ask(truth.shown)))
            if folds:
                view.fold()
                say(self._compared("folded", view.ask(truth.shown)))
                say(self._compared("anew", truth.ask(self.root)))

    def _compared(self, when: str, found: truth.Dump) -> str:
        return "" if truth.digest(found) == self.wanted else f"{when}: another answer: {found}"


def _state(path: Path) -> object:
    status = os.lstat(path)
    data = path.read_bytes() if path.is_file() else b""
    return status.st_ino, status.st_mode, status.st_uid, status.st_mtime_ns, data


def _make(root: Path, name: str = "Lab") -> Lab:
    truth.fill(root, name=name).close()

    def work() -> str:
        with closing(truth.view(root)) as view:
            wanted = truth.digest(view.ask(truth.shown))
            view.rebuild()
            view.fold()
        return wanted

    wanted = truth.in_child(work)
    return Lab(root, wanted, {each.name: each.read_bytes() for each in truth.generations(root)})


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """A workspace with two generations that are of use."""
    return _make(tmp_path_factory.mktemp("damage") / "lab")


def _written(data: bytes | bytearray) -> Damage:
    """Other bytes in its place: the file itself stays."""

    def damage(target: Path) -> None:
        target.write_bytes(data)

    return damage


def _flips(data: bytes, luck: random.Random, number: int) -> Iterator[tuple[str, bytes]]:
    """One bit each: a third in the headers, a third where blocks begin, the rest anywhere."""
    for count in range(number):
        anywhere = luck.randrange(len(data))
        begin = HEADERS + luck.randrange((len(data) - HEADERS) // BLOCK) * BLOCK
        offset = [luck.randrange(HEADERS), begin + luck.randrange(64), anywhere][count % 3]
        bit = luck.randrange(8)
        flipped = bytearray(data)
        flipped[offset] ^= 1 << bit
        yield f"bit {bit} of byte {offset}", bytes(flipped)


def test_the_lab_is_right(lab: Lab) -> None:
    assert len(lab.pristine) == 2
    assert lab.complaints(lambda target: None) == []


def test_a_flipped_bit_changes_no_answer(lab: Lab) -> None:
    luck = random.Random(None if NIGHTLY else 4)
    flips = _flips(lab.newest, luck, 1000 if NIGHTLY else 10)
    for number, (what, data) in enumerate(flips):
        kept, folds = 1 + number // 3 % 2, number % 4 == 0
        assert lab.complaints(_written(data), kept, folds=folds) == [], what


def test_every_flipped_bit_is_found_by_the_engine(lab: Lab, tmp_path: Path) -> None:
    """Not a promise of ours: what we rely on, since nothing else looks at the bytes.

    Of a block that is free nothing is read: it may as well be all zeros.
    """
    luck = random.Random(None if NIGHTLY else 5)
    flips = list(_flips(lab.newest, luck, 2000 if NIGHTLY else 12))

    def unnoticed() -> list[str]:
        found = []
        for number, (what, data) in enumerate(flips):
            path = tmp_path / f"{number}.duckdb"
            path.write_bytes(data)
            if _reads_whole(path):
                path.write_bytes(_without_block(lab.newest, data))
                if not _reads_whole(path):
                    found.append(what)
            path.unlink()
        return found

    assert truth.in_child(unnoticed) == []


def _without_block(sound: bytes, damaged: bytes) -> bytes:
    """The sound bytes, but zeros for the whole block in which the others differ."""
    at = next(n for n, (one, other) in enumerate(zip(sound, damaged, strict=True)) if one != other)
    begin = HEADERS + (at - HEADERS) // BLOCK * BLOCK if at >= HEADERS else at // STEP * STEP
    size = BLOCK if at >= HEADERS else STEP
    return sound[:begin] + bytes(size) + sound[begin + size :]


def _reads_whole(path: Path) -> bool:
    fd = os.open(path, os.O_RDONLY)
    try:
        made = generation.Generation(1, path.name, fd, "", truth.NOTHING, 0, 0, 0)
        return generation.is_whole(made)
    finally:
        os.close(fd)


def test_a_file_that_was_cut_changes_no_answer(lab: Lab) -> None:
    sizes = list(range(0, len(lab.newest), STEP))
    if not NIGHTLY:
        sizes = sizes[:5] + random.Random(6).sample(sizes[5:], 12)
    for number, size in enumerate(sizes):
        cut, folds = _written(lab.newest[:size]), number % 4 == 0
        assert lab.complaints(cut, 1 + number // 2 % 2, folds=folds) == [], size


def test_zeroed_blocks_change_no_answer(lab: Lab) -> None:
    places = [(0, STEP), (STEP, STEP), (2 * STEP, STEP), (0, HEADERS), (HEADERS, len(lab.newest))]
    places += [(begin, BLOCK) for begin in range(HEADERS, len(lab.newest), BLOCK)]
    for begin, length in places if NIGHTLY else places[:3] + places[3::8]:
        data = bytearray(lab.newest)
        rest = data[begin : begin + length]
        data[begin : begin + length] = bytes(len(rest))
        assert lab.complaints(_written(data)) == [], (begin, length)


def test_bytes_that_a_longer_file_has_behind_are_no_matter(lab: Lab) -> None:
    assert lab.complaints(_written(lab.newest + b"x" * 5000)) == []


def _planted(target: Path, make: Callable[[Path], object]) -> None:
    target.unlink()
    make(target)


@pytest.mark.parametrize("what", ["link", "loop", "fifo", "directory", "nothing", "text", "gone"])
def test_what_is_no_generation_is_passed_over(lab: Lab, tmp_path: Path, what: str) -> None:
    real = tmp_path / "real.duckdb"
    real.write_bytes(lab.newest)
    make: dict[str, Callable[[Path], object]] = {
        "link": lambda path: path.symlink_to(real),
        "loop": lambda path: path.symlink_to(path.name),
        "fifo": os.mkfifo,
        "directory": lambda path: path.mkdir(),
        "nothing": lambda path: path.write_bytes(b""),
        "text": lambda path: path.write_text("SELECT 1;\n" * 9999),
        "gone": lambda path: path.symlink_to("nowhere"),
    }
    for kept in (1, 2):
        assert lab.complaints(partial(_planted, make=make[what]), kept) == []


def test_a_generation_of_another_workspace_changes_no_answer(lab: Lab, tmp_path: Path) -> None:
    other = _make(tmp_path / "other", name="Other")
    for kept in (1, 2):
        assert lab.complaints(_written(other.newest), kept) == []


def test_a_generation_that_everybody_may_write_to_is_not_trusted(lab: Lab) -> None:
    def damage(target: Path) -> None:
        _tell(target, "UPDATE runs SET status = 'succeeded'")
        target.chmod(0o666)

    assert lab.complaints(damage, kept=1) == []


def _tell(target: Path, statement: str) -> None:
    truth.in_child(lambda: truth.tell(target, statement))


def test_the_known_bad_twin_is_caught(lab: Lab) -> None:
    """A lie that no checksum shows: told by somebody who is trusted, it is believed."""
    lie = partial(_tell, statement="UPDATE runs SET status = 'a lie'")
    assert lab.complaints(lie, kept=1) != []


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("fingerprint", "other"),
        ("knowledge", "{"),
        ("knowledge", "[]"),
        ("knowledge", '{"marks": 1, "journals": [], "boots": {}}'),
        ("knowledge", '{"marks": [], "journals": [], "boots": []}'),
        ("packed", "x"),
        ("highest", "x"),
        ("scopes", None),
        ("packed", None),
    ],
)
def test_what_another_release_wrote_is_passed_over(lab: Lab, key: str, value: str | None) -> None:
    statement = f"DELETE FROM state WHERE key = '{key}'"
    if value is not None:
        statement = f"UPDATE state SET value = '{value}' WHERE key = '{key}'"
    assert lab.complaints(partial(_tell, statement=statement), kept=1 + len(key) % 2) == []


@pytest.mark.parametrize("version", ["v1.0.0", "latest"])
def test_another_version_of_storage_changes_no_answer(lab: Lab, version: str) -> None:
    def damage(target: Path) -> None:
        path = target.with_suffix(".other")

        def work() -> None:
            with closing(connect()) as connection:
                connection.execute(f"ATTACH '{target}' AS a (READ_ONLY)")
                connection.execute(f"ATTACH '{path}' AS b (STORAGE_VERSION '{version}')")
                connection.execute("COPY FROM DATABASE a TO b")

        truth.in_child(work)
        path.rename(target)

    assert lab.complaints(damage) == []


def test_a_release_of_the_engine_that_is_to_come_is_passed_over(lab: Lab) -> None:
    data = bytearray(lab.newest)
    assert data[8:12] == b"DUCK"
    data[12:20] = (1 << 20).to_bytes(8, "little")
    assert lab.complaints(_written(data)) == []
