"""Checkpoints: C2SP tlog-checkpoint (https://c2sp.org/tlog-checkpoint), as signed notes (https://c2sp.org/signed-note).

::

    ORIGIN\\n
    SIZE in decimal\\n
    ROOT in base64\\n
    \\n
    — NAME base64(key id, 4 bytes || Ed25519 signature of all before the blank line, 64 bytes)\\n

Whatever does not look exactly like this is :class:`isthmus.errors.VerificationFailed`; nothing is guessed.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from isthmus.errors import VerificationFailed

#: The algorithm byte of Ed25519 in a verifier key and in its id.
_ED25519 = b"\x01"
#: Ours is about 200 bytes; witnesses add about 100 each.
_LARGEST = 16_384
_MARK = "— "
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The log's size and root at one moment, as its origin stated them."""

    origin: str
    size: int
    root: bytes

    @property
    def body(self) -> str:
        """What is signed."""
        return f"{self.origin}\n{self.size}\n{_encode(self.root)}\n"


@dataclass(frozen=True, slots=True)
class Verifier:
    """A log's public key, under the log's name. Its text form is a ``vkey``: ``NAME+hex(key id)+base64(key)``."""

    name: str
    key: Ed25519PublicKey

    def __post_init__(self) -> None:
        if not self.name or "+" in self.name or not self.name.isprintable() or re.search(r"\s", self.name):
            raise VerificationFailed(f"{self.name!r} cannot be the name of a log: no spaces, no plus signs.")

    @classmethod
    def parse(cls, vkey: str) -> Verifier:
        """The key that the text stands for. Raises :class:`VerificationFailed`."""
        name, _, rest = vkey.strip().partition("+")
        id, _, encoded = rest.partition("+")
        raw = _decode(encoded, "The verifier key")
        if len(raw) != 33 or raw[:1] != _ED25519:
            raise VerificationFailed("The verifier key is not an Ed25519 key.")
        verifier = cls(name, Ed25519PublicKey.from_public_bytes(raw[1:]))
        if verifier.id.hex() != id:
            raise VerificationFailed("The verifier key's id does not belong to its name and key.")
        return verifier

    @property
    def id(self) -> bytes:
        return hashlib.sha256(self.name.encode() + b"\n" + _ED25519 + self.key.public_bytes_raw()).digest()[:4]

    @property
    def vkey(self) -> str:
        return f"{self.name}+{self.id.hex()}+{_encode(_ED25519 + self.key.public_bytes_raw())}"

    def open(self, note: str | bytes) -> Checkpoint:
        """The checkpoint in a note, once its signature holds. Raises :class:`VerificationFailed`, saying what is wrong.

        Signatures by others (witnesses) are passed over; one by this key must be there, and every one must hold.
        """
        text = _text(note)
        # (1) the note: a body that ends in a newline, a blank line, signature lines
        body, blank, block = text.rpartition("\n\n")
        if not blank or not block.endswith("\n"):
            raise VerificationFailed(
                "The checkpoint is not a signed note: the blank line or the last newline is missing."
            )
        body += "\n"
        # (2) this key's signature over the body
        signatures = [signature for line in block[:-1].split("\n") if (signature := self._own(line)) is not None]
        if not signatures:
            raise VerificationFailed(f"The checkpoint is not signed by {self.name} ({self.id.hex()}).")
        for signature in signatures:
            try:
                self.key.verify(signature, body.encode())
            except InvalidSignature:
                raise VerificationFailed(f"The signature of {self.name} does not fit the checkpoint.") from None
        # (3) the checkpoint: three lines, of this log
        return self._parse(body)

    def _own(self, line: str) -> bytes | None:
        """The signature in the line, if it is by this key."""
        if not line.startswith(_MARK) or line.count(" ") != 2:
            raise VerificationFailed("The checkpoint has a line among its signatures that is none.")
        name, _, encoded = line.removeprefix(_MARK).partition(" ")
        raw = _decode(encoded, "A signature of the checkpoint")
        if len(raw) < 5 or not name:
            raise VerificationFailed("The checkpoint has a signature that is too short.")
        return raw[4:] if name == self.name and raw[:4] == self.id else None

    def _parse(self, body: str) -> Checkpoint:
        lines = body[:-1].split("\n")
        if len(lines) != 3:
            raise VerificationFailed(f"The checkpoint has {len(lines)} lines; it must have origin, size and root.")
        origin, size, root = lines
        if origin != self.name:
            raise VerificationFailed(f"The checkpoint is of another log, {origin!r}.")
        if not _SIZE.fullmatch(size):
            raise VerificationFailed("The checkpoint's size is not a plain decimal number.")
        checkpoint = Checkpoint(origin, int(size), _decode(root, "The checkpoint's root"))
        if len(checkpoint.root) != 32:
            raise VerificationFailed("The checkpoint's root is not a SHA-256 hash.")
        return checkpoint


class Signer:
    """The log's private key, under the log's name."""

    def __init__(self, name: str, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.verifier = Verifier(name, key.public_key())
        self._id = self.verifier.id

    def sign(self, checkpoint: Checkpoint) -> str:
        """The checkpoint as a signed note. Raises :class:`ValueError` for another log's."""
        if checkpoint.origin != self.verifier.name:
            raise ValueError("A log signs only its own checkpoints.")
        signature = self._key.sign(checkpoint.body.encode())
        return f"{checkpoint.body}\n{_MARK}{self.verifier.name} {_encode(self._id + signature)}\n"


def _text(note: str | bytes) -> str:
    try:
        raw = note.encode() if isinstance(note, str) else note
        text = raw.decode()
    except UnicodeError:
        raise VerificationFailed("The checkpoint is not UTF-8.") from None
    if len(raw) > _LARGEST:
        raise VerificationFailed(f"The checkpoint is larger than {_LARGEST} bytes.")
    if any(char < " " and char != "\n" for char in text):
        raise VerificationFailed("The checkpoint has control characters (perhaps line ends were converted to CRLF).")
    return text


def _encode(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _decode(text: str, what: str) -> bytes:
    """Strict base64: no spaces, no missing padding, no second spelling of the same bytes."""
    try:
        raw = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeError, ValueError):
        raise VerificationFailed(f"{what} is not base64.") from None
    if _encode(raw) != text:
        raise VerificationFailed(f"{what} is not canonical base64.")
    return raw
