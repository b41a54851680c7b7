"""Fingerprints: how near-verbatim reuse of a text is recognised without keeping the text.

A text's fingerprints are keyed 63-bit hashes of

- every run of five words;
- every *telling* short run: four words of which three have five letters or more, or three words of six or more;
- every distinctive identifier: a token of letters and three digits or more, an e-mail address, a long number, or a
  name in capitals of several parts (BLUE-HERON-PLAN). Dates are none.

Words are compared after NFKC and case folding, without punctuation, so quoting, trimming and re-wrapping do not
matter; paraphrase and translation are not recognised. Method after Broder, "On the resemblance and containment of
documents" (1997); what is telling was chosen by `benchmarks/provenance.py`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b

RUN = 5  # words
#: (words in the run, how many of them must be long, how many letters are long)
TELLING = ((4, 3, 5), (3, 3, 6))
_WORD = re.compile(r"\w+")
_TOKEN = re.compile(r"\w[\w@.+/-]*\w")
_DATE = re.compile(r"\d{1,4}[-./]\d{1,2}[-./]\d{1,4}")
_CAPITALS = re.compile(r"[A-Z]{2,}(?:[-_][A-Z]{2,})+(?:[-_][A-Z0-9]+)*")


@dataclass(frozen=True, slots=True)
class Fingerprints:
    """``runs``: a hash per run of five words. ``telling``: of short runs. ``identifiers``: of distinctive tokens."""

    runs: frozenset[int]
    telling: frozenset[int]
    identifiers: frozenset[int]

    @property
    def all(self) -> frozenset[int]:
        return self.runs | self.telling | self.identifiers


def words(text: str) -> list[str]:
    """The words of a text as they are compared."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return _WORD.findall(unicodedata.normalize("NFKC", folded))  # folding may take characters apart


def fingerprints(text: str, key: bytes) -> Fingerprints:
    """The fingerprints of a text under a 32-byte key."""
    folded = words(text)
    telling = (
        run
        for size, least, letters in TELLING
        for run in _runs(folded, size)
        if sum(len(word) >= letters for word in run) >= least
    )
    return Fingerprints(
        frozenset(_hash(" ".join(run), key) for run in _runs(folded, RUN)),
        frozenset(_hash(" ".join(run), key) for run in telling),
        frozenset(_hash("#" + token, key) for token in _identifiers(text)),
    )


def exact(text: str, key: bytes) -> int:
    """One hash for the whole text, white space and case aside."""
    return _hash("\0" + " ".join(words(text)), key)


def _runs(folded: list[str], size: int) -> Iterator[list[str]]:
    return (folded[at : at + size] for at in range(len(folded) - size + 1))


def _identifiers(text: str) -> Iterator[str]:
    for token in _TOKEN.findall(unicodedata.normalize("NFKC", text)):
        digits = sum(character.isdigit() for character in token)
        letters = sum(character.isalpha() for character in token)
        coded = len(token) >= 6 and digits >= 3 and letters > 0
        named = len(token) >= 8 and _CAPITALS.fullmatch(token) is not None
        if (coded or named or "@" in token or digits >= 7) and not _DATE.fullmatch(token):
            yield token.casefold()


def _hash(text: str, key: bytes) -> int:
    """63 bits, so that it fits SQLite's signed integers."""
    return int.from_bytes(blake2b(text.encode("utf8", "surrogatepass"), digest_size=8, key=key).digest()) >> 1
