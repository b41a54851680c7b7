"""The Merkle tree of RFC 6962 section 2.1: hashes, roots and proofs, as pure functions.

Proofs are built from *complete subtrees*, addressed as ``node(height, index)``: the subtree of ``2**height`` leaves
that begins at leaf ``index << height``. Where those hashes come from (tiles, memory) is the caller's affair. Every
hash is 32 bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

Node: TypeAlias = Callable[[int, int], bytes]

#: The root of a tree without leaves: the hash of nothing.
EMPTY = hashlib.sha256(b"").digest()


def leaf_hash(entry: bytes) -> bytes:
    """A leaf's hash; the prefix keeps leaves and nodes apart (second preimages)."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """An inner node's hash."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def root(size: int, node: Node) -> bytes:
    """The root of the first ``size`` leaves."""
    return _span(0, size, node) if size else EMPTY


def inclusion_proof(index: int, size: int, node: Node) -> tuple[bytes, ...]:
    """PATH(index, D[size]), section 2.1.1. Raises :class:`IndexError` unless ``0 <= index < size``."""
    if not 0 <= index < size:
        raise IndexError(f"There is no entry {index} in a log of {size}.")
    return tuple(reversed([_span(start, end, node) for start, end in _siblings(index, 0, size)]))


def consistency_proof(old: int, new: int, node: Node) -> tuple[bytes, ...]:
    """PROOF(old, D[new]), section 2.1.2; empty where there is nothing to prove. Raises :class:`IndexError`."""
    if not 0 <= old <= new:
        raise IndexError(f"A log of {new} entries has no older size {old}.")
    if old in (0, new):
        return ()
    start, end, whole, path = 0, new, True, []
    while old != end:
        middle = start + _split(end - start)
        if old <= middle:
            path.append((middle, end))
            end = middle
        else:
            path.append((start, middle))
            start, whole = middle, False
    if not whole:  # a verifier knows the old root itself, so it is left out of the proof
        path.append((start, end))
    return tuple(_span(start, end, node) for start, end in reversed(path))


def root_from_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes]) -> bytes | None:
    """The root that the proof leads to, or ``None`` where it has the wrong length."""
    if not 0 <= index < size:
        return None
    siblings = list(_siblings(index, 0, size))
    if len(siblings) != len(proof):
        return None
    value = leaf
    for (start, _), other in zip(reversed(siblings), proof, strict=True):
        value = node_hash(other, value) if start <= index else node_hash(value, other)
    return value


def consistent(old: int, old_root: bytes, new: int, new_root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether the proof shows the old tree to be the beginning of the new one (RFC 9162 section 2.1.4.2)."""
    if not 0 <= old <= new:
        return False
    if old in (0, new):
        return not proof and old_root == (EMPTY if old == 0 else new_root)
    path = list(proof)
    if old & (old - 1) == 0:
        path.insert(0, old_root)
    if not path:
        return False
    fn, sn = old - 1, new - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    first = second = path[0]
    for other in path[1:]:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            first, second = node_hash(other, first), node_hash(other, second)
            while fn and not fn & 1:
                fn, sn = fn >> 1, sn >> 1
        else:
            second = node_hash(second, other)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and first == old_root and second == new_root


class Frontier:
    """The roots of the complete subtrees along the right edge: all that is needed to grow a tree, and its root."""

    def __init__(self) -> None:
        self.size = 0
        self._edge: list[bytes] = []

    def push(self, leaf: bytes) -> None:
        """Add a leaf's hash."""
        self._edge.append(leaf)
        self.size += 1
        for _ in range((self.size & -self.size).bit_length() - 1):
            right = self._edge.pop()
            self._edge.append(node_hash(self._edge.pop(), right))

    def root(self) -> bytes:
        """The root of what was pushed so far."""
        if not self._edge:
            return EMPTY
        value = self._edge[-1]
        for left in reversed(self._edge[:-1]):
            value = node_hash(left, value)
        return value


def _siblings(index: int, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The subtrees beside the way from the root down to a leaf, as [start, end), topmost first."""
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            yield middle, end
            end = middle
        else:
            yield start, middle
            start = middle


def _split(size: int) -> int:
    """The largest power of two smaller than ``size`` (at least 2)."""
    return 1 << ((size - 1).bit_length() - 1)


def _span(start: int, end: int, node: Node) -> bytes:
    """MTH(D[start:end]) of a span that section 2.1 produces: complete subtrees, folded from the right."""
    parts = []
    while start < end:
        height = (end - start).bit_length() - 1
        parts.append(node(height, start >> height))
        start += 1 << height
    value = parts.pop()
    for left in reversed(parts):
        value = node_hash(left, value)
    return value
