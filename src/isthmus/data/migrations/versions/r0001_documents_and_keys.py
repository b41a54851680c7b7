"""Documents with their chunks, keyword index and readers; keys; counters.

``AUTOINCREMENT``: the number of a deleted row is never given again, so that a citation or a log entry that names it
can never come to mean another text.
"""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None

_SCHEMA = (
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID",
    "INSERT INTO meta VALUES ('documents', 0), ('keys', 0)",
    """CREATE TABLE documents (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        collection TEXT NOT NULL,
        source TEXT NOT NULL,
        title TEXT NOT NULL,
        media_type TEXT NOT NULL,
        digest TEXT NOT NULL,
        text TEXT NOT NULL,
        label TEXT NOT NULL,
        owner TEXT NOT NULL,
        licence TEXT NOT NULL,
        attribution TEXT NOT NULL,
        chunks INTEGER NOT NULL,
        added TEXT NOT NULL,
        UNIQUE (collection, source)
    )""",
    """CREATE TABLE document_groups (
        document INTEGER NOT NULL REFERENCES documents (number) ON DELETE CASCADE,
        name TEXT NOT NULL,
        PRIMARY KEY (document, name)
    ) WITHOUT ROWID""",
    """CREATE TABLE chunks (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        document INTEGER NOT NULL REFERENCES documents (number) ON DELETE CASCADE,
        text TEXT NOT NULL,
        context TEXT NOT NULL,
        start INTEGER NOT NULL,
        "end" INTEGER NOT NULL,
        page INTEGER,
        headings TEXT NOT NULL,
        label TEXT NOT NULL,
        words INTEGER NOT NULL,
        vector BLOB NOT NULL
    )""",
    "CREATE INDEX chunks_of_document ON chunks (document)",
    # The keyword index keeps no copy of the text, and follows the chunks by itself (sqlite.org/fts5.html, 4.4.3).
    """CREATE VIRTUAL TABLE chunk_words USING fts5 (
        text, context, content = 'chunks', content_rowid = 'number',
        tokenize = 'porter unicode61 remove_diacritics 2'
    )""",
    """CREATE TRIGGER chunk_added AFTER INSERT ON chunks BEGIN
        INSERT INTO chunk_words (rowid, text, context) VALUES (new.number, new.text, new.context);
    END""",
    """CREATE TRIGGER chunk_removed AFTER DELETE ON chunks BEGIN
        INSERT INTO chunk_words (chunk_words, rowid, text, context)
        VALUES ('delete', old.number, old.text, old.context);
    END""",
    # Every occurrence of a term, so that scores can be counted over the permitted chunks alone (section 5 there).
    "CREATE VIRTUAL TABLE chunk_terms USING fts5vocab (chunk_words, instance)",
    """CREATE TABLE keys (
        id TEXT PRIMARY KEY,
        digest BLOB NOT NULL UNIQUE,
        name TEXT NOT NULL,
        roles TEXT NOT NULL,
        groups TEXT NOT NULL,
        label TEXT NOT NULL,
        jurisdiction TEXT NOT NULL,
        created TEXT NOT NULL,
        expires TEXT,
        revoked TEXT,
        budget REAL
    ) WITHOUT ROWID""",
)


def upgrade() -> None:
    for statement in _SCHEMA:
        op.execute(statement)
