"""Does what SQLite deletes leave the file? ``python -m benchmarks.secure_delete``

3,000 rows of 60 random bytes, half of them deleted at random as they are written, ``secure_delete`` on, the write-ahead
log emptied at the end; then each deleted value is looked for in the file. The same with values that are overwritten in
place: why ``isthmus.data.subjects`` never deletes a key.
"""

from __future__ import annotations

import random
import sqlite3
import tempfile
from pathlib import Path

ROWS, SIZE = 3_000, 60
WAYS = {
    "deleted": "DELETE FROM secrets WHERE number = ?",
    "overwritten in place": f"UPDATE secrets SET secret = zeroblob({SIZE}) WHERE number = ?",
}


def left(folder: Path, statement: str) -> tuple[int, int]:
    """How many values were destroyed, and how many of them are in the file still."""
    chance, path = random.Random(1), folder / "secrets.db"
    kept: dict[int, bytes] = {}
    gone: list[bytes] = []
    connection = sqlite3.connect(path, isolation_level=None)
    for pragma in ("journal_mode = WAL", "secure_delete = ON"):
        connection.execute(f"PRAGMA {pragma}")
    connection.execute("CREATE TABLE secrets (number INTEGER PRIMARY KEY AUTOINCREMENT, subject TEXT, secret BLOB)")
    for at in range(ROWS):
        value = chance.randbytes(SIZE)
        row = (f"key_{chance.randbytes(6).hex()}", value)
        number = connection.execute("INSERT INTO secrets (subject, secret) VALUES (?, ?)", row).lastrowid
        assert number is not None
        kept[number] = value
        if at % 2:
            number = chance.choice(list(kept))
            connection.execute(statement, (number,))
            gone.append(kept.pop(number))
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    content = path.read_bytes() + path.with_name("secrets.db-wal").read_bytes()
    connection.close()
    return len(gone), sum(value in content for value in gone)


def main() -> None:
    print(f"SQLite {sqlite3.sqlite_version}")
    for way, statement in WAYS.items():
        with tempfile.TemporaryDirectory() as folder:
            destroyed, found = left(Path(folder), statement)
        print(f"{way}: {destroyed} values, {found} of them still in the file")


if __name__ == "__main__":
    main()
