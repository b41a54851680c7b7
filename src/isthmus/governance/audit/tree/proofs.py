"""Proofs of RFC 6962 section 2.1 as plain data, hashes in lower-case hex as in a receipt."""

from __future__ import annotations

from dataclasses import dataclass

from isthmus.governance.audit.tree import merkle
from isthmus.governance.audit.tree.stored import StoredTree


@dataclass(frozen=True, slots=True)
class Inclusion:
    """Entry ``index``, whose hash is ``leaf``, is in the first ``size`` entries of ``log``, whose root is ``root``."""

    log: str
    index: int
    leaf: str
    size: int
    root: str
    proof: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Consistency:
    """The first ``old`` entries of ``log`` are the beginning of its first ``new`` ones."""

    log: str
    old: int
    old_root: str
    new: int
    new_root: str
    proof: tuple[str, ...]


def inclusion(log: str, tree: StoredTree, index: int, size: int) -> Inclusion:
    """Raises :class:`IndexError` unless ``0 <= index < size``; :class:`VerificationFailed` where entries lack."""
    proof = merkle.inclusion_proof(index, size, tree.node)
    return Inclusion(log, index, tree.node(0, index).hex(), size, _root(tree, size), _hex(proof))


def consistency(log: str, tree: StoredTree, old: int, new: int) -> Consistency:
    """Raises :class:`IndexError` unless ``0 <= old <= new``; :class:`VerificationFailed` where entries lack."""
    proof = merkle.consistency_proof(old, new, tree.node)
    return Consistency(log, old, _root(tree, old), new, _root(tree, new), _hex(proof))


def _root(tree: StoredTree, size: int) -> str:
    return merkle.root(size, tree.node).hex()


def _hex(proof: tuple[bytes, ...]) -> tuple[str, ...]:
    return tuple(step.hex() for step in proof)
