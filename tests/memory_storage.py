"""A log in memory, as its readers see it: tiles may be missing or short, as a storage is free to keep them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from isthmus.governance.audit.notes.checkpoint import Checkpoint, Signer
from isthmus.governance.audit.tree.layout import WIDTH, pack
from isthmus.governance.audit.tree.merkle import Frontier, leaf_hash

SIGNER = Signer("example.org/log", Ed25519PrivateKey.from_private_bytes(bytes(32)))


def root(entries: Sequence[bytes]) -> bytes:
    frontier = Frontier()
    for entry in entries:
        frontier.push(leaf_hash(entry))
    return frontier.root()


@dataclass
class Memory:
    """A ``Storage`` of ``entries``, the first ``signed`` of them signed for."""

    entries: Sequence[bytes]
    signed: int
    tiles: Mapping[tuple[int, int], bytes] = field(default_factory=dict)

    def vkey(self) -> str | None:
        return SIGNER.verifier.vkey

    def rotations(self) -> list[bytes]:
        return []

    def notes(self) -> list[bytes]:
        checkpoint = Checkpoint(SIGNER.verifier.name, self.signed, root(self.entries[: self.signed]))
        return [SIGNER.sign(checkpoint).encode()]

    def bundle(self, n: int) -> bytes | None:
        return pack(self.entries[n * WIDTH : (n + 1) * WIDTH]) or None

    def tile(self, level: int, n: int) -> bytes | None:
        return self.tiles.get((level, n))
