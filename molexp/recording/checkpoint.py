"""Checkpoints: states to resume from; each is a commit point, and they chain over executions."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from molexp.disk import layout
from molexp.disk.beneath import Directory
from molexp.errors import InvalidInputError
from molexp.lifecycle.place import check_source, copy_file
from molexp.model.asset import CheckpointAsset
from molexp.model.codec import encode
from molexp.model.names import check_path
from molexp.recording.claim import Claim
from molexp.recording.content import JSON, to_bytes
from molexp.recording.find import History
from molexp.recording.recorder import Recorder


class Checkpoints:
    """``ctx.checkpoint(name, data=)``: what the next execution needs to go on."""

    def __init__(self, recorder: Recorder, history: History) -> None:
        self._recorder = recorder
        self._history = history
        self._newest: CheckpointAsset | None = None

    def __call__(
        self,
        name: str,
        data: Any = None,
        *,
        step: int | None = None,
        tags: Mapping[str, str | bool] | None = None,
        meta: Mapping[str, Any] | None = None,
    ) -> CheckpointAsset:
        """Save a state; everything written until then survives power loss once this returns.

        ``data`` is made of JSON values, or bytes, or the ``Path`` of a file. The step is the one
        given, or ``data["step"]``. ``load()["data"]`` gives the data back.
        """
        said = self._recorder.said(tags, meta)
        check_path(name)  # what is claimed has a suffix, which may make a name of none
        step = _step(step, data)
        writing = self._recorder.writing()
        parent = self.latest()
        content, suffix = _content(data)
        if isinstance(content, Path):
            _check_file(content)
        claim = Claim(writing, layout.CHECKPOINTS, f"{name}{suffix}")
        if isinstance(content, Path):
            real = Path(os.path.realpath(content))
            mode = writing.site.modes.ended_file
            with Directory.open(real.parent) as above:
                file = claim.make(lambda place, new: copy_file(above, real.name, place, new, mode))
        else:
            file = claim.file()
        with claim.undone_on_error():
            if not isinstance(content, Path):
                with file:
                    file.write(content)
            claim.wrote(file)
            asset = self._recorder.tell_asset(
                CheckpointAsset,
                writing,
                name=name,
                version=claim.version,
                path=claim.path,
                size=file.size,
                content_hash=file.content_hash,
                mime=JSON if suffix == ".json" else None,
                parent=parent.asset_id if parent is not None else None,
                step=step,
                **said,
            )
        self._newest = asset
        if step is not None:
            self._recorder.last_step = step
        writing.batch.commit()
        return asset

    def latest(self) -> CheckpointAsset | None:
        """The newest checkpoint of this execution, else of the one that it resumed."""
        if self._newest is None or not self._recorder.reading().is_alone:
            self._newest = self._history.latest_checkpoint()
        return self._newest


def _step(step: Any, data: Any) -> int | None:
    if step is None:
        said = data.get("step") if isinstance(data, Mapping) else None
        return said if _counts(said) else None
    return check_step(step)


def check_step(step: Any) -> int:
    """Return a step that can be gone on from; raises InvalidInputError."""
    if not _counts(step):
        raise InvalidInputError(
            f"the step is {step!r}",
            cure="count steps by integers from 0",
            argument="step",
        )
    return int(step)


def _counts(step: object) -> bool:
    return isinstance(step, int) and not isinstance(step, bool) and 0 <= step < 1 << 63


def _check_file(path: Path) -> None:
    check_source(path)
    if path.is_dir():
        raise InvalidInputError(
            f"{path} is a directory, and a checkpoint is one file",
            cure="pack it, or save it as an artifact: `ctx.artifact.save(name, path)`",
            argument="data",
        )


def _content(data: Any) -> tuple[bytes | memoryview | Path, str]:
    if isinstance(data, os.PathLike):
        return Path(data), Path(data).suffix
    if isinstance(data, bytes | bytearray | memoryview):
        return to_bytes(data), ".bin"
    return json.dumps({"data": encode(data, "data")}, ensure_ascii=False).encode(), ".json"
