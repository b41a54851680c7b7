"""What a tree reads from: the database, and before it the tiles that are on their way there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from isthmus.errors import AuditUnavailable
from isthmus.governance.audit.tree.storage import Tiles


class Pending:
    """:class:`Tiles` of a log that is written to, where a tile that cannot be read is not computed again: what lies
    beneath it could not be read either. A receipt may need a tile in the moment before it is committed, from another
    thread. Raises :class:`AuditUnavailable`."""

    def __init__(self, kept: Tiles) -> None:
        self._kept = kept
        self.tiles: dict[tuple[int, int], bytes] = {}

    def keep(self, level: int, n: int, hashes: bytes) -> None:
        """To be written in this turn."""
        self.tiles[level, n] = hashes

    def bundle(self, n: int) -> bytes | None:
        with _readable():
            return self._kept.bundle(n)

    def tile(self, level: int, n: int) -> bytes | None:
        with _readable():
            return self.tiles.get((level, n)) or self._kept.tile(level, n)


@contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise AuditUnavailable(
            f"The audit log's tree cannot be read: {error.strerror}.", hint="The log goes on by itself once it can."
        ) from error
