"""The tree of a log that grows: full tiles on disk, the right edge in memory.

Memory stays flat: at most one tile a level (level 3 begins at sixteen million entries) and a few that were read.
A receipt for a new entry needs no disk at all, since everything above it is in the right edge. Tiles are derived:
one that is missing is computed again from what lies beneath it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from typing import TypeAlias

from isthmus.errors import VerificationFailed
from isthmus.governance.audit.tree import merkle
from isthmus.governance.audit.tree.layout import HEIGHT, WIDTH, unpack
from isthmus.governance.audit.tree.storage import Storage

#: Keeps a tile: level, number, its hashes.
Store: TypeAlias = Callable[[int, int, bytes], None]


class Tile:
    """One tile with the nodes inside it: ``rows[h]`` are the complete subtrees of ``2**h`` of its hashes."""

    def __init__(self, n: int) -> None:
        self.n = n
        self.rows: list[list[bytes]] = [[] for _ in range(HEIGHT)]

    @property
    def full(self) -> bool:
        return len(self.rows[0]) == WIDTH

    @property
    def top(self) -> bytes:
        """The hash of a full tile."""
        left, right = self.rows[-1]
        return merkle.node_hash(left, right)

    def push(self, value: bytes) -> None:
        for row in self.rows[:-1]:
            row.append(value)
            if len(row) % 2:
                return
            value = merkle.node_hash(row[-2], row[-1])
        self.rows[-1].append(value)

    @classmethod
    def of(cls, n: int, hashes: list[bytes]) -> Tile:
        tile = cls(n)
        for value in hashes:
            tile.push(value)
        return tile


class Tiles:
    """Full tiles and full bundles as they are kept. Safe to use from several threads."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self.full = lru_cache(maxsize=32)(self._full)

    def entries(self, n: int) -> list[bytes]:
        """The entries of a full bundle. Raises :class:`VerificationFailed` where they are not all there."""
        entries, _ = unpack(_bundle(self._storage, n))
        if len(entries) != WIDTH:
            raise VerificationFailed(f"Entry {n * WIDTH + len(entries)} is missing from its bundle.")
        return entries

    def hashes(self, level: int, n: int) -> list[bytes]:
        """The 256 hashes of a full tile, computed again where the file is missing."""
        with suppress(OSError):
            data = self._storage.tile(level, n) or b""
            if len(data) == WIDTH * 32:
                return [data[at : at + 32] for at in range(0, len(data), 32)]
        if level == 0:
            return [merkle.leaf_hash(entry) for entry in self.entries(n)]
        return [self.full(level - 1, below).top for below in range(n * WIDTH, (n + 1) * WIDTH)]

    def _full(self, level: int, n: int) -> Tile:
        return Tile.of(n, self.hashes(level, n))


class Tree:
    """The tree of ``size`` leaves. One thread pushes; any may read, as :class:`Tile` objects only ever grow."""

    def __init__(self, storage: Storage, store: Store, bundles: int = 0) -> None:
        """A tree over the first ``bundles`` full bundles; ``store`` is called with each tile that fills."""
        self.size = bundles * WIDTH
        self._store = store
        self._tiles = Tiles(storage)
        self._edge: list[Tile] = []
        level, count = 0, self.size
        while count or not self._edge:
            n, width = divmod(count, WIDTH)
            below = range(n * WIDTH, n * WIDTH + width)
            self._edge.append(Tile.of(n, [self._tiles.full(level - 1, at).top for at in below]))
            level, count = level + 1, n

    def push(self, leaf: bytes) -> None:
        """Add a leaf's hash; a tile that it completes is stored."""
        value, level = leaf, 0
        while True:
            tile = self._edge[level]
            tile.push(value)
            if not tile.full:
                break
            self._store(level, tile.n, b"".join(tile.rows[0]))
            value, level = tile.top, level + 1
            if level == len(self._edge):
                self._edge.append(Tile(0))
            self._edge[level - 1] = Tile(tile.n + 1)
        self.size += 1

    def node(self, height: int, index: int) -> bytes:
        """A complete subtree's hash (:mod:`isthmus.governance.audit.tree.merkle`)."""
        level, row = divmod(height, HEIGHT)
        n, at = divmod(index, WIDTH >> row)
        edge = self._edge[level] if level < len(self._edge) else None
        tile = edge if edge is not None and edge.n == n else self._tiles.full(level, n)
        return tile.rows[row][at]

    def root(self, size: int | None = None) -> bytes:
        """The root of the first ``size`` leaves (default: of all)."""
        return merkle.root(self.size if size is None else size, self.node)

    def leaf(self, index: int) -> bytes:
        return self.node(0, index)

    def tile(self, level: int, n: int, width: int = WIDTH) -> bytes:
        """The first ``width`` hashes of a tile, as its file holds them."""
        edge = self._edge[level] if level < len(self._edge) else None
        tile = edge if edge is not None and edge.n == n else self._tiles.full(level, n)
        return b"".join(tile.rows[0][:width])


def _bundle(storage: Storage, n: int) -> bytes:
    try:
        found = storage.bundle(n)
    except OSError as error:
        raise VerificationFailed(f"Entry {n * WIDTH} cannot be read: {error.strerror}.") from error
    if found is None:
        raise VerificationFailed(f"Entry {n * WIDTH} is missing, with its whole bundle.")
    return found
