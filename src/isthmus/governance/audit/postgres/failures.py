"""What goes wrong with a database, as those who wait are told: without hosts, users or values, which the server's own
log has."""

from __future__ import annotations

import errno
import logging

import psycopg
from psycopg import errors

from isthmus.errors import AuditUnavailable, IsthmusError, VerificationFailed
from isthmus.governance.audit.postgres.connecting import told

_log = logging.getLogger("isthmus")

_KNOWN: tuple[tuple[type[psycopg.Error], str, str], ...] = (
    (
        errors.LockNotAvailable,
        "Another replica has held the turn of the audit log for too long.",
        "Find it: SELECT * FROM pg_stat_activity JOIN pg_locks USING (pid) WHERE locktype = 'advisory'.",
    ),
    (
        errors.DiskFull,
        "The disk of the audit database is full.",
        "Give it room; the log goes on by itself.",
    ),
    (
        errors.InsufficientPrivilege,
        "The audit database does not let this role do what the log needs.",
        "As the tables' owner run what `isthmus audit schema --writer ROLE` prints, or its GRANT lines.",
    ),
    (
        errors.ReadOnlySqlTransaction,
        "The audit database only reads: it is a standby.",
        "Name the primary, or every host with target_session_attrs=read-write, in audit.database.",
    ),
    (
        errors.IntegrityConstraintViolation,
        "The audit database refused the entry: it is not the one that is due.",
        "Nothing was recorded. Something else writes to the log: run `isthmus audit verify`.",
    ),
)
#: What to do where entries that were signed for are missing.
WENT_BACK = "It was restored, or a standby that was behind took over. Bring back the entries; docs/audit-postgres.md."
_GONE = (
    "The audit database cannot be reached, or did not answer.",
    "Look whether it runs, and at audit.database. A server that runs goes on by itself once it is back.",
)


def unavailable(error: Exception) -> AuditUnavailable:
    """The error of a turn that failed."""
    if isinstance(error, AuditUnavailable):
        return error
    if isinstance(error, IsthmusError):
        return AuditUnavailable(error.message, hint=error.hint, details=error.details)
    for kind, message, hint in _KNOWN:
        if isinstance(error, kind):
            return AuditUnavailable(message, hint=hint)
    if isinstance(error, psycopg.errors.OperationalError | psycopg.InterfaceError):
        return AuditUnavailable(_GONE[0], hint=_GONE[1])
    if isinstance(error, OSError):
        return AuditUnavailable(f"The audit log cannot be written: {error.strerror or error}.")
    return AuditUnavailable("The audit database refused.", hint="The server's log says why; `isthmus doctor` looks.")


class Complaint:
    """What those who wait are not told, in the server's log or on standard error: once, until it is over."""

    def __init__(self) -> None:
        self._said = ""

    def say(self, error: Exception) -> None:
        what = told(error) if isinstance(error, psycopg.Error) else str(error)
        if what != self._said:
            _log.warning("The audit log's database: %s", what)
            self._said = what

    def over(self) -> None:
        self._said = ""


def unreadable(error: psycopg.Error) -> OSError:
    """The error of a reader, who may be anyone with a key."""
    gone = isinstance(error, psycopg.OperationalError)
    return OSError(errno.EIO, "its database cannot be reached" if gone else "its database refused")


def misplaced(index: int) -> VerificationFailed:
    """A row that no log holds at that place."""
    return VerificationFailed(f"Entry {index} is not what a log holds at that place.", details={"index": index})
