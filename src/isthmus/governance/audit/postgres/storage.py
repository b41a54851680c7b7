"""A log in a database, as its readers see it: the resources of C2SP tlog-tiles, put together from rows."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import psycopg
from psycopg import errors

from isthmus.governance.audit.postgres import statements as say
from isthmus.governance.audit.postgres.connecting import connect
from isthmus.governance.audit.postgres.failures import Complaint, unreadable
from isthmus.governance.audit.postgres.session import Call, Row, Session
from isthmus.governance.audit.postgres.tables import PATIENCE_S, SLACK
from isthmus.governance.audit.tree.layout import WIDTH, pack

#: Bundles that numbers of entries, which are bigints, can tell of.
_BUNDLES = 2**63 // WIDTH


class Rows:
    """A :class:`isthmus.governance.audit.tree.storage.Storage` over a database, on a connection of its own.

    Safe to use from several threads. It connects when it is first asked, and again after the server was gone. Each
    method raises :class:`OSError` where the server does not answer within about ``patience`` seconds.
    """

    def __init__(self, dsn: str, patience: float = PATIENCE_S) -> None:
        self._dsn, self._patience = dsn, patience
        self._mutex, self._complaint = threading.Lock(), Complaint()
        self._session: Session | None = None

    def vkey(self) -> str | None:
        stated = self._ask(Call(say.STATE))
        return (stated[0][0] or b"").decode("utf8", "replace").strip() if stated else None

    def notes(self) -> list[bytes]:
        return [note for _, note in self._ask(Call(say.STATE)) if note]

    def rotations(self) -> list[bytes]:
        return [note or b"" for (note,) in self._ask(Call(say.ROTATIONS))]

    def bundle(self, n: int) -> bytes | None:
        if n + 1 >= _BUNDLES:
            return None
        found = self._ask(Call(say.BUNDLE, (say.bigint(n * WIDTH), say.bigint((n + 1) * WIDTH))))
        return pack(entry or b"" for (entry,) in found) if found else None

    def tile(self, level: int, n: int) -> bytes | None:
        if n >= _BUNDLES:
            return None
        found = self._ask(Call(say.TILE, (say.smallint(level), say.bigint(n))))
        return found[0][0] if found else None

    def close(self) -> None:
        """Let go of the connection; the next call opens it again."""
        with self._mutex:
            self._drop()

    def _ask(self, call: Call) -> Sequence[Row]:
        """Rows; none where there is no log yet. Raises :class:`OSError`."""
        with self._mutex:
            while True:
                fresh = self._session is None
                try:
                    return self._rows(call)
                except psycopg.Error as error:
                    lost = self._session is not None and self._session.lost
                    self._drop()
                    if fresh or not lost:
                        self._complaint.say(error)
                        raise unreadable(error) from error
                    # the server was started anew since it was last asked
                except BaseException:
                    self._drop()
                    raise

    def _rows(self, call: Call) -> Sequence[Row]:
        if self._session is None:
            self._session = Session(connect(self._dsn), self._patience * SLACK)
            self._session.run([Call(say.READING, (say.milliseconds(self._patience),))])
        try:
            (answer,) = self._session.run([call])
        except (errors.UndefinedTable, errors.InvalidSchemaName):
            self._drop()
            return ()
        self._complaint.over()
        return answer.rows

    def _drop(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None
