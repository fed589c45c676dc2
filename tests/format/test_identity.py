"""The rules of docs/format/identity.md."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from molexp.disk import owner
from molexp.errors import FormatError, InvalidNameError
from molexp.model.address import Address, ScopeKind
from molexp.model.codec import canonical
from molexp.model.digest import hex_of, of_bytes, sum_text, total
from molexp.model.execution import Start
from molexp.model.ids import ENTROPY_BYTES, RUN_ENTROPY_BYTES, check_run_id, is_ulid, run_id, ulid
from molexp.model.names import Siblings, check_name, check_path, slug
from molexp.model.parameters import fingerprint
from molexp.model.scope import ProjectMeta
from tests.format.lab import (
    BEST,
    CANCELLED,
    DATA,
    DIVERGED,
    EXPERIMENT,
    FAILED,
    PROJECT,
    PUBLISHED,
    SUCCEEDED,
    Lab,
    Refusals,
)
from tests.format.seal import by_hand, seal, seal_text
from tests.format.test_assets import line_of


@pytest.mark.rule("NAME-1")
@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "a/b",
        "a\\b",
        "C:data",
        "a\x00",
        "a\nb",
        "a\u200b",
        "a\u2028",
        "e\u0301",
        "\ud800",
        " a",
        "a ",
        "a.",
        "NUL",
        "com1.txt",
        "lpt9 .x",
        "ä" * 121,
    ],
)
def test_forbidden_names_are_refused(refused: Refusals, name: str) -> None:
    for good in ("model.json", "Größe 2.txt", "ä" * 120, ".hidden", "com10", "ab:c"):
        assert check_name(good) == good
    with refused.by(InvalidNameError) as info:
        check_name(name)
    assert info.value.details["rule"]


@pytest.mark.rule("NAME-1")
@pytest.mark.parametrize("path", ["/a", "a/", "a//b", "a/../b", "a/" * 512 + "a", "sub/nul"])
def test_a_path_is_made_of_names(lab: Lab, refused: Refusals, path: str) -> None:
    assert check_path("figures/loss.png") == "figures/loss.png"
    with refused.by(InvalidNameError):
        check_path(path)
    ledger, line = f"{SUCCEEDED}/ledger.jsonl", line_of(lab, SUCCEEDED, "artifact")
    lab.change_line(ledger, line, lambda asset: asset.update(name=path))
    refused.in_lab(lab, ledger)


@pytest.mark.rule("NAME-2")
def test_names_differ_in_more_than_case(lab: Lab, refused: Refusals) -> None:
    Siblings(["b.txt", "a.txt"]).add("a.txt")
    for other in ("A.txt", "STRASSE", "E\u0301"):
        with refused.by(InvalidNameError, "differs only in case"):
            Siblings(["a.txt", "straße", "é"]).add(other)
    lab.write(f"{CANCELLED}/work/a", b"")
    lab.write(f"{CANCELLED}/work/A", b"")
    assert {violation.rule for violation in lab.check()} == {"END-4"}
    for name in ("a", "A"):
        lab.write(f"trash/{lab.read('meta.json')['uid']}/content/{name}", b"")
    assert "NAME-2" not in {violation.rule for violation in lab.check()}
    lab.write(f"{CANCELLED}/logs/Fit.log", b"")
    refused.in_lab(lab)


@pytest.mark.rule("NAME-3")
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("QM9, second try", "qm9-second-try"),
        ("  --A__b--  ", "a-b"),
        ("ﬁt №2 Å²", "fit-no2-2"),
        ("x" * 79 + " yz", "x" * 79),
    ],
)
def test_a_slug_is_made_in_one_way(refused: Refusals, name: str, expected: str) -> None:
    assert slug(name) == expected
    for bad in ("", "你好", "---", "NUL"):
        with refused.by(InvalidNameError):
            slug(bad)


@pytest.mark.rule("NAME-4")
@pytest.mark.parametrize("path", [PROJECT, EXPERIMENT])
def test_projects_and_experiments_lie_under_their_slug(
    lab: Lab, refused: Refusals, path: str
) -> None:
    lab.change(f"{path}/meta.json", name="Something else")
    refused.in_lab(lab, f"{path}/meta.json")
    os.rename(lab.at(path), lab.at(path).parent / "Not a slug")
    refused.in_lab(lab, f"{path.rpartition('/')[0]}/Not a slug")


@pytest.mark.rule("NAME-5")
def test_a_run_lies_under_its_id(lab: Lab, refused: Refusals) -> None:
    made = run_id("20260302-091300", bytes(RUN_ENTROPY_BYTES))
    assert (made, check_run_id("try 2")) == ("20260302-091300-aaaaaaaa", "try 2")
    with refused.by(InvalidNameError, "begins with a dot"):
        check_run_id(".hidden")
    lab.change(f"{DIVERGED}/meta.json", name="another")
    refused.in_lab(lab, f"{DIVERGED}/meta.json")


@pytest.mark.rule("NAME-6")
@pytest.mark.parametrize(
    "text", ["QM9", "qm9/Base line", "qm9/baseline/.x", "a/b/c/d", "/", "a//b"]
)
def test_an_address_is_slugs_and_a_run_id(refused: Refusals, text: str) -> None:
    assert [
        Address.parse(said).kind for said in ("", "qm9", "qm9/baseline", "qm9/baseline/R 1")
    ] == [*ScopeKind]
    with refused.by(InvalidNameError):
        Address.parse(text)


@pytest.mark.rule("ID-1")
@pytest.mark.parametrize(
    "wrong",
    ["", "01KJPX50B0000000000000000", "81KJPX50B00000000000000000", "01kjpx50b00000000000000000"],
)
def test_a_uid_is_a_ulid(lab: Lab, refused: Refusals, wrong: str) -> None:
    assert ulid(1469918176385, bytes(ENTROPY_BYTES)) == "01ARYZ6S410000000000000000"
    assert not is_ulid(wrong)
    lab.change(f"{PROJECT}/meta.json", uid=wrong)
    with refused.by(FormatError, "uid"):
        ProjectMeta.from_json(lab.at(f"{PROJECT}/meta.json").read_bytes(), "meta.json")


@pytest.mark.rule("ID-2")
@pytest.mark.parametrize("path", [DATA, FAILED, DIVERGED, EXPERIMENT])
def test_twins_are_both_reported(lab: Lab, refused: Refusals, path: str) -> None:
    copy = lab.at(path).parent / ("v2" if path == DATA else "0003" if path == FAILED else "copy")
    shutil.copytree(lab.at(path), copy)
    message = refused.in_lab(lab).message
    assert message.count(path.rpartition("/")[0]) == 2


def _spoil_writer(start: dict[str, Any]) -> None:
    start["writer"] = "ada"


def _spoil_pid(start: dict[str, Any]) -> None:
    start["owner"]["pid"] += 1


@pytest.mark.rule("ID-3")
@pytest.mark.parametrize("spoil", [_spoil_writer, _spoil_pid])
def test_the_id_of_a_writer_names_its_process(
    lab: Lab, refused: Refusals, spoil: Callable[[dict[str, Any]], None]
) -> None:
    me = owner.current()
    where = f"{me.boot_id}\n{me.pid_namespace}\n{me.time_namespace}"
    kernel = sha256(where.encode()).hexdigest()[:10]
    assert owner.writer().startswith(f"{kernel}-{os.getpid()}-{me.started}-")
    lab.change_line(f"{FAILED}/ledger.jsonl", 0, spoil)
    refused.in_lab(lab, f"{FAILED}/ledger.jsonl")


@pytest.mark.rule("ID-4")
def test_only_what_is_proven_is_dead(lab: Lab, refused: Refusals) -> None:
    with subprocess.Popen(["true"]) as child:
        pass
    me = owner.current()
    assert owner.judge(me) is owner.Life.ALIVE
    assert owner.judge(me._replace(pid=child.pid, started=1)) is owner.Life.DEAD
    assert owner.judge(me._replace(started=me.started + 1)) is owner.Life.DEAD
    elsewhere = me._replace(pid=child.pid, started=1, boot_id="another")
    refused.unequal(owner.Life.DEAD, owner.judge(elsewhere))
    refused.unequal(owner.Life.DEAD, owner.judge(elsewhere._replace(pid_namespace="pid:[1]")))
    start = json.loads(lab.at(f"{FAILED}/ledger.jsonl").read_text().splitlines()[0])["start"]
    del start["owner"]["boot_id"]
    with refused.by(FormatError, "owner/boot_id"):
        Start.from_json(json.dumps(start).encode(), "ledger.jsonl")


@pytest.mark.rule("PRINT-1")
@pytest.mark.parametrize(
    ("value", "spelling"),
    [
        ({"b": 1, "a": [True, None, "x"]}, b'{"a":[true,null,"x"],"b":1}'),
        ({"Z": 1, "é": 2, "a": 3}, b'{"Z":1,"a":3,"\\u00e9":2}'),
        ('"\\/\b\t\n\f\r\x01\x7f😀', b'"\\"\\\\/\\b\\t\\n\\f\\r\\u0001\\u007f\\ud83d\\ude00"'),
        (
            [1.0, 0.0001, 1e-5, 1e15, 1e16, 1.5e16],
            b"[1.0,0.0001,1e-05,1000000000000000.0,1e+16,1.5e+16]",
        ),
        ([-0.0, 5e-324, 1e22, 0.1 + 0.2], b"[-0.0,5e-324,1e+22,0.30000000000000004]"),
        ([float("nan"), "NaN", 10**30], b'["NaN","\\\\NaN",1000000000000000000000000000000]'),
        ({}, b"{}"),
    ],
)
def test_canonical_json_has_one_spelling(refused: Refusals, value: Any, spelling: bytes) -> None:
    assert canonical(value) == spelling
    assert fingerprint(value) == of_bytes(spelling)
    prints = {fingerprint(one) for one in (1, 1.0, "1", True)}
    refused.unequal(prints, {fingerprint(1)})
    assert len(prints) == 4


@pytest.mark.rule("DIGEST-1")
@pytest.mark.parametrize("wrong", ["", "0" * 64, "md5:" + "0" * 32, "sha256:" + "A" * 64])
def test_a_digest_names_its_algorithm(lab: Lab, refused: Refusals, wrong: str) -> None:
    assert of_bytes(b"abc") == "sha256:" + sha256(b"abc").hexdigest()
    with refused.by(ValueError, "not a digest"):
        hex_of(wrong)
    lab.change(f"{DATA}/asset.json", content_hash=wrong)
    assert "RECORD-5" in [violation.rule for violation in lab.check()]


@pytest.mark.rule("PRINT-1")
@pytest.mark.parametrize("spelling", [b'{"lr":1}', b'{"lr": 1.0}', b'{"lr":1.00}', b'{"lr":"1.0"}'])
def test_a_hash_of_another_spelling_is_reported(
    lab: Lab, refused: Refusals, spelling: bytes
) -> None:
    def set_config(start: dict[str, Any], digest: str) -> None:
        start.update(config={"lr": 1.0}, config_hash=digest)

    ledger = f"{CANCELLED}/ledger.jsonl"
    lab.change_line(ledger, 0, partial(set_config, digest=of_bytes(b'{"lr":1.0}')))
    assert "LEDGER-3" not in {violation.rule for violation in lab.check()}
    lab.change_line(ledger, 0, partial(set_config, digest=of_bytes(spelling)))
    found = [violation for violation in lab.check() if violation.rule == "LEDGER-3"]
    assert [violation.path for violation in found] == [ledger]
    refused.unequal([], found)


@pytest.mark.rule("DIGEST-2")
def test_many_digests_add_up_as_sha256sum_prints_them(refused: Refusals, tmp_path: Path) -> None:
    names = ["b", "a\nb", "a\\b", "é", "B", "a b", "𝄞", "\uff5e"]
    for name in names:
        (tmp_path / name).write_text(name)
    digests = {name: of_bytes(name.encode()) for name in names}
    ordered = sorted(names, key=lambda name: name.encode())
    printed = subprocess.run(
        ["sha256sum", "--", *ordered], cwd=tmp_path, check=True, capture_output=True
    ).stdout
    assert sum_text(digests).encode() == printed
    assert total(digests) == of_bytes(printed)
    refused.unequal(total(digests), of_bytes(b"".join(sorted(printed.splitlines(True)))))


@pytest.mark.rule("SEAL-1")
@pytest.mark.parametrize(
    "path", ["meta.json", f"{DATA}/asset.json", f"{PUBLISHED}/asset.json", f"{FAILED}/end.json"]
)
def test_a_seal_covers_every_closed_record(lab: Lab, refused: Refusals, path: str) -> None:
    before = seal(lab.root)
    inner = lab.at(BEST)
    assert seal(inner) == by_hand(seal_text(inner))
    lab.remove(f"{DIVERGED}/requests")
    lab.append(f"{BEST}/edits-lab-ws1-ada.jsonl", b"\n")
    assert seal(lab.root) == before
    lab.append(path, b"\n")
    refused.unequal(before, seal(lab.root))
