"""Salted commitments: the log holds them in place of content. This is all that a stranger needs to check one.

``commitment = SHA-256(salt || text)``, the text in UTF-8. The salt is the request's own, and random to whoever does not
hold its subject's secret: without it a commitment tells nothing, also of a text that is easy to guess.
"""

from __future__ import annotations

import hashlib
import hmac


def commitment(salt: bytes, text: str) -> str:
    """The commitment to a text, as 64 hex digits. ``salt``: 32 bytes."""
    return hashlib.sha256(salt + text.encode("utf-8", "surrogatepass")).hexdigest()


def opens(committed: str, salt: bytes, text: str) -> bool:
    """Whether this is the text that was committed to."""
    return hmac.compare_digest(commitment(salt, text).encode(), committed.encode("utf-8", "surrogatepass"))
