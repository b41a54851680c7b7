"""A real server on a file system that is really full: nothing is answered until there is space, then all goes on."""

from __future__ import annotations

import errno
import os
import random
import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from server_crash_story import Crowd, Kept, Question, Reply, site
from server_outage import UNAVAILABLE, ask_all, recovers

from flow.served import VENDOR_KEY, Site, Vendor, vendor


@contextmanager
def file_system(at: Path, megabytes: int) -> Iterator[Path]:
    """A file system of its own, in memory."""
    at.mkdir(mode=0o700, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=700", "tmpfs", str(at)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("NEEDS the right to mount: run as root (the same with a limit on files' size runs everywhere)")
    try:
        yield at
    finally:
        subprocess.run(["umount", "--lazy", str(at)], check=True)


@contextmanager
def full(folder: Path) -> Iterator[None]:
    """Not a byte is left, for as long as the block lasts."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (1 << 20, 4096, 1):
            try:
                while file.write(bytes(size)):
                    pass
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
        try:
            yield
        finally:
            ballast.unlink()


class Served:
    """A server, its vendor, and what was seen of them."""

    def __init__(self, site: Site, key: str, outside: Vendor) -> None:
        self.site, self.key, self.outside, self.kept = site, key, outside, Kept(site.home)

    def fails(self, name: str, codes: frozenset[str]) -> None:
        """Some entries may fit yet into pages that the files have; then nothing does."""
        for time in range(10):
            replies = ask_all(self.site.url, self.key, f"{name}-{time}")
            self._keep(replies)
            told = {reply.code for _, reply in replies if not reply.receipt}
            assert told <= codes, replies
            if not any(reply.receipt for _, reply in replies):
                return
        raise AssertionError(replies)

    def works(self, name: str) -> None:
        self._keep(recovers(self.site.url, self.key, name))
        assert list(self.kept.faults()) == []

    def _keep(self, replies: list[tuple[Question, Reply]]) -> None:
        self.kept.take(Crowd(self.site.url, self.key, "", random.Random(0), replies), self.outside)


@contextmanager
def served(home: Path) -> Iterator[Served]:
    with vendor() as outside:
        made, key = site(home, outside)
        with made.serving():
            yield Served(made, key, outside)


def test_the_log_s_own_file_system_is_full(tmp_path: Path) -> None:
    with file_system(tmp_path / "audit", 2) as audit, served(tmp_path) as server:
        server.works("before")
        for time in range(2):
            with full(audit):
                server.fails(f"full{time}", frozenset({"audit_unavailable"}))
            server.works(f"after{time}")


def test_the_whole_home_s_file_system_is_full(tmp_path: Path) -> None:
    with file_system(tmp_path / "home", 24) as home, served(home) as server:
        server.works("before")
        for time in range(2):
            with full(home):
                server.fails(f"full{time}", UNAVAILABLE)
            server.works(f"after{time}")


def test_files_may_not_grow(tmp_path: Path) -> None:
    """As a quota does, and without root: every write past the limit fails, in the log and in SQLite."""
    with served(tmp_path) as server:
        server.works("before")
        assert server.site.process is not None
        pid = server.site.process.pid
        limits = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (1, limits[1]))
        server.fails("limited", UNAVAILABLE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, limits)
        server.works("after")


def test_a_server_does_not_start_where_it_cannot_write_and_says_so(tmp_path: Path) -> None:
    with file_system(tmp_path / "home", 24) as home, vendor() as outside:
        made, _ = site(home, outside)
        subprocess.run(["mount", "-o", "remount,ro", str(home)], check=True)
        done = subprocess.run(
            made.command("serve", "--port", "0"), capture_output=True, text=True, check=False, timeout=60, cwd=tmp_path,
            env={**os.environ, "VENDOR_KEY": VENDOR_KEY},
        )  # fmt: skip
        assert done.returncode in (1, 2)
        assert "Traceback" not in done.stderr
        assert "_unavailable: " in done.stderr
