"""Killed processes, and several that write to one log at a time."""

from __future__ import annotations

import fcntl
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from audit_faults_fixtures import SteppingClock, check, log, place, told

from isthmus.errors import AuditUnavailable
from isthmus.governance.audit.files import Files
from isthmus.governance.audit.reading.reader import Reader
from isthmus.governance.audit.reading.verification import verify
from isthmus.governance.audit.tree.storage import Folder
from isthmus.governance.audit.writing.journal import Journal
from isthmus.governance.audit.writing.lock import Lock
from isthmus.governance.audit.writing.sequencer import record

HERE = Path(__file__).parent
CHILD = HERE / "audit_writer.py"


def writer(home: Path, name: str, count: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, str(CHILD), str(home), name, str(count)], stdout=subprocess.PIPE)


def acknowledged(output: bytes) -> list[tuple[int, str]]:
    """The complete lines that a writer printed: ``INDEX NAME``, one for each append that returned."""
    lines = output.decode().split("\n")[:-1]
    return [(int(index), name) for index, name in (line.split(" ") for line in lines)]


def assert_recorded(home: Path, pairs: list[tuple[int, str]]) -> None:
    entries = told(home)
    for index, name in pairs:
        assert json.loads(entries[index])["name"] == name


def test_kill_9_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    """One home, killed over and over at a random moment (benchmarks/audit_crash.py does it 500 times)."""
    chance, pairs, older = random.Random(3), list[tuple[int, str]](), []
    for run in range(12):
        child = writer(tmp_path, f"run{run}", 10**6)
        assert child.stdout is not None
        first = child.stdout.readline()
        time.sleep(chance.uniform(0, 0.08))
        child.send_signal(signal.SIGKILL)
        pairs += acknowledged(first + child.stdout.read())
        child.stdout.close()
        child.wait()
        assert_recorded(tmp_path, pairs)
        if (tmp_path / "audit" / "checkpoint").exists():  # else it died before its first flush
            older.append(Reader(Folder(tmp_path / "audit")).checkpoint())
    verify(Reader(Folder(tmp_path / "audit")), older)
    assert len(pairs) > 100


def test_a_writer_goes_on_while_others_beside_it_are_killed(tmp_path: Path) -> None:
    chance, pairs = random.Random(4), list[tuple[int, str]]()
    stays = writer(tmp_path, "stays", 10**6)
    for run in range(6):
        child = writer(tmp_path, f"dies{run}", 10**6)
        assert child.stdout is not None
        first = child.stdout.readline()
        time.sleep(chance.uniform(0, 0.05))
        child.kill()
        pairs += acknowledged(first + child.stdout.read())
        child.stdout.close()
        child.wait()
    assert stays.stdout is not None
    assert stays.poll() is None
    stays.kill()
    lines = acknowledged(stays.stdout.read())
    stays.stdout.close()
    stays.wait()
    assert len(lines) > 5
    assert_recorded(tmp_path, pairs + lines)
    again = Journal(place(tmp_path), SteppingClock().now, Files())
    record(again, {"type": "afterwards"})
    again.close()
    assert check(tmp_path).pending == 0


def test_processes_share_one_log_without_gaps_or_forks(tmp_path: Path) -> None:
    children = [writer(tmp_path, f"writer{n}", 300) for n in range(3)]
    pairs = [pair for child in children for pair in acknowledged(child.communicate(timeout=60)[0])]
    assert sorted(index for index, _ in pairs) == list(range(900))
    assert_recorded(tmp_path, pairs)
    assert check(tmp_path).checkpoint.size == 900


async def test_a_command_writes_while_the_server_has_the_log_open(tmp_path: Path) -> None:
    server = log(tmp_path)
    await server.append({"type": "server"}, flush=True)
    command = Journal(place(tmp_path), SteppingClock().now, Files())
    assert record(command, {"type": "key.created"}) == 1
    assert await server.append({"type": "server"}, flush=True) == 2
    assert record(command, {"type": "key.revoked"}) == 3
    command.close()
    receipt = await server.receipt(3)  # of an entry that another process wrote
    assert receipt.size == 4
    await server.stop()
    assert check(tmp_path).checkpoint.size == 4


def test_a_command_is_told_what_cannot_be_recorded(tmp_path: Path) -> None:
    command = Journal(place(tmp_path), SteppingClock().now, Files())
    with pytest.raises(AuditUnavailable, match="cannot be recorded"):
        record(command, {"type": object()})
    assert record(command, {"type": "fine"}) == 0
    command.close()


def test_a_lock_that_is_never_let_go_is_an_error_with_a_hint(tmp_path: Path) -> None:
    holder = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(holder, fcntl.LOCK_EX)
    lock = Lock(tmp_path, patience=0.05)
    assert not lock.take()
    with pytest.raises(AuditUnavailable, match="Another process") as caught:
        lock.wait()
    assert "fuser" in caught.value.hint
    os.close(holder)
    lock.wait()
    lock.release()
    lock.close()
