"""Cosignatures of witnesses: C2SP tlog-cosignature (https://c2sp.org/tlog-cosignature), ``cosignature/v1``, Ed25519.

A witness says: of this log, at this time, I had seen no larger tree, and each one I saw began with the one before. The
signature of its line in a note is ``timestamp, 8 bytes big-endian || Ed25519 signature, 64 bytes`` over::

    cosignature/v1\\n
    time TIMESTAMP\\n
    BODY of the note
"""

from __future__ import annotations

from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from isthmus.errors import VerificationFailed
from isthmus.governance.audit.notes.note import Note, Signature, check_name, key_id, parse_vkey, vkey

#: The algorithm byte of a timestamped Ed25519 cosignature.
_COSIGNATURE = b"\x04"


@dataclass(frozen=True, slots=True)
class CosignatureVerifier:
    """A witness's public key, under the witness's name; its text form is a ``vkey`` as a log's is."""

    name: str
    key: Ed25519PublicKey

    def __post_init__(self) -> None:
        check_name(self.name)

    @classmethod
    def parse(cls, vkey: str) -> CosignatureVerifier:
        """The key that the text stands for. Raises :class:`VerificationFailed`."""
        return cls(*parse_vkey(vkey, _COSIGNATURE, "the key of a witness (an Ed25519 cosignature key)"))

    @property
    def id(self) -> bytes:
        return key_id(self.name, _COSIGNATURE, self.key)

    @property
    def vkey(self) -> str:
        return vkey(self.name, _COSIGNATURE, self.key)

    def signatures(self, note: Note) -> tuple[Signature, ...]:
        """The witness's cosignatures of the note. Raises :class:`VerificationFailed` where one does not hold."""
        found = tuple(one for one in note.signatures if (one.name, one.id) == (self.name, self.id))
        for one in found:
            self._check(note.body, one.raw)
        return found

    def time(self, note: Note) -> int:
        """When the witness cosigned, in seconds since 1970. Raises :class:`VerificationFailed` where it did not."""
        found = self.signatures(note)
        if not found:
            raise VerificationFailed(f"The checkpoint is not cosigned by {self.name} ({self.id.hex()}).")
        return max(_time(one.raw) for one in found)

    def _check(self, body: str, raw: bytes) -> None:
        try:
            if len(raw) != 72 or _time(raw) >= 1 << 63:
                raise InvalidSignature
            self.key.verify(raw[8:], _message(body, _time(raw)))
        except InvalidSignature:
            raise VerificationFailed(f"The cosignature of {self.name} does not fit the checkpoint.") from None


class Cosigner:
    """A witness's private key, under the witness's name."""

    def __init__(self, name: str, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.verifier = CosignatureVerifier(name, key.public_key())

    def cosign(self, body: str, now: int) -> Signature:
        """The cosignature of a checkpoint's body at ``now``, in seconds since 1970."""
        raw = now.to_bytes(8, "big") + self._key.sign(_message(body, now))
        return Signature(self.verifier.name, self.verifier.id, raw)


def _time(raw: bytes) -> int:
    return int.from_bytes(raw[:8], "big")


def _message(body: str, time: int) -> bytes:
    return f"cosignature/v1\ntime {time}\n{body}".encode()
