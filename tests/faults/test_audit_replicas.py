"""Several replicas over one database: killed processes, a killed database, cut connections, a restored backup."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, TypeAlias

import psycopg
import pytest
from wire_cutter import Cutter

from audit_replicas import check, checkpoint, log, place, sequencer, told
from isthmus.errors import AuditUnavailable
from isthmus.governance.audit.postgres.sequencer import DatabaseSequencer
from isthmus.governance.audit.postgres.storage import Rows
from isthmus.governance.audit.reading.reader import Signed
from isthmus.governance.audit.writing.sequencer import record
from postgres_server import FAST, Postgres, postgres

Start: TypeAlias = "Callable[..., Writer]"
WRITER = Path(__file__).parent / "database_writer.py"


class Writer:
    """A replica in a process of its own; what it was told is gathered as it comes."""

    def __init__(
        self, home: Path, dsn: str, name: str, count: int = 10**6, key: Path | None = None, hang_at: int = 0
    ) -> None:
        place(home, dsn, key)
        command = [sys.executable, str(WRITER), str(home), dsn, name, str(count), str(hang_at)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.lines, self.complaints = list[str](), list[str]()
        pairs = ((self.process.stdout, self.lines), (self.process.stderr, self.complaints))
        self._readers = [threading.Thread(target=_gather, args=pair) for pair in pairs]
        for reader in self._readers:
            reader.start()

    @property
    def acknowledged(self) -> list[tuple[int, str, bool]]:
        fields = [line.split(" ") for line in self.lines]
        return [(int(index), name, flushed == "1") for index, name, flushed in fields]

    def wait_for(self, count: int) -> None:
        """Until so many entries were acknowledged."""
        for _ in range(3000):
            if len(self.lines) >= count:
                return
            assert self.process.poll() is None, self.complaints
            time.sleep(0.01)
        raise AssertionError((len(self.lines), self.complaints[-3:]))

    def end(self, how: signal.Signals | None = None) -> None:
        if how is not None:
            self.process.send_signal(how)
        self.process.wait(timeout=120)
        for reader in self._readers:
            reader.join()
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()


def _gather(stream: IO[bytes], lines: list[str]) -> None:
    for line in stream:
        if line.endswith(b"\n"):  # a line that was cut is not an acknowledgement
            lines.append(line.decode().rstrip("\n"))


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts writers; those that a failed test leaves behind end with it."""
    writers: list[Writer] = []

    def started(*arguments: Any, **named: Any) -> Writer:
        writers.append(Writer(*arguments, **named))
        return writers[-1]

    yield started
    for writer in writers:
        if writer.process.poll() is None:
            writer.end(signal.SIGKILL)


def assert_recorded(dsn: str, pairs: list[tuple[int, str, bool]]) -> None:
    entries = told(dsn)
    for index, name, _ in pairs:
        assert json.loads(entries[index])["name"] == name


@pytest.fixture(scope="module")
def durable() -> Iterator[Postgres]:
    """A server that keeps what it promises; fit to be killed, copied and replaced."""
    with postgres({name: value for name, value in FAST.items() if name not in ("fsync", "full_page_writes")}) as server:
        yield server


@pytest.mark.parametrize("count", [2, 4])
def test_replicas_share_one_log_without_gaps_or_forks(tmp_path: Path, dsn: str, count: int, start: Start) -> None:
    founder = sequencer(place(tmp_path / "0", dsn))
    founder.commit([], flush=True)
    founder.close()
    writers = [start(tmp_path / str(n), dsn, f"w{n}", 300, tmp_path / "0" / "key") for n in range(count)]
    older = list[Signed]()
    while any(writer.process.poll() is None for writer in writers):
        older.append(checkpoint(dsn))
        time.sleep(0.005)
    for writer in writers:
        writer.end()
        assert writer.complaints == []
    pairs = [pair for writer in writers for pair in writer.acknowledged]
    assert sorted(index for index, _, _ in pairs) == list(range(300 * count))
    assert_recorded(dsn, pairs)
    assert check(dsn, older).checkpoint.size == 300 * count
    assert len({signed.checkpoint.size for signed in older}) > 2, "some were taken in between"


def test_kill_9_of_a_replica_loses_nothing_and_stops_nobody(tmp_path: Path, dsn: str, start: Start) -> None:
    chance, pairs, older = random.Random(4), list[tuple[int, str, bool]](), list[Signed]()
    steady = start(tmp_path / "steady", dsn, "steady")
    steady.wait_for(10)
    for run in range(6):
        victim = start(tmp_path / f"v{run}", dsn, f"v{run}", key=tmp_path / "steady" / "key")
        victim.wait_for(1)
        time.sleep(chance.uniform(0, 0.1))
        victim.end(signal.SIGKILL)
        pairs += victim.acknowledged
        steady.wait_for(len(steady.lines) + 10)
        older.append(checkpoint(dsn))
    steady.end(signal.SIGKILL)
    assert steady.complaints == []
    assert_recorded(dsn, pairs + steady.acknowledged)
    check(dsn, older)


def test_kill_9_of_the_database_loses_nothing_that_was_flushed(tmp_path: Path, durable: Postgres, start: Start) -> None:
    dsn, chance, older = durable.dsn(durable.database()), random.Random(5), list[Signed]()
    writer = start(tmp_path, dsn, "w")
    for _ in range(4):
        writer.wait_for(len(writer.lines) + 20)
        older.append(checkpoint(dsn))
        time.sleep(chance.uniform(0, 0.05))
        durable.crash()
    writer.wait_for(len(writer.lines) + 20)  # it comes back by itself
    writer.end(signal.SIGKILL)
    assert any("cannot be reached" in line for line in writer.complaints)
    flushed = [pair for pair in writer.acknowledged if pair[2]]
    assert len(flushed) > 20
    assert_recorded(dsn, flushed)
    check(dsn, older)


@pytest.mark.parametrize("seed", range(4))
async def test_a_connection_cut_anywhere_is_a_failure_told(tmp_path: Path, dsn: str, seed: int) -> None:
    """Also in the middle of COMMIT: whatever was told as recorded is there; what failed may be there."""
    chance, recorded, failed = random.Random(seed), dict[int, int](), list[int]()
    with Cutter(Path(dsn.split("host=")[1]) / ".s.PGSQL.5432", tmp_path) as cutter:
        opened = log(place(tmp_path, dsn.split("?")[0] + f"?host={tmp_path}"))
        await opened.start()
        for i in range(60):
            if i % 3 == 2:
                cutter.cut_after(chance.randrange(1, 1500), answers=chance.random() < 0.5)
            try:
                recorded[i] = await opened.append({"type": "t", "i": i}, flush=i % 2 == 0)
            except AuditUnavailable:
                failed.append(i)
        cutter.cut_after(None)
        assert await opened.append({"type": "t", "i": 60}, flush=True) > max(recorded.values())
        await opened.stop()
    entries = [json.loads(entry).get("i") for entry in told(dsn)]
    assert failed
    assert all(entries[index] == i for i, index in recorded.items())
    ours = [i for i in entries if i is not None]  # the others say that the log was gone
    assert len(set(ours)) == len(ours), "what failed is not written again by us"
    assert check(dsn).checkpoint.size == len(entries)


async def test_a_full_database_is_told_and_the_log_goes_on(tmp_path: Path, dsn: str) -> None:
    opened = log(place(tmp_path, dsn))
    await opened.append({"type": "t"}, flush=True)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("""CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE EXCEPTION 'no space left on device' USING ERRCODE = 'disk_full'; END $$""")
        connection.execute("CREATE TRIGGER z BEFORE INSERT ON isthmus_audit.entries EXECUTE FUNCTION full_disk()")
        for flush in (True, False):
            with pytest.raises(AuditUnavailable, match="disk of the audit database is full"):
                await opened.append({"type": "t"}, flush=flush)
        with pytest.raises(AuditUnavailable):
            opened.check()
        connection.execute("DROP TRIGGER z ON isthmus_audit.entries")
    assert await opened.append({"type": "t"}, flush=True) == 2  # after what says that the log was gone
    opened.check()
    await opened.stop()


@pytest.mark.timeout(60)
def test_a_replica_that_hangs_in_its_turn_loses_it(tmp_path: Path, dsn: str, start: Start) -> None:
    """Stopped, not dead: the server ends its transaction, and the others are told until then."""
    hanging = start(tmp_path / "a", dsn, "hanging", hang_at=40)
    hanging.wait_for(5)
    other = sequencer(place(tmp_path / "b", dsn, tmp_path / "a" / "key"), patience=0.3)
    with suppress(AuditUnavailable):  # where the other hangs already, its turn is not over yet
        other.commit([], flush=True)
    os.waitid(os.P_PID, hanging.process.pid, os.WSTOPPED | os.WNOWAIT)
    with pytest.raises(AuditUnavailable, match="turn of the audit log for too long"):
        record(other, {"type": "other"})
    with psycopg.connect(dsn, autocommit=True) as connection:
        lock = "SELECT FROM pg_locks WHERE locktype = 'advisory'"
        while connection.execute(lock).fetchall():  # its own patience is 2 s
            time.sleep(0.05)
    index = record(other, {"type": "other"})
    hanging.process.send_signal(signal.SIGCONT)
    hanging.wait_for(len(hanging.lines) + 10)
    hanging.end(signal.SIGKILL)
    other.close()
    assert json.loads(told(dsn)[index])["type"] == "other"
    assert_recorded(dsn, hanging.acknowledged)
    check(dsn)


def backends(dsn: str, condition: str = "true") -> list[int]:
    """The processes of the database's server that ours are connected to."""
    sql = "SELECT pid FROM pg_stat_activity WHERE application_name = 'isthmus-audit' AND datname = current_database()"
    with psycopg.connect(dsn, autocommit=True) as connection:
        found = connection.execute(f"{sql} AND {condition}").fetchall()  # type: ignore[arg-type]
    return [int(pid) for (pid,) in found]


@contextmanager
def stopped(*pids: int) -> Iterator[None]:
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def test_a_server_that_does_not_answer_is_given_up(tmp_path: Path, dsn: str) -> None:
    writer = sequencer(place(tmp_path, dsn), patience=0.4)
    record(writer, {"type": "t"})
    began = time.monotonic()
    with stopped(*backends(dsn)), pytest.raises(AuditUnavailable, match="cannot be reached, or did not answer"):
        record(writer, {"type": "t"})
    assert time.monotonic() - began < 5
    assert record(writer, {"type": "t"}) >= 1
    writer.close()


@pytest.mark.timeout(60)
def test_a_server_that_hangs_while_the_log_is_read_again_is_given_up(tmp_path: Path, dsn: str) -> None:
    """The connection that tiles are read from: nobody may wait for it without end, and least of all in the turn."""
    first = sequencer(place(tmp_path / "a", dsn))
    first.commit([{"type": "t"} for _ in range(600)], flush=True)
    writer = sequencer(place(tmp_path / "b", dsn, tmp_path / "a" / "key"), patience=0.4)
    record(writer, {"type": "t"})
    first.commit([{"type": "t"} for _ in range(1100)], flush=True)  # more than a turn reads: tiles are needed
    (pid,) = backends(dsn, "query LIKE 'SELECT%'")
    began = time.monotonic()
    with stopped(pid), pytest.raises(AuditUnavailable, match="cannot be reached"):
        record(writer, {"type": "t"})
    assert time.monotonic() - began < 5
    assert record(writer, {"type": "t"}) == 1701
    for one in (first, writer):
        one.close()
    check(dsn)


@pytest.mark.timeout(60)
def test_a_server_that_hangs_once_it_is_connected_is_given_up(tmp_path: Path, dsn: str) -> None:
    with Cutter(Path(dsn.split("host=")[1]) / ".s.PGSQL.5432", tmp_path) as cutter:
        hanging = dsn.split("?")[0] + f"?host={tmp_path}"
        writer, rows = sequencer(place(tmp_path, hanging), patience=0.4), Rows(hanging, patience=0.4)
        cutter.hangs = True
        began = time.monotonic()
        with pytest.raises(AuditUnavailable, match="did not answer"):
            record(writer, {"type": "t"})
        with pytest.raises(OSError, match="cannot be reached"):
            rows.vkey()
        assert time.monotonic() - began < 5
        cutter.hangs = False
        assert record(writer, {"type": "t"}) == 0
        assert rows.vkey()
        writer.close()
        rows.close()


@pytest.mark.timeout(60)
def test_a_reader_whose_server_hangs_is_told(tmp_path: Path, dsn: str) -> None:
    writer, rows = sequencer(place(tmp_path, dsn)), Rows(dsn, patience=0.4)
    record(writer, {"type": "t"})
    assert rows.bundle(0)
    (pid,) = backends(dsn, "query LIKE 'SELECT entry %'")
    began = time.monotonic()
    with stopped(pid), pytest.raises(OSError, match="cannot be reached"):
        rows.bundle(0)
    assert time.monotonic() - began < 5
    assert rows.bundle(0)
    writer.close()
    rows.close()


def test_a_database_that_is_gone_is_complained_of_once(
    tmp_path: Path, durable: Postgres, caplog: pytest.LogCaptureFixture
) -> None:
    """Readers ask again and again; the log says it once, and again once it has worked in between."""
    dsn = durable.dsn(durable.database())
    writer, rows = sequencer(place(tmp_path, dsn)), Rows(dsn)
    record(writer, {"type": "t"})
    for _ in range(2):
        assert rows.vkey()
        durable.stop()
        caplog.clear()
        for _ in range(3):
            with pytest.raises(OSError, match="cannot be reached"):
                rows.vkey()
        assert len(caplog.records) == 1
        durable.start()
    writer.close()
    rows.close()


@pytest.mark.timeout(60)
def test_a_commit_that_its_standby_does_not_confirm_is_not_told(tmp_path: Path) -> None:
    """A synchronous standby that is gone: the server waits, and so would everyone. Nothing is acknowledged."""
    with postgres({"fsync": "off"}) as server:
        dsn = server.dsn(server.database())
        writer = sequencer(place(tmp_path, dsn), patience=0.5)
        record(writer, {"type": "t"})
        server.ask("ALTER SYSTEM SET synchronous_standby_names = 'absent'")
        server.ask("SELECT pg_reload_conf()")
        before = _until_it_fails(writer, "did not answer")  # until then the server has not read it
        cancel = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
        assert server.ask(cancel) == [(True,)]
        # cancelled by an administrator, the commit counts, and the server warns that the standby may not have it
        cancelling = threading.Timer(0.4, server.ask, [cancel])
        cancelling.start()
        with pytest.raises(AuditUnavailable, match="did not answer"):
            record(writer, {"type": "t"})
        cancelling.join()
        server.ask("ALTER SYSTEM RESET synchronous_standby_names")
        server.ask("SELECT pg_reload_conf()")
        server.ask("CREATE TABLE confirmed ()")  # waits for the standby until the server has read it
        assert record(writer, {"type": "t"}) == before + 3, "what was told as failed is there, as nobody could know"
        writer.close()
        check(dsn)


def _until_it_fails(writer: DatabaseSequencer, told: str) -> int:
    """The last entry before."""
    index, deadline = 0, time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            index = record(writer, {"type": "t"})
        except AuditUnavailable as error:
            if told not in error.message:
                raise
            return index
    raise AssertionError("It does not fail.")


# ---------------------------------------------------------------- a database that went back


def test_a_replica_that_saw_more_stops(tmp_path: Path, durable: Postgres) -> None:
    """The database became what it was at 50 of 100 entries: a backup was restored, or an asynchronous standby took
    over. A replica that knows of no more cannot tell; one that does tells, whatever is written since."""
    dsn, seen, new = durable.dsn(durable.database()), tmp_path / "seen", tmp_path / "new"
    writer = sequencer(place(seen, dsn))
    writer.commit([{"type": "t", "i": i} for i in range(50)], flush=True)
    writer.close()
    durable.stop()
    shutil.copytree(durable.data, tmp_path / "backup")
    durable.start()
    writer.commit([{"type": "t", "i": i} for i in range(50)], flush=True)
    durable.stop()
    _replace(durable.data, tmp_path / "backup")
    durable.start()
    again = sequencer(place(seen, dsn))  # also one that was started anew
    for replica in (writer, again, writer):
        with pytest.raises(AuditUnavailable, match=r"Entry 50 is missing: .* covers 100") as caught:
            record(replica, {"type": "t"})
        assert "docs/audit-postgres.md" in caught.value.hint
    assert check(dsn).checkpoint.size == 50
    other = sequencer(place(new, dsn, seen / "key"))
    other.commit([{"type": "other"} for _ in range(80)], flush=True)
    for replica in (writer, again):
        with pytest.raises(AuditUnavailable, match="An entry before 100 was changed"):
            record(replica, {"type": "t"})
    for replica in (writer, again, other):
        replica.close()


def _replace(data: Path, backup: Path) -> None:
    owner = data.stat()
    shutil.rmtree(data)
    shutil.copytree(backup, data)
    for path in (data, *data.rglob("*")):
        os.chown(path, owner.st_uid, owner.st_gid)
    data.chmod(0o700)


def test_a_running_replica_notices_behind_a_pooler(tmp_path: Path, durable: Postgres) -> None:
    """The connection stays, the server behind it is another one: here, rows go while it is open."""
    dsn = durable.dsn(durable.database())
    writer = sequencer(place(tmp_path, dsn))
    writer.commit([{"type": "t", "i": i} for i in range(20)], flush=True)
    writer.commit([{"type": "t", "i": i} for i in range(20, 30)], flush=False)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("ALTER TABLE isthmus_audit.entries DISABLE TRIGGER ALL")
        connection.execute("DELETE FROM isthmus_audit.entries WHERE seq >= 25")
        connection.execute("ALTER TABLE isthmus_audit.entries ENABLE ALWAYS TRIGGER follow")
        assert record(writer, {"type": "t"}) == 25, "what was not signed for may go in a crash of the database"
        connection.execute("DELETE FROM isthmus_audit.entries WHERE seq >= 24")
    with pytest.raises(AuditUnavailable, match="Entry 24 is missing"):
        record(writer, {"type": "t"})
    writer.close()


def test_a_dump_is_the_log(tmp_path: Path, dsn: str, postgres_server: Postgres) -> None:
    """Restored elsewhere it verifies, refuses what the first did, and goes on."""
    writer = sequencer(place(tmp_path, dsn))
    writer.commit([{"type": "t", "i": i} for i in range(300)], flush=True)
    writer.close()
    copy, dump = postgres_server.database(), postgres_server.folder / "dump.sql"
    postgres_server.program("pg_dump", "-f", dump, dsn)
    postgres_server.program("psql", "-q", "-v", "ON_ERROR_STOP=1", "-f", dump, postgres_server.dsn(copy))
    restored = sequencer(place(tmp_path, postgres_server.dsn(copy)))
    assert record(restored, {"type": "t"}) == 300
    restored.close()
    assert check(postgres_server.dsn(copy)).checkpoint.size == 301
    with pytest.raises(psycopg.IntegrityError):
        postgres_server.ask("DELETE FROM isthmus_audit.entries", copy)


def test_an_empty_database_in_the_place_of_the_log_is_refused(tmp_path: Path, postgres_server: Postgres) -> None:
    first, second = (postgres_server.dsn(postgres_server.database()) for _ in range(2))
    writer = sequencer(place(tmp_path, first, origin=None))
    record(writer, {"type": "t"})
    writer.close()
    for _ in range(2):
        with pytest.raises(AuditUnavailable, match="is not in the database"):
            record(sequencer(place(tmp_path, second, origin=None)), {"type": "t"})
    assert postgres_server.ask("SELECT * FROM isthmus_audit.log", second.split("/")[3].split("?")[0]) == []
