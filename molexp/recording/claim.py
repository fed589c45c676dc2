"""A name in an execution that nobody else has: the first free version of what was asked for."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import TypeVar

from molexp.disk import door, owner
from molexp.disk.beneath import Directory, explained
from molexp.disk.digest import HashingWriter
from molexp.disk.trash import delete
from molexp.errors import TransitionError
from molexp.model.execution import FileEntry
from molexp.model.names import check_path
from molexp.recording.writing import Writing

Made = TypeVar("Made")


class Claim:
    """The path beneath ``top`` that was claimed for ``name``, and the version that it has.

    Raises InvalidNameError for a name that breaks a rule, or is a twin of one known here.
    """

    def __init__(self, writing: Writing, top: str, name: str) -> None:
        self.writing = writing
        self.name = check_path(name)
        self.version = 1
        above, _, self._base = f"{top}/{name}".rpartition("/")
        self._above = self._entry = above
        writing.know(top, name)

    @property
    def path(self) -> str:
        """What was claimed, relative to the execution."""
        return f"{self._above}/{self._entry}"

    @property
    def is_mine(self) -> bool:
        """Whether it is this process that claimed it, and not the one that forked it."""
        return self.writing.forks == owner.forks

    def file(self) -> HashingWriter:
        """Claim a new file, to write to."""
        mode = self.writing.site.modes.ended_file
        return self.make(lambda above, name: HashingWriter(above, name, mode))

    def directory(self) -> Directory:
        """Claim a new directory."""
        mode = self.writing.site.modes.directory
        self.make(lambda above, name: door.mkdir(above.fd, name, mode))
        return self.writing.place.enter(self.path)

    def make(self, create: Callable[[Directory, str], Made]) -> Made:
        """Claim by a call that creates, and raises FileExistsError where something lies."""
        writing, first = self.writing, f"{self._above}/{self._base}"
        above = writing.inside(self._above)
        stem, suffix = os.path.splitext(self._base)
        self.version = writing.versions.get(first, 1)
        while True:
            version = f".v{self.version}" if self.version > 1 else ""
            self._entry = f"{stem}{version}{suffix}"
            try:
                with writing.at_work():
                    created = create(above, self._entry)
            except FileExistsError:
                self.version += 1
                continue
            except FileNotFoundError as error:
                raise explained(error, above.path) from error
            writing.versions[first] = self.version + 1
            writing.batch.changed(above)
            return created

    def undone_on_error(self) -> Undone:
        """Take away what was claimed if the block does not make an asset of it."""
        return Undone(self)

    def undo(self) -> None:
        """Take away what was claimed; what cannot be taken away is an orphan."""
        if not self.is_mine:
            return  # a forked child leaves a block of its parent, who goes on in it
        with suppress(OSError, TransitionError), self.writing.at_work():
            delete(self.writing.inside(self._above), self._entry)

    def wrote(self, file: HashingWriter) -> None:
        """Note what a file that is complete holds."""
        writing = self.writing
        writing.batch.wrote(writing.inside(self._above), self._entry)
        writing.known[self.path] = FileEntry.sure(
            path=self.path,
            size=file.size,
            mtime_ns=file.mtime_ns,
            content_hash=file.content_hash,
        )

    def wrote_tree(self, files: Sequence[FileEntry]) -> None:
        """Note what a directory that is complete holds."""
        writing = self.writing
        for file in files:
            path = f"{self.path}/{file.path}"
            above, _, name = path.rpartition("/")
            with writing.place.enter(above) as directory:
                writing.batch.wrote(directory, name)
                writing.batch.changed(directory)
            writing.known[path] = file.evolve(path=path)


class Undone:
    """The block that makes an asset of what was claimed, or takes it away."""

    __slots__ = ("_claim",)

    def __init__(self, claim: Claim) -> None:
        self._claim = claim

    def __enter__(self) -> None:
        try:
            self._claim.writing.at_work().__enter__()
        except BaseException:
            self._claim.undo()
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._claim.writing.at_work().__exit__()
        if kind is not None:
            self._claim.undo()
