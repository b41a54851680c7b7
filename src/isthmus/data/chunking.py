"""A parsed document in pieces that an embedder reads whole and a citation can point at.

A chunk is a run of neighbouring blocks, never across a page, slide or sheet; its text is exactly
``document.text[start:end]``. It ends where a heading begins, once it has some substance; a block too long for one
chunk is split by ``chonkie`` at sentences, then words. There is no overlap: headings travel beside the text instead.
A heading goes with the text under it, or with what stands before it where nothing does; by itself it answers nothing.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from isthmus.data.parsing.parsed import Block, Parsed

#: Three or four passages share about 600 tokens of prompt; MiniLM reads 256 tokens and forgets the rest.
TARGET_TOKENS = 180
#: A section shorter than this is joined with the next.
_SUBSTANCE = 60
_LATIN, _DIGITS, _SPACE, _IDEOGRAMS, _LETTERS = range(1, 6)
_WORD = re.compile(
    r"([A-Za-z\u00c0-\u024f]+)|(\d+)|(\s+)|([\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff]+)|([^\W\d_]+)|.", re.DOTALL
)
#: Characters that make about one token, by script; any other character is a token of its own.
_PER_TOKEN = {_LATIN: 5, _DIGITS: 2, _IDEOGRAMS: 1, _LETTERS: 2}
_LEVELS = (
    ["\n"],
    [". ", "! ", "? ", "。", "！", "？", "؟ ", "। "],
    ["; ", ": ", ", ", "、", "，", "، "],
)


@dataclass(frozen=True, slots=True)
class Chunk:
    """``text == document.text[start:end]``. ``headings`` are those that all of its text but headings stands under."""

    text: str
    start: int
    end: int
    page: int | None
    headings: tuple[str, ...]


def count_tokens(text: str) -> int:
    """About how many tokens a subword tokenizer makes of it, rather too many than too few: a word costs one per five
    Latin letters, a number one per two digits, other alphabets one per two letters, any other character one."""
    return sum(_cost(match) for match in _WORD.finditer(text))


def _cost(match: re.Match[str]) -> int:
    if match.lastindex == _SPACE:
        return 0
    return math.ceil(len(match[0]) / _PER_TOKEN.get(match.lastindex or 0, 1))


class Chunker:
    """Chunks of about ``target`` tokens at most."""

    def __init__(self, target: int = TARGET_TOKENS) -> None:
        self._target = target

    def chunk(self, document: Parsed) -> list[Chunk]:
        """All non-blank text of the document, in order, each chunk with more than headings in it.

        Headings without text are left out where the title or the ``headings`` of a chunk say the same. Else they go
        with the text before them; only where there is none on their page are they a chunk, so that no text is lost.
        """
        kept: list[list[Block]] = []
        runs = list(self._runs(document))
        said = _said(document, runs)
        for run in runs:
            if not _bare(run):
                kept.append(run)
            elif said.issuperset(document.text[block.start : block.end] for block in run):
                continue
            elif kept and self._fits(document, kept[-1], run):
                kept[-1] += run
            else:
                kept.append(run)
        return [_chunk(document, run) for run in kept]

    def _fits(self, document: Parsed, run: list[Block], headings: list[Block]) -> bool:
        cost = count_tokens(document.text[run[0].start : headings[-1].end])
        return run[-1].page == headings[0].page and cost <= self._target + _SUBSTANCE

    def _pieces(self, document: Parsed) -> Iterator[Block]:
        """Blocks, those too long in several pieces."""
        for block in document.blocks:
            text = document.text[block.start : block.end]
            if count_tokens(text) <= self._target:
                yield block
                continue
            for start, end in self._split(text):
                yield Block(block.start + start, block.start + end, block.kind, block.page, block.headings)

    def _split(self, text: str) -> Iterator[tuple[int, int]]:
        """Extents of the parts that are not blank, without the white space around them."""
        for part in self._splitter.chunk(text):
            for start in range(part.start_index, part.end_index, self._step(part.text)):
                piece = text[start : min(start + self._step(part.text), part.end_index)]
                lead = len(piece) - len(piece.lstrip())
                if body := piece.strip():
                    yield start + lead, start + lead + len(body)

    def _step(self, part: str) -> int:
        """A part that no mark divides is cut by length; a character never costs more than one token."""
        return len(part) if count_tokens(part) <= self._target else self._target

    def _runs(self, document: Parsed) -> Iterator[list[Block]]:
        run: list[Block] = []
        tokens = 0
        for piece in self._pieces(document):
            cost = count_tokens(document.text[piece.start : piece.end])
            if run and self._ends(run, piece, tokens, cost):
                done, run = _without_trailing_headings(run, piece)
                yield done
                tokens = sum(count_tokens(document.text[block.start : block.end]) for block in run)
            run.append(piece)
            tokens += cost
        if run:
            yield run

    def _ends(self, run: list[Block], piece: Block, tokens: int, cost: int) -> bool:
        if piece.page != run[-1].page:
            return True
        if piece.kind == "heading" and tokens >= _SUBSTANCE and not _bare(run):
            return True
        return tokens + cost > self._target + (_SUBSTANCE if _bare(run) else 0)

    @cached_property
    def _splitter(self) -> Any:
        from chonkie import RecursiveChunker, RecursiveLevel, RecursiveRules

        levels = [*(RecursiveLevel(delimiters=marks) for marks in _LEVELS), RecursiveLevel(whitespace=True)]
        counter: Any = count_tokens  # chonkie takes any callable that counts, and declares less
        # With a minimum of more characters than a word has, chonkie 1.7 stops dividing at words altogether.
        return RecursiveChunker(counter, self._target, RecursiveRules(levels), min_characters_per_chunk=1)


def _without_trailing_headings(run: list[Block], piece: Block) -> tuple[list[Block], list[Block]]:
    """Headings at the end belong to what follows, where that is on the same page."""
    end = len(run)
    while end and run[end - 1].kind == "heading" and piece.page == run[-1].page:
        end -= 1
    return (run[:end], run[end:]) if end else (run, [])


def _bare(run: list[Block]) -> bool:
    return all(block.kind == "heading" for block in run)


def _said(document: Parsed, runs: list[list[Block]]) -> set[str]:
    """The headings that travel beside a text."""
    paths = [_path(run) for run in runs if not _bare(run)]
    return {document.title, *(heading for path in paths for heading in path)} if paths else set()


def _path(run: list[Block]) -> tuple[str, ...]:
    return _common(block.headings for block in run if block.kind != "heading" or _bare(run))


def _chunk(document: Parsed, run: list[Block]) -> Chunk:
    start, end = run[0].start, run[-1].end
    return Chunk(document.text[start:end], start, end, run[0].page, _path(run))


def _common(paths: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    """The longest path that all of them begin with."""
    together = list(paths)
    shortest = min(together, key=len)
    for place, heading in enumerate(shortest):
        if any(path[place] != heading for path in together):
            return shortest[:place]
    return shortest
