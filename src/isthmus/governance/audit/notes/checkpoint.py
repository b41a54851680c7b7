"""Checkpoints: C2SP tlog-checkpoint (https://c2sp.org/tlog-checkpoint), as signed notes.

::

    ORIGIN\\n
    SIZE in decimal\\n
    ROOT in base64\\n
    \\n
    — NAME base64(key id, 4 bytes || Ed25519 signature of all before the blank line, 64 bytes)\\n
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from isthmus.errors import VerificationFailed
from isthmus.governance.audit.notes.note import Note, Signature, check_name, decode, encode, key_id, parse_vkey, vkey

#: The algorithm byte of Ed25519 in a verifier key and in its id.
_ED25519 = b"\x01"
_STRANGE = "Its first line names its log. If that is this one, keep it as it is: the log or its key was replaced."
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The log's size and root at one moment, as its origin stated them. Ours has no ``extensions``, but a rotation."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    @property
    def body(self) -> str:
        """What is signed."""
        return "".join(f"{line}\n" for line in (self.origin, self.size, encode(self.root), *self.extensions))

    @classmethod
    def parse(cls, body: str) -> Checkpoint:
        """The checkpoint in a note's body, whoever signed it. Raises :class:`VerificationFailed`."""
        lines = body[:-1].split("\n")
        if len(lines) < 3 or not all(lines):
            raise VerificationFailed(f"The checkpoint has {len(lines)} lines; it must have origin, size and root.")
        origin, size, root, *extensions = lines
        if not _SIZE.fullmatch(size):
            raise VerificationFailed("The checkpoint's size is not a plain decimal number.")
        checkpoint = cls(origin, int(size), decode(root, "The checkpoint's root"), tuple(extensions))
        if len(checkpoint.root) != 32:
            raise VerificationFailed("The checkpoint's root is not a SHA-256 hash.")
        return checkpoint


@dataclass(frozen=True, slots=True)
class Retired:
    """A key that another took over from: it signed nothing of more than ``last`` entries."""

    key: Ed25519PublicKey
    last: int


@dataclass(frozen=True, slots=True)
class Verifier:
    """A log's public key, under the log's name. Its text form is a ``vkey``: ``NAME+hex(key id)+base64(key)``.

    ``retired`` are the keys before it, as far as rotations link them (:mod:`isthmus.governance.audit.notes.rotation`).
    """

    name: str
    key: Ed25519PublicKey
    retired: tuple[Retired, ...] = ()

    def __post_init__(self) -> None:
        check_name(self.name)

    @classmethod
    def parse(cls, vkey: str) -> Verifier:
        """The key that the text stands for. Raises :class:`VerificationFailed`."""
        return cls(*parse_vkey(vkey, _ED25519, "an Ed25519 key of a log"))

    @property
    def id(self) -> bytes:
        return key_id(self.name, _ED25519, self.key)

    @property
    def vkey(self) -> str:
        return vkey(self.name, _ED25519, self.key)

    def open(self, note: str | bytes) -> Checkpoint:
        """The checkpoint in a note, once its signature holds. Raises :class:`VerificationFailed`, saying what is wrong.

        Signatures by others (witnesses) are passed over; one by the log's key must be there, and every one must hold.
        """
        # (1) the note: a body that ends in a newline, a blank line, signature lines
        taken = Note.parse(note)
        # (2) the log's signature over the body
        last = self.verify(taken)
        # (3) the checkpoint: three lines, of this log, no larger than what its key may sign for
        checkpoint = Checkpoint.parse(taken.body)
        if checkpoint.extensions:
            raise VerificationFailed(
                f"The checkpoint has {3 + len(checkpoint.extensions)} lines; it must have origin, size and root."
            )
        if checkpoint.origin != self.name:
            raise VerificationFailed(f"The checkpoint is of another log, {checkpoint.origin!r}.")
        if last is not None and checkpoint.size > last:
            raise VerificationFailed(
                f"The checkpoint of {checkpoint.size} entries is signed by a key that was retired at {last}.",
                hint="Whoever has the log's old key made it, and not the log: ask the operator who that is.",
            )
        return checkpoint

    def verify(self, note: Note) -> int | None:
        """Check the signatures by this key, else by a retired one: then the size to which it is good."""
        if _signed(note, self.name, self.key):
            return None
        for old in self.retired:
            if _signed(note, self.name, old.key):
                return old.last
        raise VerificationFailed(f"The checkpoint is not signed by {self.name} ({self.id.hex()}).", hint=_STRANGE)


class Signer:
    """The log's private key, under the log's name; ``retired`` are the keys before it."""

    def __init__(self, name: str, key: Ed25519PrivateKey, retired: tuple[Retired, ...] = ()) -> None:
        self._key = key
        self.verifier = Verifier(name, key.public_key(), retired)
        self._id = self.verifier.id

    def sign(self, checkpoint: Checkpoint) -> str:
        """The checkpoint as a signed note. Raises :class:`ValueError` for another log's."""
        return str(Note(checkpoint.body, (self.signature(checkpoint),)))

    def signature(self, checkpoint: Checkpoint) -> Signature:
        """Its signature alone. Raises :class:`ValueError` for another log's checkpoint."""
        if checkpoint.origin != self.verifier.name:
            raise ValueError("A log signs only its own checkpoints.")
        return Signature(self.verifier.name, self._id, self._key.sign(checkpoint.body.encode()))


def _signed(note: Note, name: str, key: Ed25519PublicKey) -> bool:
    """Whether the key signed. Raises :class:`VerificationFailed` where a signature says so and does not hold."""
    found = note.by(name, key_id(name, _ED25519, key))
    for signature in found:
        try:
            key.verify(signature, note.body.encode())
        except InvalidSignature:
            raise VerificationFailed(f"The signature of {name} does not fit the checkpoint.") from None
    return bool(found)
