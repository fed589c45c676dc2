"""A site: what one process needs to write, and another one after a fork."""

from __future__ import annotations

import os
from pathlib import Path

from molexp.disk import layout
from molexp.lifecycle.site import new_run_id, new_uid, now
from molexp.model.ids import is_ulid
from tests.lifecycle.lab import make_lab, open_site


def test_ids_sort_by_the_moment_they_were_made() -> None:
    made = [new_uid() for _ in range(3)]
    assert all(map(is_ulid, made))
    assert len(set(made)) == 3
    moment = now()
    assert new_run_id(moment).startswith(f"{moment:%Y%m%d-%H%M%S}-")


def test_a_forked_child_writes_under_a_name_of_its_own(tmp_path: Path) -> None:
    lab = make_lab(tmp_path / "lab")
    site = open_site(lab)
    with site.journal.changing("qm9"):
        pass
    child = os.fork()
    if not child:
        with site.journal.changing("qm9/baseline"):
            pass
        os._exit(0)
    os.waitpid(child, 0)
    with site.journal.changing("qm9"):
        pass
    journals = sorted((lab / layout.JOURNAL).glob("*.jsonl"))
    assert len(journals) == 2
    (childs,) = (path for path in journals if not path.name.startswith(site.writer))
    assert "qm9/baseline" in childs.read_text()
    assert '"qm9/baseline"' not in next(p for p in journals if p != childs).read_text()
    site.close()
