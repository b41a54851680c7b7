"""Subjects' secrets, and content that policy says keep.

SQLite's ``secure_delete`` does not reach what page merges leave behind (``benchmarks/secure_delete.py`` shows it). So a
key is destroyed by overwriting it in place: rows of ``subjects`` and ``contents`` are appended, keep their size, and
never move or go. ``ciphertexts`` may be deleted: no key, no content.
"""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"

_SCHEMA = (
    # "subjects": raised with each destroyed secret. "erasures": how many entries of the log were looked through for
    # erasures that this database must follow.
    "INSERT INTO meta VALUES ('subjects', 0), ('erasures', 0)",
    # A row for each secret that a subject had; the last one is in use unless it is all zeros.
    """CREATE TABLE subjects (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        subject TEXT NOT NULL,
        generation TEXT NOT NULL,
        secret BLOB NOT NULL
    )""",
    "CREATE INDEX subjects_by_name ON subjects (subject)",
    # "wrapped" is the record's key, all zeros once it is destroyed.
    """CREATE TABLE contents (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        owner INTEGER NOT NULL REFERENCES subjects (number),
        request TEXT NOT NULL,
        kind TEXT NOT NULL,
        model TEXT NOT NULL,
        nonce BLOB NOT NULL,
        wrapped BLOB NOT NULL
    )""",
    "CREATE INDEX contents_by_request ON contents (request)",
    "CREATE INDEX contents_by_owner ON contents (owner)",
    """CREATE TABLE ciphertexts (
        number INTEGER PRIMARY KEY REFERENCES contents (number),
        stored TEXT NOT NULL,
        ciphertext BLOB NOT NULL
    )""",
    "CREATE INDEX ciphertexts_by_time ON ciphertexts (stored)",
)


def upgrade() -> None:
    for statement in _SCHEMA:
        op.execute(statement)
