"""A key is rotated while the disk fails or the process dies, at every step: the log works, and can be finished."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import stat
import subprocess
import sys
from contextlib import suppress
from itertools import count
from pathlib import Path

import pytest
from audit_faults_fixtures import FaultyFiles, SteppingClock, check, log, place, told

from isthmus.errors import AuditUnavailable, VerificationFailed
from isthmus.governance.audit.files import Files
from isthmus.governance.audit.notes.checkpoint import Checkpoint, Signer, Verifier
from isthmus.governance.audit.reading.reader import Reader, Signed
from isthmus.governance.audit.reading.verification import verify
from isthmus.governance.audit.tree.storage import SLOTS, Folder
from isthmus.governance.audit.writing.journal import Journal
from isthmus.governance.audit.writing.keys import load_key
from isthmus.governance.audit.writing.rotating import Rotated, rotate
from isthmus.governance.audit.writing.sequencer import record as record_in

HERE = Path(__file__).parent


def turn_over(home: Path, files: Files | None = None) -> Rotated:
    files = files or Files()
    journal = Journal(place(home), SteppingClock().now, files)
    try:
        return rotate(place(home), journal, files, by="test", why="yearly")
    finally:
        journal.close()


def record(home: Path, name: str) -> int:
    journal = Journal(place(home), SteppingClock().now, Files())
    try:
        return record_in(journal, {"type": "t", "name": name})
    finally:
        journal.close()


def vkey(home: Path) -> str:
    return (home / "audit" / "vkey").read_text(encoding="utf8").strip()


def holder(home: Path, vkey: str) -> Reader:
    """Somebody who kept only this key."""
    return Reader(Folder(home / "audit"), Verifier.parse(vkey))


def test_a_new_key_takes_over(tmp_path: Path) -> None:
    record(tmp_path, "before")
    old, kept = vkey(tmp_path), Reader(Folder(tmp_path / "audit")).checkpoint()
    key = tmp_path / "secrets" / "log-signing-key"
    private = key.read_bytes()
    os.link(key, tmp_path / "undeleted")
    rotated = turn_over(tmp_path)
    assert (rotated.old, rotated.new, rotated.size) == (old, vkey(tmp_path), 2)
    assert json.loads(told(tmp_path)[1]).items() >= {
        "type": "log.key_rotated", "old": old, "new": rotated.new, "by": "test", "why": "yearly",
    }.items()  # fmt: skip
    # signed at once by the new key, for whoever holds only that and knows nothing of rotations
    note = Reader(Folder(tmp_path / "audit")).checkpoint().note
    assert Verifier.parse(rotated.new).open(note).size == 2
    # the old private key is overwritten and gone, and the new one is as secret as it was
    assert (tmp_path / "undeleted").read_bytes() == bytes(len(private))
    assert private not in [path.read_bytes() for path in (tmp_path / "secrets").iterdir()]
    assert [path.name for path in (tmp_path / "secrets").iterdir()] == ["log-signing-key"]
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert record(tmp_path, "after") == 2
    for held in (old, rotated.new):
        reader = holder(tmp_path, held)
        opened = Signed(reader.verifier.open(kept.note), kept.note)
        assert verify(reader, [opened]).older == (1,)


@pytest.mark.parametrize("entries", range(1, 5))
def test_both_places_have_the_new_key_s_checkpoint(tmp_path: Path, entries: int) -> None:
    """Whichever of the two was written last: nothing that only the old key signed is left."""
    for n in range(entries):
        record(tmp_path, str(n))
    verifier = Verifier.parse(turn_over(tmp_path).new)
    notes = [(tmp_path / "audit" / slot).read_bytes() for slot in SLOTS]
    assert [verifier.open(note).size for note in notes] == [entries + 1] * 2


def test_keys_are_rotated_many_times(tmp_path: Path) -> None:
    keys, kept = [], []
    for number in range(12):
        record(tmp_path, str(number))
        keys.append(vkey(tmp_path))
        kept.append(Reader(Folder(tmp_path / "audit")).checkpoint().note)
        turn_over(tmp_path)
    for held in (*keys, vkey(tmp_path)):
        reader = holder(tmp_path, held)
        verify(reader, [Signed(reader.verifier.open(note), note) for note in kept])


async def test_a_running_log_goes_on_with_the_new_key(tmp_path: Path) -> None:
    server = log(tmp_path)
    await server.append({"type": "server"}, flush=True)
    earlier = await server.receipt(0)
    rotated = turn_over(tmp_path)
    assert await server.append({"type": "server"}, flush=True) == 2
    assert Verifier.parse(rotated.new).open(server.checkpoint()).size == 3
    with pytest.raises(VerificationFailed, match="not signed by"):
        Verifier.parse(rotated.old).open(server.checkpoint())
    # a receipt from before still opens, for whoever holds only the new key
    assert holder(tmp_path, rotated.new).verifier.open(earlier.checkpoint).size == 1
    await server.stop()
    assert check(tmp_path).checkpoint.size == 3


async def test_keys_are_rotated_while_a_server_is_busy(tmp_path: Path) -> None:
    server = log(tmp_path)
    await server.append({"type": "t", "name": "first"}, flush=True)
    first, kept = vkey(tmp_path), [server.checkpoint()]
    acknowledged, ended = dict[int, str](), asyncio.Event()

    async def client(number: int) -> None:
        for n in count():
            if ended.is_set():
                return
            acknowledged[await server.append({"type": "t", "name": f"{number}/{n}"}, flush=True)] = f"{number}/{n}"

    clients = [asyncio.create_task(client(number)) for number in range(6)]
    for _ in range(5):
        await asyncio.sleep(0.05)
        await asyncio.to_thread(turn_over, tmp_path)
        kept.append(server.checkpoint())
        kept.append((await server.receipt(0)).checkpoint)
    ended.set()
    await asyncio.gather(*clients)
    await server.stop()
    entries = told(tmp_path)
    assert all(json.loads(entries[index])["name"] == name for index, name in acknowledged.items())
    for held in (first, vkey(tmp_path)):
        reader = holder(tmp_path, held)
        verify(reader, [reader.open(note) for note in kept])
    assert Verifier.parse(vkey(tmp_path)).open(Reader(Folder(tmp_path / "audit")).checkpoint().note)


def test_whoever_stole_the_old_key_cannot_go_on_with_it(tmp_path: Path) -> None:
    record(tmp_path, "before")
    stolen = load_key(tmp_path / "secrets" / "log-signing-key")
    rotated = turn_over(tmp_path)
    forged = Signer("example.org/log", stolen).sign(Checkpoint("example.org/log", 3, bytes(32)))
    for held in (rotated.old, rotated.new):
        with pytest.raises(VerificationFailed, match="retired at 2"):
            holder(tmp_path, held).verifier.open(forged)


@pytest.mark.parametrize(("error", "part"), [(errno.EIO, 0.0), (errno.ENOSPC, 0.5)])
def test_every_operation_may_fail(tmp_path: Path, error: int, part: float) -> None:
    for n in count(1):
        home = tmp_path / str(n)
        record(home, "before")
        old, kept = vkey(home), Reader(Folder(home / "audit")).checkpoint().note
        files = FaultyFiles(first=n, error=error, part=part)
        with suppress(AuditUnavailable):
            turn_over(home, files)
        assert_works(home, old, kept)
        if files.done < n:
            return
    raise AssertionError


def assert_works(home: Path, old: str, kept: str) -> None:
    """As it lies there it can be read; it goes on; and it can be rotated, which leaves no key but the newest. (A file
    that a death left half made never was a key of the log.)"""
    verify(Reader(Folder(home / "audit")))
    record(home, "after")
    rotated = turn_over(home)
    record(home, "at last")
    for held in (old, rotated.old, rotated.new):
        reader = holder(home, held)
        verify(reader, [Signed(reader.verifier.open(kept), kept)])
    assert [path.name for path in (home / "secrets").iterdir() if path.suffix != ".tmp"] == ["log-signing-key"]


KILLED = """
import os, sys
sys.path.insert(0, sys.argv[3])
from pathlib import Path
from audit_faults_fixtures import FaultyFiles, SteppingClock, place
from isthmus.governance.audit.writing.journal import Journal
from isthmus.governance.audit.writing.rotating import rotate

class Deadly(FaultyFiles):
    def _step(self, name):
        self.done += 1
        if self.done == self.first:
            os.kill(os.getpid(), 9)

home, files = Path(sys.argv[1]), Deadly(first=int(sys.argv[2]))
rotate(place(home), Journal(place(home), SteppingClock().now, files), files, by="test", why="")
"""


def test_killed_at_every_step(tmp_path: Path) -> None:
    """kill -9 before the n-th operation on the disk, for every n."""
    committed = 0
    for n in count(1):
        home = tmp_path / str(n)
        record(home, "before")
        old, kept = vkey(home), Reader(Folder(home / "audit")).checkpoint().note
        command = [sys.executable, "-c", KILLED, str(home), str(n), str(HERE)]
        done = subprocess.run(command, check=False, capture_output=True, env={**os.environ})
        assert done.returncode in (0, -9), done.stderr
        committed += done.returncode == -9 and vkey(home) != old
        assert_works(home, old, kept)
        if done.returncode == 0:
            break
    assert committed > 3, "no death between the steps after it counted, or this test shows little"
