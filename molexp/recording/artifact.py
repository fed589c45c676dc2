"""Artifacts: files and directories that a task saves under a name, hashed on their way."""

from __future__ import annotations

import codecs
import io
import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, TypedDict, Unpack, overload

from molexp.disk import layout
from molexp.disk.beneath import Directory
from molexp.disk.digest import HashingWriter, hash_tree
from molexp.errors import InvalidInputError
from molexp.lifecycle.place import check_apart, check_source, copy_file, copy_tree
from molexp.model.asset import ArtifactAsset, Asset
from molexp.recording.claim import Claim
from molexp.recording.content import media_type, to_bytes
from molexp.recording.recorder import Recorder


class Said(TypedDict, total=False):
    """What may be said of a file that is opened."""

    encoding: str
    tags: Mapping[str, str | bool]
    meta: Mapping[str, Any]
    consumed: Sequence[Asset | str]
    mime: str


class Artifacts:
    """``ctx.artifact``: what a task leaves behind on purpose."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._open: list[BinaryArtifact | TextArtifact] = []

    def save(
        self,
        name: str,
        content: Any,
        *,
        tags: Mapping[str, str | bool] | None = None,
        meta: Mapping[str, Any] | None = None,
        consumed: Sequence[Asset | str] = (),
        mime: str | None = None,
    ) -> ArtifactAsset:
        """Save bytes, text, JSON values, a pydantic model, or the file or folder at a ``Path``.

        A name that was saved before in this execution gets the next version. ``consumed`` are the
        assets that it was made from. Raises InvalidNameError, InvalidInputError, NotFoundError for
        a path where nothing lies, and StorageError; then nothing is half saved.
        """
        said = self._recorder.said(tags, meta, consumed)
        said["mime"] = mime or media_type(name, content)
        if isinstance(content, os.PathLike):
            return self._save_path(name, Path(content), said)
        data = to_bytes(content)
        claim = Claim(self._recorder.writing(), layout.ARTIFACTS, name)
        file = claim.file()
        with claim.undone_on_error():
            with file:
                file.write(data)
            return self._tell(claim, file, said)

    @overload
    def open(
        self, name: str, mode: Literal["wb", "xb"] = ..., **said: Unpack[Said]
    ) -> BinaryArtifact: ...
    @overload
    def open(
        self, name: str, mode: Literal["w", "wt", "x", "xt"], **said: Unpack[Said]
    ) -> TextArtifact: ...

    def open(
        self, name: str, mode: str = "wb", **said: Unpack[Said]
    ) -> BinaryArtifact | TextArtifact:
        """A new file to write to; closing it makes it an artifact, an error in its block does not.

        It can be read back and sought in, as zip, HDF5 and PyTorch want. ``asset`` is there once
        it is closed.
        """
        if mode not in ("wb", "xb", "w", "wt", "x", "xt"):
            raise InvalidInputError(
                f"an artifact is not opened with the mode {mode!r}",
                cure="open it with 'wb' or 'w', for what is saved is never changed; "
                "what is there is read by `asset.read_bytes()`",
                argument="mode",
            )
        is_binary = "b" in mode
        encoding = _checked(said)
        told = self._recorder.said(said.get("tags"), said.get("meta"), said.get("consumed", ()))
        told["mime"] = said.get("mime") or media_type(name, b"" if is_binary else "")
        claim = Claim(self._recorder.writing(), layout.ARTIFACTS, name)
        opened: BinaryArtifact | TextArtifact
        with claim.writing.at_work():
            raw = claim.file()
            opened = binary = BinaryArtifact(raw, claim, lambda: self._tell(claim, raw, told))
            if not is_binary:
                opened = TextArtifact(binary, encoding)
            self._open = [each for each in self._open if not each.closed]
            self._open.append(opened)  # or a text that nobody holds any more would be closed
        return opened

    @contextmanager
    def directory(
        self,
        name: str,
        *,
        tags: Mapping[str, str | bool] | None = None,
        meta: Mapping[str, Any] | None = None,
        consumed: Sequence[Asset | str] = (),
    ) -> Iterator[Path]:
        """A new directory to put files into, by any program; leaving the block makes it one asset.

        An error in the block takes it away again.
        """
        said = self._recorder.said(tags, meta, consumed)
        claim = Claim(self._recorder.writing(), layout.ARTIFACTS, name)
        with claim.directory() as made:
            try:
                yield Path(os.path.abspath(made.path))
            except BaseException:
                claim.undo()
                raise
            if claim.is_mine:
                with claim.undone_on_error():
                    self._recorder.writing()
                    self._tell_tree(claim, made, said)

    def close(self, *, failed: bool) -> None:
        """Close the files that a task left open; those of one that ``failed`` are no artifacts."""
        for each in self._open:
            if failed:
                each.abandon()
            each.close()

    def _save_path(self, name: str, source: Path, said: dict[str, Any]) -> ArtifactAsset:
        check_source(source)
        real = Path(os.path.realpath(source))
        check_apart(self._recorder.writing().site.root.path, real)
        claim = Claim(self._recorder.writing(), layout.ARTIFACTS, name)
        modes = claim.writing.site.modes
        with Directory.open(real.parent) as parent:
            if stat.S_ISDIR(parent.stat(real.name).st_mode):
                with claim.directory() as made, claim.undone_on_error():
                    with parent.enter(real.name) as tree:
                        copy_tree(tree, made, layout.Modes(modes.ended_file, modes.directory))
                    return self._tell_tree(claim, made, said)
            file = claim.make(
                lambda above, new: copy_file(parent, real.name, above, new, modes.ended_file)
            )
        with claim.undone_on_error():
            return self._tell(claim, file, said)

    def _tell(self, claim: Claim, file: HashingWriter, said: dict[str, Any]) -> ArtifactAsset:
        claim.wrote(file)
        return self._recorder.tell_asset(
            ArtifactAsset,
            claim.writing,
            name=claim.name,
            version=claim.version,
            path=claim.path,
            size=file.size,
            content_hash=file.content_hash,
            **said,
        )

    def _tell_tree(self, claim: Claim, made: Directory, said: dict[str, Any]) -> ArtifactAsset:
        tree = hash_tree(made)
        claim.wrote_tree(tree.files)
        said.pop("mime", None)
        return self._recorder.tell_asset(
            ArtifactAsset,
            claim.writing,
            name=claim.name,
            version=claim.version,
            path=claim.path,
            size=tree.size,
            content_hash=tree.content_hash,
            **said,
        )


def _checked(said: Said) -> str:
    """The encoding that is said, of what may be said at all."""
    strange = sorted(said.keys() - Said.__annotations__.keys())
    if strange:
        raise InvalidInputError(
            f"nothing is known of {strange[0]!r} when an artifact is opened",
            cure=f"say any of {', '.join(Said.__annotations__)}",
            argument=strange[0],
        )
    encoding = said.get("encoding", "utf-8")
    try:
        codecs.lookup(encoding)
    except (LookupError, TypeError, ValueError) as error:
        raise InvalidInputError(
            f"there is no encoding {encoding!r}",
            cure="say 'utf-8', or nothing",
            argument="encoding",
        ) from error
    return encoding


class BinaryArtifact(io.BufferedRandom):
    """A file that becomes an artifact when it is closed."""

    def __init__(
        self, raw: HashingWriter, claim: Claim, register: Callable[[], ArtifactAsset]
    ) -> None:
        super().__init__(raw)
        self.asset: ArtifactAsset | None = None
        self._claim = claim
        self._register = register
        self._is_abandoned = False

    def abandon(self) -> None:
        """Let it be no artifact: closing takes it away."""
        self._is_abandoned = True

    def close(self) -> None:
        """Close the file, and write it down; raises StorageError, and then it is taken away."""
        if self.closed:
            return
        if not self._claim.is_mine:  # what a forked child inherited is its parent's to write
            self.raw.close()
            return
        if self._is_abandoned:
            with suppress(OSError):
                super().close()
            self._claim.undo()
            return
        with self._claim.undone_on_error():
            super().close()
            self.asset = self._register()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            self.abandon()
        self.close()


class TextArtifact(io.TextIOWrapper):
    """A text file that becomes an artifact when it is closed."""

    def __init__(self, binary: BinaryArtifact, encoding: str) -> None:
        super().__init__(binary, encoding=encoding, newline="")
        self._binary = binary

    @property
    def asset(self) -> ArtifactAsset | None:
        """The artifact; None until it is closed."""
        return self._binary.asset

    def abandon(self) -> None:
        """Let it be no artifact: closing takes it away."""
        self._binary.abandon()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            self.abandon()
        self.close()
