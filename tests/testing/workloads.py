"""Small workloads that are right, and the twins that are wrong in one way each."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from itertools import count
from pathlib import Path

from molexp.disk import door
from molexp.errors import StorageError
from molexp.testing.filesystem import read_tree
from molexp.testing.workload import Ack, Step, Workload

TMP = ".molexp/tmp"


def folder(path: Path) -> int:
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY)


class Placed(Workload):
    """Right: a file is made aside, synced, and renamed into place, over the one before."""

    writers = ("w1",)
    versions: tuple[tuple[str, int], ...] = (("a", 1), ("b", 1), ("a", 2))

    def prepare(self, root: Path) -> None:
        (root / TMP).mkdir(parents=True)

    def steps(self, root: Path) -> Sequence[Step]:
        numbers = count()
        return [
            Step(f"{name}{version}", partial(self.place, root, name, version, numbers))
            for name, version in self.versions
        ]

    def place(self, root: Path, name: str, version: int, numbers: count[int]) -> Ack:
        top, tmp = folder(root), folder(root / TMP)
        try:
            self.put(top, tmp, f"w1.{next(numbers)}", name, self.data(name, version))
        finally:
            os.close(top)
            os.close(tmp)
        return {"name": name, "version": version, "durable": True}

    def put(self, top: int, tmp: int, aside: str, name: str, data: bytes) -> None:
        self.fill(tmp, aside, data)
        door.rename(tmp, aside, top, name)
        door.sync_directory(top)

    def fill(self, tmp: int, aside: str, data: bytes) -> None:
        fd = door.create(tmp, aside, 0o644)
        try:
            door.write_all(fd, data)
            door.sync_file(fd)
        finally:
            os.close(fd)

    def data(self, name: str, version: int) -> bytes:
        return f"{name} in version {version}\n".encode() * 3

    def check(self, root: Path, acks: Sequence[Ack]) -> list[str]:
        found = {path: data for path, data in read_tree(root).items() if path[0] != "."}
        whole = {(name, self.data(name, version)): version for name, version in self.versions}
        versions = {path: whole.get((path, data)) for path, data in found.items()}  # type: ignore[arg-type]
        complaints = [f"{path} is torn" for path, version in versions.items() if version is None]
        return complaints + [
            f"{ack['name']} is not of version {ack['version']}"
            for ack in acks
            if (versions.get(ack["name"]) or 0) < ack["version"]
        ]


class InPlace(Placed):
    """Wrong: the old file goes before the new one is whole."""

    def put(self, top: int, tmp: int, aside: str, name: str, data: bytes) -> None:
        with suppress(FileNotFoundError):
            door.unlink(top, name)
        self.fill(top, name, data)
        door.sync_directory(top)


class Unsynced(Placed):
    """Wrong: nobody waits for the bytes."""

    def fill(self, tmp: int, aside: str, data: bytes) -> None:
        fd = door.create(tmp, aside, 0o644)
        try:
            door.write_all(fd, data)
        finally:
            os.close(fd)


class NeverSynced(Unsynced):
    """Wrong: nobody waits for anything."""

    def put(self, top: int, tmp: int, aside: str, name: str, data: bytes) -> None:
        self.fill(tmp, aside, data)
        door.rename(tmp, aside, top, name)


class Nameless(Placed):
    """Wrong: nobody waits for the name."""

    def put(self, top: int, tmp: int, aside: str, name: str, data: bytes) -> None:
        self.fill(tmp, aside, data)
        door.rename(tmp, aside, top, name)


class NameFirst(Placed):
    """Wrong: the name is there before its bytes are safe."""

    def put(self, top: int, tmp: int, aside: str, name: str, data: bytes) -> None:
        fd = door.create(tmp, aside, 0o644)
        try:
            door.write_all(fd, data)
            door.rename(tmp, aside, top, name)
            door.sync_file(fd)
        finally:
            os.close(fd)
        door.sync_directory(top)


class TooCareful(Placed):
    """Right, with a sync that nothing needs."""

    def put(self, top: int, tmp: int, aside: str, name: str, data: bytes) -> None:
        super().put(top, tmp, aside, name, data)
        door.sync_directory(tmp)


class Swallowing(Placed):
    """Wrong: a full disk is nobody's business."""

    def put(self, top: int, tmp: int, aside: str, name: str, data: bytes) -> None:
        with suppress(StorageError):
            super().put(top, tmp, aside, name, data)


class Resigned(Placed):
    """Wrong: who asks again gets what they want to hear."""

    def prepare(self, root: Path) -> None:
        super().prepare(root)
        self.refused: set[bytes] = set()

    def put(self, top: int, tmp: int, aside: str, name: str, data: bytes) -> None:
        try:
            super().put(top, tmp, aside, name, data)
        except StorageError:
            if data not in self.refused:
                self.refused.add(data)
                raise


class Untyped(Placed):
    """Wrong: the caller gets an error that says nothing."""

    def put(self, top: int, tmp: int, aside: str, name: str, data: bytes) -> None:
        try:
            super().put(top, tmp, aside, name, data)
        except StorageError as error:
            raise ValueError("it did not work") from error


class Foreign(Placed):
    """Wrong: nobody can say whose file aside that is."""

    def put(self, top: int, tmp: int, aside: str, name: str, data: bytes) -> None:
        super().put(top, tmp, f"tmp-{aside}", name, data)


class Obstructed(Placed):
    """Wrong: what one attempt leaves aside is in the way of the next."""

    def put(self, top: int, tmp: int, aside: str, name: str, data: bytes) -> None:
        super().put(top, tmp, "w1", name, data)


class Stray(Placed):
    """Wrong: what is being made lies where it does not belong."""

    def put(self, top: int, tmp: int, aside: str, name: str, data: bytes) -> None:
        super().put(top, top, aside, name, data)


class Careless(Placed):
    """Wrong: one write is taken to write all."""

    def fill(self, tmp: int, aside: str, data: bytes) -> None:
        fd = door.create(tmp, aside, 0o644)
        try:
            door.write(fd, data)
            door.sync_file(fd)
        finally:
            os.close(fd)


class Insisting(Placed):
    """Wrong: a sync that failed is tried again, and believed."""

    def fill(self, tmp: int, aside: str, data: bytes) -> None:
        fd = door.create(tmp, aside, 0o644)
        try:
            door.write_all(fd, data)
            with suppress(StorageError):
                door.sync_file(fd)
                return
            door.sync_file(fd)
        finally:
            os.close(fd)


class Leaking(Placed):
    """Wrong: what is open when a call fails stays open."""

    def fill(self, tmp: int, aside: str, data: bytes) -> None:
        fd = door.create(tmp, aside, 0o644)
        door.write_all(fd, data)
        door.sync_file(fd)
        os.close(fd)


class BesideTheDoor(Placed):
    """Wrong: the bytes take another way."""

    def fill(self, tmp: int, aside: str, data: bytes) -> None:
        fd = os.open(aside, os.O_WRONLY | os.O_CREAT, dir_fd=tmp)
        os.write(fd, data)
        door.sync_file(fd)
        os.close(fd)


class Lines(Workload):
    """Right: lines are appended to one open file, and a commit point keeps all of them."""

    plan = ("one", "two", "commit", "three", "four", "commit")

    def prepare(self, root: Path) -> None:
        (root / "lines").touch()

    def steps(self, root: Path) -> Sequence[Step]:
        log = self.open_log(root)
        return [
            Step("commit", log.commit, fresh_after_sync=True)
            if word == "commit"
            else Step(word, partial(log.append, word))
            for word in self.plan
        ]

    def open_log(self, root: Path) -> Log:
        return Log(root)

    def check(self, root: Path, acks: Sequence[Ack]) -> list[str]:
        lines = (root / "lines").read_bytes().split(b"\n")[:-1]
        whole = [line for line in lines if line.decode() in self.plan]
        lost = [ack["line"] for ack in acks if "line" in ack and ack["line"].encode() not in whole]
        return [f"the line {line!r} is lost" for line in lost]


class Log:
    """An open file of lines."""

    def __init__(self, root: Path) -> None:
        self.top = folder(root)
        self.fd = -1
        self.torn = False
        self.failed = False

    def append(self, line: str) -> Ack:
        if self.fd < 0:
            self.fd = door.open_append(self.top, "lines", 0o644)
        data = b"\n" * self.torn + line.encode() + b"\n"
        self.torn = True
        door.write_all(self.fd, data)
        self.torn = False
        return {"line": line}

    def commit(self) -> Ack:
        if self.failed:
            raise StorageError("a commit failed", cure="begin again")
        self.failed = True
        door.sync_file_system(self.top)
        self.failed = False
        return {"commits": True}


class AckFirst(Lines):
    """Wrong: a line is acknowledged before it is written."""

    def open_log(self, root: Path) -> Log:
        class Lazy(Log):
            waiting = ""

            def append(self, line: str) -> Ack:
                if self.waiting:
                    super().append(self.waiting)
                self.waiting = line
                return {"line": line}

            def commit(self) -> Ack:
                self.append("")
                return super().commit()

        return Lazy(root)


class Torn(Lines):
    """Wrong: a line that was cut short swallows the next one."""

    def open_log(self, root: Path) -> Log:
        class Forgetful(Log):
            def append(self, line: str) -> Ack:
                self.torn = False
                return super().append(line)

        return Forgetful(root)


class Recommitting(Lines):
    """Wrong: a commit that failed is tried again as if it could succeed."""

    def open_log(self, root: Path) -> Log:
        class Hopeful(Log):
            def commit(self) -> Ack:
                self.failed = False
                return super().commit()

        return Hopeful(root)


class Removed(Workload):
    """Right: what is removed moves to another directory, whose names are synced first."""

    order = ("trash", "live")

    def prepare(self, root: Path) -> None:
        (root / "live/run").mkdir(parents=True)
        (root / "live/run/data").write_bytes(b"data")

    def steps(self, root: Path) -> Sequence[Step]:
        acts = (("make trash", self.make), ("move", self.move))
        return [Step(name, partial(act, root)) for name, act in acts]

    def make(self, root: Path) -> Ack:
        top = folder(root)
        try:
            with suppress(FileExistsError):
                door.mkdir(top, "trash", 0o755)
            door.sync_directory(top)
        finally:
            os.close(top)
        return {}

    def move(self, root: Path) -> Ack:
        held = {name: folder(root / name) for name in ("trash", "live")}
        try:
            with suppress(FileNotFoundError):
                door.rename(held["live"], "run", held["trash"], "run")
            for name in self.order:
                door.sync_directory(held[name])
        finally:
            for fd in held.values():
                os.close(fd)
        return {"moved": True, "durable": True}

    def check(self, root: Path, acks: Sequence[Ack]) -> list[str]:
        there = read_tree(root)
        copies = [path for path, data in there.items() if data == b"data"]
        if acks and acks[-1].get("moved") and copies != ["trash/run/data"]:
            return [f"it was moved, and lies in {copies}"]
        return [] if copies else ["it is lost"]


class LossyRemoved(Removed):
    """Wrong: the old name is gone for sure before the new one is there for sure."""

    order = ("live", "trash")
