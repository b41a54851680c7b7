"""Fingerprints of labelled text, labels of answers given, and what each key has spent.

A fingerprint belongs to a document, or to no document (0): then to an answer given at ``given`` (days since 1970).
"""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"

_SCHEMA = (
    "CREATE TABLE labels (number INTEGER PRIMARY KEY, label TEXT NOT NULL UNIQUE)",
    """CREATE TABLE fingerprints (
        hash INTEGER NOT NULL,
        document INTEGER NOT NULL,
        label INTEGER NOT NULL REFERENCES labels (number),
        given INTEGER NOT NULL,
        PRIMARY KEY (hash, document, label)
    ) WITHOUT ROWID""",
    "CREATE INDEX fingerprints_of_document ON fingerprints (document)",
    """CREATE TABLE answers (
        hash INTEGER NOT NULL,
        label INTEGER NOT NULL REFERENCES labels (number),
        given INTEGER NOT NULL,
        PRIMARY KEY (hash, label)
    ) WITHOUT ROWID""",
    """CREATE TRIGGER document_removed AFTER DELETE ON documents BEGIN
        DELETE FROM fingerprints WHERE document = old.number;
    END""",
    """CREATE TABLE spending (
        "key" TEXT NOT NULL,
        month TEXT NOT NULL,
        amount REAL NOT NULL,
        PRIMARY KEY ("key", month)
    ) WITHOUT ROWID""",
)


def upgrade() -> None:
    for statement in _SCHEMA:
        op.execute(statement)
