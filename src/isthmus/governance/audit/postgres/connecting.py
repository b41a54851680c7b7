"""How a connection is made: the string that says where, what it asks of the server, and what its errors mean."""

from __future__ import annotations

from collections.abc import Mapping

import psycopg
from psycopg.conninfo import conninfo_to_dict

from isthmus.errors import ConfigInvalid

#: What the string does not say itself. A host that is gone is noticed within seconds, also in the middle of a wait.
_DEFAULTS: Mapping[str, object] = {
    "application_name": "isthmus-audit",
    "client_encoding": "UTF8",
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,  # ms
}


def parameters(dsn: str) -> dict[str, object]:
    """A connection string (keywords or ``postgresql://…``) with our defaults. Raises :class:`ConfigInvalid`, which
    does not quote it: it may hold a password."""
    try:
        return {**_DEFAULTS, **conninfo_to_dict(dsn)}
    except psycopg.ProgrammingError:
        raise ConfigInvalid(
            "audit.database does not stand for a connection string of PostgreSQL.",
            hint="It looks like postgresql://USER@HOST/DATABASE, or host=HOST dbname=DATABASE user=USER.",
        ) from None


def connect(dsn: str) -> psycopg.Connection[tuple[object, ...]]:
    """A new connection, in autocommit. Raises :class:`psycopg.Error`."""
    return psycopg.connect(autocommit=True, **parameters(dsn))  # type: ignore[arg-type]


def told(error: psycopg.Error) -> str:
    """What the server or libpq said, on one line: the message, without the statement and its values."""
    text = error.diag.message_primary or str(error) or type(error).__name__
    return " ".join(text.split())
