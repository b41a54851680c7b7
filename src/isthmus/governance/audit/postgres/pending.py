"""What a tree reads from: the database, and before it the tiles that are on their way there."""

from __future__ import annotations

from isthmus.governance.audit.tree.storage import Storage


class Pending:
    """A :class:`isthmus.governance.audit.tree.storage.Storage`. A receipt may need a tile in the moment before it is
    committed, from another thread."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self.tiles: dict[tuple[int, int], bytes] = {}

    def keep(self, level: int, n: int, hashes: bytes) -> None:
        """To be written in this turn."""
        self.tiles[level, n] = hashes

    def vkey(self) -> str | None:
        return self._storage.vkey()

    def notes(self) -> list[bytes]:
        return self._storage.notes()

    def rotations(self) -> list[bytes]:
        return self._storage.rotations()

    def bundle(self, n: int) -> bytes | None:
        return self._storage.bundle(n)

    def tile(self, level: int, n: int) -> bytes | None:
        return self.tiles.get((level, n)) or self._storage.tile(level, n)
