from __future__ import annotations

from pathlib import Path

import pytest

import molexp as me
from molexp.errors import InvalidNameError
from molexp.recording import session
from molexp.recording.claim import Claim
from molexp.recording.writing import Writing
from tests.recording.lab import files


@pytest.fixture
def writing(ctx: me.RunContext) -> Writing:
    return session.join(ctx.execution_dir).recorder.writing()


def test_the_first_free_version_is_claimed(writing: Writing) -> None:
    claim = None
    for wanted in ("a/x.txt", "a/x.v2.txt", "a/x.v3.txt"):
        claim = Claim(writing, "artifacts", "a/x.txt")
        claim.file().close()
        assert claim.path == f"artifacts/{wanted}"
    assert claim is not None
    assert claim.version == 3
    assert claim.name == "a/x.txt"


def test_what_others_made_is_passed_over(writing: Writing) -> None:
    artifacts = Path(writing.place.path, "artifacts")
    artifacts.mkdir()
    (artifacts / "x").symlink_to("/nowhere")
    claim = Claim(writing, "artifacts", "x")
    claim.file().close()
    assert claim.path == "artifacts/x.v2"


def test_a_claim_whose_block_raises_is_taken_away(writing: Writing, run: me.Run) -> None:
    claim = Claim(writing, "artifacts", "d")
    with claim.directory() as made:
        (run.run_dir / "0001/artifacts/d/file").write_text("x")
        with pytest.raises(ZeroDivisionError), claim.undone_on_error():
            raise ZeroDivisionError
    assert made.path.endswith("artifacts/d")
    assert files(run.run_dir / "0001") == {"ledger.jsonl"}


def test_a_name_that_breaks_a_rule_claims_nothing(writing: Writing, run: me.Run) -> None:
    for name in ("../a", "a/../b", "", "/a", "a//b", "con", "a\\b"):
        with pytest.raises(InvalidNameError):
            Claim(writing, "artifacts", name)
    assert files(run.run_dir / "0001") == {"ledger.jsonl"}
