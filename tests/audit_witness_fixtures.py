"""A log in memory that signs whatever it is asked to, and a witness over a folder."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from isthmus.governance.audit.files import Files
from isthmus.governance.audit.notes.checkpoint import Checkpoint, Signer, Verifier
from isthmus.governance.audit.notes.cosignature import CosignatureVerifier
from isthmus.governance.audit.notes.note import Note, signatures
from isthmus.governance.audit.tree import merkle
from isthmus.governance.audit.witness.state import WitnessState
from isthmus.governance.audit.witness.submission import Submission
from isthmus.governance.audit.witness.witness import Answer, Witness

ORIGIN = "example.org/log"
#: When every cosignature of these tests is made.
NOW = datetime(2026, 3, 14, 12, 0, tzinfo=UTC)


def key(name: str) -> Ed25519PrivateKey:
    """The same key each time."""
    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(name.encode()).digest())


@dataclass
class MemoryLog:
    """Leaves that can be changed at will; proofs and signatures are always right for what they are at the moment."""

    signer: Signer = field(default_factory=lambda: Signer(ORIGIN, key("log")))
    leaves: list[bytes] = field(default_factory=list)

    def grow(self, *entries: str) -> MemoryLog:
        self.leaves += [merkle.leaf_hash(entry.encode()) for entry in entries]
        return self

    def fork(self, keep: int, *entries: str) -> MemoryLog:
        """Another history from entry ``keep`` on, under the same key."""
        return MemoryLog(self.signer, self.leaves[:keep]).grow(*entries)

    @property
    def size(self) -> int:
        return len(self.leaves)

    def node(self, height: int, index: int) -> bytes:
        return subtree(self.leaves[index << height : (index + 1) << height])

    def checkpoint(self, size: int | None = None) -> Checkpoint:
        size = self.size if size is None else size
        return Checkpoint(self.signer.verifier.name, size, merkle.root(size, self.node))

    def note(self, size: int | None = None) -> Note:
        return Note.parse(self.signer.sign(self.checkpoint(size)))

    def submission(self, old: int, size: int | None = None) -> bytes:
        """What an honest client sends; without a proof where there can be none."""
        size = self.size if size is None else size
        proof = merkle.consistency_proof(old, size, self.node) if old <= size else ()
        return bytes(Submission(old, proof, self.note(size)))


def subtree(leaves: Sequence[bytes]) -> bytes:
    """The hash of a complete subtree, straight from RFC 6962 section 2.1."""
    if len(leaves) == 1:
        return leaves[0]
    half = len(leaves) // 2
    return merkle.node_hash(subtree(leaves[:half]), subtree(leaves[half:]))


@contextmanager
def witness_in(folder: Path, *logs: Verifier, files: Files | None = None) -> Iterator[Witness]:
    """A witness of these logs (default: of ``MemoryLog``'s), for as long as the block lasts."""
    with closing(WitnessState(folder, files or Files())) as state:
        cosigner = state.cosigner("witness.example/w1")
        yield Witness(cosigner, logs or (MemoryLog().signer.verifier,), state, lambda: NOW)


def cosigned(witness: Witness, note: Note, answer: Answer) -> int:
    """The time of the cosignature in an answer of 200; fails where it does not hold."""
    assert answer.status == 200, answer
    signed = Note(note.body, (*note.signatures, *signatures(answer.body)))
    return CosignatureVerifier.parse(witness.vkey).time(signed)
