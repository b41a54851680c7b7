"""A log in a database, as its readers see it: the resources of C2SP tlog-tiles, put together from rows."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import errors

from isthmus.governance.audit.postgres.connecting import connect
from isthmus.governance.audit.postgres.failures import unreadable
from isthmus.governance.audit.postgres.schema import SCHEMA
from isthmus.governance.audit.tree.layout import WIDTH, pack

#: A reader that waits longer has lost its server.
_PATIENCE = "SET statement_timeout = '30s'"
_VKEY = f"SELECT vkey FROM {SCHEMA}.log"  # noqa: S608  our own constant, here and below
_NOTE = f"SELECT note FROM {SCHEMA}.log"  # noqa: S608
_ROTATIONS = f"SELECT note FROM {SCHEMA}.rotations ORDER BY n"  # noqa: S608
_BUNDLE = f"SELECT entry FROM {SCHEMA}.entries WHERE seq >= %s AND seq < %s ORDER BY seq"  # noqa: S608
_TILE = f"SELECT hashes FROM {SCHEMA}.tiles WHERE level = %s AND n = %s"  # noqa: S608


class Rows:
    """A :class:`isthmus.governance.audit.tree.storage.Storage` over a database, on a connection of its own.

    Safe to use from several threads. It connects when it is first asked, and again after the server was gone.
    """

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._mutex = threading.Lock()
        self._connection: psycopg.Connection[Any] | None = None

    def vkey(self) -> str | None:
        found = self._ask(_VKEY)
        return str(found[0][0]).strip() if found else None

    def notes(self) -> list[bytes]:
        return [str(note).encode() for (note,) in self._ask(_NOTE) if note]

    def rotations(self) -> list[bytes]:
        return [str(note).encode() for (note,) in self._ask(_ROTATIONS)]

    def bundle(self, n: int) -> bytes | None:
        found = self._ask(_BUNDLE, n * WIDTH, (n + 1) * WIDTH)
        return pack(entry for (entry,) in found) if found else None

    def tile(self, level: int, n: int) -> bytes | None:
        found = self._ask(_TILE, level, n)
        return bytes(found[0][0]) if found else None

    def close(self) -> None:
        with self._mutex:
            self._drop()

    def _ask(self, sql: str, *values: object) -> Sequence[Sequence[Any]]:
        """Rows; none where there is no log yet. Raises :class:`OSError`."""
        with self._mutex:
            while True:
                fresh = self._connection is None
                try:
                    return self._rows(sql, values)
                except (errors.UndefinedTable, errors.InvalidSchemaName):
                    return []
                except psycopg.Error as error:
                    self._drop()
                    if fresh:
                        raise unreadable(error) from error
                    # the server may have been started anew since it was last asked

    def _rows(self, sql: str, values: Sequence[object]) -> Sequence[Sequence[Any]]:
        if self._connection is None:
            self._connection = connect(self._dsn)
            self._connection.execute(_PATIENCE)
        return self._connection.execute(sql, values, binary=True).fetchall()

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
