"""Digests: the text is what sha256sum prints and takes, and a sum knows no order."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from molexp.model.digest import hex_of, new_hash, of_bytes, spell, sum_text, total

FILES = {
    "B.txt": b"capitals first",
    "a b": b"space",
    "a\nb": b"newline",
    "a\\b": b"backslash",
    "a\\nb": b"a backslash and an n",
    "back\\slash\nand newline": b"both",
    "new\nline": b"",
    "sub/dir/é.txt": b"\0\xff",
    "z*?[x]": b"*" * 100_000,
    "é": b"after ASCII",
    "\uffee": b"later",
    "🎉": b"last by its bytes, not so in UTF-16",
}
HEX = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

digests_of_anything = st.dictionaries(
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1),
    st.binary().map(of_bytes),
)


def sha256sum(directory: Path, *arguments: str) -> str:
    """What the real one prints."""
    done = subprocess.run(["sha256sum", *arguments], cwd=directory, capture_output=True, check=True)
    return done.stdout.decode()


def write(directory: Path) -> dict[str, str]:
    """The files, really there, and their digests."""
    for name, data in FILES.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return {name: of_bytes(data) for name, data in FILES.items()}


def test_the_text_is_what_sha256sum_prints(tmp_path: Path) -> None:
    digests = write(tmp_path)
    assert sum_text(digests) == sha256sum(tmp_path, "--", *sorted(FILES, key=str.encode))


def test_sha256sum_takes_the_text_and_finds_what_changed(tmp_path: Path) -> None:
    (tmp_path / "sums").write_text(sum_text(write(tmp_path)), newline="")
    said = sha256sum(tmp_path, "--strict", "-c", "sums")
    assert said.count(": OK\n") == len(FILES)
    (tmp_path / "a\\b").write_bytes(b"changed")
    with pytest.raises(subprocess.CalledProcessError) as caught:
        sha256sum(tmp_path, "--strict", "-c", "sums")
    assert caught.value.stdout.decode().count(": FAILED\n") == 1


def test_a_carriage_return_is_escaped_as_newer_tools_do() -> None:
    assert sum_text({"a\rb": f"sha256:{HEX}"}) == f"\\{HEX}  a\\rb\n"


@given(digests_of_anything)
def test_each_path_has_one_line_and_different_paths_different_lines(
    digests: dict[str, str],
) -> None:
    text = sum_text(digests)
    lines = text.split("\n")
    assert lines.pop() == ""
    assert len(lines) == len(digests)
    restored = {}
    for line in lines:
        escaped = line.startswith("\\")
        raw, path = line.removeprefix("\\")[:64], line.removeprefix("\\")[66:]
        if escaped:
            path = path.replace("\\\\", "\0").replace("\\n", "\n").replace("\\r", "\r")
        restored[path.replace("\0", "\\")] = f"sha256:{raw}"
    assert restored == digests


@given(digests_of_anything)
def test_a_sum_knows_no_order_and_is_the_hash_of_the_text(digests: dict[str, str]) -> None:
    turned = dict(reversed(digests.items()))
    assert total(digests) == total(turned)
    assert hex_of(total(digests)) == hashlib.sha256(sum_text(turned).encode()).hexdigest()


@given(digests_of_anything.filter(bool), st.data())
def test_a_sum_notices_a_change_of_any_digest_or_path(
    digests: dict[str, str], data: st.DataObject
) -> None:
    path = data.draw(st.sampled_from(sorted(digests)))
    others = {other: digest for other, digest in digests.items() if other != path}
    changed = of_bytes(digests[path].encode())
    assert len({total(d) for d in (digests, others, {**digests, path: changed})}) == 3
    assert total({**others, path + "\n": digests[path]}) != total(digests)


def test_paths_that_are_no_utf_8_are_summed_by_their_bytes(tmp_path: Path) -> None:
    name = b"caf\xe9".decode("utf-8", "surrogateescape")
    (tmp_path / name).write_bytes(b"")
    text = subprocess.run(["sha256sum", name], cwd=tmp_path, capture_output=True, check=True).stdout
    digests = {name: of_bytes(b"")}
    assert sum_text(digests).encode("utf-8", "surrogateescape") == text
    assert total(digests) == of_bytes(text)


def test_a_digest_is_the_same_in_pieces_and_whole() -> None:
    raw_hash = new_hash()
    assert spell(raw_hash) == of_bytes(b"") == f"sha256:{HEX}"
    raw_hash.update(b"a")
    raw_hash.update(b"b")
    assert spell(raw_hash) == of_bytes(b"ab")
    assert hex_of(f"sha256:{HEX}") == HEX


@pytest.mark.parametrize(
    "text",
    ["", HEX, f"md5:{HEX}", f"sha256:{HEX[1:]}", f"sha256:{HEX}0", f"sha256:{HEX.upper()}",
     f"sha256:{HEX}\n", f" sha256:{HEX}", f"SHA256:{HEX}", f"sha256:{'٠' * 64}"],
)  # fmt: skip
def test_what_is_no_digest_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a digest"):
        hex_of(text)
    with pytest.raises(ValueError, match="not a digest"):
        total({"a": text})
