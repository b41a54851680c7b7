"""Text as guards read it: one form for one look, with the way back to the text as given.

What is hidden between letters goes (zero-width and other format characters, tag characters, variation selectors,
soft hyphens, fillers), compatibility forms fold (NFKC, UAX #15: full-width digits, ligatures, no-break spaces), and
every dash becomes ``-``. Offsets map back, so that a finding points into what the person wrote.
"""

from __future__ import annotations

import re
import unicodedata
from array import array
from collections.abc import Iterator
from dataclasses import dataclass

# General category Cf (2.1.4 of UAX #44 lists it as "format"), and what is default-ignorable without being Cf:
# combining grapheme joiner, Hangul fillers, Khmer inherent vowels, Mongolian and general variation selectors.
_HIDDEN = re.compile(
    "[\u00ad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    "\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\U000110bd\U000110cd\U00013430-\U0001343f"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_DASHES = {ord(dash): "-" for dash in "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d"}
_MARKS = 16
_SAME = re.compile("[\x00-\x7f\u00c0-\u00ff]*")  # ASCII and the letters of Western Europe: already in this form


@dataclass(frozen=True, slots=True)
class Normalised:
    """``text`` in the form above. ``starts`` and ``ends`` give for each character the range of the original that it
    came from; both absent where the text did not change its length anywhere."""

    text: str
    starts: array[int] | None = None
    ends: array[int] | None = None

    def span(self, start: int, end: int) -> tuple[int, int]:
        """The range of the original that ``text[start:end]`` came from; hidden characters inside are in it."""
        if self.starts is None or self.ends is None or start >= end:
            return start, end
        return self.starts[start], self.ends[end - 1]


def normalise(text: str) -> Normalised:
    """The normalised text with its way back. Idempotent."""
    if text.isascii() or _SAME.fullmatch(text):
        return Normalised(text)
    text = _LONE_SURROGATE.sub("\ufffd", text).translate(_DASHES)
    if _HIDDEN.search(text) is None and unicodedata.is_normalized("NFKC", text):
        return Normalised(text)
    return _rebuilt(text)


def _rebuilt(text: str) -> Normalised:
    out: list[str] = []
    starts, ends = array("q"), array("q")
    for start, end, folded in _clusters(text):
        out.append(folded)
        starts.extend([start] * len(folded))
        ends.extend([end] * len(folded))
    return Normalised("".join(out), starts, ends)


def _clusters(text: str) -> Iterator[tuple[int, int, str]]:
    """Ranges of the text that normalise by themselves, whatever stands beside them."""
    start, end, raw = 0, 0, ""
    for at, character in enumerate(text):
        if not character.isascii() and _HIDDEN.match(character):
            continue
        if raw and not _joins(raw, character):
            yield start, end, _fold(raw)
            raw = ""
        if not raw:
            start = at
        if len(raw) < 2 * _MARKS:  # more marks on one letter than any script stacks are dropped: bounds the cost
            raw += character
        end = at + 1
    if raw:
        yield start, end, _fold(raw)


def _joins(raw: str, character: str) -> bool:
    """Whether the character changes, or is changed by, what stands before it (a mark, a Hangul vowel…)."""
    if character.isascii():
        return False
    alone = unicodedata.normalize("NFKC", character)
    if unicodedata.combining(alone[0]) != 0:
        return True
    return unicodedata.normalize("NFKC", raw + character) != unicodedata.normalize("NFKC", raw) + alone


def _fold(raw: str) -> str:
    if raw.isascii():
        return raw
    folded = _HIDDEN.sub("", unicodedata.normalize("NFKC", raw)).translate(_DASHES)
    marks = 0
    for at, character in enumerate(folded):
        marks = marks + 1 if unicodedata.combining(character) else 0
        if marks > _MARKS:
            return folded[:at]
    return folded
