"""The log over PostgreSQL: the same log as in a folder, and what the database and the replicas refuse."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from audit_replicas import ORIGIN, check, checkpoint, log, place, sequencer, told
from isthmus.errors import AuditUnavailable, ConfigInvalid, InvalidRequest, NotFound, VerificationFailed
from isthmus.governance.audit.files import Files
from isthmus.governance.audit.notes.checkpoint import Verifier
from isthmus.governance.audit.postgres.connecting import connect
from isthmus.governance.audit.postgres.schema import script
from isthmus.governance.audit.postgres.sequencer import DatabaseSequencer
from isthmus.governance.audit.postgres.storage import Rows
from isthmus.governance.audit.reading.export import export
from isthmus.governance.audit.reading.reader import Reader
from isthmus.governance.audit.reading.verification import verify, verify_receipt
from isthmus.governance.audit.tree.storage import Folder
from isthmus.governance.audit.writing.journal import Journal
from isthmus.governance.audit.writing.journal import Place as FolderPlace
from isthmus.governance.audit.writing.keys import make_key
from isthmus.governance.audit.writing.sequencer import record
from postgres_server import Postgres


def events(count: int) -> list[dict[str, object]]:
    return [{"type": "t", "i": i} for i in range(count)]


def filled(home: Path, dsn: str, count: int) -> None:
    """A log with so many entries, all signed for."""
    writer = sequencer(place(home, dsn))
    writer.commit(events(count), flush=True)
    writer.close()


def ticking() -> Callable[[], datetime]:
    """A clock that is a millisecond later each time it is read."""
    at = datetime(2026, 3, 1, tzinfo=UTC)

    def now() -> datetime:
        nonlocal at
        at += timedelta(milliseconds=1)
        return at

    return now


def execute(dsn: str, *statements: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)  # type: ignore[arg-type]


def meddle(dsn: str, *statements: str) -> None:
    """As a superuser who is in the way of no trigger."""
    tables = ("entries", "tiles", "log")
    off = [f"ALTER TABLE isthmus_audit.{table} DISABLE TRIGGER ALL" for table in tables]
    execute(dsn, *off, *statements)


@pytest.fixture(scope="module")
def one_key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "key"
    make_key(path, Files())
    return path


# ---------------------------------------------------------------- the same log


@pytest.mark.parametrize("size", [0, 1, 2, 255, 256, 257, 700])
def test_it_is_the_log_that_a_folder_would_hold(tmp_path: Path, dsn: str, size: int, one_key: Path) -> None:
    """Same entries, same root, same checkpoint, byte for byte, for the same key and clock."""
    in_database = DatabaseSequencer(place(tmp_path, dsn), ticking())
    in_folder = Journal(FolderPlace(tmp_path / "audit", tmp_path / "other", ORIGIN), ticking(), Files())
    for name in ("key.first", "other.next"):  # where each finds a key to begin with
        shutil.copy(one_key, tmp_path / name)
    for writer in (in_database, in_folder):
        assert writer.commit(events(size), flush=True) == list(range(size))
        writer.close()
    reader = Reader(Folder(tmp_path / "audit"))
    assert told(dsn) == [entry for _, entry in reader.entries()]
    assert checkpoint(dsn) == reader.checkpoint()
    assert check(dsn).checkpoint.size == size


@pytest.mark.parametrize("size", [1, 256, 257, 700])
async def test_receipts_prove_any_entry_to_any_replica(tmp_path: Path, dsn: str, size: int) -> None:
    filled(tmp_path / "a", dsn, size)
    other = log(place(tmp_path / "b", dsn, tmp_path / "a" / "key"))
    await other.start()
    rows = Rows(dsn)
    for index in sorted({0, size // 2, size - 1}):
        receipt = await other.receipt(index)
        assert (receipt.index, receipt.size) == (index, size)
        verify_receipt(Reader(rows), receipt)
    with pytest.raises(IndexError):
        await other.receipt(size)
    rows.close()
    await other.stop()


def test_an_export_is_checked_by_a_stranger(tmp_path: Path, dsn: str) -> None:
    asyncio.run(_live(tmp_path, dsn))
    rows = Rows(dsn)
    assert export(Reader(rows), tmp_path / "out") == 610
    rows.close()
    out = tmp_path / "out"
    command = [sys.executable, out / "verify.py", out, out / "vkey", tmp_path / "kept", "--receipt"]
    done = subprocess.run([*command, tmp_path / "receipt"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("OK: 610 entries, 2 kept")


async def _live(home: Path, dsn: str) -> None:
    """610 entries, and what somebody kept after 600."""
    writer = log(place(home, dsn))
    await asyncio.gather(*(writer.append(event, flush=True) for event in events(600)))
    (home / "kept").write_text(writer.checkpoint(), encoding="utf8")
    (home / "receipt").write_text(json.dumps(asdict(await writer.receipt(300))), encoding="utf8")
    await asyncio.gather(*(writer.append(event, flush=True) for event in events(10)))
    await writer.stop()


async def test_what_is_written_is_not_yet_signed_for(tmp_path: Path, dsn: str) -> None:
    writer = log(place(tmp_path, dsn))
    await writer.start()
    assert [await writer.append({"type": "t"}, flush=False) for _ in range(3)] == [0, 1, 2]
    assert check(dsn).pending == 3
    await writer.stop()
    assert check(dsn).pending == 0


def test_one_bad_event_fails_alone(tmp_path: Path, dsn: str) -> None:
    writer = sequencer(place(tmp_path, dsn))
    first, bad, last = writer.commit([{"type": "a"}, {"type": object()}, {"type": "\ud800\0"}], flush=True)
    assert (first, last) == (0, 1)
    assert isinstance(bad, AuditUnavailable)
    with pytest.raises(AuditUnavailable, match="cannot be recorded"):
        record(writer, {"type": object()})
    assert record(writer, {"type": "fine"}) == 2
    writer.close()
    assert check(dsn).checkpoint.size == 3


def test_a_large_group_is_one_transaction(tmp_path: Path, dsn: str) -> None:
    """More than any socket's buffer, both ways."""
    writer = sequencer(place(tmp_path / "a", dsn))
    large = [{"type": "t", "text": "x" * 60_000} for _ in range(600)]
    assert writer.commit(large, flush=True) == list(range(600))
    other = sequencer(place(tmp_path / "b", dsn, tmp_path / "a" / "key"))
    other.commit([], flush=True)
    writer.commit(large, flush=True)
    assert record(other, {"type": "t"}) == 1200
    for one in (writer, other):
        one.close()
    assert check(dsn).checkpoint.size == 1201


def test_who_was_away_for_long_reads_tiles(tmp_path: Path, dsn: str) -> None:
    one = sequencer(place(tmp_path / "a", dsn))
    record(one, {"type": "t"})
    other = sequencer(place(tmp_path / "b", dsn, tmp_path / "a" / "key"))
    record(other, {"type": "t"})
    one.commit(events(3000), flush=False)
    assert record(other, {"type": "t"}) == 3002
    assert record(one, {"type": "t"}) == 3003
    for writer in (one, other):
        writer.close()
    assert check(dsn).checkpoint.size == 3004


def test_a_log_whose_tiles_are_gone_is_read_before_the_turn(tmp_path: Path, dsn: str) -> None:
    """To compute them again takes long; nobody waits for it."""
    filled(tmp_path, dsn, 3000)
    meddle(dsn, "DELETE FROM isthmus_audit.tiles")
    again = sequencer(place(tmp_path, dsn))
    assert again.commit(events(1500), flush=True) == list(range(3000, 4500))
    again.close()
    assert check(dsn).checkpoint.size == 4500


def test_no_log_yet(dsn: str) -> None:
    rows = Rows(dsn)
    with pytest.raises(NotFound):
        Reader(rows)
    rows.close()


# ---------------------------------------------------------------- who may


def test_a_replica_with_another_key_or_none_is_told_what_to_do(tmp_path: Path, dsn: str) -> None:
    filled(tmp_path / "a", dsn, 1)
    with pytest.raises(AuditUnavailable, match="no signing key") as caught:
        sequencer(place(tmp_path / "b", dsn)).commit([], flush=True)
    assert "Copy the key" in caught.value.hint
    assert not (tmp_path / "b" / "key").exists(), "no key is made for a log that exists"
    with pytest.raises(AuditUnavailable, match="is called"):
        sequencer(place(tmp_path / "a", dsn, origin="other.org/log")).commit([], flush=True)


def test_a_replica_with_the_key_of_another_log_stops(tmp_path: Path, postgres_server: Postgres) -> None:
    one, other = (postgres_server.dsn(postgres_server.database()) for _ in range(2))
    filled(tmp_path / "a", one, 1)
    filled(tmp_path / "b", other, 1)
    with pytest.raises(AuditUnavailable, match="is not the one of the log") as caught:
        sequencer(place(tmp_path / "c", one, tmp_path / "b" / "key")).commit([], flush=True)
    assert "Copy the key" in caught.value.hint


def test_of_several_that_begin_one_log_one_does(tmp_path: Path, dsn: str) -> None:
    """Each with a key of its own: the first makes tables and log, the others compare, and stop."""
    results: list[object] = []

    def begin(name: str) -> None:
        writer = sequencer(place(tmp_path / name, dsn, origin=None))
        try:
            results.append(record(writer, {"type": "t"}))
        except AuditUnavailable as error:
            results.append(error)
        writer.close()

    threads = [threading.Thread(target=begin, args=(f"replica{n}",)) for n in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results.count(0) == 1
    failed = [result for result in results if isinstance(result, AuditUnavailable)]
    assert len(failed) == 4
    assert all("signing key" in error.message for error in failed)
    assert check(dsn).checkpoint.size == 1


def test_a_key_that_was_given_to_every_replica_begins_the_log(tmp_path: Path, dsn: str, one_key: Path) -> None:
    """Whoever comes first begins it; it is everyone's key then."""
    for name in "ab":
        (tmp_path / name).mkdir()
        shutil.copy(one_key, tmp_path / name / "key.first")
    for index, name in enumerate("ab"):
        writer = sequencer(place(tmp_path / name, dsn))
        assert record(writer, {"type": "t"}) == index
        writer.close()
        assert (tmp_path / name / "key").read_bytes() == one_key.read_bytes()


def test_a_key_without_its_log_begins_no_other(tmp_path: Path, postgres_server: Postgres) -> None:
    """A replica that never ran, with the key of a log, and a database that is not that log's."""
    first, second = (postgres_server.dsn(postgres_server.database()) for _ in range(2))
    filled(tmp_path / "a", first, 1)
    place(tmp_path / "b", second, tmp_path / "a" / "key")
    with pytest.raises(AuditUnavailable, match="is not in the database"):
        filled(tmp_path / "b", second, 1)


def test_roles_may_do_what_they_must_and_no_more(tmp_path: Path, postgres_server: Postgres) -> None:
    name = postgres_server.database()
    owner = postgres_server.dsn(name)
    execute(owner, "CREATE ROLE writer LOGIN", "CREATE ROLE reader LOGIN", "CREATE ROLE nobody LOGIN")
    writer, reader = postgres_server.dsn(name, "writer"), postgres_server.dsn(name, "reader")
    with pytest.raises(AuditUnavailable, match="does not let this role") as caught:
        sequencer(place(tmp_path, writer)).commit([], flush=True)
    assert "isthmus audit schema" in caught.value.hint
    execute(owner, script("writer", "reader"))
    filled(tmp_path, writer, 300)
    assert check(reader).checkpoint.size == 300
    for role in ("writer", "reader"):
        with psycopg.connect(postgres_server.dsn(name, role), autocommit=True) as connection:
            for harm in (
                "UPDATE isthmus_audit.entries SET entry = 'x'",
                "DELETE FROM isthmus_audit.entries",
                "TRUNCATE isthmus_audit.entries",
                "UPDATE isthmus_audit.tiles SET hashes = hashes",
                "UPDATE isthmus_audit.log SET version = 2",
                "ALTER TABLE isthmus_audit.entries DISABLE TRIGGER ALL",
                "DROP SCHEMA isthmus_audit CASCADE",
                "CREATE OR REPLACE FUNCTION isthmus_audit.refuse() RETURNS trigger LANGUAGE sql AS 'SELECT NULL'",
            ):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(harm)  # type: ignore[arg-type]
    rows = Rows(postgres_server.dsn(name, "nobody"))
    with pytest.raises(AuditUnavailable, match="cannot be read"):
        Reader(rows)
    rows.close()
    with pytest.raises(InvalidRequest):
        script('x"; DROP TABLE y; --')


REFUSED = [
    "INSERT INTO isthmus_audit.entries VALUES (11, 'gap')",
    "INSERT INTO isthmus_audit.entries VALUES (9, 'again')",
    "INSERT INTO isthmus_audit.entries VALUES (10, 'next'), (12, 'gap')",
    "INSERT INTO isthmus_audit.entries VALUES (10, '')",
    "INSERT INTO isthmus_audit.entries VALUES (-1, 'before')",
    "UPDATE isthmus_audit.entries SET entry = 'x' WHERE seq = 3",
    "DELETE FROM isthmus_audit.entries WHERE seq = 9",
    "TRUNCATE isthmus_audit.entries",
    "TRUNCATE isthmus_audit.tiles",
    "DELETE FROM isthmus_audit.log",
    "INSERT INTO isthmus_audit.log (version, vkey) VALUES (1, 'another')",
    "INSERT INTO isthmus_audit.log (one, version, vkey) VALUES (false, 1, 'another')",
    "UPDATE isthmus_audit.log SET size = 9",
    "UPDATE isthmus_audit.log SET size = 11",
    "UPDATE isthmus_audit.log SET vkey = 'another'",
]


@pytest.mark.parametrize("session", ["origin", "replica"])
def test_the_database_itself_refuses(tmp_path: Path, dsn: str, session: str) -> None:
    """Also a superuser, and one who has switched ordinary triggers off, unless they change the tables."""
    filled(tmp_path, dsn, 10)
    for harm in REFUSED:
        with pytest.raises(psycopg.IntegrityError):
            execute(dsn, f"SET session_replication_role = {session}", harm)
    assert check(dsn).checkpoint.size == 10


def test_a_connection_string_is_not_quoted() -> None:
    for bad in ("postgresql://user:hunter2@[host/x", "hunter2", "passwort=hunter2"):
        with pytest.raises(ConfigInvalid) as caught:
            connect(bad)
        assert "hunter2" not in f"{caught.value} {caught.value.__cause__} {caught.value.hint}"


# ---------------------------------------------------------------- another key


def test_a_new_key_takes_over_on_every_replica(tmp_path: Path, dsn: str) -> None:
    """The next key lies beside the old one everywhere; one replica rotates, the others follow by themselves."""
    homes = [tmp_path / name for name in "abc"]
    first = sequencer(place(homes[0], dsn))
    record(first, {"type": "t"})
    second, third = (sequencer(place(home, dsn, homes[0] / "key")) for home in homes[1:])
    record(second, {"type": "t"})
    record(third, {"type": "t"})
    kept, old = checkpoint(dsn), vkey(dsn)
    with pytest.raises(AuditUnavailable, match="no key to rotate to") as caught:
        first.rotate(by="ada", why="yearly")
    assert "openssl genpkey" in caught.value.hint
    make_key(homes[0] / "key.next", Files())
    shutil.copy(homes[0] / "key.next", homes[1] / "key.next")
    rotated = first.rotate(by="ada", why="yearly")
    assert (rotated.old, rotated.new, rotated.size) == (old, vkey(dsn), 4)
    assert record(second, {"type": "t"}) == 4
    assert record(first, {"type": "t"}) == 5
    assert not (homes[1] / "key.next").exists()
    with pytest.raises(AuditUnavailable, match="is not the one of the log"):
        record(third, {"type": "t"})  # nobody gave it the key
    shutil.copy(homes[0] / "key", homes[2] / "key")
    assert record(third, {"type": "t"}) == 6
    for writer in (first, second, third):
        writer.close()
    rows = Rows(dsn)
    for trusted in (old, rotated.new):  # whoever holds either
        reader = Reader(rows, Verifier.parse(trusted))
        assert verify(reader, [kept]).checkpoint.size == 7
    export(reader, tmp_path / "out")
    assert (tmp_path / "out" / "rotation" / "1").exists()
    rows.close()


def test_a_death_right_after_the_rotation_counted_is_finished(tmp_path: Path, dsn: str) -> None:
    """As if it died before it put the new key in the old one's place."""
    writer = sequencer(place(tmp_path, dsn))
    record(writer, {"type": "t"})
    old = (tmp_path / "key").read_bytes()
    make_key(tmp_path / "key.next", Files())
    new = (tmp_path / "key.next").read_bytes()
    writer.rotate(by="ada", why="")
    (tmp_path / "key").write_bytes(old)
    (tmp_path / "key.next").write_bytes(new)
    (tmp_path / "key.next").chmod(0o600)
    assert record(writer, {"type": "t"}) == 2
    assert (tmp_path / "key").read_bytes() == new
    writer.close()


def vkey(dsn: str) -> str:
    with psycopg.connect(dsn) as connection:
        found = connection.execute("SELECT vkey FROM isthmus_audit.log").fetchone()
    assert found is not None
    return str(found[0])


# ---------------------------------------------------------------- what does not add up


def test_a_changed_entry_is_named_and_the_replicas_stop(tmp_path: Path, dsn: str) -> None:
    running = sequencer(place(tmp_path / "a", dsn))
    running.commit(events(300), flush=True)
    meddle(dsn, """UPDATE isthmus_audit.entries SET entry = convert_to(replace(convert_from(entry, 'UTF8'),
        '"i":270', '"i":271'), 'UTF8') WHERE seq = 270""")  # fmt: skip
    with pytest.raises(VerificationFailed, match="from 0 to 299"):
        check(dsn)
    fresh = sequencer(place(tmp_path / "b", dsn, tmp_path / "a" / "key"))
    with pytest.raises(AuditUnavailable, match="An entry before 300 was changed") as caught:
        record(fresh, {"type": "t"})
    assert "audit verify" in caught.value.hint
    for writer in (running, fresh):
        writer.close()


def test_a_changed_entry_of_a_full_bundle_is_named(tmp_path: Path, dsn: str) -> None:
    filled(tmp_path, dsn, 600)
    meddle(dsn, "UPDATE isthmus_audit.entries SET entry = entry || ' ' WHERE seq = 300")
    with pytest.raises(VerificationFailed) as caught:
        check(dsn)
    assert caught.value.details["index"] == 300


@pytest.mark.parametrize("harm", [
    "UPDATE isthmus_audit.entries SET entry = entry || ' ' WHERE seq = 9",
    "DELETE FROM isthmus_audit.entries WHERE seq = 9",
    "DELETE FROM isthmus_audit.entries",
    "DELETE FROM isthmus_audit.entries; DELETE FROM isthmus_audit.log",
    "UPDATE isthmus_audit.log SET note = replace(note, '10', '12')",
    "UPDATE isthmus_audit.log SET vkey = 'x+00000000+AAAA'",
    "UPDATE isthmus_audit.log SET vkey = 'x'",
    "INSERT INTO isthmus_audit.entries VALUES (10, 'no entry')",
    "INSERT INTO isthmus_audit.entries VALUES (11, '{\"seq\":11}')",
    "DROP SCHEMA isthmus_audit CASCADE",
])  # fmt: skip
def test_what_does_not_add_up_stops_a_replica_until_it_does(tmp_path: Path, dsn: str, harm: str) -> None:
    filled(tmp_path, dsn, 10)
    running, again = sequencer(place(tmp_path, dsn)), sequencer(place(tmp_path, dsn))
    assert running.commit([], flush=True) == []
    meddle(dsn, harm)
    if "note" not in harm:  # what it signed itself it does not read again
        for _ in range(2):
            with pytest.raises(AuditUnavailable):
                record(running, {"type": "t"})
    for _ in range(2):
        with pytest.raises(AuditUnavailable):
            record(again, {"type": "t"})
    for writer in (running, again):
        writer.close()


def test_a_tile_that_was_changed_stops_who_reads_it(tmp_path: Path, dsn: str) -> None:
    filled(tmp_path, dsn, 600)
    meddle(dsn, "UPDATE isthmus_audit.tiles SET hashes = decode(repeat('00', 8192), 'hex') WHERE n = 0")
    with pytest.raises(AuditUnavailable, match="was changed"):
        record(sequencer(place(tmp_path, dsn)), {"type": "t"})
    meddle(dsn, "DELETE FROM isthmus_audit.tiles")  # a missing one is computed again
    filled(tmp_path, dsn, 1)
    assert check(dsn).checkpoint.size == 601


def test_tables_of_a_newer_version_are_left_alone(tmp_path: Path, dsn: str) -> None:
    filled(tmp_path, dsn, 1)
    meddle(dsn, "UPDATE isthmus_audit.log SET version = 2")
    with pytest.raises(AuditUnavailable, match="newer Isthmus"):
        record(sequencer(place(tmp_path, dsn)), {"type": "t"})


async def test_nothing_of_the_server_reaches_who_asked(tmp_path: Path) -> None:
    gone = log(place(tmp_path, f"postgresql://user:hunter2@/nowhere?host={tmp_path}"))
    with pytest.raises(AuditUnavailable) as caught:
        await gone.append({"type": "t"}, flush=True)
    told = f"{caught.value.message} {caught.value.hint}"
    assert "hunter2" not in told
    assert str(tmp_path) not in told
    with pytest.raises(AuditUnavailable):
        gone.check()
    await gone.stop()
