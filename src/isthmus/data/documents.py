"""Documents in the store: text, labels, readers, chunks, vectors and keyword index, in one transaction each."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, TypeAlias

import msgspec
import numpy as np
from sqlalchemy import ColumnElement, Connection, and_, delete, exists, func, insert, or_, select, text

from isthmus.data.database import Database, advance
from isthmus.data.tables import chunks, document_groups, documents
from isthmus.errors import DocumentRejected, NotFound
from isthmus.labels import Label
from isthmus.principals import Principal
from isthmus.seams import NewChunk, NewDocument, StoredDocument

_WORD = re.compile(r"\w+")
Index: TypeAlias = Callable[[Connection, int, Iterable[tuple[str, Label]]], None]


def utc_now() -> datetime:
    return datetime.now(UTC)


class Documents:
    """The seam ``Documents`` over SQLite.

    Who may read a document: everyone if it names no groups, else who is in one of them; and its owner always. No role
    is a way around this. What a principal may not read does not exist for them: the same answer, the same error.
    """

    def __init__(self, database: Database, now: Callable[[], datetime] = utc_now, index: Index | None = None) -> None:
        """``index`` keeps fingerprints of what is stored, in the same transaction (``provenance``)."""
        self._database = database
        self._now = now
        self._index = index

    def put(self, document: NewDocument) -> str:
        """Store the document, in place of the one from the same source; gives its id, which stays the same.

        Raises :class:`DocumentRejected` where its text or its vectors cannot be stored.
        """
        _check(document)
        with self._database.write() as connection:
            _check_dimensions(connection, document)
            identity = self._replaced(connection, document) or f"doc_{secrets.token_hex(8)}"
            row = self._row(document, identity)
            number = connection.execute(insert(documents).values(row).returning(documents.c.number)).scalar_one()
            if document.groups:
                groups = [{"document": number, "name": group} for group in sorted(document.groups)]
                connection.execute(insert(document_groups), groups)
            if document.chunks:
                rows = [_chunk_row(number, document.title, chunk) for chunk in document.chunks]
                connection.execute(insert(chunks), rows)
            if self._index is not None:
                self._index(connection, number, [(chunk.text, chunk.label) for chunk in document.chunks])
            advance(connection, "documents")
        return identity

    def find(self, collection: str, source: str) -> StoredDocument | None:
        """The document from that source, whoever may read it: for whoever keeps the collection."""
        with self._database.read() as connection:
            where = and_(documents.c.collection == collection, documents.c.source == source)
            found = connection.execute(_STORED.where(where)).first()
        return None if found is None else _stored(found._asdict())

    def list(self, principal: Principal | None = None, collection: str | None = None) -> list[StoredDocument]:
        """What the principal may read, ordered by collection and source. Without a principal: everything, for
        whoever keeps the store."""
        query = _STORED.order_by(documents.c.collection, documents.c.source)
        if principal is not None:
            query = query.where(readable(principal))
        if collection is not None:
            query = query.where(documents.c.collection == collection)
        with self._database.read() as connection:
            return [_stored(row._asdict()) for row in connection.execute(query)]

    def delete(self, document: str) -> bool:
        """Remove the document and all that was made from it; whether there was one."""
        with self._database.write() as connection:
            gone = _remove(connection, documents.c.id == document)
            if gone:
                advance(connection, "documents")
        return gone

    def text(self, document: str, principal: Principal) -> str:
        """The extracted text, which a passage's offsets point into. Raises :class:`NotFound`."""
        query = select(documents.c.text).where(documents.c.id == document, readable(principal))
        with self._database.read() as connection:
            found: str | None = connection.execute(query).scalar()
        if found is None:
            raise NotFound(f"There is no document {document!r}.")
        return found

    def purge(self) -> None:
        """Finish the deletes: words of deleted text leave the keyword index and the write-ahead log too.

        Rewrites the keyword index (about a second for 100,000 chunks): call it once after many deletes.
        """
        with self._database.write() as connection:
            connection.execute(text("INSERT INTO chunk_words (chunk_words) VALUES ('optimize')"))
        self._database.checkpoint()

    def _replaced(self, connection: Connection, document: NewDocument) -> str | None:
        """Remove what is stored from the same source; its id."""
        where = and_(documents.c.collection == document.collection, documents.c.source == document.source)
        identity: str | None = connection.execute(select(documents.c.id).where(where)).scalar()
        if identity is not None:
            _remove(connection, where)
        return identity

    def _row(self, document: NewDocument, identity: str) -> dict[str, Any]:
        fields = ("collection", "source", "title", "media_type", "digest", "text", "label", "owner")
        row = {name: getattr(document, name) for name in (*fields, "licence", "attribution")}
        return row | {"id": identity, "chunks": len(document.chunks), "added": self._now()}


def readable(principal: Principal) -> ColumnElement[bool]:
    """The condition, over ``documents``, that the principal may read it."""
    of_document = document_groups.c.document == documents.c.number
    mine = func.json_each(msgspec.json.encode(sorted(principal.groups)).decode()).table_valued("value")
    return or_(
        ~exists().where(of_document),
        exists().where(of_document, document_groups.c.name.in_(select(mine.c.value))),
        and_(documents.c.owner != "", documents.c.owner == principal.id),
    )


_GROUPS = (
    select(func.json_group_array(document_groups.c.name))
    .where(document_groups.c.document == documents.c.number)
    .scalar_subquery()
    .label("groups")
)
_STORED = select(
    *(documents.c[name] for name in ("id", "collection", "source", "title", "media_type", "digest", "label")),
    _GROUPS,
    *(documents.c[name] for name in ("owner", "chunks", "added")),
)


def _stored(fields: dict[str, Any]) -> StoredDocument:
    return StoredDocument(**fields | {"groups": msgspec.json.decode(fields["groups"], type=frozenset[str])})


def _remove(connection: Connection, where: ColumnElement[bool]) -> bool:
    numbers = select(documents.c.number).where(where)
    # The chunks by name: rows that a foreign key removes would not reach the keyword index on every build of SQLite.
    connection.execute(delete(chunks).where(chunks.c.document.in_(numbers)))
    return connection.execute(delete(documents).where(where)).rowcount > 0


def _chunk_row(number: int, title: str, chunk: NewChunk) -> dict[str, Any]:
    context = "\n".join(dict.fromkeys((title, *chunk.headings)))
    row = {name: getattr(chunk, name) for name in ("text", "start", "end", "page", "headings", "label")}
    words = len(_WORD.findall(chunk.text)) + len(_WORD.findall(context))
    vector = np.ascontiguousarray(chunk.vector, dtype="<f4").tobytes()
    return row | {"document": number, "context": context, "words": words, "vector": vector}


def _check(document: NewDocument) -> None:
    """What SQLite cannot store (lone surrogates), or retrieval could not use, is refused before anything is written."""
    try:
        document.text.encode()
        for part in (document.title, document.source, *(chunk.text for chunk in document.chunks)):
            part.encode()
    except UnicodeEncodeError as error:
        raise DocumentRejected(f"{document.source!r} holds characters that are not valid Unicode.") from error
    shapes = {chunk.vector.shape for chunk in document.chunks}
    if len(shapes) > 1 or not all(np.isfinite(chunk.vector).all() for chunk in document.chunks):
        raise DocumentRejected(f"The vectors of {document.source!r} are not finite, or not of one length.")


def _check_dimensions(connection: Connection, document: NewDocument) -> None:
    """All vectors of a store come from one embedder: those of another cannot be compared with them."""
    if not document.chunks:
        return
    stored = connection.execute(select(func.length(chunks.c.vector)).limit(1)).scalar()
    new = 4 * document.chunks[0].vector.size
    if stored is not None and stored != new:
        raise DocumentRejected(
            f"The store holds vectors of {stored // 4} dimensions, and {document.source!r} has {new // 4}.",
            hint="Set knowledge.embedder back, or delete the documents and ingest them again.",
        )
