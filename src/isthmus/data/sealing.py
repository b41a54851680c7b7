"""The cryptography of the vault: from a subject's secret to a salt, and to a text that only it opens. Pure functions.

::

    master key ── wraps ── subject's secret ─┬─ HKDF "salts" ────────── salt = HMAC-SHA256(key, request)
                                             └─ HKDF "record keys" ── wraps ── record key ── seals ── text

HKDF is RFC 5869 with SHA-256. Everything is wrapped and sealed with AES-256-GCM (NIST SP 800-38D) under a random
96-bit nonce. RFC 3394 key wrap would do for keys, but it has no associated data: with GCM a key is bound to its place,
so that one row cannot be passed off for another.
"""

from __future__ import annotations

import hmac
import json
import secrets
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from isthmus.errors import VerificationFailed

KEY, NONCE, TAG = 32, 12, 16  # bytes
#: A wrapped key: its nonce, the key, the tag.
WRAPPED = NONCE + KEY + TAG
#: Stands where a wrapped key stood: no key, no nonce and no tag.
DESTROYED = bytes(WRAPPED)


@dataclass(frozen=True, slots=True, repr=False)
class SubjectKeys:
    """What follows from a subject's secret; both are gone with it."""

    salts: bytes
    records: bytes

    @classmethod
    def derive(cls, secret: bytes) -> SubjectKeys:
        return cls(_derive(secret, b"isthmus salts v1"), _derive(secret, b"isthmus record keys v1"))

    def salt(self, request: str) -> bytes:
        """What opens the commitments of one request, and of no other. 32 bytes."""
        return hmac.digest(self.salts, _bytes(request), "sha256")


@dataclass(frozen=True, slots=True)
class Sealed:
    """A text as it is stored: its key wrapped under the subject's, the nonce, the ciphertext with its tag."""

    wrapped: bytes
    nonce: bytes
    ciphertext: bytes


def seal(text: str, keys: SubjectKeys, *place: str) -> Sealed:
    """``place`` says where the text belongs: it opens nowhere else."""
    key, nonce = secrets.token_bytes(KEY), secrets.token_bytes(NONCE)
    ciphertext = AESGCM(key).encrypt(nonce, _bytes(text), _place("text", *place))
    return Sealed(wrap(key, keys.records, "record", *place), nonce, ciphertext)


def unseal(sealed: Sealed, keys: SubjectKeys, *place: str) -> str:
    """The text. Raises :class:`VerificationFailed` where any byte, or the place, is another."""
    key = unwrap(sealed.wrapped, keys.records, "record", *place)
    plain = _opened(key, sealed.nonce, sealed.ciphertext, _place("text", *place))
    return plain.decode("utf8", "surrogatepass")


def wrap(key: bytes, under: bytes, *place: str) -> bytes:
    """The key as ``WRAPPED`` bytes that only ``under`` opens, at ``place``."""
    nonce = secrets.token_bytes(NONCE)
    return nonce + AESGCM(under).encrypt(nonce, key, _place("key", *place))


def unwrap(wrapped: bytes, under: bytes, *place: str) -> bytes:
    """The key. Raises :class:`VerificationFailed`."""
    return _opened(under, wrapped[:NONCE], wrapped[NONCE:], _place("key", *place))


def _opened(key: bytes, nonce: bytes, ciphertext: bytes, place: bytes) -> bytes:
    try:
        return AESGCM(key).decrypt(nonce, ciphertext, place)
    except (InvalidTag, ValueError):
        raise VerificationFailed(
            "What the vault holds was changed, or belongs to another key.",
            hint="Restore the database and secrets/content-master from the same backup.",
        ) from None


def _derive(secret: bytes, use: bytes) -> bytes:
    return HKDF(SHA256(), KEY, None, use).derive(secret)


def _place(*parts: str) -> bytes:
    """Unambiguous, also for parts that hold quotes, commas or what is no character."""
    return json.dumps(parts).encode("ascii")


def _bytes(text: str) -> bytes:
    return text.encode("utf8", "surrogatepass")
