"""From an answer to its sources: each citation resolves to the sentence of a passage that supports it.

Support is shared content words, and numbers: enough to point a reader at the right sentence and to drop a citation
that has nothing to do with what it is set behind, not a proof that the answer follows from it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from isthmus.labels import Label
from isthmus.messages import Passage
from isthmus.retrieval.stopwords import STOPWORDS

#: A sentence is attributed to a passage it does not cite where this share of its content words stands there, at
#: least this many of them, and all of its numbers.
STRONG, FEWEST = 0.6, 3
_LONGEST_QUOTE = 300

_MARK = re.compile(r"\[(\d{1,3})\]")
_WORD = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_]+")
# A sentence ends at a mark (with the citations behind it) before a space and no small letter, but not after an
# ordinal or an initial ("30. Juni", "z. B."), and at a line's end, unless the next line goes on in small letters.
_SENTENCE_END = re.compile(
    r"(?:[!?]|(?<!\b\d)(?<!\b\d\d)(?<!\b[^\W\d])\.)[\"'”’)]*(?:[ \t]*\[\d{1,3}\])*(?=\s+[^\sa-zß-ÿ]|\s*\Z)"
    r"|\n\s*\n|\n(?=[^\sa-zß-ÿ])"
)


@dataclass(frozen=True, slots=True)
class Citation:
    """Where a sentence of an answer comes from.

    ``number`` is the passage's, as in ``[n]``. ``start`` and ``end`` are character offsets of ``quote`` in the
    document's extracted text; ``answer_start`` and ``answer_end`` those of the sentence in the answer. ``by`` is
    "model" where the model set the citation, "overlap" where only the words tell.
    """

    number: int
    chunk: str
    document: str
    title: str
    source: str
    collection: str
    page: int | None
    headings: tuple[str, ...]
    label: Label
    quote: str
    start: int
    end: int
    answer_start: int
    answer_end: int
    by: Literal["model", "overlap"]

    def as_dict(self) -> dict[str, object]:
        plain: dict[str, object] = {name: getattr(self, name) for name in self.__slots__}
        return plain | {"headings": list(self.headings), "label": self.label.as_dict()}


@dataclass(frozen=True, slots=True)
class _Span:
    start: int
    end: int
    words: frozenset[str]


def attribute(answer: str, passages: Sequence[Passage]) -> tuple[Citation, ...]:
    """The citations of an answer that went through :class:`CitationFilter`, in order, each quote once.

    Those the model set come first for a sentence; a sentence without any is attributed to the passage that strongly
    supports it, if one does. A citation whose passage shares no content word with its sentence is dropped.
    """
    sources = [(number, passage, list(_sentences(passage.text))) for number, passage in enumerate(passages, 1)]
    everything = _words(answer)
    found: dict[tuple[int, str], Citation] = {}
    for sentence in _sentences(answer):
        cited = {int(number) for number in _MARK.findall(answer, sentence.start, sentence.end)}
        chosen = [source for source in sources if source[0] in cited] or _strongest(sentence, sources)
        for number, passage, spans in chosen:
            quote = _best(sentence.words or everything, spans)
            if quote is not None:
                citation = _citation(number, passage, quote, sentence, "model" if number in cited else "overlap")
                found.setdefault((number, citation.quote), citation)
    return tuple(found.values())


_Source = tuple[int, Passage, list[_Span]]


def _strongest(sentence: _Span, sources: Sequence[_Source]) -> list[_Source]:
    """The passage that holds most of the sentence's words, if it holds enough of them and all its numbers."""
    numbers = {word for word in sentence.words if word[0].isdigit()}
    best, most = None, max(FEWEST, STRONG * len(sentence.words))
    for source in sources:
        words = frozenset().union(*(span.words for span in source[2]))
        shared = len(words & sentence.words)
        if numbers <= words and shared >= most and (best is None or shared > most):
            best, most = source, shared
    return [] if best is None else [best]


def _best(words: frozenset[str], spans: Sequence[_Span]) -> _Span | None:
    """The span that shares most with the words, a number counting twice, the shorter one where two are equal."""

    def support(span: _Span) -> tuple[int, int]:
        shared = words & span.words
        return len(shared) + sum(word[0].isdigit() for word in shared), -len(span.words)

    best = max(spans, key=support, default=None)
    return best if best is not None and words & best.words else None


def _citation(
    number: int, passage: Passage, quote: _Span, sentence: _Span, by: Literal["model", "overlap"]
) -> Citation:
    return Citation(
        number, passage.chunk, passage.document, passage.title, passage.source, passage.collection, passage.page,
        passage.headings, passage.label, passage.text[quote.start : quote.end],
        passage.start + quote.start, passage.start + quote.end, sentence.start, sentence.end, by,
    )  # fmt: skip


def _sentences(text: str) -> Iterator[_Span]:
    start = 0
    for end in [*(match.end() for match in _SENTENCE_END.finditer(text)), len(text)]:
        yield from _pieces(text, start, end)
        start = end


def _pieces(text: str, start: int, end: int) -> Iterator[_Span]:
    """The sentence without the space around it, in pieces where it is too long to quote (a table, a list)."""
    while start < end:
        start += len(text[start:end]) - len(text[start:end].lstrip())
        cut = end
        if end - start > _LONGEST_QUOTE:
            space = text.rfind(" ", start + 1, start + _LONGEST_QUOTE)
            cut = space if space > 0 else start + _LONGEST_QUOTE
        piece = text[start:cut].rstrip()
        if piece:
            yield _Span(start, start + len(piece), _words(piece))
        start = cut


def _words(text: str) -> frozenset[str]:
    """Content words, cut so that inflections meet ("approved", "approval"), and numbers without separators."""
    bare = _MARK.sub(" ", text).casefold()
    return frozenset(_stem(word) for word in _WORD.findall(bare) if word not in STOPWORDS)


def _stem(word: str) -> str:
    if word[0].isdigit():
        return re.sub(r"[.,]", "", word)
    return (word[:-1] if word.endswith("s") and len(word) > 3 else word)[:6]
