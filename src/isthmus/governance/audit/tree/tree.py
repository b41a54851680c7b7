"""The tree of a log that grows: full tiles on disk, the right edge in memory.

Memory stays flat: at most one tile a level (level 3 begins at sixteen million entries) and a few that were read.
A receipt for a new entry needs no disk at all, since everything above it is in the right edge. Tiles are derived:
one that is missing is computed again from what lies beneath it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TypeAlias

from isthmus.governance.audit.tree import merkle
from isthmus.governance.audit.tree.layout import HEIGHT, WIDTH
from isthmus.governance.audit.tree.storage import Tiles
from isthmus.governance.audit.tree.stored import StoredTree

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


class Tree:
    """The tree of ``size`` leaves. One thread pushes; any may read, as :class:`Tile` objects only ever grow."""

    def __init__(self, storage: Tiles, store: Store, bundles: int = 0) -> None:
        """A tree over the first ``bundles`` full bundles; ``store`` is called with each tile that fills.

        Raises :class:`VerificationFailed` where entries are missing, as whatever reads older hashes later does.
        """
        self.size = bundles * WIDTH
        self._store = store
        self._stored = StoredTree(storage)
        self._full = lru_cache(maxsize=32)(self._read)
        self._edge: list[Tile] = []
        level, count = 0, self.size
        while count or not self._edge:
            n, width = divmod(count, WIDTH)
            self._edge.append(Tile.of(n, self._stored.hashes(level, n, width) if width else []))
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
        tile = edge if edge is not None and edge.n == n else self._full(level, n)
        return tile.rows[row][at]

    def root(self, size: int | None = None) -> bytes:
        """The root of the first ``size`` leaves (default: of all)."""
        return merkle.root(self.size if size is None else size, self.node)

    def leaf(self, index: int) -> bytes:
        return self.node(0, index)

    def _read(self, level: int, n: int) -> Tile:
        return Tile.of(n, self._stored.hashes(level, n, WIDTH))
