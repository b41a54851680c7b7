"""What retrieval reads of the store: vectors, readers and term counts as arrays, and passages by number.

A ``Snapshot`` is one consistent view held in memory. Another process may write at any time: ``current()`` compares
one counter, and reads only what is new.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from threading import Lock

import msgspec
import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection, column, func, select, table

from isthmus.data.database import Database, version
from isthmus.data.documents import readable
from isthmus.data.tables import chunks, document_groups, documents
from isthmus.messages import Passage
from isthmus.principals import Principal

_terms = table("chunk_terms", column("term"), column("doc"))


@dataclass(frozen=True, slots=True)
class Access:
    """Where a document is and who may read it, as in :class:`isthmus.data.documents.Documents`."""

    collection: str
    owner: str
    groups: frozenset[str]

    def allows(self, principal: Principal) -> bool:
        return (
            not self.groups or bool(self.groups & principal.groups) or (self.owner != "" and self.owner == principal.id)
        )


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Row ``i`` of every array is one chunk; rows are in the order of ``numbers``, which is ascending.

    ``numbers`` int64 (rows), ``documents`` int64 (rows), ``words`` int32 (rows), ``vectors`` float32
    (rows, dimensions) of unit length. ``access`` by document.
    """

    version: int = -1
    numbers: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    documents: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    words: npt.NDArray[np.int32] = field(default_factory=lambda: np.empty(0, np.int32))
    vectors: npt.NDArray[np.float32] = field(default_factory=lambda: np.empty((0, 0), np.float32))
    access: Mapping[int, Access] = field(default_factory=dict)

    def rows(self, numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The row of each chunk number; numbers that this view does not hold are left out."""
        at = np.searchsorted(self.numbers, numbers)
        at[at == len(self.numbers)] = 0
        return at[self.numbers[at] == numbers] if len(self.numbers) else at[:0]


class Passages:
    """The reading side of the store, for one process. Safe to share by threads."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = Lock()
        self._snapshot = Snapshot()

    def current(self) -> Snapshot:
        """The view that holds everything committed before this call."""
        with self._lock, self._database.read() as connection:
            now = version(connection, "documents")
            if now != self._snapshot.version:
                self._snapshot = _refresh(connection, self._snapshot, now)
            return self._snapshot

    def occurrences(self, term: str) -> npt.NDArray[np.int64]:
        """The number of a chunk for every time that the term stands in it, in no order."""
        query = select(func.group_concat(_terms.c.doc)).where(_terms.c.term == term)
        with self._database.read() as connection:
            found = connection.execute(query).scalar()
        return np.array(found.split(",") if found else (), dtype=np.int64)

    def read(self, numbers: Iterable[int], principal: Principal) -> dict[int, Passage]:
        """The passages of those chunks that the principal may read at this moment."""
        wanted = func.json_each(msgspec.json.encode(list(numbers)).decode()).table_valued("value")
        query = _PASSAGE.where(chunks.c.number.in_(select(wanted.c.value)), readable(principal))
        with self._database.read() as connection:
            return {row.number: _passage(row._asdict()) for row in connection.execute(query)}


_PASSAGE = select(
    chunks.c.number,
    *(
        documents.c[name].label(name if name != "id" else "document")
        for name in ("id", "title", "source", "collection")
    ),
    *(chunks.c[name] for name in ("text", "label", "start", "end", "page", "headings")),
).join_from(chunks, documents, chunks.c.document == documents.c.number)


def _passage(fields: dict[str, object]) -> Passage:
    number = fields.pop("number")
    return Passage(chunk=f"{fields['document']}#{number}", **fields)  # type: ignore[arg-type]


def _refresh(connection: Connection, old: Snapshot, now: int) -> Snapshot:
    """A chunk never changes and its number is never reused: keep the rows still there, read those that are new."""
    present = np.array(connection.scalars(select(chunks.c.number).order_by(chunks.c.number)).all(), dtype=np.int64)
    kept = np.isin(old.numbers, present, assume_unique=True)
    last = int(old.numbers[-1]) if len(old.numbers) else 0
    new = connection.execute(
        select(chunks.c.number, chunks.c.document, chunks.c.words, chunks.c.vector)
        .where(chunks.c.number > last)
        .order_by(chunks.c.number)
    ).all()
    if not new and kept.all():
        return Snapshot(now, old.numbers, old.documents, old.words, old.vectors, _access(connection))
    added = np.frombuffer(b"".join(row.vector for row in new), dtype="<f4").reshape(len(new), -1 if new else 0)
    vectors = old.vectors[kept]
    return Snapshot(
        now,
        present,
        np.concatenate([old.documents[kept], np.array([row.document for row in new], np.int64)]),
        np.concatenate([old.words[kept], np.array([row.words for row in new], np.int32)]),
        np.concatenate([vectors, added]) if len(vectors) and new else (vectors if len(vectors) else added),
        _access(connection),
    )


def _access(connection: Connection) -> dict[int, Access]:
    groups: dict[int, set[str]] = {}
    for document, name in connection.execute(select(document_groups)):
        groups.setdefault(document, set()).add(name)
    rows = connection.execute(select(documents.c.number, documents.c.collection, documents.c.owner))
    return {number: Access(place, owner, frozenset(groups.get(number, ()))) for number, place, owner in rows}
