"""What hints say is read whatever else lies among the journals, and what is missing is noticed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from molexp.catalog.journals import (
    Hints,
    Knowledge,
    due,
    is_alarm,
    learned,
    read_hints,
    retired,
)
from molexp.disk import layout
from molexp.disk.beneath import Directory
from tests.users import User

HERE = ("h0", "boot")
FIRST = json.dumps({"writer": {"host": "h0", "boot_id": "boot"}})


def touch(number: int, *at: str) -> str:
    return json.dumps({"touch": {"n": number, "at": [*at]}})


def done(number: int) -> str:
    return json.dumps({"done": number})


class Yard:
    """A directory of journals, and a reader that remembers."""

    def __init__(self, path: Path) -> None:
        self.root = Directory.open(path)
        self.path = path / layout.JOURNAL
        self.path.mkdir(parents=True)
        (self.path / "mark.one").touch()
        self.knowledge = Knowledge()
        self.look()

    def write(self, *lines: str, name: str = "a.1.jsonl", first: str | None = FIRST) -> Path:
        """Append to a journal."""
        path = self.path / name
        with path.open("a") as file:
            if first is not None and not path.stat().st_size:
                file.write(f"{first}\n")
            file.writelines(f"{line}\n" for line in lines)
        return path

    def read(self, **said: object) -> Hints:
        """What a reader finds now."""
        return read_hints(self.root, self.knowledge.journals, **said)  # type: ignore[arg-type]

    def alarmed(self) -> bool:
        """Whether only a look at everything will do."""
        return is_alarm(self.root, self.knowledge, self.read(), HERE)

    def look(self) -> frozenset[str]:
        """Look at what is due; where that was."""
        hints = self.read()
        self.knowledge = learned(self.knowledge, hints, HERE, scanned=False)
        return due(hints)


@pytest.fixture
def yard(tmp_path: Path) -> Iterator[Yard]:
    made = Yard(tmp_path)
    yield made
    made.root.close()


def test_a_hint_is_due_until_it_was_looked_at_after_it_is_done(yard: Yard) -> None:
    yard.write(touch(1, "qm9"))
    assert yard.look() == {"qm9"}
    assert yard.look() == {"qm9"}
    yard.write(done(1))
    assert yard.look() == {"qm9"}
    assert yard.look() == frozenset()


def test_all_prefixes_of_a_change_are_due(yard: Yard) -> None:
    yard.write(touch(1, "a/b/c/**", "d/e/c/**"), done(1))
    assert yard.look() == {"a/b/c/**", "d/e/c/**"}


def test_a_torn_line_is_read_once_it_is_whole(yard: Yard) -> None:
    path = yard.write()
    with path.open("a") as file:
        file.write(touch(1, "qm9")[:-3])
    assert yard.look() == frozenset()
    with path.open("a") as file:
        file.write(touch(1, "qm9")[-3:] + "\n")
    assert yard.look() == {"qm9"}
    assert not yard.alarmed()


def test_a_line_after_a_torn_one_is_read(yard: Yard) -> None:
    path = yard.write()
    with path.open("a") as file:
        file.write('{"touch":{"n":1,"at"')
    assert yard.look() == frozenset()
    yard.write("", touch(2, "qm9"))
    assert yard.look() == {"qm9"}


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("[1]", set()),
        ('"touch"', set()),
        ("{}", set()),
        ('{"done":1e999}', set()),
        ('{"done":"1"}', set()),
        ('{"touch":{"n":1}}', set()),
        ('{"touch":{"n":1e999,"at":["qm9"]}}', set()),
        ('{"touch":{"n":{},"at":["qm9"]}}', set()),
        ('{"touch":{"n":1,"at":7}}', set()),
        ('{"touch":{"n":1,"at":["\\ud800"]}}', set()),
        ("[" * 5000, set()),
        ('{"later":{"n":1}}', set()),
        ('{"touch":{"n":1,"at":[7]}}', {"**"}),
        ('{"touch":{"n":1,"at":["a/b/c/d"]}}', {"**"}),
        ('{"touch":{"n":1,"at":["../../x"]}}', {"**"}),
        ('{"touch":{"n":1,"at":["a//b"]}}', {"**"}),
        ('{"touch":{"n":1,"at":["a\\u0000"]}}', {"**"}),
        ('{"touch":{"n":1,"at":["/**"]}}', {"**"}),
        ('{"touch":{"n":1,"at":["%s"]}}' % ("x" * 300), {"**"}),
        ('{"touch":{"n":1,"at":[""]}}', {""}),
    ],
)
def test_a_strange_line_hides_no_other(yard: Yard, line: str, wanted: set[str]) -> None:
    yard.write(line, touch(2, "qm9"))
    assert yard.look() == {"qm9"} | wanted
    yard.write(touch(3, "gdb"))
    assert "gdb" in yard.look()
    assert Knowledge.from_json(yard.knowledge.to_json()) == yard.knowledge


def test_bytes_that_are_no_text_raise_no_alarm_for_ever(yard: Yard) -> None:
    path = yard.write(touch(1, "qm9"))
    with path.open("ab") as file:
        file.write(b"\xff\xfe\n")
    yard.look()
    yard.knowledge = Knowledge.from_json(yard.knowledge.to_json())
    assert not yard.alarmed()


@pytest.mark.parametrize("kind", ["directory", "link", "fifo"])
def test_what_is_no_file_is_no_journal(yard: Yard, kind: str) -> None:
    path = yard.path / "strange.jsonl"
    if kind == "directory":
        path.mkdir()
    elif kind == "link":
        path.symlink_to("a.1.jsonl")
    else:
        os.mkfifo(path)
    yard.write(touch(1, "qm9"))
    assert yard.look() == {"qm9"}
    assert not yard.alarmed()


def test_where_no_directory_of_journals_can_be_everything_is_looked_at(tmp_path: Path) -> None:
    (tmp_path / ".molexp").mkdir()
    (tmp_path / layout.JOURNAL).touch()
    with Directory.open(tmp_path) as root:
        hints = read_hints(root, {})
        assert hints == Hints({}, frozenset())
        assert is_alarm(root, Knowledge(), hints, HERE)


@pytest.mark.users
def test_a_journal_that_may_not_be_read_lets_everything_be_looked_at(user: User) -> None:
    def body() -> tuple[bool, bool]:
        yard = Yard(user.directory)
        yard.write(touch(1, "qm9")).chmod(0)
        is_due = yard.look() >= {"**"} or os.geteuid() == 0
        return is_due, yard.look() >= {"**"} or os.geteuid() == 0

    assert user.run(body) == (True, True)


def test_a_foreign_first_line_is_an_alarm_once(yard: Yard) -> None:
    yard.write(touch(1, "qm9"), first="no json")
    assert yard.alarmed()
    yard.look()
    assert not yard.alarmed()


def test_a_first_line_that_is_not_there_yet_is_an_alarm(yard: Yard) -> None:
    (yard.path / "b.1.jsonl").touch()
    assert yard.alarmed()


def test_a_mark_that_is_not_known_and_no_mark_at_all_are_alarms(yard: Yard) -> None:
    assert not yard.alarmed()
    (yard.path / "mark.two").touch()
    assert yard.alarmed()
    for each in yard.path.iterdir():
        each.unlink()
    assert yard.alarmed()


def test_a_mark_made_again_under_the_same_name_is_another_one(yard: Yard) -> None:
    mark = yard.path / "mark.one"
    os.rename(mark, yard.path / "mark.aside")
    os.rename(yard.path / "mark.aside", mark)  # the same inode, at another time
    assert yard.alarmed()


def test_a_journal_that_is_gone_is_an_alarm_unless_it_was_finished(yard: Yard) -> None:
    path = yard.write(touch(1, "qm9"), done(1))
    yard.look()
    path.unlink()
    assert yard.alarmed()
    known = {name: each._replace(finished=True) for name, each in yard.knowledge.journals.items()}
    yard.knowledge = yard.knowledge._replace(journals=known)
    assert not yard.alarmed()


def test_a_journal_that_was_cut_is_an_alarm_however_long_it_has_grown_since(yard: Yard) -> None:
    path = yard.write(touch(1, "qm9"), done(1))
    yard.look()
    size = path.stat().st_size
    os.truncate(path, size - 5)
    assert yard.alarmed()
    yard.write("", *(touch(n, "gdb") for n in range(2, 9)))
    assert path.stat().st_size > size
    assert yard.alarmed()


def test_a_journal_that_is_another_file_is_an_alarm(yard: Yard) -> None:
    path = yard.write(touch(1, "qm9"), done(1))
    yard.look()
    text = path.read_bytes()
    (yard.path / "aside").write_bytes(text)
    os.rename(yard.path / "aside", path)
    assert yard.alarmed()


def test_another_boot_of_a_known_host_is_an_alarm(yard: Yard) -> None:
    assert is_alarm(yard.root, yard.knowledge, yard.read(), ("h0", "next"))
    other = json.dumps({"writer": {"host": "h1", "boot_id": "one"}})
    yard.write(name="b.1.jsonl", first=other)
    assert not yard.alarmed()  # a host that nobody has seen before
    yard.look()
    yard.write(name="c.1.jsonl", first=other.replace("one", "two"))
    assert yard.alarmed()
    yard.look()
    assert not yard.alarmed()


def test_hints_of_the_dead_and_of_the_silent_retire_and_only_those(yard: Yard) -> None:
    path = yard.write(touch(1, "qm9"))
    for is_dead, moment, is_open in ((False, 0.0, True), (True, 0.0, False), (False, 2e5, False)):
        hints = yard.read(
            dead=lambda owner, said=is_dead: said, moment=path.stat().st_mtime + moment
        )
        knowledge = retired(learned(yard.knowledge, hints, HERE, scanned=False), hints)
        assert bool(knowledge.journals[path.name].open) is is_open
        assert knowledge.journals[path.name].finished is is_dead


@pytest.mark.parametrize("is_open", [False, True])
def test_a_closed_journal_is_finished_unless_a_hint_is_open(yard: Yard, is_open: bool) -> None:
    path = yard.write(touch(1, "qm9"), *([] if is_open else [done(1)]), '{"closed":{}}')
    hints = yard.read()
    knowledge = retired(learned(yard.knowledge, hints, HERE, scanned=False), hints)
    assert knowledge.journals[path.name].finished is not is_open


def test_a_journal_that_vanishes_while_it_is_read_is_none(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    doomed = yard.write(touch(1, "qm9"), name="b.1.jsonl")
    yard.write(touch(1, "gdb"))
    listed = Directory.names

    def names(directory: Directory, **said: bool) -> list[str]:
        found = listed(directory, **said)
        doomed.unlink(missing_ok=True)
        return found

    monkeypatch.setattr(Directory, "names", names)
    assert yard.look() == {"gdb"}


def test_what_a_generation_keeps_comes_back_as_it_was(yard: Yard) -> None:
    yard.write(touch(1, "a/b"), touch(2, ""), done(1))
    yard.look()
    assert Knowledge.from_json(yard.knowledge.to_json()) == yard.knowledge
