"""Text cut into the very terms that the keyword index holds, by the tokenizer that made them."""

from __future__ import annotations

import sqlite3
from threading import Lock

from isthmus.data.tables import TOKENIZER

#: A query is a question, not a document: what is beyond this many characters is not searched for.
LONGEST = 4000


class Words:
    """FTS5's own tokenizer, asked through a table in memory (about 60 µs a question). Safe to share by threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._memory = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
        self._memory.execute(f"CREATE VIRTUAL TABLE words USING fts5 (text, content = '', tokenize = '{TOKENIZER}')")
        self._memory.execute("CREATE VIRTUAL TABLE terms USING fts5vocab (words, instance)")

    def terms(self, text: str) -> list[str]:
        """The terms in order. Any text is safe: it is a value here, never part of a query's syntax."""
        # A lone surrogate cannot be passed on, and a NUL would end the text there.
        clean = text[:LONGEST].encode("utf8", "replace").decode().replace("\0", " ")
        with self._lock:
            self._memory.execute("INSERT INTO words (rowid, text) VALUES (1, ?)", (clean,))
            found = self._memory.execute("SELECT term FROM terms ORDER BY offset").fetchall()
            self._memory.execute("INSERT INTO words (words) VALUES ('delete-all')")
        return [term for (term,) in found]

    def close(self) -> None:
        self._memory.close()
