"""Fingerprints: how near-verbatim reuse of a text is recognised without keeping the text.

A text's fingerprints are keyed 63-bit hashes of

- every run of five words;
- every *telling* short run: four words of which three have five letters or more, or three words of six or more;
- every distinctive identifier: a token of letters and three digits or more, an e-mail address, a long number, or a
  name in capitals of several parts (BLUE-HERON-PLAN). Dates are none.

Words are compared bare: compatibility forms, case, accents, invisible characters, look-alike letters, mark-up inside
words, hyphens at line ends, entities and escapes (JSON, URL) do not count, so quoting, trimming, re-wrapping and
re-encoding do not matter. Paraphrase, translation, reordering within four words and encodings that
hide words altogether (base64) are not recognised. Method after Broder, "On the resemblance and containment of
documents" (1997); what is telling was chosen by `benchmarks/provenance.py`.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from urllib.parse import unquote

RUN = 5  # words
#: (words in the run, how many of them must be long, how many letters are long)
TELLING = ((4, 3, 5), (3, 3, 6))
_WORD = re.compile(r"[^\W_]+")
_MARKUP = re.compile(r"[*~`]+")
_HYPHENATED = re.compile(r"-\s*\n\s*")
_SEPARATOR = re.compile(r"[-_/.]")
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": " ", "f": " "}
_DASHES = dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2014\u2015\u2212"), "-")
#: Small Cyrillic and Greek letters that look like Latin ones (after Unicode's confusables, the common ones).
_LOOK_ALIKES = _DASHES | str.maketrans("аеорсухіјѕԁһӏνοαρτυκ", "aeopcyxijsdhlvoaptuk")
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
    return _WORD.findall(_MARKUP.sub("", _HYPHENATED.sub("", _bare(text))))


def readings(text: str) -> set[str]:
    """The text, and what it says once escapes are undone: a text in JSON or in a URL is the text still."""
    read = {text}
    if "\\" in text:
        read.add(_ESCAPE.sub(_unescaped, text))
    if "%" in text:
        read.add(unquote(text))
    return read


def _unescaped(match: re.Match[str]) -> str:
    code = match.group(1)
    return chr(int(code[1:], 16)) if code[0] == "u" else _ESCAPES.get(code, code)


def _bare(text: str) -> str:
    """Without what is not seen: accents, format characters, look-alikes; dashes and case made one."""
    text = unicodedata.normalize("NFKD", html.unescape(text)).casefold()
    kept = (character for character in unicodedata.normalize("NFKD", text) if _seen(character))
    return "".join(kept).translate(_LOOK_ALIKES)


def _seen(character: str) -> bool:
    return character.isascii() or unicodedata.category(character) not in ("Mn", "Me", "Cf")


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
    """One hash for the whole text, white space and case aside; of a text without words, for what it is."""
    return _hash("\0" + (" ".join(words(text)) or text.strip()), key)


def _runs(folded: list[str], size: int) -> Iterator[list[str]]:
    return (folded[at : at + size] for at in range(len(folded) - size + 1))


def _identifiers(text: str) -> Iterator[str]:
    plain = unicodedata.normalize("NFKC", html.unescape(text)).translate(_DASHES)
    plain = "".join(character for character in plain if _seen(character))
    for token in _TOKEN.findall(plain):
        digits = sum(character.isdigit() for character in token)
        letters = sum(character.isalpha() for character in token)
        coded = len(token) >= 6 and digits >= 3 and letters > 0
        named = len(token) >= 8 and _CAPITALS.fullmatch(token) is not None
        if (coded or named or "@" in token or digits >= 7) and not _DATE.fullmatch(token):
            yield _SEPARATOR.sub("", token.casefold())


def _hash(text: str, key: bytes) -> int:
    """63 bits, so that it fits SQLite's signed integers."""
    return int.from_bytes(blake2b(text.encode("utf8", "surrogatepass"), digest_size=8, key=key).digest()) >> 1
