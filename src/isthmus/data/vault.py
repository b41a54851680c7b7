"""The vault: commitments to content, and content itself where policy says keep it. Keys go, and it is gone.

Each text is sealed under a random key of its own, which is wrapped under its subject's (``sealing``). To erase a
subject is to overwrite its secret; to let a record expire is to overwrite its key. Both are overwritten where they
stand, because what SQLite deletes can leave copies behind in free space (see migration 0003).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Literal, TypeAlias

from sqlalchemy import Connection, text

from isthmus.config import Home
from isthmus.data.database import Database, advance
from isthmus.data.sealing import DESTROYED, Sealed, seal, unseal
from isthmus.data.secretfile import read_or_make
from isthmus.data.subjects import FRESH, Subject, Subjects
from isthmus.errors import ConfigInvalid, StoreUnavailable

State: TypeAlias = Literal["kept", "erased", "expired"]
_KEEP = text(
    "INSERT INTO contents (owner, request, kind, model, nonce, wrapped) "
    "VALUES (:owner, :request, :kind, :model, :nonce, :wrapped)"
)
_STORE = text("INSERT INTO ciphertexts VALUES (:number, :stored, :ciphertext)")
_FIND = text(
    "SELECT s.subject, s.generation, s.secret, c.kind, c.model, c.nonce, c.wrapped, x.stored, x.ciphertext "
    "FROM contents c JOIN subjects s ON s.number = c.owner LEFT JOIN ciphertexts x ON x.number = c.number "
    "WHERE c.request = :request ORDER BY c.number"
)
_COUNT_OLD = text("SELECT count(*) FROM ciphertexts WHERE stored < :before")
_COUNT_OWN = text("SELECT count(*) FROM contents c JOIN ciphertexts x ON x.number = c.number WHERE c.owner = :owner")
_FORGET_OLD = text(
    "UPDATE contents SET wrapped = :nothing WHERE number IN (SELECT number FROM ciphertexts WHERE stored < :before)"
)
_FORGET_OWN = text("UPDATE contents SET wrapped = :nothing WHERE owner = :owner")
_DELETE_OLD = text("DELETE FROM ciphertexts WHERE stored < :before")
_DELETE_OWN = text("DELETE FROM ciphertexts WHERE number IN (SELECT number FROM contents WHERE owner = :owner)")
_BLANK = text("UPDATE keys SET name = '' WHERE id = :subject AND revoked IS NOT NULL AND name <> ''")
_IS_KEY = text("SELECT revoked IS NULL FROM keys WHERE id = :subject")
_IS_SUBJECT = text("SELECT 1 FROM subjects WHERE subject = :subject")
_KNOWN = text(
    "SELECT 1 FROM subjects WHERE subject = :subject AND :generation IN (generation, '') "
    "UNION ALL SELECT 1 FROM keys WHERE id = :subject AND :generation = ''"
)
_ANYBODY = text("SELECT 1 FROM subjects UNION ALL SELECT 1 FROM keys LIMIT 1")
_SEEN = text("UPDATE meta SET value = :entries WHERE name = 'erasures'")
_ERASED = text(
    "SELECT 1 FROM contents c JOIN subjects s ON s.number = c.owner WHERE c.request = :request AND s.secret = :nothing"
)
_USED = text("SELECT 1 FROM subjects LIMIT 1")


@dataclass(frozen=True, slots=True)
class Kept:
    """One text that was kept. ``kind``: ``prompt``, ``answer``, ``reasoning``, ``refusal`` or ``calls``. ``text`` is
    ``None`` unless ``state`` is ``kept``. ``digest``: SHA-256 of the ciphertext, in hex, as the log has it."""

    subject: str
    kind: str
    model: str
    state: State
    stored: datetime | None = None
    digest: str = ""
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """What the store knows of a subject. ``generation`` is empty where no secret is in use."""

    generation: str
    records: int
    valid_key: bool


class Vault:
    """The seam ``Vault`` over the store. ``commit`` makes a commitment from a salt and a text."""

    #: Seconds after which no process uses a destroyed secret from memory: twice what each allows itself.
    settled = 2 * FRESH

    def __init__(
        self,
        database: Database,
        subjects: Subjects,
        commitment: Callable[[bytes, str], str],
        now: Callable[[], datetime],
    ) -> None:
        self._database, self._subjects, self._commitment, self._now = database, subjects, commitment, now

    # ------------------------------------------------------------ the pipeline's side

    async def commit(self, subject: str, request: str, text: str) -> str:
        """The commitment to a text. Raises :class:`StoreUnavailable`; touches the disk twice a second at most."""
        owner = self._subjects.known(subject)
        if owner is None:
            owner = await asyncio.to_thread(self._subjects.of, subject)
        return self._commitment(owner.keys.salt(request), text)

    async def keep(self, subject: str, request: str, model: str, texts: Mapping[str, str]) -> dict[str, str]:
        """Seal the texts, by kind; on disk when this returns. For each kind the SHA-256 of its ciphertext.

        Raises :class:`StoreUnavailable`: then nothing was kept.
        """
        return await asyncio.to_thread(self._keep, subject, request, model, texts)

    def _keep(self, subject: str, request: str, model: str, texts: Mapping[str, str]) -> dict[str, str]:
        digests = {}
        with self._database.write() as connection:  # nothing is sealed under a secret that is destroyed meanwhile
            if connection.execute(_ERASED, {"request": request, "nothing": DESTROYED}).first() is not None:
                raise StoreUnavailable("The text was erased while it was being answered.", hint="Ask again.")
            owner = self._subjects.current(connection, subject) or self._subjects.create(connection, subject)
            for kind, body in texts.items():
                sealed = seal(body, owner.keys, request, kind, model, subject)
                self._insert(connection, owner, sealed, {"request": request, "kind": kind, "model": model})
                digests[kind] = sha256(sealed.ciphertext).hexdigest()
        self._subjects.met(subject, owner)  # what is committed to next must be under the same secret
        return digests

    def _insert(self, connection: Connection, owner: Subject, sealed: Sealed, place: Mapping[str, str]) -> None:
        row = {"owner": owner.number, "nonce": sealed.nonce, "wrapped": sealed.wrapped, **place}
        number = connection.execute(_KEEP, row).lastrowid
        stored = {"number": number, "stored": _moment(self._now()), "ciphertext": sealed.ciphertext}
        connection.execute(_STORE, stored)

    # ------------------------------------------------------------ disclosure

    def commit_in(self, connection: Connection, subject: str, request: str, text: str) -> str:
        """The commitment to a text, within a transaction that makes the subject."""
        owner = self._subjects.current(connection, subject) or self._subjects.create(connection, subject)
        return self._commitment(owner.keys.salt(request), text)

    def salt(self, subject: str, request: str) -> bytes | None:
        """What opens a request's commitments: for whoever must check them, and nobody else. ``None`` where the
        subject has no secret in use. A commitment from before an erasure is not opened by it."""
        with self._database.read() as connection:
            owner = self._subjects.current(connection, subject)
        return None if owner is None else owner.keys.salt(request)

    def opened(self, request: str) -> list[Kept]:
        """What was kept of a request, decrypted, in the order in which it was kept. Empty where nothing was.

        Raises :class:`isthmus.errors.VerificationFailed` where what is stored was changed.
        """
        with self._database.read() as connection:
            rows = connection.execute(_FIND, {"request": request}).all()
        return [self._open(request, row) for row in rows]

    def _open(self, request: str, row: Any) -> Kept:
        if row.secret == DESTROYED:
            return Kept(row.subject, row.kind, row.model, "erased")
        if row.wrapped == DESTROYED or row.ciphertext is None:
            return Kept(row.subject, row.kind, row.model, "expired")
        keys = self._subjects.keys(row.secret, row.subject, row.generation)
        sealed = Sealed(row.wrapped, row.nonce, row.ciphertext)
        plain = unseal(sealed, keys, request, row.kind, row.model, row.subject)
        stored, digest = datetime.fromisoformat(row.stored), sha256(row.ciphertext).hexdigest()
        return Kept(row.subject, row.kind, row.model, "kept", stored, digest, plain)

    # ------------------------------------------------------------ destruction

    def standing(self, subject: str) -> Standing | None:
        """What there is to erase; ``None`` for a subject that never was."""
        with self._database.read() as connection:
            valid = connection.execute(_IS_KEY, {"subject": subject}).scalar()
            if valid is None and connection.execute(_IS_SUBJECT, {"subject": subject}).first() is None:
                return None
            owner = self._subjects.current(connection, subject)
            records = 0 if owner is None else connection.execute(_COUNT_OWN, {"owner": owner.number}).scalar_one()
        return Standing("" if owner is None else owner.generation, records, bool(valid))

    def knows(self, subject: str, generation: str) -> bool:
        """Whether that secret is, or was, in this store; an empty generation: whether the subject is."""
        with self._database.read() as connection:
            return connection.execute(_KNOWN, {"subject": subject, "generation": generation}).first() is not None

    def deserted(self) -> bool:
        """Whether there never was anybody here whom an erasure could mean."""
        with self._database.read() as connection:
            return connection.execute(_ANYBODY).first() is None

    def destroy(self, subject: str, generation: str) -> int:
        """Destroy that secret, the keys under it and what they sealed; a revoked key's name too. How many records.

        Raises :class:`StoreUnavailable` where it, or a copy in the write-ahead log, could not be removed: again then.
        """
        with self._database.write() as connection:
            records = 0
            if (owner := self._subjects.destroy(connection, subject, generation)) is not None:
                records = connection.execute(_DELETE_OWN, {"owner": owner}).rowcount
                connection.execute(_FORGET_OWN, {"owner": owner, "nothing": DESTROYED})
            if connection.execute(_BLANK, {"subject": subject}).rowcount:
                advance(connection, "keys")
        self._subjects.forget()
        self.purge()
        return records

    def expiring(self, before: datetime) -> int:
        """How many records were stored before that moment, and are kept still."""
        with self._database.read() as connection:
            return int(connection.execute(_COUNT_OLD, {"before": _moment(before)}).scalar_one())

    def expire(self, before: datetime) -> None:
        """Destroy the keys of all records stored before that moment, and what they sealed.

        Raises :class:`StoreUnavailable` where that, or ``purge``, could not be done.
        """
        which = {"before": _moment(before)}
        with self._database.write() as connection:
            connection.execute(_FORGET_OLD, {**which, "nothing": DESTROYED})
            connection.execute(_DELETE_OLD, which)
        self.purge()

    def seen(self) -> int:
        """How many entries of the log were looked through for erasures that this store must follow."""
        return self._database.version("erasures")

    def see(self, entries: int) -> None:
        with self._database.write() as connection:
            connection.execute(_SEEN, {"entries": entries})

    def purge(self) -> None:
        """Empty the write-ahead log: a destroyed key must not live on in it. Raises :class:`StoreUnavailable` where
        somebody stands in the way: again then."""
        if not self._database.checkpoint():
            raise StoreUnavailable(
                "What is destroyed in the database may still be in its write-ahead log, which could not be emptied.",
                hint="Something reads the database for long: end it, then run the same command again.",
            )


def open_vault(
    database: Database, home: Home, commitment: Callable[[bytes, str], str], now: Callable[[], datetime]
) -> Vault:
    """The vault of a home folder; makes its master key at first use.

    Raises :class:`ConfigInvalid` where others can read that key, or where it is gone although there are secrets.
    """
    with database.read() as connection:
        used = connection.execute(_USED).first() is not None
    path = home.secrets / "content-master"
    gone = ConfigInvalid(
        f"There are commitments and perhaps content, but the key of their keys is gone: {path}.",
        hint="Restore the file from a backup; without it nothing that was committed to or kept can be opened.",
    )
    master = read_or_make(path, "master key of contents", make=not used, gone=gone)
    return Vault(database, Subjects(database, master), commitment, now)


def _moment(time: datetime) -> str:
    """Text that sorts as time does."""
    return time.astimezone(UTC).isoformat(timespec="microseconds")
