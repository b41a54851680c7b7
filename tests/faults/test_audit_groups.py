"""Group commit: one flush for many, nobody waits for another's disk, and a log that failed comes back by itself."""

from __future__ import annotations

import asyncio
import errno
import json
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from audit_faults_fixtures import FaultyFiles, SteppingClock, check, log, place, told

from isthmus.errors import AuditUnavailable
from isthmus.governance.audit.files import Files
from isthmus.governance.audit.notes.checkpoint import Checkpoint, Signer
from isthmus.governance.audit.reading.reader import Reader
from isthmus.governance.audit.tree.storage import SLOTS, Folder
from isthmus.governance.audit.writing.journal import Journal
from isthmus.governance.audit.writing.keys import make_key
from isthmus.governance.audit.writing.log import Log
from isthmus.governance.audit.writing.slots import Slots, size_of


@dataclass
class SlowFiles(Files):
    """A sync that takes as long as the test wants."""

    held: threading.Event = field(default_factory=threading.Event)
    syncing: threading.Event = field(default_factory=threading.Event)
    slow: bool = False

    def sync(self, fd: int) -> None:
        if self.slow:
            self.syncing.set()
            assert self.held.wait(10)
        super().sync(fd)


@dataclass
class SlotlessFiles(Files):
    """While ``broken``, nothing can be put where checkpoints are."""

    broken: bool = False
    slots: set[int] = field(default_factory=set)

    def open(self, path: Path, flags: int) -> int:
        fd = super().open(path, flags)
        if path.name in SLOTS:
            self.slots.add(fd)
        else:
            self.slots.discard(fd)
        return fd

    def write(self, fd: int, data: bytes, offset: int) -> int:
        if self.broken and fd in self.slots:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(fd, data, offset)

    def rename(self, source: Path, target: Path) -> None:
        if self.broken and target.name in SLOTS:
            raise OSError(errno.ENOSPC, "No space left on device")
        super().rename(source, target)


def journal(home: Path, files: Files | None = None) -> Journal:
    return Journal(place(home), SteppingClock().now, files or Files())


def size_on_disk(home: Path) -> int:
    return Reader(Folder(home / "audit")).checkpoint().checkpoint.size


async def test_under_load_one_sync_serves_many(tmp_path: Path) -> None:
    files = FaultyFiles()
    opened = Log(journal(tmp_path, files), pace=0.2)
    for _ in range(3):  # its folders and files are there
        await opened.append({"type": "t"}, flush=True)
    files.names.clear()
    waiting = []
    for i in range(100):
        waiting.append(asyncio.create_task(opened.append({"type": "t", "i": i}, flush=True)))
        await asyncio.sleep(0.001)
    assert sorted(await asyncio.gather(*waiting)) == list(range(3, 103))
    assert files.names.count("sync") <= 4
    await opened.stop()
    check(tmp_path)


async def test_a_lone_entry_does_not_wait_for_others(tmp_path: Path) -> None:
    opened = Log(journal(tmp_path), pace=0.5)
    await opened.start()
    await asyncio.sleep(0.6)
    began = time.monotonic()
    await opened.append({"type": "t"}, flush=True)
    assert time.monotonic() - began < 0.4
    await opened.stop()


async def test_what_needs_no_flush_is_written_while_a_flush_is_under_way(tmp_path: Path) -> None:
    files = SlowFiles()
    opened = Log(journal(tmp_path, files))
    await opened.append({"type": "t"}, flush=True)
    files.slow = True
    flushed = asyncio.create_task(opened.append({"type": "t"}, flush=True))
    await asyncio.to_thread(files.syncing.wait, 10)
    assert await asyncio.wait_for(opened.append({"type": "t"}, flush=False), 5) == 2
    assert len(told(tmp_path)) == 3, "written, not only remembered"
    assert not flushed.done()
    files.slow = False
    files.held.set()
    assert await flushed == 1
    await opened.stop()
    assert check(tmp_path).pending == 0


def test_another_process_writes_and_signs_while_one_syncs(tmp_path: Path) -> None:
    files = SlowFiles()
    slow, quick = journal(tmp_path, files), journal(tmp_path)
    slow.commit([{"type": "t", "who": "slow"}], flush=True)
    files.slow = True
    got: list[object] = []
    thread = threading.Thread(target=lambda: got.extend(slow.commit([{"type": "t", "who": "slow"}], flush=True)))
    thread.start()
    assert files.syncing.wait(10)
    assert quick.commit([{"type": "t", "who": "quick"}], flush=True) == [2]
    assert size_on_disk(tmp_path) == 3
    files.held.set()
    thread.join(10)
    assert got == [1]
    assert size_on_disk(tmp_path) == 3, "an older checkpoint took a newer one's place"
    for one in (slow, quick):
        one.close()
    check(tmp_path)


@pytest.mark.parametrize("what", [frozenset({"write", "truncate"}), frozenset({"sync"})], ids=["write", "sync"])
async def test_a_log_that_failed_comes_back_without_being_asked(tmp_path: Path, what: frozenset[str]) -> None:
    files = FaultyFiles(only=what, error=errno.ENOSPC)
    opened = log(tmp_path, files)
    await opened.start()
    opened.check()
    files.first, files.times = files.done + 1, 10**6
    with pytest.raises(AuditUnavailable, match="No space left"):
        await opened.append({"type": "t"}, flush=True)
    with pytest.raises(AuditUnavailable, match="No space left"):
        opened.check()
    files.first = 10**9
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            opened.check()
            break
        except AuditUnavailable:
            await asyncio.sleep(0.05)
    opened.check()
    await opened.append({"type": "t"}, flush=True)
    await opened.stop()
    check(tmp_path)
    recovered = [event for event in map(json.loads, told(tmp_path)) if event["type"] == "log.recovered"]
    assert [event["refused"] for event in recovered] == [1], "said before it was so"


async def test_an_outage_of_the_checkpoint_alone_is_told_once(tmp_path: Path) -> None:
    """Entries can be written, and synced; what cannot is the checkpoint."""
    files = SlotlessFiles()
    opened = log(tmp_path, files)
    await opened.append({"type": "t"}, flush=True)
    files.broken = True
    with pytest.raises(AuditUnavailable):
        await opened.append({"type": "t"}, flush=True)
    await asyncio.sleep(2.5)
    files.broken = False
    await opened.append({"type": "t"}, flush=True)
    await opened.stop()
    assert [json.loads(entry)["type"] for entry in told(tmp_path)] == ["t", "t", "log.recovered", "t"]


async def test_what_is_asked_while_the_log_is_being_closed_is_answered(tmp_path: Path) -> None:
    opened = log(tmp_path)
    await opened.start()

    async def ask() -> object:
        try:
            return await opened.append({"type": "t"}, flush=True)
        except AuditUnavailable as error:
            return error

    for _ in range(30):
        stopping = asyncio.create_task(opened.stop())
        await asyncio.sleep(0)
        asked = [asyncio.create_task(ask()) for _ in range(5)]
        answers = await asyncio.wait_for(asyncio.gather(*asked), 10)
        assert all(isinstance(answer, int | AuditUnavailable) for answer in answers)
        await stopping
    await opened.stop()
    check(tmp_path)


def test_what_others_wrote_is_not_taken_in_by_the_event_loop(tmp_path: Path) -> None:
    """Nor does the loop wait where another process holds the lock."""
    files, other = FaultyFiles(), journal(tmp_path)
    mine = journal(tmp_path, files)
    mine.commit([{"type": "t"}], flush=True)
    other.commit([{"type": "t", "i": i} for i in range(5000)], flush=True)
    files.names.clear()
    began = time.thread_time()
    assert mine.write_now({"type": "t"}) is None
    assert time.thread_time() - began < 0.01
    assert files.names == []
    assert mine.commit([{"type": "t"}], flush=True) == [5001]
    assert files.names.count("rename") <= 2, "tiles that are there were stored once more"  # checkpoints that grew
    with other.turn():
        held = threading.Thread(target=lambda: mine.commit([{"type": "t"}], flush=False))
        held.start()
        time.sleep(0.05)
        began = time.monotonic()
        assert [mine.write_now({"type": "t"}) for _ in range(100)] == [None] * 100
        assert time.monotonic() - began < 0.05
    held.join(10)
    for one in (mine, other):
        one.close()
    check(tmp_path)


def test_a_shorter_note_leaves_nothing_of_a_longer_one(tmp_path: Path) -> None:
    signer = Signer("example.org/log", make_key(tmp_path / "key", Files()))
    slots = Slots(tmp_path, Files())
    for size in range(1, 5):
        note = signer.sign(Checkpoint("example.org/log", size, bytes(32)))
        slots.keep(size, f"{note}{'— witness AAAAAAAA' if size < 3 else ''}".encode())
    slots.close()
    held = [signer.verifier.open((tmp_path / slot).read_bytes()) for slot in SLOTS]
    assert sorted(one.size for one in held) == [3, 4]


@pytest.mark.parametrize("note", [b"", b"a\n", b"a\nx\nb\n", b"a\n12\nroot", b"a\n-1\nb\n", "a\n²\nb\n".encode()])
def test_a_torn_note_states_no_size(note: bytes) -> None:
    assert size_of(note) == -1
