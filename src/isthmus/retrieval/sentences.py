"""Sentences of a text, with their content words: what a citation quotes, and what it is compared by."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from isthmus.retrieval.stopwords import STOPWORDS

_LONGEST = 300  # characters of one quote

#: A citation, as the filter leaves it in an answer.
MARK = re.compile(r"\[(\d{1,3})\]")
_WORD = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_]+")
# A sentence ends at a mark (with the citations behind it) before a space and no small letter, but not after an
# ordinal or an initial ("30. Juni", "z. B."), and at a line's end, unless the next line goes on in small letters.
_SENTENCE_END = re.compile(
    r"(?:[!?]|(?<!\b\d)(?<!\b\d\d)(?<!\b[^\W\d])\.)[\"'”’)]*(?:[ \t]*\[\d{1,3}\])*(?=\s+[^\sa-zß-ÿ]|\s*\Z)"
    r"|\n\s*\n|\n(?=[^\sa-zß-ÿ])"
)
# Parsers write a table's row as a line, "name: Anna; place: Ystad" or "Anna | Ystad": quoted whole, since a part of it
# says nothing of whom it speaks. Of neighbouring lines that each name one field, each stands alone.
_FIELD = r"[^\s:;|][^:;|\n]{0,59}: "
_ROW = re.compile(rf"^(?:{_FIELD}[^\n]*; {_FIELD}|[^|\n]+ \| )[^\n]*$", re.MULTILINE)
_FIELD_LINE = re.compile(rf"^{_FIELD}[^\n]*\n(?={_FIELD})", re.MULTILINE)
_HEADING = re.compile(r"[^\d\n:]{1,100}[^\d\n:.!;,]")


@dataclass(frozen=True, slots=True)
class Span:
    """``start`` and ``end`` are character offsets; ``words`` the content words between them, and the numbers."""

    start: int
    end: int
    words: frozenset[str]

    @property
    def numbers(self) -> frozenset[str]:
        return frozenset(word for word in self.words if word[0].isdigit())

    @property
    def others(self) -> frozenset[str]:
        """The words that are no numbers."""
        return self.words - self.numbers


def sentences(text: str) -> Iterator[Span]:
    """In order, without the space around them; one that is too long to quote in pieces."""
    start = 0
    for end in _ends(text):
        yield from _pieces(text, start, end)
        start = end


def looks_like_heading(text: str, span: Span) -> bool:
    """A line by itself above other text, without a number or a full stop."""
    return _HEADING.fullmatch(text, span.start, span.end) is not None and text.startswith("\n\n", span.end)


def words(text: str) -> frozenset[str]:
    """Content words, cut so that inflections meet ("approved", "approval"), and numbers without separators."""
    bare = MARK.sub(" ", text).casefold()
    return frozenset(_stem(word) for word in _WORD.findall(bare) if word not in STOPWORDS)


def spelled(text: str) -> tuple[str, ...]:
    """All words in order, whatever stands between them: two headings are the same where this is."""
    return tuple(_WORD.findall(text.casefold()))


def _ends(text: str) -> list[int]:
    rows = [match.span() for match in _ROW.finditer(text)]
    ends = {match.end() for pattern in (_SENTENCE_END, _FIELD_LINE) for match in pattern.finditer(text)}
    inside = {end for start, stop in rows for end in range(start + 1, stop)}
    return sorted((ends - inside) | {place for row in rows for place in row} | {len(text)})


def _pieces(text: str, start: int, end: int) -> Iterator[Span]:
    while start < end:
        start += len(text[start:end]) - len(text[start:end].lstrip())
        cut = end
        if end - start > _LONGEST:
            space = text.rfind(" ", start + 1, start + _LONGEST)
            cut = space if space > 0 else start + _LONGEST
        piece = text[start:cut].rstrip()
        if piece:
            yield Span(start, start + len(piece), words(piece))
        start = cut


def _stem(word: str) -> str:
    if word[0].isdigit():
        return re.sub(r"[.,]", "", word)
    return (word[:-1] if word.endswith("s") and len(word) > 3 else word)[:6]
