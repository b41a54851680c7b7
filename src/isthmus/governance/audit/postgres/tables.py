"""A connection made ready to write: what a turn relies on is set, and the tables are there."""

from __future__ import annotations

from isthmus.errors import AuditUnavailable
from isthmus.governance.audit.postgres import statements as say
from isthmus.governance.audit.postgres.connecting import connect
from isthmus.governance.audit.postgres.schema import DDL, SCHEMA, VERSION
from isthmus.governance.audit.postgres.session import Call, Session, Statement

#: A turn takes milliseconds: whoever keeps it longer hangs, and the server takes it away.
PATIENCE_S = 10.0
#: On this side, which speaks only where the server does not.
SLACK = 1.5
_MAKING_S = 30.0
#: A query, not ``to_regclass``: that may answer from a cache which does not know what was committed during our wait.
_LOOK = f"SELECT FROM pg_tables WHERE (schemaname, tablename) = ('{SCHEMA}', 'log')"
_THERE = Statement(b"there", _LOOK.encode())
_MAKE = Statement(
    b"make", f"DO $make$ BEGIN IF NOT EXISTS ({_LOOK}) THEN EXECUTE $ddl${DDL}$ddl$; END IF; END $make$".encode()
)
_VERSION = Statement(b"version", f"SELECT version FROM {SCHEMA}.log".encode())  # noqa: S608  our own constant


def open_session(dsn: str, patience: float = PATIENCE_S) -> Session:
    """A session for turns, each of which may wait for ``patience`` seconds; at first use it makes the tables.

    Raises :class:`psycopg.Error`, and :class:`AuditUnavailable` where the tables are of a newer version.
    """
    session = Session(connect(dsn), patience * SLACK)
    try:
        _, there = session.run([Call(say.SETTINGS, (say.milliseconds(patience),)), Call(_THERE)])
        if not there.rows:  # of several replicas that begin, one makes them
            session.run([Call(say.BEGIN), Call(say.TURN), Call(_MAKE), Call(say.COMMIT)], _MAKING_S)
        (found,) = session.run([Call(_VERSION)])
        if found.rows and say.number(found.rows[0][0]) > VERSION:
            raise AuditUnavailable("The log's tables are of a newer Isthmus.", hint="Update this replica.")
        return session
    except BaseException:
        session.close()
        raise
