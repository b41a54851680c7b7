"""Files of the log that are moved, deleted or closed to it while it is in use: it stops, says so, and goes on by
itself once they are back. It never begins a second log beside the first."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from audit_faults_fixtures import FaultyFiles, SteppingClock, check, log, place, told

from isthmus.errors import AuditUnavailable
from isthmus.governance.audit.files import Files
from isthmus.governance.audit.reading.reader import Reader, Signed
from isthmus.governance.audit.reading.verification import verify
from isthmus.governance.audit.tree.layout import bundle_path
from isthmus.governance.audit.tree.storage import Folder
from isthmus.governance.audit.writing.journal import Journal
from isthmus.governance.audit.writing.log import Log
from isthmus.governance.audit.writing.sequencer import record

EVENT = {"type": "t"}


async def stopped(opened: Log, says: str) -> None:
    """Whatever is asked of it is refused, with and without a flush."""
    for flush in (False, True, False):
        with pytest.raises(AuditUnavailable, match=says):
            await opened.append(EVENT, flush=flush)
    with pytest.raises(AuditUnavailable, match=says):
        opened.check()


def types(home: Path) -> list[str]:
    """What is in the log, which holds."""
    assert check(home).pending == 0
    return [json.loads(entry)["type"] for entry in told(home)]


async def works_by_itself(opened: Log) -> None:
    """Nobody asks for anything: readiness comes back within the log's own retries."""
    for _ in range(60):
        try:
            return opened.check()
        except AuditUnavailable:
            await asyncio.sleep(0.05)
    return opened.check()


async def test_an_outage_is_told_in_the_servers_own_log_when_it_begins_and_when_it_ends(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    opened, folder, away = log(tmp_path), tmp_path / "audit", tmp_path / "away"
    await opened.append(EVENT, flush=True)
    folder.rename(away)
    await stopped(opened, r"moved away|not in .* any more")
    (line,) = caplog.messages
    assert line.startswith("nothing is answered, as the audit log cannot be written: ")
    assert str(folder) in line
    away.rename(folder)
    await works_by_itself(opened)
    await opened.stop()
    assert caplog.messages[1:] == ["the audit log is written again: 3 requests were refused meanwhile"]


async def test_a_folder_that_is_moved_away_and_put_back(tmp_path: Path) -> None:
    opened, folder, away = log(tmp_path), tmp_path / "audit", tmp_path / "away"
    assert await opened.append(EVENT, flush=True) == 0
    folder.rename(away)
    await stopped(opened, r"moved away|not in .* any more")
    assert not folder.exists(), "a second log was begun"
    away.rename(folder)
    await works_by_itself(opened)
    await opened.append(EVENT, flush=True)
    await opened.stop()
    assert types(tmp_path) == ["t", "log.recovered", "t"]


async def test_an_empty_folder_in_its_place_is_not_taken_for_a_new_log(tmp_path: Path) -> None:
    opened, folder, away = log(tmp_path), tmp_path / "audit", tmp_path / "away"
    await opened.append(EVENT, flush=True)
    folder.rename(away)
    folder.mkdir()
    await stopped(opened, r"moved away|not in .* any more|Entry 0 is missing")
    another = log(tmp_path)
    await stopped(another, r"not in .* any more")
    assert [path.name for path in folder.iterdir()] == [], "a second log was begun"
    folder.rmdir()
    away.rename(folder)
    await works_by_itself(opened)
    await works_by_itself(another)
    await another.append(EVENT, flush=True)
    await opened.stop()
    await another.stop()
    assert types(tmp_path) == ["t", "log.recovered", "log.recovered", "t"]


async def test_a_copy_in_its_place_does_not_let_two_write_at_once(tmp_path: Path) -> None:
    """A lock on what was deleted keeps nobody out: each turn looks whether the folder is still the one it locks."""
    opened, folder, away = log(tmp_path), tmp_path / "audit", tmp_path / "away"
    await opened.append(EVENT, flush=True)
    folder.rename(away)
    shutil.copytree(away, folder)
    other = Journal(place(tmp_path), SteppingClock().now, Files())
    with other.turn():
        blocked = asyncio.ensure_future(opened.append(EVENT, flush=True))
        await asyncio.sleep(0.2)
        assert not blocked.done() or isinstance(blocked.exception(), AuditUnavailable)
        other.write([EVENT])
        other.flush()
    await asyncio.wait([blocked])
    blocked.exception()
    await works_by_itself(opened)
    await opened.append(EVENT, flush=True)
    record(other, EVENT)
    other.close()
    await opened.stop()
    entries = [json.loads(entry)["seq"] for entry in told(tmp_path)]
    assert entries == list(range(len(entries)))
    assert check(tmp_path).checkpoint.size == len(entries) >= 4
    assert check(away.parent).pending == 0
    assert Reader(Folder(away)).checkpoint().checkpoint.size == 1, "something was written to what was moved away"


async def test_a_copy_in_the_place_of_the_last_bundle_does_not_fork_the_log(tmp_path: Path) -> None:
    """As `rsync --backup` or an editor would leave it: the same bytes, in another file."""
    opened, bundle = log(tmp_path), bundle_path(tmp_path / "audit", 0)
    await opened.append(EVENT, flush=True)
    bundle.rename(tmp_path / "moved")
    shutil.copy(tmp_path / "moved", bundle)
    other = Journal(place(tmp_path), SteppingClock().now, Files())
    assert record(other, {"type": "other"}) == 1
    other.close()
    with pytest.raises(AuditUnavailable, match="lost entries"):
        await opened.append(EVENT, flush=True)
    await works_by_itself(opened)
    assert await opened.append(EVENT, flush=True) >= 2
    await opened.stop()
    assert types(tmp_path)[:2] == ["t", "other"]


@pytest.mark.parametrize("gone", [["checkpoint"], ["checkpoint.alternate"], ["checkpoint", "checkpoint.alternate"]])
async def test_checkpoints_that_are_deleted_are_written_again(tmp_path: Path, gone: list[str]) -> None:
    opened = log(tmp_path)
    for _ in range(3):
        await opened.append(EVENT, flush=True)
    before = opened.checkpoint()
    for name in gone:
        (tmp_path / "audit" / name).unlink()
    await opened.append(EVENT, flush=True)
    assert Reader(Folder(tmp_path / "audit")).checkpoint().checkpoint.size == 4
    await opened.stop()
    for name in gone:  # and while nobody has it open
        (tmp_path / "audit" / name).unlink(missing_ok=True)
    again = log(tmp_path)
    assert await again.append(EVENT, flush=True) == 4
    await again.stop()
    reader = Reader(Folder(tmp_path / "audit"))
    held = [Signed(reader.verifier.open(note), note) for note in (before, opened.checkpoint())]
    assert verify(reader, held).checkpoint.size == 5


async def test_a_key_that_is_taken_away_while_in_use_and_after_a_restart(tmp_path: Path) -> None:
    opened, key = log(tmp_path), place(tmp_path).key
    await opened.append(EVENT, flush=True)
    key.rename(tmp_path / "kept")
    await opened.append(EVENT, flush=True)  # it was read at the start
    await opened.stop()
    again = log(tmp_path)
    await stopped(again, "signing key")
    assert not key.exists(), "another key was made"
    (tmp_path / "kept").rename(key)
    await works_by_itself(again)
    await again.append(EVENT, flush=True)
    await again.stop()
    assert types(tmp_path) == ["t", "t", "log.recovered", "t"]


async def test_a_log_whose_first_start_died_anywhere_begins_again(tmp_path: Path) -> None:
    """The key has its name only once there is a log: a key without one is a log that was lost."""
    for n in range(1, 40):
        home = tmp_path / str(n)
        files = FaultyFiles(first=n, times=10**6)
        died = log(home, files)
        with pytest.raises(AuditUnavailable):
            await died.append(EVENT, flush=True)
        files.first = 10**9
        await died.stop()
        again = log(home)
        await again.append(EVENT, flush=True)
        await again.stop()
        check(home)
        if files.done < n:
            return


_UNPRIVILEGED = """
import asyncio, concurrent.futures.thread, os, sys  # before root is given up, as Python may lie under it
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from audit_faults_fixtures import log
from isthmus.errors import AuditUnavailable
home = Path(sys.argv[2])
if os.getuid() == 0:
    for path in [home, *home.rglob("*")]:
        os.chown(path, 65534, 65534)
    os.setresuid(65534, 65534, 65534)  # root may write anywhere
async def main():
    opened = log(home)
    await opened.append({"type": "t"}, flush=True)
    await opened.stop()
    folders = [path for path in [home / "audit", *(home / "audit").rglob("*")]]
    modes = {path: path.stat().st_mode for path in folders}
    for path in folders:
        os.chmod(path, 0o500 if path.is_dir() else 0o400)
    told = []
    for flush in (False, True):
        try:
            await opened.append({"type": "t"}, flush=flush)
        except AuditUnavailable as error:
            told.append(error.message)
    assert len(told) == 2 and all("denied" in one for one in told), told
    for path, mode in modes.items():
        os.chmod(path, mode)
    await opened.append({"type": "t"}, flush=True)
    await opened.stop()
asyncio.run(main())
"""


def test_permissions_that_are_lost_and_given_back(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    if os.getuid() == 0:  # pytest's own folders are closed to whom the child becomes
        for parent in (tmp_path, *tmp_path.parents[:2]):
            parent.chmod(parent.stat().st_mode | 0o011)
    done = subprocess.run(
        [sys.executable, "-c", _UNPRIVILEGED, str(Path(__file__).parent), str(home)],
        capture_output=True, text=True, check=False, cwd="/", env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert types(home) == ["t", "log.recovered", "t"]
