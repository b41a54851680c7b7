"""Which entry is not the one that was signed for: as exactly as what is left of the evidence can tell.

The signed root proves the hashes along the tree's right edge, if somebody kept them; those prove the tiles beneath
them, down to the single entry. Where a tile was changed together with its entries, its parent still names the 256
entries that it spans; where all hashes were, only the root is left, and it says no more than that something differs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

from isthmus.errors import VerificationFailed
from isthmus.governance.audit.notes.checkpoint import Checkpoint
from isthmus.governance.audit.reading.recomputed import RecomputedTree
from isthmus.governance.audit.tree import merkle
from isthmus.governance.audit.tree.layout import WIDTH
from isthmus.governance.audit.tree.stored import Hashes, StoredTree, edge, node_of, subtree


def first_difference(signed: Checkpoint, own: RecomputedTree, kept: StoredTree) -> range | None:
    """The entries among which the first is that differs from what was signed, or ``None`` where no hash that is kept
    can be proven."""
    proven = _proven_edge(signed, own, kept)
    for level, n, width in edge(signed.size) if proven is not None else ():
        hashes = proven[level]  # type: ignore[index]
        at = _differs(hashes, own.hashes(level, n, width))
        if at is not None:
            return _descend(level, n * WIDTH + at, hashes[at], own, kept)
    return None


def _descend(level: int, index: int, value: bytes, own: RecomputedTree, kept: StoredTree) -> range:
    """Below a proven hash that the entries do not lead to: down through tiles that lead to it."""
    while level:
        tiles = _known(level - 1, index, WIDTH, (kept.hashes, kept.derived))
        proven = next((tile for tile in tiles if subtree(tile) == value), None)
        if proven is None:
            span = WIDTH**level
            return range(index * span, (index + 1) * span)
        at = _differs(proven, own.hashes(level - 1, index, WIDTH))
        assert at is not None, "equal tiles have equal hashes"
        level, index, value = level - 1, index * WIDTH + at, proven[at]
    return range(index, index + 1)


def _proven_edge(signed: Checkpoint, own: RecomputedTree, kept: StoredTree) -> dict[int, Sequence[bytes]] | None:
    """The partial tiles, by level, that lead to the signed root: of each that is kept or can be computed, some one."""
    tiles = edge(signed.size)
    choices = [list(_known(level, n, width, (kept.hashes, kept.derived, own.hashes))) for level, n, width in tiles]
    for chosen in product(*choices):
        found = {level: tile for (level, _, _), tile in zip(tiles, chosen, strict=True)}
        node = node_of(lambda level, n, width, found=found: found[level][:width])  # type: ignore[misc]
        if merkle.root(signed.size, node) == signed.root:
            return found
    return None


def _known(level: int, n: int, width: int, sources: Sequence[Hashes]) -> Iterator[Sequence[bytes]]:
    """A tile as each of the sources has it, where it has the whole of it."""
    seen: list[Sequence[bytes]] = []
    for source in sources:
        try:
            tile = source(level, n, width)
        except VerificationFailed:  # what it would be computed from is gone
            continue
        if len(tile) == width and tile not in seen:
            seen.append(tile)
            yield tile


def _differs(proven: Sequence[bytes], own: Sequence[bytes]) -> int | None:
    """Where they first differ; what is missing differs."""
    return next((at for at, value in enumerate(proven) if at >= len(own) or own[at] != value), None)
