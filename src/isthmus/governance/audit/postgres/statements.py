"""What a turn says to the database, and how values look on the wire (PostgreSQL's binary formats)."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from isthmus.governance.audit.postgres.schema import LOCK, SCHEMA
from isthmus.governance.audit.postgres.session import Statement

_INT2, _INT4, _INT8, _TEXT, _BYTEA, _BYTEAS = 21, 23, 20, 25, 17, 1001  # pg_type.dat
#: Rows that a turn reads of what others wrote, at most: who is further behind reads tiles instead.
BEHIND = 1024

#: How long the server lets a statement wait for a lock, or a transaction for its next statement.
SETTINGS = Statement(
    b"settings",
    b"SELECT set_config('lock_timeout', $1, false), set_config('idle_in_transaction_session_timeout', $1, false), "
    b"set_config('synchronous_commit', CASE now WHEN 'off' THEN 'on' ELSE now END, false) "
    b"FROM current_setting('synchronous_commit') AS now",
    (_TEXT,),
)
#: How long the server works on an answer for a reader.
READING = Statement(b"reading", b"SELECT set_config('statement_timeout', $1, false)", (_TEXT,))
BEGIN = Statement(b"begin", b"BEGIN ISOLATION LEVEL READ COMMITTED")
#: A statement of its own: those after it see what was committed before the lock was given.
TURN = Statement(b"turn", f"SELECT pg_advisory_xact_lock({LOCK})".encode())
STATE = Statement(b"state", f"SELECT vkey, note FROM {SCHEMA}.log".encode())  # noqa: S608  our own constant, as below
READ = Statement(
    b"read",
    f"SELECT seq, entry FROM {SCHEMA}.entries WHERE seq >= $1 ORDER BY seq LIMIT {BEHIND}".encode(),  # noqa: S608
    (_INT8,),
)
ROTATIONS = Statement(b"rotations", f"SELECT note FROM {SCHEMA}.rotations ORDER BY n".encode())  # noqa: S608
BUNDLE = Statement(
    b"bundle",
    f"SELECT entry FROM {SCHEMA}.entries WHERE seq >= $1 AND seq < $2 ORDER BY seq".encode(),  # noqa: S608
    (_INT8, _INT8),
)
TILE = Statement(
    b"tile",
    f"SELECT hashes FROM {SCHEMA}.tiles WHERE level = $1 AND n = $2".encode(),  # noqa: S608
    (_INT2, _INT8),
)
SIZE = Statement(b"size", f"SELECT coalesce(max(seq), -1) + 1 FROM {SCHEMA}.entries".encode())  # noqa: S608
APPEND = Statement(
    b"append",
    f"INSERT INTO {SCHEMA}.entries SELECT $1 + at - 1, entry "  # noqa: S608
    f"FROM unnest($2) WITH ORDINALITY AS given (entry, at) ORDER BY at".encode(),
    (_INT8, _BYTEAS),
)
KEEP = Statement(
    b"keep",
    f"INSERT INTO {SCHEMA}.tiles VALUES ($1, $2, $3) ON CONFLICT DO NOTHING".encode(),  # noqa: S608
    (_INT2, _INT8, _BYTEA),
)
FOUND = Statement(b"found", f"INSERT INTO {SCHEMA}.log (version, vkey) VALUES (1, $1)".encode(), (_TEXT,))  # noqa: S608
SIGN = Statement(b"sign", f"UPDATE {SCHEMA}.log SET size = $1, note = $2".encode(), (_INT8, _TEXT))  # noqa: S608
ROTATE = Statement(b"rotate", f"INSERT INTO {SCHEMA}.rotations VALUES ($1, $2)".encode(), (_INT4, _TEXT))  # noqa: S608
TAKE_OVER = Statement(
    b"take over",
    f"UPDATE {SCHEMA}.log SET vkey = $1, size = $2, note = $3".encode(),  # noqa: S608
    (_TEXT, _INT8, _TEXT),
)
#: Nobody waits for the disk: it may be there some hundred milliseconds after the commit.
LAZY = Statement(b"lazy", b"SET LOCAL synchronous_commit = off")
#: Lets go of a turn in which nothing was written.
ROLLBACK = Statement(b"rollback", b"ROLLBACK")
COMMIT = Statement(b"commit", b"COMMIT")


def bigint(value: int) -> bytes:
    return struct.pack(">q", value)


def integer(value: int) -> bytes:
    return struct.pack(">i", value)


def smallint(value: int) -> bytes:
    return struct.pack(">h", value)


def milliseconds(seconds: float) -> bytes:
    """A duration, as a setting is given one."""
    return f"{seconds * 1000:.0f}ms".encode()


def number(value: bytes | None) -> int:
    """An integer of any width as it was received."""
    return int.from_bytes(value or b"", "big", signed=True)


def byteas(values: Sequence[bytes]) -> bytes:
    """A one-dimensional array of bytea: dimensions, whether there are NULLs, the element's type, length, first index;
    then each element after its length (``array_recv`` in PostgreSQL's source)."""
    head = struct.pack(">iiIii", 1, 0, _BYTEA, len(values), 1)
    return head + b"".join(struct.pack(">i", len(value)) + value for value in values)
