"""What parsing gives: one text, and blocks that point into it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from isthmus.data.parsing.clean import clean, clean_line
from isthmus.errors import DocumentRejected

Kind: TypeAlias = Literal["heading", "paragraph", "list", "row", "code", "note"]
MAX_CHARACTERS = 20_000_000
MAX_HEADING = 200
MAX_TITLE = 160
#: Blocks of these kinds follow each other line by line; others are set apart by an empty line.
_TIGHT = frozenset({"list", "row"})


@dataclass(frozen=True, slots=True)
class Block:
    """``start`` and ``end`` are character offsets into the document's text. ``page`` counts from 1 (a page, slide or
    sheet; ``None`` where the format has none). ``headings`` runs from the outermost in."""

    start: int
    end: int
    kind: Kind = "paragraph"
    page: int | None = None
    headings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Parsed:
    """``blocks`` are in order, don't overlap, and cover all of ``text`` but the white space between them.
    ``notes`` say in words what could not be read."""

    title: str
    media_type: str
    text: str
    blocks: tuple[Block, ...]
    notes: tuple[str, ...] = ()


class Writer:
    """Collects cleaned blocks; offsets are counted in the cleaned text, so they stay exact."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._blocks: list[Block] = []
        self._notes: list[str] = []
        self._headings: list[tuple[int, str]] = []
        self._length = 0
        self._page: int | None = None

    @property
    def headings(self) -> tuple[str, ...]:
        return tuple(text for _, text in self._headings)

    @property
    def empty(self) -> bool:
        return not self._blocks

    @property
    def text(self) -> str:
        """What has been written so far."""
        return "".join(self._parts)

    def turn(self, page: int, *, keep_headings: bool = False) -> None:
        """Begin a page, slide or sheet."""
        self._page = page
        if not keep_headings:
            self._headings.clear()

    def heading(self, text: str, level: int) -> None:
        """A heading closes those of its level and below."""
        line = clean_line(text)
        if not line:
            return
        while self._headings and self._headings[-1][0] >= level:
            self._headings.pop()
        self._headings.append((level, line[:MAX_HEADING]))
        self.add(line, "heading")

    def add(self, text: str, kind: Kind = "paragraph") -> None:
        """Append a block; blank text is left out. Raises :class:`DocumentRejected` beyond ``MAX_CHARACTERS``."""
        cleaned = clean(text, keep_spaces=kind == "code")
        if not cleaned:
            return
        gap = self._gap(kind)
        start = self._length + len(gap)
        self._length = start + len(cleaned)
        if self._length > MAX_CHARACTERS:
            raise DocumentRejected(
                f"It holds more than {MAX_CHARACTERS:,} characters of text.", hint="Split the file into parts."
            )
        self._parts += (gap, cleaned)
        self._blocks.append(Block(start, self._length, kind, self._page, self.headings))

    def note(self, text: str) -> None:
        """Say what could not be read."""
        self._notes.append(text)

    def splice(self, parsed: Parsed, level: int) -> None:
        """Append another document's blocks under the headings that stand here (an attachment, an embedded page)."""
        kept = list(self._headings)
        for block in parsed.blocks:
            below = (text for text in block.headings)
            self._headings = [*kept, *((level + depth, text) for depth, text in enumerate(below))]
            self.add(parsed.text[block.start : block.end], block.kind)
        self._headings = kept
        self._notes += parsed.notes

    def finish(self, title: str, media_type: str) -> Parsed:
        """The document. ``title`` is what the format says; without one the first heading stands in.
        Raises :class:`DocumentRejected` where there is no text at all."""
        if not self._blocks:
            raise DocumentRejected("It holds no text.", hint="Check that the file is the one you mean.")
        named = clean_line(title) or next((block.headings[0] for block in self._blocks if block.headings), "")
        return Parsed(named[:MAX_TITLE], media_type, self.text, tuple(self._blocks), tuple(self._notes))

    def _gap(self, kind: Kind) -> str:
        if not self._blocks:
            return ""
        last = self._blocks[-1]
        return "\n" if kind in _TIGHT and last.kind == kind and last.page == self._page else "\n\n"
