"""Fingerprints: how near-verbatim reuse of a text is recognised without keeping the text.

A text's fingerprints are keyed 63-bit hashes of every run of five words, and of every distinctive identifier in it (a
token of letters and digits, an e-mail address, a long number). Words are compared after NFKC and case folding, without
punctuation, so quoting, trimming and re-wrapping do not matter; paraphrase and translation are not recognised.
Method after Broder, "On the resemblance and containment of documents" (1997).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b

RUN = 5  # words
_WORD = re.compile(r"\w+")
_TOKEN = re.compile(r"[\w][\w@.+/-]*[\w]")
_LEAST_IDENTIFIER = 6
_LONG_NUMBER = 7


@dataclass(frozen=True, slots=True)
class Fingerprints:
    """``runs``: a hash per run of five words, in order; ``identifiers``: a hash per distinctive token."""

    runs: tuple[int, ...]
    identifiers: frozenset[int]


def words(text: str) -> list[str]:
    """The words of a text as they are compared."""
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())


def fingerprints(text: str, key: bytes) -> Fingerprints:
    """The fingerprints of a text under a 32-byte key. A text of fewer than five words has no runs."""
    folded = words(text)
    runs = tuple(_hash(" ".join(folded[at : at + RUN]), key) for at in range(len(folded) - RUN + 1))
    return Fingerprints(runs, frozenset(_hash(token, key) for token in _identifiers(text)))


def exact(text: str, key: bytes) -> int:
    """One hash for the whole text, white space and case aside."""
    return _hash("\0" + " ".join(words(text)), key)


def _identifiers(text: str) -> Iterator[str]:
    for token in _TOKEN.findall(unicodedata.normalize("NFKC", text).casefold()):
        digits = sum(character.isdigit() for character in token)
        letters = sum(character.isalpha() for character in token)
        if len(token) >= _LEAST_IDENTIFIER and ((digits and letters) or "@" in token or digits >= _LONG_NUMBER):
            yield token


def _hash(text: str, key: bytes) -> int:
    """63 bits, so that it fits SQLite's signed integers."""
    return int.from_bytes(blake2b(text.encode("utf8", "surrogatepass"), digest_size=8, key=key).digest()) >> 1
