"""The tree that a log's entries make by themselves, whatever hashes are kept beside them."""

from __future__ import annotations

from collections.abc import Sequence

from isthmus.errors import VerificationFailed
from isthmus.governance.audit.tree import merkle
from isthmus.governance.audit.tree.entries import decode
from isthmus.governance.audit.tree.layout import WIDTH, unpack
from isthmus.governance.audit.tree.storage import Storage
from isthmus.governance.audit.tree.stored import node_of, subtree


class RecomputedTree:
    """Grows by bundles. Memory holds one hash in 256: the leaves of a bundle are read again where they are needed."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._levels: list[list[bytes]] = []
        self.size = 0

    def push(self, leaves: Sequence[bytes]) -> None:
        """The hashes of the next bundle's entries: 256, or fewer at the end."""
        self.size += len(leaves)
        value, level = leaves, 0
        while len(value) == WIDTH:
            if level == len(self._levels):
                self._levels.append([])
            row = self._levels[level]
            row.append(subtree(value))
            value = row[-WIDTH:] if len(row) % WIDTH == 0 else ()
            level += 1

    def hashes(self, level: int, n: int, width: int) -> list[bytes]:
        """The first ``width`` hashes of a tile: fewer, where the entries end before.

        Raises :class:`VerificationFailed` where an entry changed since it was pushed.
        """
        start = n * WIDTH
        if level:
            row = self._levels[level - 1] if level <= len(self._levels) else []
            return row[start : start + width]
        width = min(width, self.size - start)
        if width <= 0:
            return []
        entries, broken = read_bundle(self._storage, n, width)
        if len(entries) < width:
            raise VerificationFailed(f"{broken} It was, a moment ago.", details={"index": start + len(entries)})
        return [merkle.leaf_hash(entry) for entry in entries]

    def root(self, size: int) -> bytes:
        """The root of the first ``size`` entries; ``size`` must not exceed what was pushed."""
        return merkle.root(size, node_of(self.hashes))


def read_bundle(storage: Storage, n: int, width: int) -> tuple[list[bytes], str | None]:
    """The entries of a bundle that are in their place, up to ``width``, and why the one after them is not."""
    start = n * WIDTH
    try:
        data = storage.bundle(n) or b""
    except OSError as error:
        return [], f"Entry {start} cannot be read ({error.strerror or error})."
    found, end = unpack(data)
    for at, entry in enumerate(found[:width]):
        if decode(entry, start + at) is None:
            return found[:at], f"Entry {start + at} was changed, or is not in its place."
    if len(found) < width:
        return found, f"Entry {start + len(found)} is missing, or is not in its place."
    if (width == WIDTH and end < len(data)) or len(found) > WIDTH:
        surplus = f"Entry {start + WIDTH} is not in its place: the bundle before it holds more than its own."
        return found[:width], surplus
    return found[:width], None
