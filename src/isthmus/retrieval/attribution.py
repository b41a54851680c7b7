"""From an answer to its sources: each citation resolves to the sentences of a passage that support it.

Support is shared content words, and numbers: enough to point a reader at the right sentence and to mark a citation
that has nothing to do with what it is set behind, not a proof that the answer follows from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

from isthmus.labels import Label
from isthmus.messages import Passage
from isthmus.retrieval.citations import CitationFilter
from isthmus.retrieval.sentences import MARK, Span, looks_like_heading, sentences, spelled, words

#: A sentence is attributed to a passage it does not cite where this share of its content words stands there, at
#: least this many of them, and all of its numbers.
STRONG, FEWEST = 0.6, 3
#: A sentence with numbers whose citation does not hold them: this share of its other words is enough.
_HALF = 0.5
#: A second quote, for numbers that the first lacks, shares at least this part of the words that the best one shares.
_RELATED = 1 / 3


@dataclass(frozen=True, slots=True)
class Citation:
    """Where a sentence of an answer comes from.

    ``number`` is the passage's, as in ``[n]``. ``start`` and ``end`` are character offsets of ``quote`` in the
    document's extracted text; ``answer_start`` and ``answer_end`` those of the sentence in the answer. ``by`` is
    "model" where the model set the citation, "overlap" where only the words tell. Where ``supported`` is false, the
    model cited a passage that shares nothing with the sentence: ``quote`` is empty, and the offsets are the passage's.
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
    supported: bool = True

    def as_dict(self) -> dict[str, object]:
        plain: dict[str, object] = {name: getattr(self, name) for name in self.__slots__}
        return plain | {"headings": list(self.headings), "label": self.label.as_dict()}


def attribute(answer: str, passages: Sequence[Passage]) -> tuple[Citation, ...]:
    """The citations of an answer that went through :class:`CitationFilter`, in order, each quote once.

    Every passage the answer cites is among them. A sentence that cites none, or none that holds its numbers, is
    attributed to the passage that strongly supports it, if one does.
    """
    sources = [_Source.of(number, passage) for number, passage in enumerate(passages, 1)]
    everything, used = words(answer), _used(answer, passages)
    found: dict[tuple[int, str], Citation] = {}
    for sentence in sentences(answer):
        cited = used.intersection(map(int, MARK.findall(answer, sentence.start, sentence.end)))
        if cited and not sentence.words:  # "Yes [1]."
            sentence = Span(sentence.start, sentence.end, everything)
        for citation in _citations(sentence, cited, sources):
            found.setdefault((citation.number, citation.quote), citation)
    return tuple(found.values())


@dataclass(frozen=True, slots=True, eq=False)
class _Source:
    """``spans`` can be quoted; ``words`` are theirs, ``around`` those of the headings too."""

    number: int
    passage: Passage
    spans: tuple[Span, ...]
    words: frozenset[str]
    around: frozenset[str]

    @classmethod
    def of(cls, number: int, passage: Passage) -> _Source:
        names = {spelled(name) for name in (passage.title, *passage.headings)}
        every = sentences(passage.text)
        spans = tuple(span for span in every if spelled(passage.text[span.start : span.end]) not in names)
        held = frozenset().union(*(span.words for span in spans))
        return cls(number, passage, spans, held, held | words("\n".join(passage.headings)))

    def quotes(self, sentence: Span) -> tuple[Span, ...]:
        """The sentences that support it, best first. What looks like a heading only where nothing else does."""
        text = [span for span in self.spans if not looks_like_heading(self.passage.text, span)]
        return _fewest(sentence, text) or _fewest(sentence, self.spans)

    def cite(self, span: Span | None, sentence: Span, by: Literal["model", "overlap"]) -> Citation:
        """``span`` is what to quote, None where nothing in the passage supports the sentence."""
        passage = self.passage
        start, end = (span.start, span.end) if span else (0, passage.end - passage.start)
        return Citation(
            self.number, passage.chunk, passage.document, passage.title, passage.source, passage.collection,
            passage.page, passage.headings, passage.label, passage.text[start:end] if span else "",
            passage.start + start, passage.start + end, sentence.start, sentence.end, by, span is not None,
        )  # fmt: skip


def _used(answer: str, passages: Sequence[Passage]) -> frozenset[int]:
    """The filter knows which brackets are citations, and which an index in code or a link."""
    marks = CitationFilter(passages)
    marks.feed(answer)
    marks.close()
    return frozenset(marks.used)


def _citations(sentence: Span, cited: frozenset[int], sources: Sequence[_Source]) -> Iterator[Citation]:
    held: frozenset[str] = frozenset()
    found = {source: source.quotes(sentence) for source in sources if source.number in cited}
    for source, quotes in found.items():
        held |= source.words if quotes else frozenset()
        yield from (source.cite(quote, sentence, "model") for quote in quotes)
    if not any(found.values()) or not sentence.numbers <= held:
        left = [source for source in sources if source not in found]
        other = _strongest(sentence, left) or (_holder(sentence, left) if found else None)
        if other is not None:
            yield from (other.cite(quote, sentence, "overlap") for quote in other.quotes(sentence))
    yield from (source.cite(None, sentence, "model") for source, quotes in found.items() if not quotes)


def _strongest(sentence: Span, sources: Iterable[_Source]) -> _Source | None:
    """The passage that holds most of the sentence's words, if it holds enough of them and all its numbers."""
    enough = max(FEWEST, STRONG * len(sentence.words))
    return _most(sentence, (source for source in sources if len(source.around & sentence.words) >= enough))


def _holder(sentence: Span, sources: Iterable[_Source]) -> _Source | None:
    """The passage that holds all numbers of a sentence that has some, and half of its other words."""
    if not sentence.numbers:
        return None
    enough = _HALF * len(sentence.others)
    return _most(sentence, (source for source in sources if len(source.around & sentence.others) >= enough))


def _most(sentence: Span, sources: Iterable[_Source]) -> _Source | None:
    able = (source for source in sources if sentence.numbers <= source.words)
    return max(able, key=lambda source: len(source.around & sentence.words), default=None)


def _fewest(sentence: Span, spans: Sequence[Span]) -> tuple[Span, ...]:
    """One span that supports the sentence, or two where its numbers stand in two.

    The most numbers, then the fewest spans, then the most words, then the shortest.
    """
    sharing = [span for span in spans if sentence.words & span.words]
    if not sharing:
        return ()
    best = max(sharing, key=lambda span: _support(sentence, (span,)))
    floor = _RELATED * len(sentence.others & best.words)
    related = [span for span in sharing if len(sentence.others & span.words) >= floor]
    pairs = combinations([span for span in related if sentence.numbers & span.words], 2)
    return max([(best,), *((span,) for span in related), *pairs], key=lambda chosen: _coverage(sentence, chosen))


def _coverage(sentence: Span, chosen: tuple[Span, ...]) -> tuple[int, int, tuple[int, int]]:
    numbers = sentence.numbers.intersection(frozenset().union(*(span.words for span in chosen)))
    return len(numbers), -len(chosen), _support(sentence, chosen)


def _support(sentence: Span, chosen: tuple[Span, ...]) -> tuple[int, int]:
    """How many words are shared, a number counting twice; the shorter first where two are equal."""
    shared = sentence.words.intersection(frozenset().union(*(span.words for span in chosen)))
    return len(shared) + len(shared & sentence.numbers), -sum(len(span.words) for span in chosen)
