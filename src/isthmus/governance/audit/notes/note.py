"""Signed notes (https://c2sp.org/signed-note): a text, a blank line, and one line for each signature.

::

    BODY, any lines\\n
    \\n
    — NAME base64(key id, 4 bytes || signature)\\n

Whatever does not look exactly like this is :class:`isthmus.errors.VerificationFailed`; nothing is guessed.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from isthmus.errors import VerificationFailed

#: Ours is about 200 bytes; witnesses add about 100 each.
LARGEST = 16_384
_MARK = "— "


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature of a note: who says to have made it, and its bytes after the key's id."""

    name: str
    id: bytes
    raw: bytes

    @property
    def line(self) -> str:
        return f"{_MARK}{self.name} {encode(self.id + self.raw)}\n"

    @classmethod
    def parse(cls, line: str) -> Signature:
        if not line.startswith(_MARK) or line.count(" ") != 2:
            raise VerificationFailed("The checkpoint has a line among its signatures that is none.")
        name, _, encoded = line.removeprefix(_MARK).partition(" ")
        raw = decode(encoded, "A signature of the checkpoint")
        if len(raw) < 5 or not name:
            raise VerificationFailed("The checkpoint has a signature that is too short.")
        return cls(name, raw[:4], raw[4:])


@dataclass(frozen=True, slots=True)
class Note:
    """A note taken apart; nothing is verified yet. ``body`` ends in a newline: it is what is signed."""

    body: str
    signatures: tuple[Signature, ...]

    def __str__(self) -> str:
        return f"{self.body}\n{''.join(one.line for one in self.signatures)}"

    @classmethod
    def parse(cls, note: str | bytes) -> Note:
        body, blank, block = _text(note).rpartition("\n\n")
        if not blank or not block.endswith("\n"):
            raise VerificationFailed(
                "The checkpoint is not a signed note: the blank line or the last newline is missing."
            )
        return cls(f"{body}\n", signatures(block))

    def by(self, name: str, id: bytes) -> list[bytes]:
        """The signatures that say to be by this key."""
        return [one.raw for one in self.signatures if (one.name, one.id) == (name, id)]


def signatures(block: str) -> tuple[Signature, ...]:
    """Signature lines, each with its newline."""
    return tuple(Signature.parse(line) for line in block[:-1].split("\n"))


def check_name(name: str) -> None:
    """Raises :class:`VerificationFailed` for what cannot be a key's name."""
    if not name or "+" in name or not name.isprintable() or re.search(r"\s", name):
        raise VerificationFailed(f"{name!r} cannot be the name of a key: no spaces, no plus signs.")


def key_id(name: str, kind: bytes, key: Ed25519PublicKey) -> bytes:
    """``kind`` is the algorithm's byte: 1 for a log's Ed25519 key, 4 for a witness's."""
    return hashlib.sha256(name.encode() + b"\n" + kind + key.public_bytes_raw()).digest()[:4]


def vkey(name: str, kind: bytes, key: Ed25519PublicKey) -> str:
    """A key's text form: ``NAME+hex(key id)+base64(kind || key)``."""
    return f"{name}+{key_id(name, kind, key).hex()}+{encode(kind + key.public_bytes_raw())}"


def parse_vkey(text: str, kind: bytes, what: str) -> tuple[str, Ed25519PublicKey]:
    """The name and key of a verifier key; ``what`` says in an error what it should have been."""
    name, _, rest = text.strip().partition("+")
    id, _, encoded = rest.partition("+")
    raw = decode(encoded, "The verifier key")
    if len(raw) != 33 or raw[:1] != kind:
        raise VerificationFailed(f"The verifier key is not {what}.")
    check_name(name)
    key = Ed25519PublicKey.from_public_bytes(raw[1:])
    if key_id(name, kind, key).hex() != id:
        raise VerificationFailed("The verifier key's id does not belong to its name and key.")
    return name, key


def encode(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def decode(text: str, what: str) -> bytes:
    """Strict base64: no spaces, no missing padding, no second spelling of the same bytes."""
    try:
        raw = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeError, ValueError):
        raise VerificationFailed(f"{what} is not base64.") from None
    if encode(raw) != text:
        raise VerificationFailed(f"{what} is not canonical base64.")
    return raw


def _text(note: str | bytes) -> str:
    try:
        raw = note.encode() if isinstance(note, str) else note
        text = raw.decode()
    except UnicodeError:
        raise VerificationFailed("The checkpoint is not UTF-8.") from None
    if len(raw) > LARGEST:
        raise VerificationFailed(f"The checkpoint is larger than {LARGEST} bytes.")
    if any(char < " " and char != "\n" for char in text):
        raise VerificationFailed("The checkpoint has control characters (perhaps line ends were converted to CRLF).")
    return text
