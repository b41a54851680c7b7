"""The n-th operation on the disk fails, for every n: what was acknowledged is there, and the log goes on by itself."""

from __future__ import annotations

import asyncio
import errno
import json
import os
from contextlib import suppress
from pathlib import Path

import pytest
from audit_faults_fixtures import FaultyFiles, check, log, told

from isthmus.errors import AuditUnavailable
from isthmus.governance.audit.files import Files
from isthmus.governance.audit.reading.reader import Reader, Signed
from isthmus.governance.audit.reading.verification import verify
from isthmus.governance.audit.tree.layout import WIDTH, bundle_path
from isthmus.governance.audit.tree.storage import Folder
from isthmus.governance.audit.writing.log import Log


async def try_append(log: Log, name: str, acknowledged: dict[int, str], *, flush: bool) -> None:
    with suppress(AuditUnavailable):
        acknowledged[await log.append({"type": "t", "name": name}, flush=flush)] = name


def assert_recorded(home: Path, acknowledged: dict[int, str]) -> None:
    entries = told(home)
    for index, name in acknowledged.items():
        assert json.loads(entries[index])["name"] == name


async def story(home: Path, files: FaultyFiles) -> dict[int, str]:
    """A log that is opened, fills a bundle and begins the next, twice; what it acknowledged."""
    acknowledged: dict[int, str] = {}
    opened = log(home, files)
    for step, group in enumerate((1, 250, 3, 1, 4)):
        flush = step % 2 == 0
        names = [f"{step}/{i}" for i in range(group)]
        await asyncio.gather(*(try_append(opened, name, acknowledged, flush=flush) for name in names))
    await opened.stop()
    return acknowledged


@pytest.mark.parametrize(
    ("error", "times", "part"),
    [(errno.EIO, 1, 0.0), (errno.ENOSPC, 1, 0.5), (errno.ENOSPC, 3, 0.9)],
    ids=["error", "short-write", "short-write-then-no-truncate"],
)
async def test_every_operation_may_fail(tmp_path: Path, error: int, times: int, part: float) -> None:
    whole = FaultyFiles()
    assert len(await story(tmp_path / "whole", whole)) == 259
    failed = 0
    for n in _apart(whole.names):
        home = tmp_path / str(n)
        files = FaultyFiles(first=n, times=times, error=error, part=part)
        acknowledged = await story(home, files)
        failed += len(acknowledged) < 259
        # the disk is well again: the same home is opened anew, and the log goes on
        again = log(home, FaultyFiles())
        await try_append(again, "afterwards", acknowledged, flush=True)
        await again.stop()
        assert "afterwards" in acknowledged.values()
        assert_recorded(home, acknowledged)
        assert check(home).pending == 0
    assert failed > 20


def _apart(names: list[str]) -> list[int]:
    """Every operation's number; of a write in the middle of hundreds alike, only each sixteenth."""
    alike = [set(names[max(0, at - 3) : at + 4]) == {"write"} for at in range(len(names))]
    return [at + 1 for at in range(len(names) + 3) if at >= len(names) or not alike[at] or at % 16 == 0]


async def test_the_same_log_goes_on_when_the_disk_does(tmp_path: Path) -> None:
    files = FaultyFiles(only=frozenset({"write", "truncate"}), error=errno.ENOSPC, part=0.4)
    opened, acknowledged = log(tmp_path, files), dict[int, str]()
    await try_append(opened, "before", acknowledged, flush=True)
    files.first, files.times = files.done + 1, 10**6
    for i in range(3):
        with pytest.raises(AuditUnavailable, match="No space left on device"):
            await opened.append({"type": "t", "name": f"full {i}"}, flush=i == 1)
    files.first = 10**9
    await try_append(opened, "after", acknowledged, flush=False)
    await opened.stop()
    assert list(acknowledged.values()) == ["before", "after"]
    assert_recorded(tmp_path, acknowledged)
    check(tmp_path)


async def test_everyone_who_waits_hears_of_it(tmp_path: Path) -> None:
    files = FaultyFiles(only=frozenset({"sync"}))
    opened = log(tmp_path, files)
    await opened.start()
    files.first, files.times = files.done + 1, 10**6
    waiting = [opened.append({"type": "t"}, flush=True) for _ in range(50)]
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert {type(result) for result in results} == {AuditUnavailable}
    assert len({id(result) for result in results}) == 50
    files.first = 10**9
    await opened.append({"type": "t"}, flush=True)
    await opened.stop()


class ExitingFiles(Files):
    """Something in the thread that writes wants the process to end, as a signal's handler or a library may."""

    exits = False

    def sync(self, fd: int) -> None:
        if self.exits:
            raise SystemExit(1)
        super().sync(fd)


async def test_nobody_waits_for_a_thread_that_died(tmp_path: Path) -> None:
    files = ExitingFiles()
    opened = log(tmp_path, files)
    await opened.append({"type": "t"}, flush=True)
    files.exits = True
    for _ in range(2):
        with pytest.raises(AuditUnavailable):
            await asyncio.wait_for(opened.append({"type": "t"}, flush=True), 10)
    files.exits = False
    await asyncio.wait_for(opened.append({"type": "t"}, flush=True), 10)
    await opened.stop()
    check(tmp_path)


async def test_after_a_failed_sync_what_was_written_is_written_again(tmp_path: Path) -> None:
    """The kernel may drop the pages of a failed sync and report success the next time."""
    files = FaultyFiles(only=frozenset({"write", "sync"}))
    opened = log(tmp_path, files)
    await opened.append({"type": "t", "name": "flushed"}, flush=True)
    written = await opened.append({"type": "t", "name": "only written"}, flush=False)
    files.first = files.done + 2  # the next write is good, its sync is not
    with pytest.raises(AuditUnavailable):
        await opened.append({"type": "t", "name": "denied"}, flush=True)
    assert Reader(Folder(tmp_path / "audit")).checkpoint().checkpoint.size == 1, "signed for what was not flushed"
    files.names.clear()
    await opened.append({"type": "t", "name": "next"}, flush=True)
    # rewrite, sync of the file, sync of its folder's names; then the flush that ends the outage, before anything new
    assert files.names[:4] == ["write", "sync", "sync", "sync"]
    await opened.stop()
    assert_recorded(tmp_path, {0: "flushed", written: "only written"})
    check(tmp_path)


@pytest.mark.parametrize("kept", [1, 2, 3, 40, 900])
async def test_a_torn_end_is_cut_off_and_said(tmp_path: Path, kept: int) -> None:
    first = log(tmp_path)
    await first.append({"type": "t", "name": "whole"}, flush=True)
    await first.stop()
    bundle = bundle_path(tmp_path / "audit", 0)
    torn = (b"\x10\x00" + b'{"name":"torn"' * 70)[:kept]
    bundle.write_bytes(bundle.read_bytes() + torn)
    assert check(tmp_path).pending == 0, "a reader passes over what is just being written"
    again = log(tmp_path)
    assert await again.append({"type": "t", "name": "next"}, flush=True) == 2
    assert await again.append({"type": "t", "name": "last"}, flush=True) == 3
    await again.stop()
    events = [json.loads(entry) for entry in told(tmp_path)]
    assert [event["type"] for event in events] == ["t", "log.repaired", "t", "t"]
    assert (events[1]["index"], events[1]["bytes"]) == (1, kept)
    check(tmp_path)


async def test_a_tail_of_zeros_is_what_a_power_loss_leaves(tmp_path: Path) -> None:
    first = log(tmp_path)
    await first.append({"type": "t"}, flush=True)
    await first.stop()
    bundle = bundle_path(tmp_path / "audit", 0)
    bundle.write_bytes(bundle.read_bytes() + b"\x00\x50" + b'{"half":' + bytes(4096))
    again = log(tmp_path)
    assert await again.append({"type": "t"}, flush=True) == 2
    assert await again.append({"type": "t"}, flush=True) == 3
    await again.stop()
    check(tmp_path)


async def test_a_signed_entry_that_is_torn_is_no_crash(tmp_path: Path) -> None:
    first = log(tmp_path)
    for i in range(3):
        await first.append({"type": "t", "name": i}, flush=True)
    await first.stop()
    bundle = bundle_path(tmp_path / "audit", 0)
    os.truncate(bundle, bundle.stat().st_size - 1)
    again = log(tmp_path)
    for _ in range(2):
        with pytest.raises(AuditUnavailable, match="Entry 2 is missing"):
            await again.append({"type": "t"}, flush=True)
    await again.stop()


@pytest.mark.parametrize(
    ("what", "says"),
    [
        (b"\x00\x09not json!", "Entry 1 "),
        (b"\x00\x09" + b'{"seq":7}', "Entry 1 "),
        (b"\x00\x00\x00\x09" + b'{"seq":1}', "Entry 1 "),
        (b"\x00\x02[]", "Entry 1 "),
    ],
)
async def test_what_no_writer_leaves_behind_stops_the_log(tmp_path: Path, what: bytes, says: str) -> None:
    first = log(tmp_path)
    await first.append({"type": "t"}, flush=True)
    await first.stop()
    bundle = bundle_path(tmp_path / "audit", 0)
    bundle.write_bytes(bundle.read_bytes() + what)
    again = log(tmp_path)
    with pytest.raises(AuditUnavailable, match=says):
        await again.append({"type": "t"}, flush=True)
    await again.stop()


async def test_a_changed_byte_stops_the_log_at_its_start(tmp_path: Path) -> None:
    first = log(tmp_path)
    await first.append({"type": "t", "name": "aaaa"}, flush=True)
    await first.stop()
    bundle = bundle_path(tmp_path / "audit", 0)
    bundle.write_bytes(bundle.read_bytes().replace(b"aaaa", b"aaab"))
    with pytest.raises(AuditUnavailable, match="signed root"):
        await log(tmp_path).start()


async def test_a_log_that_shrinks_while_in_use_is_noticed(tmp_path: Path) -> None:
    opened = log(tmp_path)
    await opened.append({"type": "t"}, flush=True)
    bundle = bundle_path(tmp_path / "audit", 0)
    whole = bundle.read_bytes()
    for harm in (lambda: os.truncate(bundle, 0), bundle.unlink):
        harm()
        for _ in range(2):
            with pytest.raises(AuditUnavailable, match=r"lost entries|is missing"):
                await opened.append({"type": "t"}, flush=True)
        bundle.write_bytes(whole)
        await opened.append({"type": "t"}, flush=False)
        whole = bundle.read_bytes()
    await opened.stop()


async def test_earlier_checkpoints_stay_consistent_through_faults(tmp_path: Path) -> None:
    files = FaultyFiles(error=errno.EIO)
    opened, older = log(tmp_path, files), list[Signed]()
    for i in range(30):
        files.first = files.done + 1 + i % 7 * 3
        try:
            await opened.append({"type": "t", "i": i}, flush=i % 3 == 0)
        except AuditUnavailable:
            continue
        if (tmp_path / "audit" / "checkpoint").exists():
            older.append(Reader(Folder(tmp_path / "audit")).checkpoint())
    files.first = 10**9
    await opened.flush()
    await opened.stop()
    assert len(older) > 5
    assert verify(Reader(Folder(tmp_path / "audit")), older).pending == 0


async def test_bundles_roll_over_whatever_the_size_of_groups(tmp_path: Path) -> None:
    opened = log(tmp_path)
    sizes = (WIDTH - 1, 1, 1, 2 * WIDTH, 3)
    for size in sizes:
        await asyncio.gather(*(opened.append({"type": "t"}, flush=True) for _ in range(size)))
    await opened.stop()
    assert check(tmp_path).checkpoint.size == sum(sizes) == len(told(tmp_path))


async def test_a_full_bundle_is_on_disk_before_the_next_begins(tmp_path: Path) -> None:
    files = FaultyFiles(only=frozenset({"sync"}))
    opened = log(tmp_path, files)
    await asyncio.gather(*(opened.append({"type": "t"}, flush=False) for _ in range(WIDTH)))
    files.first = files.done + 1
    with pytest.raises(AuditUnavailable):
        await opened.append({"type": "t"}, flush=False)
    assert not bundle_path(tmp_path / "audit", 1).exists()
    assert await opened.append({"type": "t"}, flush=True) == WIDTH + 1  # after what says that the log was gone
    await opened.stop()
    check(tmp_path)


@pytest.mark.parametrize("slot", ["checkpoint", "checkpoint.alternate"])
async def test_a_torn_checkpoint_leaves_the_one_before_it(tmp_path: Path, slot: str) -> None:
    opened = log(tmp_path)
    for _ in range(4):
        await opened.append({"type": "t"}, flush=True)
    await opened.stop()
    torn = tmp_path / "audit" / slot
    torn.write_bytes(torn.read_bytes()[:60])
    assert Reader(Folder(tmp_path / "audit")).checkpoint().checkpoint.size in (3, 4)
    again = log(tmp_path)
    assert await again.append({"type": "t"}, flush=True) == 4
    await again.stop()
    assert check(tmp_path).pending == 0
