"""A connection made ready to write: what a turn relies on is set, and the tables are there."""

from __future__ import annotations

from typing import Any

import psycopg

from isthmus.errors import AuditUnavailable
from isthmus.governance.audit.postgres.connecting import connect
from isthmus.governance.audit.postgres.schema import DDL, LOCK, SCHEMA, VERSION
from isthmus.governance.audit.postgres.session import Session

#: A turn takes milliseconds: whoever keeps it longer hangs, and the server takes it away.
PATIENCE_S = 10.0
_SETTINGS = """
SELECT set_config('lock_timeout', %(patience)s, false),
    set_config('idle_in_transaction_session_timeout', %(patience)s, false),
    set_config('synchronous_commit', CASE now WHEN 'off' THEN 'on' ELSE now END, false)
FROM current_setting('synchronous_commit') AS now
"""
#: A query, not ``to_regclass``: that may answer from a cache which does not know what was committed during our wait.
_THERE = f"SELECT EXISTS (SELECT FROM pg_tables WHERE (schemaname, tablename) = ('{SCHEMA}', 'log'))"  # noqa: S608
_VERSION = f"SELECT version FROM {SCHEMA}.log"  # noqa: S608  our own constant


def open_session(dsn: str, patience: float = PATIENCE_S) -> Session:
    """A session for turns, each of which may wait for ``patience`` seconds; at first use it makes the tables.

    Raises :class:`psycopg.Error`, and :class:`AuditUnavailable` where the tables are of a newer version.
    """
    connection: psycopg.Connection[Any] = connect(dsn)
    try:
        connection.execute(_SETTINGS, {"patience": f"{patience * 1000:.0f}ms"})
        _make(connection)
        found = connection.execute(_VERSION).fetchone()
        if found is not None and found[0] > VERSION:
            raise AuditUnavailable("The log's tables are of a newer Isthmus.", hint="Update this replica.")
        return Session(connection, patience * 1.5)
    except BaseException:
        connection.close()
        raise


def _make(connection: psycopg.Connection[Any]) -> None:
    """The tables, where there are none: of several replicas that begin, one makes them."""
    if _one(connection, _THERE):
        return
    with connection.transaction():
        connection.execute(f"SELECT pg_advisory_xact_lock({LOCK})")
        if not _one(connection, _THERE):
            connection.execute(DDL)


def _one(connection: psycopg.Connection[Any], sql: str) -> bool:
    found = connection.execute(sql).fetchone()
    return found is not None and bool(found[0])
