"""Where a text came from, by its fingerprints: the seam ``Provenance`` over the store.

A text repeats a source when it shares two runs of five words with it (six words in a row), one telling short run, or
one distinctive identifier of a confidential one. What also stands in a *document* of a lower level counts for the
lower one, so that what is public, or said everywhere, raises nothing; an answer lowers nothing, since no person
labelled it.

Answers are recognised at once, from memory, while they still stream. One that is more than internal is on disk before
its last byte; others are written behind, and what a crash loses of those is not recognised in typed text afterwards
(an assistant turn that is not recognised has lost its origin: that fails closed).
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from threading import Lock

import msgspec
from sqlalchemy import Connection, text

from isthmus.config import Home
from isthmus.data.database import Database
from isthmus.data.fingerprints import exact, fingerprints, readings
from isthmus.data.pepper import pepper
from isthmus.errors import StoreUnavailable
from isthmus.labels import INTERNAL, PUBLIC, Label, Level, join

_ENOUGH = 2  # runs shared with one source
_WRITE_EVERY = 0.5  # seconds
_LOOK_UP = text(
    "SELECT f.hash, f.document, l.label FROM fingerprints f JOIN labels l ON l.number = f.label "
    "WHERE f.hash IN (SELECT value FROM json_each(:hashes))"
)
_USED = text("SELECT 1 FROM fingerprints UNION ALL SELECT 1 FROM answers LIMIT 1")
_ANSWERED = text("SELECT l.label FROM answers a JOIN labels l ON l.number = a.label WHERE a.hash = :hash")
_LABEL = text(
    "INSERT INTO labels (label) VALUES (:label) ON CONFLICT (label) DO UPDATE SET label = label RETURNING number"
)
_FINGERPRINT = text("INSERT OR IGNORE INTO fingerprints VALUES (:hash, :document, :label, :given)")
_ANSWER = text("INSERT OR IGNORE INTO answers VALUES (:hash, :label, :given)")


@dataclass(frozen=True, slots=True)
class _Given:
    """An answer that is not written yet. ``source`` tells it from others, below zero as no document's number is."""

    source: int
    exact: int
    marks: frozenset[int]
    label: Label


class StoredProvenance:
    """``key``: 32 bytes, secret: fingerprints cannot be computed, or searched for, without it."""

    def __init__(self, database: Database, key: bytes, now: Callable[[], datetime]) -> None:
        self._database = database
        self._key = key
        self._now = now
        self._fresh: dict[int, _Given] = {}
        self._next = -1
        # An answer that streams is remembered piece by piece, against the same question each time.
        self._asked = lru_cache(64)(lambda typed: fingerprints(typed, key).all)
        self._writing = Lock()
        self._stopping = asyncio.Event()
        self._writer: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._stopping.clear()
        self._writer = asyncio.create_task(self._write_behind())

    async def stop(self) -> None:
        """Write what is left."""
        if self._writer is not None:
            self._stopping.set()
            await self._writer
        await asyncio.to_thread(self.flush)

    def recognise(self, text: str) -> Label:
        """The join of the labels of the sources that ``text`` repeats."""
        marks = [fingerprints(reading, self._key) for reading in readings(text)]
        hashes = frozenset[int]().union(*(mark.all for mark in marks))
        if not hashes:
            return PUBLIC
        return _judge(frozenset[int]().union(*(mark.runs for mark in marks)), self._look_up(hashes))

    def answered(self, text: str, principal: str) -> Label | None:
        """The label of the answer to ``principal`` that ``text`` is, white space and case aside. Others' answers do
        not count: what is short ("Yes.") is said under every label to somebody."""
        hash = self._exact(text, principal)
        # Memory before the database: what is written meanwhile is then found twice, and never missed.
        labels = [given.label for given in list(self._fresh.values()) if given.exact == hash]
        with self._database.read() as connection:
            labels += [_parse(label) for label in connection.scalars(_ANSWERED, {"hash": hash})]
        return join(labels) if labels else None

    def remember(self, answer: str, label: Label, typed: str, principal: str) -> None:
        """Recognise this answer from now on; what it repeats of ``typed`` is the asker's, not the answer's."""
        marks = frozenset[int]()
        if label.level > Level.PUBLIC:
            marks = self._marks(answer, label) - self._asked(typed)
        self._next -= 1
        self._fresh[self._next] = _Given(self._next, self._exact(answer, principal), marks, label)

    async def keep(self, label: Label) -> None:
        """Put what was remembered on disk now, where the label is more than internal."""
        if not label.flows_to(INTERNAL):
            await asyncio.to_thread(self.flush)

    def index(self, connection: Connection, document: int, chunks: Iterable[tuple[str, Label]]) -> None:
        """Keep a document's fingerprints, in the transaction that stores it."""
        for body, label in chunks:
            self._insert(connection, self._marks(body, label), document, label)

    def flush(self) -> None:
        """Write the answers that memory holds. Raises :class:`isthmus.errors.StoreUnavailable`; they stay then."""
        with self._writing:
            fresh = list(self._fresh.values())
            if fresh:
                with self._database.write() as connection:
                    for given in fresh:
                        number = self._insert(connection, given.marks, 0, given.label)
                        connection.execute(_ANSWER, {"hash": given.exact, "label": number, "given": self._day()})
            for given in fresh:
                del self._fresh[given.source]

    def _exact(self, text: str, principal: str) -> int:
        return exact(text, hmac.digest(self._key, principal.encode(), "sha256"))

    def _marks(self, body: str, label: Label) -> frozenset[int]:
        """What is kept of a labelled text: an identifier tells only of what is confidential or public."""
        marks = fingerprints(body, self._key)
        return marks.runs | marks.telling if label.level == Level.INTERNAL else marks.all

    async def _write_behind(self) -> None:
        while not self._stopping.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), _WRITE_EVERY)
            with suppress(StoreUnavailable):  # they stay in memory, and are tried again
                await asyncio.to_thread(self.flush)

    def _insert(self, connection: Connection, hashes: Iterable[int], document: int, label: Label) -> int:
        plain = msgspec.json.encode(label.as_dict()).decode()
        number: int = connection.execute(_LABEL, {"label": plain}).scalar_one()
        rows = [{"hash": hash, "document": document, "label": number, "given": self._day()} for hash in hashes]
        if rows:
            connection.execute(_FINGERPRINT, rows)
        return number

    def _look_up(self, hashes: frozenset[int]) -> dict[int, list[tuple[int, Label]]]:
        """For each hash that is known, its sources with their labels."""
        found: dict[int, list[tuple[int, Label]]] = {}
        fresh = list(self._fresh.values())  # before the database, as in ``answered``
        with self._database.read() as connection:
            wanted = msgspec.json.encode(sorted(hashes)).decode()
            for hash, document, label in connection.execute(_LOOK_UP, {"hashes": wanted}):
                found.setdefault(hash, []).append((document, _parse(label)))
        for given in fresh:
            for hash in given.marks & hashes:
                found.setdefault(hash, []).append((given.source, given.label))
        return found

    def _day(self) -> int:
        return int(self._now().timestamp()) // 86_400


def fingerprint_key(database: Database, home: Home) -> bytes:
    """The key of this home's fingerprints, derived from its pepper.

    Raises :class:`isthmus.errors.ConfigInvalid` where the pepper is gone although there are fingerprints: a new key
    would recognise none of them.
    """
    with database.read() as connection:
        used = connection.execute(_USED).first() is not None
    return hmac.digest(pepper(home.secrets, make=not used), b"isthmus fingerprints", "sha256")


def _judge(runs: frozenset[int], found: dict[int, list[tuple[int, Label]]]) -> Label:
    shared: dict[tuple[int, Label], int] = {}
    raised = PUBLIC
    for hash, sources in found.items():
        lowest = min((label.level for document, label in sources if document > 0), default=Level.RESTRICTED)
        for source in sources:
            if source[1].level > lowest:
                continue
            if hash in runs:
                shared[source] = shared.get(source, 0) + 1
            else:
                raised = raised.join(source[1])
    return raised.join(join(label for (_, label), count in shared.items() if count >= _ENOUGH))


def _parse(label: str) -> Label:
    return Label.parse(msgspec.json.decode(label))
