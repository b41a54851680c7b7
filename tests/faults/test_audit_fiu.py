"""A real server whose calls of the C library fail: Python's and SQLite's, at will, while it runs."""

from __future__ import annotations

import errno
import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from fiu_fixtures import Injector, environment
from server_crash_story import Crowd, Kept, site
from server_outage import UNAVAILABLE, ask_all, ready, recovers

from flow.served import Site, Vendor, vendor

pytestmark = [
    pytest.mark.external("fiu-run"),
    pytest.mark.skipif(shutil.which("fiu-run") is None, reason="NEEDS libfiu: apt-get install fiu-utils"),
]

PWRITE, FDATASYNC = "posix/io/rw/pwrite", "posix/io/sync/fdatasync"
POINTS = {
    PWRITE: errno.ENOSPC,
    FDATASYNC: errno.EIO,
    "posix/io/oc/open": errno.EMFILE,
    "posix/io/dir/rename": errno.EIO,
    "posix/io/rw/ftruncate": errno.EIO,
    "posix/io/rw/pread": errno.EIO,
}


@dataclass
class Broken:
    """A server that runs under libfiu, and what was seen of it."""

    site: Site
    key: str
    vendor: Vendor
    faults: Injector
    kept: Kept

    def ask(self, name: str) -> list[str]:
        """What became of each question: "answered" only with a receipt."""
        replies = ask_all(self.site.url, self.key, name)
        self.keep(replies)
        return ["answered" if reply.receipt else reply.code for _, reply in replies]

    def recovers(self, name: str) -> None:
        self.keep(recovers(self.site.url, self.key, name))
        assert self.site.process is not None
        assert self.site.process.poll() is None

    def keep(self, replies: list) -> None:
        crowd = Crowd(self.site.url, self.key, "", random.Random(0), replies)
        self.kept.take(crowd, self.vendor)


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broken]:
    home, control = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("control") / "fiu"
    with vendor() as outside:
        served, key = site(home, outside)
        served.environment.update(environment(control))
        with served.serving():
            assert served.process is not None
            made = Broken(served, key, outside, Injector(control, served.process.pid), Kept(home))
            made.recovers("warm")
            yield made
            made.recovers("last")
    assert list(made.kept.faults()) == []


@pytest.mark.parametrize("point", [PWRITE, FDATASYNC])
def test_nothing_is_answered_that_cannot_be_recorded_and_it_recovers_by_itself(broken: Broken, point: str) -> None:
    broken.faults.enable(point, POINTS[point])
    try:
        states = []
        for time in range(3):
            assert set(broken.ask(f"{time}-during-{point[-6:]}")) <= UNAVAILABLE
            states.append(ready(broken.site.url))
        assert (503, "audit_unavailable") in [(status, parts["audit"]) for status, parts in states]
    finally:
        broken.faults.disable(point)
    broken.recovers(f"after-{point[-6:]}")
    assert list(broken.kept.faults()) == []


@pytest.mark.parametrize("point", POINTS)
def test_one_call_that_fails_costs_no_more_than_one_answer(broken: Broken, point: str) -> None:
    for n in range(3):
        broken.faults.once(point, POINTS[point])
        assert set(broken.ask(f"once-{point[-6:]}-{n}")) <= UNAVAILABLE | {"answered"}
    broken.faults.disable(point)
    broken.recovers(f"well-{point[-6:]}")
    assert list(broken.kept.faults()) == []


def test_calls_that_fail_at_random_under_load(broken: Broken) -> None:
    for point, error in POINTS.items():
        broken.faults.sometimes(point, error, 0.03)
    crowd = Crowd(broken.site.url, broken.key, "load", random.Random(5))
    threads = crowd.run(5)
    crowd.wait(120)
    crowd.stopping.set()
    for thread in threads:
        thread.join()
    for point in POINTS:
        broken.faults.disable(point)
    broken.kept.take(crowd, broken.vendor)
    broken.recovers("unloaded")
    assert {reply.status for _, reply in crowd.replies} <= {200, 502, 503}
    assert any(reply.receipt for _, reply in crowd.replies)
    assert any(reply.code in UNAVAILABLE for _, reply in crowd.replies)
    assert list(broken.kept.faults()) == []
