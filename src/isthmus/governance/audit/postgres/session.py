"""A connection for the hot path: several statements in one round trip, and an answer within a deadline.

This is libpq's pipeline mode (https://www.postgresql.org/docs/current/libpq-pipeline-mode.html). Cursors would take a
round trip and several times the CPU for each statement, and wait without end for a server that hangs.
"""

from __future__ import annotations

import select
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import psycopg
from psycopg import errors, pq

#: Values travel in PostgreSQL's binary format; ``None`` is NULL.
Value: TypeAlias = bytes | None
Row: TypeAlias = tuple[Value, ...]

_ERRORS = frozenset({pq.ExecStatus.FATAL_ERROR, pq.ExecStatus.BAD_RESPONSE, pq.ExecStatus.NONFATAL_ERROR})


@dataclass(frozen=True, slots=True)
class Statement:
    """Prepared once in each session, under its name. ``types`` are the OIDs of its parameters."""

    name: bytes
    sql: bytes
    types: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Call:
    statement: Statement
    values: tuple[Value, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """``tag`` is the command's, such as ``COMMIT``."""

    tag: bytes
    rows: tuple[Row, ...]


class Session:
    """Over an open connection, which is its own from now on. After an error it is of no more use: close it."""

    def __init__(self, connection: psycopg.Connection[tuple[object, ...]], patience: float) -> None:
        """``patience``: seconds that a round trip may take, by this side's clock."""
        self._connection, self._patience = connection, patience
        self._pg = connection.pgconn
        self._prepared = set[bytes]()
        self._warnings = list[str]()
        connection.add_notice_handler(self._notice)
        self._pg.enter_pipeline_mode()

    def run(self, calls: Sequence[Call], patience: float | None = None) -> list[Answer]:
        """One round trip; ``patience`` is its own. Raises :class:`psycopg.Error`, also for a warning, with which a
        server says that it did not do all that was asked (a commit that its standby did not confirm)."""
        expected = [one for call in calls for one in self._send(call)]
        self._pg.pipeline_sync()
        answers = [
            answer for answer, wanted in zip(self._receive(patience or self._patience), expected, strict=True) if wanted
        ]
        if self._warnings:
            raise errors.OperationalError(self._warnings[0])
        return answers

    @property
    def lost(self) -> bool:
        """Whether the server, or the way to it, is gone."""
        return self._pg.status == pq.ConnStatus.BAD

    def close(self) -> None:
        self._connection.close()

    def _send(self, call: Call) -> list[bool]:
        """For each result that the server will give, whether the caller wants it."""
        statement = call.statement
        fresh = statement.name not in self._prepared
        if fresh:
            self._pg.send_prepare(statement.name, statement.sql, statement.types)
            self._prepared.add(statement.name)
        self._pg.send_query_prepared(statement.name, call.values, [pq.Format.BINARY] * len(call.values), 1)
        return [False, True] if fresh else [True]

    def _receive(self, patience: float) -> list[Answer]:
        """Results up to the end of the pipeline."""
        deadline, answers, failed = time.monotonic() + patience, list[Answer](), None
        while True:
            while self._pg.is_busy() or self._unsent():
                self._wait(deadline)
            result = self._pg.get_result()
            if result is None:
                if self.lost:
                    raise failed or errors.OperationalError("The connection is lost.")
                continue
            if result.status == pq.ExecStatus.PIPELINE_SYNC:
                break
            if result.status in _ERRORS:
                failed = failed or _error(result)
            elif failed is None:
                answers.append(_answer(result))
        if failed is not None:
            raise failed
        return answers

    def _unsent(self) -> bool:
        return bool(self._pg.flush())

    def _wait(self, deadline: float) -> None:
        """Until the socket has something to read, or room for what is not sent yet."""
        poll = select.poll()
        poll.register(self._pg.socket, select.POLLIN | (select.POLLOUT if self._unsent() else 0))
        if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
            raise errors.OperationalError("The server did not answer in time.")
        self._pg.consume_input()

    def _notice(self, diagnostic: errors.Diagnostic) -> None:
        if diagnostic.severity_nonlocalized == "WARNING":
            self._warnings.append(diagnostic.message_primary or "The server warned.")


def _error(result: pq.abc.PGresult) -> psycopg.Error:
    state = result.error_field(pq.DiagnosticField.SQLSTATE)
    try:
        kind = errors.lookup((state or b"").decode())
    except KeyError:
        kind = errors.OperationalError
    return kind(result.error_message.decode("utf8", "replace"), info=result)


def _answer(result: pq.abc.PGresult) -> Answer:
    columns = range(result.nfields)
    rows = tuple(tuple(result.get_value(row, column) for column in columns) for row in range(result.ntuples))
    return Answer(result.command_status or b"", rows)
