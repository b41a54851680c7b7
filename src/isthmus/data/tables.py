"""The tables of the store, as the queries see them. The schema itself is made by ``migrations``.

Text that belongs to a value (a label, headings, groups) is stored as JSON in the value's own plain form.
"""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
from sqlalchemy import Column, Dialect, Float, ForeignKey, Integer, LargeBinary, MetaData, Table, Text
from sqlalchemy.types import TypeDecorator

from isthmus.labels import Label

#: How FTS5 cuts text into terms (sqlite.org/fts5.html#tokenizers). Part of the schema: a change needs a migration.
TOKENIZER = "porter unicode61 remove_diacritics 2"


class LabelText(TypeDecorator[Label]):
    """A label as JSON. One that cannot be read stops the request (``Label.parse`` raises), it is never guessed."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Label | None, dialect: Dialect) -> str | None:
        return None if value is None else msgspec.json.encode(value.as_dict()).decode()

    def process_result_value(self, value: str | None, dialect: Dialect) -> Label | None:
        return None if value is None else Label.parse(msgspec.json.decode(value))


class NamesText(TypeDecorator[tuple[str, ...]]):
    """A sequence of names as JSON, in order."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: tuple[str, ...] | None, dialect: Dialect) -> str:
        return msgspec.json.encode(value or ()).decode()

    def process_result_value(self, value: str | None, dialect: Dialect) -> tuple[str, ...]:
        return msgspec.json.decode(value or "[]", type=tuple[str, ...])


class Moment(TypeDecorator[datetime]):
    """An aware time, in UTC, as ISO 8601 text."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> str | None:
        return None if value is None else value.astimezone(UTC).isoformat()

    def process_result_value(self, value: str | None, dialect: Dialect) -> datetime | None:
        return None if value is None else datetime.fromisoformat(value)


_tables = MetaData()

#: Counters, raised in the transaction that changes what they count: another process sees that it must look again.
meta = Table("meta", _tables, Column("name", Text, primary_key=True), Column("value", Integer, nullable=False))

documents = Table(
    "documents",
    _tables,
    Column("number", Integer, primary_key=True),
    Column("id", Text, nullable=False),
    Column("collection", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("media_type", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("label", LabelText, nullable=False),
    Column("owner", Text, nullable=False),
    Column("licence", Text, nullable=False),
    Column("attribution", Text, nullable=False),
    Column("chunks", Integer, nullable=False),
    Column("added", Moment, nullable=False),
)

#: Who may read a document; no row means everyone.
document_groups = Table(
    "document_groups",
    _tables,
    Column("document", Integer, ForeignKey("documents.number"), primary_key=True),
    Column("name", Text, primary_key=True),
)

#: ``number`` is never reused, and a chunk never changes: a replaced document has new chunks. ``context`` is the
#: title and the headings, searched with the text. ``vector`` is little-endian float32.
chunks = Table(
    "chunks",
    _tables,
    Column("number", Integer, primary_key=True),
    Column("document", Integer, ForeignKey("documents.number"), nullable=False),
    Column("text", Text, nullable=False),
    Column("context", Text, nullable=False),
    Column("start", Integer, nullable=False),
    Column("end", Integer, nullable=False),
    Column("page", Integer),
    Column("headings", NamesText, nullable=False),
    Column("label", LabelText, nullable=False),
    Column("words", Integer, nullable=False),
    Column("vector", LargeBinary, nullable=False),
)

keys = Table(
    "keys",
    _tables,
    Column("id", Text, primary_key=True),
    Column("digest", LargeBinary, nullable=False),
    Column("name", Text, nullable=False),
    Column("roles", NamesText, nullable=False),
    Column("groups", NamesText, nullable=False),
    Column("label", LabelText, nullable=False),
    Column("jurisdiction", Text, nullable=False),
    Column("created", Moment, nullable=False),
    Column("expires", Moment),
    Column("revoked", Moment),
    Column("budget", Float),
)
