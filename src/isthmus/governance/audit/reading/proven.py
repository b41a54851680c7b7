"""Whether an entry that somebody is about to be shown is the one that was signed for.

The signed root proves the hashes along the tree's right edge, those prove the tiles beneath them, and those the single
entry: a pass over the log reads one tile a bundle for it. A hash that is kept is believed only where it leads to the
root; where it does not, what it is made of may.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, lru_cache
from itertools import product

from isthmus.errors import NotFound, VerificationFailed
from isthmus.governance.audit.notes.checkpoint import Checkpoint
from isthmus.governance.audit.reading.reader import Reader
from isthmus.governance.audit.tree import merkle
from isthmus.governance.audit.tree.layout import WIDTH
from isthmus.governance.audit.tree.storage import Tiles
from isthmus.governance.audit.tree.stored import Hashes, StoredTree, edge, node_of, subtree

#: Proven tiles that are remembered: a pass in either direction uses one a level.
_TILES = 8
_HINT = "Keep the files as they are and run `isthmus audit verify`, which names what was changed."


def proven(reader: Reader) -> Proven:
    """By the log's newest checkpoint; before the first, nothing is signed for."""
    try:
        return Proven(reader.storage, reader.checkpoint().checkpoint)
    except NotFound:
        return Proven(reader.storage, None)


class Proven:
    """``size`` is how many entries were signed for."""

    def __init__(self, storage: Tiles, signed: Checkpoint | None) -> None:
        self.size = 0 if signed is None else signed.size
        self._root = merkle.EMPTY if signed is None else signed.root
        self._tree = StoredTree(storage)
        self._tile = lru_cache(maxsize=_TILES)(self._find)

    def __call__(self, index: int, entry: bytes) -> bool:
        """Whether it is the entry that was signed for; of one that nobody signed for yet there is nothing to say.

        Raises :class:`VerificationFailed` where what is left of the tree cannot tell which of some entries was changed.
        """
        return index >= self.size or merkle.leaf_hash(entry) == self.leaf(index)

    def leaf(self, index: int) -> bytes:
        """The hash of the entry that was signed for at that place, below ``size``. Raises as above."""
        return self._tile(0, index // WIDTH)[index % WIDTH]

    def _find(self, level: int, n: int) -> Sequence[bytes]:
        """The proven hashes of a tile."""
        if (level, n) in self._edge:
            return self._edge[level, n]
        above = self._tile(level + 1, n // WIDTH)[n % WIDTH]
        for source in (self._tree.hashes, self._tree.derived, self._recomputed):
            tile = _try(source, level, n, WIDTH)
            if tile and subtree(tile) == above:
                return tile
        raise self._unproven(n * WIDTH ** (level + 1), (n + 1) * WIDTH ** (level + 1))

    @cached_property
    def _edge(self) -> dict[tuple[int, int], Sequence[bytes]]:
        """The partial tiles, which lead to the signed root: as they are kept, as tiles beneath them have them, or as
        the entries do, which takes as long as to read them all."""
        tiles, found = edge(self.size), lru_cache(_try)
        for sources in product((self._tree.hashes, self._tree.derived, self._recomputed), repeat=len(tiles)):
            chosen = [found(source, *tile) for source, tile in zip(sources, tiles, strict=True)]
            by_level = {level: hashes for (level, _, _), hashes in zip(tiles, chosen, strict=True)}
            node = node_of(lambda level, n, width, by_level=by_level: by_level[level][:width])  # type: ignore[misc]
            if all(chosen) and merkle.root(self.size, node) == self._root:
                return {(level, n): by_level[level] for level, n, _ in tiles}
        raise self._unproven(0, self.size)

    def _recomputed(self, level: int, n: int, width: int) -> Sequence[bytes]:
        """A tile from the entries beneath it, whatever hashes are kept."""
        if level == 0:
            return self._tree.derived(0, n, width)
        return [subtree(self._recomputed(level - 1, n * WIDTH + at, WIDTH)) for at in range(width)]

    def _unproven(self, start: int, end: int) -> VerificationFailed:
        last = min(end, self.size) - 1
        which = f"Entry {start}" if start == last else f"An entry from {start} to {last}"
        return VerificationFailed(
            f"{which} is NOT what was signed in the checkpoint of {self.size}.",
            hint=_HINT,
            details={"index": start, "last": last},
        )


def _try(source: Hashes, level: int, n: int, width: int) -> Sequence[bytes]:
    """A tile by that source; empty where what it would be computed from is gone."""
    try:
        return source(level, n, width)
    except VerificationFailed:
        return ()


def not_signed(index: int, size: int) -> VerificationFailed:
    """What is said of an entry that is broken: not the one that the checkpoint of that size was signed for, or, where
    nobody signed for it yet, no entry of a log."""
    what = f"what was signed in the checkpoint of {size}" if index < size else "what a log holds at that place"
    return VerificationFailed(f"Entry {index} is NOT {what}.", hint=_HINT, details={"index": index})
