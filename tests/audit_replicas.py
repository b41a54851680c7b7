"""Replicas of one log in a database, for tests: each has a folder of its own, and a copy of the one signing key."""

from __future__ import annotations

import shutil
from pathlib import Path

from isthmus.clock import SystemClock
from isthmus.governance.audit.postgres.identity import Place
from isthmus.governance.audit.postgres.sequencer import DatabaseSequencer
from isthmus.governance.audit.postgres.storage import Rows
from isthmus.governance.audit.reading.reader import Reader, Signed
from isthmus.governance.audit.reading.verification import Verified, verify
from isthmus.governance.audit.writing.log import Log

ORIGIN = "example.org/log"


def place(home: Path, dsn: str, key: Path | None = None, origin: str | None = ORIGIN) -> Place:
    """Where the replica in ``home`` finds its log; ``key`` is copied there first."""
    own = home / "key"
    if key is not None and not own.exists():
        home.mkdir(parents=True, exist_ok=True)
        shutil.copy(key, own)
    return Place(dsn, own, home / "memory", origin)


def sequencer(where: Place, patience: float = 10.0) -> DatabaseSequencer:
    return DatabaseSequencer(where, SystemClock().now, patience)


def log(where: Place, patience: float = 10.0) -> Log:
    return Log(sequencer(where, patience))


def told(dsn: str) -> list[bytes]:
    """The entries in the database."""
    rows = Rows(dsn)
    try:
        return [entry for _, entry in Reader(rows).entries()]
    finally:
        rows.close()


def checkpoint(dsn: str) -> Signed:
    rows = Rows(dsn)
    try:
        return Reader(rows).checkpoint()
    finally:
        rows.close()


def check(dsn: str, older: list[Signed] | None = None) -> Verified:
    rows = Rows(dsn)
    try:
        return verify(Reader(rows), older or [])
    finally:
        rows.close()
