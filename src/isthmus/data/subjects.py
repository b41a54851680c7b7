"""One secret for each subject: whoever is asked about, or asks, and can have their content erased.

A subject is a plain string: the id of a key. Its secret is 32 random bytes in the store, wrapped under the master key.
Destroying it destroys the salts of all its commitments and the keys of all its content. A subject that goes on
afterwards gets a new secret, under another ``generation``.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

from sqlalchemy import Connection, text

from isthmus.data.database import Database, advance, version
from isthmus.data.sealing import DESTROYED, KEY, SubjectKeys, unwrap, wrap

#: A secret that another process destroyed is out of use within this many seconds.
FRESH = 0.5
#: Secrets held in memory, at most.
_MOST = 4096
_CURRENT = text("SELECT number, generation, secret FROM subjects WHERE subject = :subject ORDER BY number DESC LIMIT 1")
_CREATE = text("INSERT INTO subjects (subject, generation, secret) VALUES (:subject, :generation, :secret)")
_DESTROY = text(
    "UPDATE subjects SET secret = :nothing WHERE subject = :subject AND generation = :generation RETURNING number"
)


@dataclass(frozen=True, slots=True, repr=False)
class Subject:
    """A subject's secret in use. ``number`` is its row, ``generation`` its public name."""

    number: int
    generation: str
    keys: SubjectKeys


class Subjects:
    """``master``: 32 bytes. Safe to use from several threads."""

    def __init__(self, database: Database, master: bytes, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._database, self._master, self._monotonic = database, master, monotonic
        self._lock = Lock()
        self._known: dict[str, Subject] = {}
        self._version, self._checked = -1, float("-inf")

    def known(self, subject: str) -> Subject | None:
        """From memory, where that is fresh enough: never touches the disk."""
        return self._known.get(subject) if self._monotonic() - self._checked < FRESH else None

    def of(self, subject: str) -> Subject:
        """The secret in use; a new one where there is none. Raises :class:`isthmus.errors.StoreUnavailable`."""
        with self._lock:
            with self._database.read() as connection:
                checked, now = self._monotonic(), version(connection, "subjects")
                if now != self._version or len(self._known) >= _MOST:
                    self._known, self._version = {}, now
                found = self._known.get(subject) or self.current(connection, subject)
            if found is None:
                with self._database.write() as connection:  # another process may have been quicker
                    found = self.current(connection, subject) or self.create(connection, subject)
            self._known[subject], self._checked = found, checked
            return found

    def current(self, connection: Connection, subject: str) -> Subject | None:
        """The secret in use, as this transaction sees it."""
        row = connection.execute(_CURRENT, {"subject": subject}).first()
        if row is None or row.secret == DESTROYED:
            return None
        return Subject(row.number, row.generation, self.keys(row.secret, subject, row.generation))

    def create(self, connection: Connection, subject: str) -> Subject:
        """A new secret, in use once the transaction ends."""
        generation, secret = f"gen_{secrets.token_hex(8)}", secrets.token_bytes(KEY)
        wrapped = wrap(secret, self._master, "subject", subject, generation)
        row = {"subject": subject, "generation": generation, "secret": wrapped}
        number = connection.execute(_CREATE, row).lastrowid
        return Subject(number, generation, SubjectKeys.derive(secret))

    def keys(self, wrapped: bytes, subject: str, generation: str) -> SubjectKeys:
        """What follows from a secret as it is stored. Raises :class:`isthmus.errors.VerificationFailed`."""
        return SubjectKeys.derive(unwrap(wrapped, self._master, "subject", subject, generation))

    def destroy(self, connection: Connection, subject: str, generation: str) -> int | None:
        """Overwrite the secret where it stands; its row, or ``None`` where there is no such generation."""
        which = {"nothing": DESTROYED, "subject": subject, "generation": generation}
        number: int | None = connection.execute(_DESTROY, which).scalar()
        advance(connection, "subjects")
        return number

    def met(self, subject: str, found: Subject) -> None:
        """A transaction found this secret in use: memory must not go on with another."""
        known = self._known.get(subject)
        if known is None or known.generation != found.generation:
            self.forget()

    def forget(self) -> None:
        """Hold nothing in memory; read the store at the next use."""
        with self._lock:
            self._known, self._checked = {}, float("-inf")
