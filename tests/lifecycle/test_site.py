"""A site: what one process needs to write, and another one after a fork."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from molexp.disk import door, layout, owner
from molexp.disk.beneath import Directory
from molexp.errors import FormatError, InvalidNameError, NotFoundError
from molexp.lifecycle.site import MAX_WAYS, Site, new_run_id, new_uid, now
from molexp.model.ids import is_ulid
from tests.disk import fork_each, refusing
from tests.lifecycle.lab import RUN, make_lab, open_site

RUNS = RUN.rpartition("/")[0]
EXPERIMENT = RUNS.rpartition("/")[0]


def enters(site: Site, path: str, expected: Path) -> bool:
    """Whether a path leads to a directory, twice: by walking there, and by the way held open."""
    found = []
    for _ in range(2):
        with site.enter(path) as directory:
            found.append(os.path.samestat(os.fstat(directory.fd), expected.stat()))
    return all(found)


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


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


def test_a_scope_is_entered_wherever_it_lies(site: Site, lab: Path) -> None:
    for path in ("", "projects", "projects/qm9", EXPERIMENT, RUNS, RUN):
        assert enters(site, path, lab / path)


@pytest.mark.parametrize("above", ["projects/qm9", EXPERIMENT, RUNS])
def test_a_way_that_moved_is_noticed_and_so_is_its_return(
    site: Site, lab: Path, above: str
) -> None:
    assert enters(site, RUN, lab / RUN)
    os.rename(lab / above, lab / "away")
    for _ in range(2):
        with pytest.raises(NotFoundError):
            site.enter(RUN)
    os.rename(lab / "away", lab / above)
    assert enters(site, RUN, lab / RUN)


@pytest.mark.parametrize("above", ["projects/qm9", EXPERIMENT, RUNS, RUN])
def test_what_took_the_place_of_a_way_is_entered(site: Site, lab: Path, above: str) -> None:
    assert enters(site, RUN, lab / RUN)
    os.rename(lab / above, lab / "away")
    (lab / RUN).mkdir(parents=True)
    assert enters(site, RUN, lab / RUN)


@pytest.mark.parametrize("above", ["projects/qm9", EXPERIMENT, RUNS, RUN])
def test_what_was_deleted_is_not_there(site: Site, lab: Path, above: str) -> None:
    assert enters(site, RUN, lab / RUN)
    shutil.rmtree(lab / above)
    for _ in range(2):
        with pytest.raises(NotFoundError):
            site.enter(RUN)


@pytest.mark.parametrize("above", ["projects", "projects/qm9", EXPERIMENT, RUNS, RUN])
@pytest.mark.parametrize("held", [False, True])
def test_a_link_on_the_way_to_something_else_is_not_followed(
    site: Site, lab: Path, tmp_path: Path, above: str, held: bool
) -> None:
    other = make_lab(tmp_path / "other")
    if held:
        assert enters(site, RUN, lab / RUN)
    os.rename(lab / above, lab / "away")
    (lab / above).symlink_to(other / above)
    for _ in range(2):
        with pytest.raises(FormatError, match="follows no links"):
            site.enter(RUN)


@pytest.mark.parametrize(
    "path", ["projects/../projects/qm9", "/etc", "projects//qm9", "projects/qm9/..", "projects/a\0"]
)
def test_a_path_that_leads_elsewhere_is_refused(site: Site, lab: Path, path: str) -> None:
    with pytest.raises(InvalidNameError):
        site.enter(path)


def test_no_more_than_so_many_ways_are_held_open(site: Site, lab: Path) -> None:
    places = [f"projects/p{number}/experiments" for number in range(3 * MAX_WAYS)]
    for place in places:
        (lab / place / "e").mkdir(parents=True)
    before = open_descriptors()
    for _ in range(2):
        for place in (*places, *reversed(places)):
            assert enters(site, f"{place}/e", lab / place / "e")
            assert open_descriptors() <= before + MAX_WAYS
    site.close()
    assert open_descriptors() < before


def test_a_way_that_failed_leaves_no_descriptor_behind(site: Site, lab: Path) -> None:
    enters(site, RUN, lab / RUN)
    os.rename(lab / RUNS, lab / "away")
    before = open_descriptors()
    for _ in range(20):
        with pytest.raises(NotFoundError):
            site.enter(RUN)
    assert open_descriptors() <= before


def test_many_threads_enter_while_ways_come_and_go(site: Site, lab: Path) -> None:
    places = [f"projects/p{number}/experiments/e" for number in range(2 * MAX_WAYS)]
    for place in places:
        (lab / place).mkdir(parents=True)
    wrong: list[str] = []

    def work(number: int) -> None:
        for step in range(200):
            place = places[(step * (number + 1)) % len(places)]
            try:
                with site.enter(place) as directory:
                    if not os.path.samestat(os.fstat(directory.fd), os.stat(lab / place)):
                        wrong.append(place)
            except Exception as error:  # noqa: BLE001 - what a thread raises is looked at below
                wrong.append(repr(error))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_forked_child_holds_ways_of_its_own(site: Site, lab: Path) -> None:
    enters(site, RUN, lab / RUN)

    def work() -> str:
        entered = enters(site, RUN, lab / RUN)
        site.close()
        return str(entered)

    assert fork_each([work, work]) == ["True", "True"]
    assert enters(site, RUN, lab / RUN), "what a child lets go of is open here"


def test_a_child_forked_while_a_thread_enters_does_not_hang(site: Site, lab: Path) -> None:
    over = threading.Event()

    def busy() -> None:
        while not over.is_set():
            site.enter(RUN).close()

    thread = threading.Thread(target=busy)
    thread.start()
    try:
        for _ in range(20):
            assert fork_each([lambda: str(enters(site, RUN, lab / RUN))]) == ["True"]
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize("number", [1, 95])
def test_whether_there_are_links_is_tried_once(lab: Path, number: int) -> None:
    site = open_site(lab)
    with door.gated(refusing("link", number)):
        assert site.links is False
    assert site.links is False
    site.close()
    other = open_site(lab)
    assert other.links is True
    other.close()


def test_what_a_site_says_of_itself(site: Site) -> None:
    assert site.writer == owner.writer()
    assert site.person.endswith(f"@{os.uname().nodename}")
    assert site.edits.startswith("edits-")
    assert site.edits.endswith(".jsonl")
    assert "/" not in site.edits


def test_a_site_works_on_after_its_cache_was_deleted(site: Site, lab: Path) -> None:
    acts: list[Callable[[], object]] = [
        partial(site.aside.moment),
        lambda: site.journal.changing("qm9").__enter__(),
        site.aside.can_link,
    ]
    for act in (*acts, *acts):
        act()
        shutil.rmtree(lab / layout.CACHE)
        act()


def test_two_sites_of_one_process_do_not_meet(lab: Path) -> None:
    one, other = open_site(lab), open_site(lab)
    for site in (one, other, one):
        with site.journal.changing("qm9"):
            assert site.aside.can_link()
    assert len(list((lab / layout.JOURNAL).glob("*.jsonl"))) == 2
    one.close()
    with Directory.open(lab) as root:
        assert root.names()
    other.close()
