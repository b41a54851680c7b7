"""One SQLite file that holds the truth: opened, migrated, and safe to share between processes.

Write-ahead log, foreign keys, ``synchronous=FULL``: what ``write()`` committed survives kill -9 and a power cut
(sqlite.org/pragma.html#pragma_synchronous). A write takes the lock at once (``BEGIN IMMEDIATE``), so that it can
never fail half way for having read first. ``secure_delete`` overwrites what is deleted.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, select, update
from sqlalchemy.exc import DatabaseError, IntegrityError, ProgrammingError

from isthmus.data import migrations
from isthmus.data.tables import meta
from isthmus.errors import StoreUnavailable

_PRAGMAS = (
    "PRAGMA busy_timeout = 10000",  # first: changing to WAL needs the lock
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA secure_delete = ON",
    "PRAGMA journal_size_limit = 67108864",
)

#: What to do, by SQLite's primary result code (sqlite.org/rescode.html).
_HINTS = {
    sqlite3.SQLITE_FULL: "The disk is full: free some space under the home folder, then try again.",
    sqlite3.SQLITE_READONLY: "The database is read-only: check who owns the home folder and how it is mounted.",
    sqlite3.SQLITE_BUSY: "Another process has held the database for long: see what is running, then try again.",
    sqlite3.SQLITE_CANTOPEN: "The database cannot be opened: check who owns the home folder.",
    sqlite3.SQLITE_NOTADB: "The file is not a database of Isthmus: restore it from a backup, or move it away.",
    sqlite3.SQLITE_CORRUPT: "The database is damaged: restore it from a backup, or move it away and ingest again.",
}


class Database:
    """The store of one home folder. ``read()`` and ``write()`` give a connection inside one transaction.

    Raises :class:`isthmus.errors.StoreUnavailable` where the file cannot be read or written, says which, and leaves
    nothing half done.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            _make_private(path)
        except OSError as error:
            raise StoreUnavailable(
                f"The database {path} cannot be opened: {error.strerror}.", hint=_HINTS[sqlite3.SQLITE_CANTOPEN]
            ) from error
        with _explained(path):
            self._engine = _engine(path)
            migrations.upgrade(self._engine)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One consistent view, whatever others write meanwhile."""
        with _explained(self.path), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """All or nothing, on disk when the block ends."""
        with _explained(self.path), self._engine.connect() as connection:
            with connection.execution_options(immediate=True).begin():
                yield connection

    def version(self, name: str) -> int:
        """How often what ``name`` counts ("documents" or "keys") was changed, by any process."""
        with self.read() as connection:
            return version(connection, name)

    def checkpoint(self) -> bool:
        """Move the write-ahead log into the file and empty it. False where a reader stood in the way to the end."""
        with _explained(self.path), self._engine.connect() as connection:
            driver = connection.connection.driver_connection
            assert driver is not None
            (busy, _, _) = driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            return not busy

    def close(self) -> None:
        self._engine.dispose()


def version(connection: Connection, name: str) -> int:
    """The counter as this transaction sees it."""
    value: int = connection.execute(select(meta.c.value).where(meta.c.name == name)).scalar_one()
    return value


def advance(connection: Connection, name: str) -> None:
    """Count a change, in the transaction that makes it."""
    connection.execute(update(meta).where(meta.c.name == name).values(value=meta.c.value + 1))


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except (IntegrityError, ProgrammingError):
        raise  # a fault of ours, not of the disk
    except DatabaseError as error:
        code = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF
        raise StoreUnavailable(f"The database {path.name} failed: {error.orig}.", hint=_HINTS.get(code)) from error


def _make_private(path: Path) -> None:
    """Folder 700, file 600; SQLite gives the write-ahead log the mode of the file."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if os.fstat(descriptor).st_mode & 0o077:
            os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)


def _engine(path: Path) -> Engine:
    engine = create_engine(f"sqlite:///{path}", connect_args={"check_same_thread": False})
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


def _prepare(driver: Any, _record: object) -> None:
    driver.isolation_level = None  # the driver begins nothing by itself: _begin does
    for pragma in _PRAGMAS:
        driver.execute(pragma)


def _begin(connection: Connection) -> None:
    immediate = connection.get_execution_options().get("immediate", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")
