"""The tree of a log as its storage holds it: bundles and tiles of any width, and the nodes that proofs are made of.

Hashes that are kept are passed on as they are: whoever gets them holds them against a signed root. Those that are not
kept are computed from what lies beneath them. Nothing here asks what is signed for: that is the caller's affair.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import TypeAlias

from isthmus.errors import VerificationFailed
from isthmus.governance.audit.tree import merkle
from isthmus.governance.audit.tree.layout import HEIGHT, WIDTH, pack, unpack
from isthmus.governance.audit.tree.storage import Tiles

#: The first ``width`` hashes of a tile: level, number, width.
Hashes: TypeAlias = Callable[[int, int, int], Sequence[bytes]]

_HASH = 32
#: Full tiles whose hash is remembered: a proof in a log of a million entries needs no more.
_TOPS = 4096


class StoredTree:
    """Safe to use from several threads. What is remembered never changes: hashes of full tiles."""

    def __init__(self, storage: Tiles) -> None:
        self._storage = storage
        self._top = lru_cache(maxsize=_TOPS)(self._compute_top)

    def entries(self, n: int, width: int) -> list[bytes]:
        """The first ``width`` entries of a bundle. Raises :class:`VerificationFailed`, naming one that is missing."""
        first = n * WIDTH
        try:
            entries, _ = unpack(self._storage.bundle(n) or b"")
        except OSError as error:
            raise _failed(first, f"Entry {first} cannot be read: {error.strerror}.") from error
        if len(entries) < width:
            raise _failed(first + len(entries), f"Entry {first + len(entries)} is missing from its bundle.")
        return entries[:width]

    def bundle(self, n: int, width: int) -> bytes:
        """The first ``width`` entries of a bundle as its file holds them. Raises :class:`VerificationFailed`."""
        return pack(self.entries(n, width))

    def tile(self, level: int, n: int, width: int) -> bytes:
        """The first ``width`` hashes of a tile as its file holds them. Raises :class:`VerificationFailed`."""
        return b"".join(self.hashes(level, n, width))

    def hashes(self, level: int, n: int, width: int) -> list[bytes]:
        """The first ``width`` hashes of a tile. Raises :class:`VerificationFailed`."""
        found = self.kept(level, n)[:width]
        if len(found) == width:
            return found
        if width == WIDTH:  # a file that stayed short as its tile filled: a power loss may have replaced the entries
            return self.derived(level, n, width)
        return found + self.derived(level, n, width)[len(found) :]

    def kept(self, level: int, n: int) -> list[bytes]:
        """The hashes that are kept of a tile: all, some or none."""
        data = b""
        with suppress(OSError):
            data = self._storage.tile(level, n) or b""
        return [data[at : at + _HASH] for at in range(0, min(len(data), WIDTH * _HASH) - _HASH + 1, _HASH)]

    def derived(self, level: int, n: int, width: int) -> list[bytes]:
        """The same hashes from what lies beneath the tile, whatever is kept of itself."""
        if level == 0:
            return [merkle.leaf_hash(entry) for entry in self.entries(n, width)]
        return [self._top(level - 1, n * WIDTH + at) for at in range(width)]

    def node(self, height: int, index: int) -> bytes:
        """A complete subtree's hash, as :mod:`.merkle` addresses it. Raises :class:`VerificationFailed`."""
        return node_of(self.hashes)(height, index)

    def _compute_top(self, level: int, n: int) -> bytes:
        return subtree(self.hashes(level, n, WIDTH))


def node_of(hashes: Hashes) -> merkle.Node:
    """The nodes of a tree whose tiles are known."""

    def node(height: int, index: int) -> bytes:
        level, row = divmod(height, HEIGHT)
        n, at = divmod(index << row, WIDTH)
        return subtree(hashes(level, n, at + (1 << row))[at:])

    return node


def subtree(hashes: Sequence[bytes]) -> bytes:
    """The hash above a power of two of hashes."""
    while len(hashes) > 1:
        hashes = [merkle.node_hash(hashes[at], hashes[at + 1]) for at in range(0, len(hashes), 2)]
    return hashes[0]


def edge(size: int) -> list[tuple[int, int, int]]:
    """The partial tiles of a tree, topmost first, as level, number and width: its root follows from them."""
    found, level = [], 0
    while size:
        n, width = divmod(size, WIDTH)
        if width:
            found.append((level, n, width))
        level, size = level + 1, n
    return found[::-1]


def _failed(index: int, message: str) -> VerificationFailed:
    return VerificationFailed(message, details={"index": index})
