"""PDF: the text layer, page by page, with PDFium; what PDFium cannot open goes to pdf-oxide, which repairs more.

Lines are joined to paragraphs by the gaps between them; a short line in larger type is a heading.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from isthmus.data.parsing.archive import encrypted
from isthmus.data.parsing.parsed import Parsed, Writer
from isthmus.data.parsing.raw import Raw
from isthmus.data.parsing.registry import NAMED, NO, PROVEN, Parsers
from isthmus.data.parsing.text import write_paragraphs
from isthmus.errors import DocumentRejected

_PASSWORD = 4  # FPDF_ERR_PASSWORD in fpdfview.h
_MAX_PAGES = 5_000
#: What programs write where nobody gave a title.
_NO_TITLES = frozenset({"untitled", "(anonymous)", "anonymous", "(unspecified)"})
#: PDFium marks a hyphen at a line's end with U+FFFE (U+0002 before 2020).
_HYPHENATED = re.compile("[\ufffe\x02](?:\r?\n)?")
_MAX_HEADING = 120
_LEAST_ALPHANUMERIC = 0.45
_HEADING_SIZE = 1.15
_PARAGRAPH_GAP = 1.35


class Pdf:
    def claims(self, raw: Raw) -> int:
        if b"%PDF-" in raw.data[:1024]:
            return PROVEN
        return NAMED if raw.extension == "pdf" and raw.text is None and not raw.members else NO

    def parse(self, raw: Raw, parsers: Parsers) -> Parsed:
        writer = Writer()
        try:
            title, silent, pages = _pdfium(writer, raw.data)
        except _Unreadable:
            writer = Writer()
            title, silent, pages = _oxide(writer, raw.data)
            writer.note("The file is damaged; what could be repaired was read.")
        if writer.empty:
            raise DocumentRejected(
                "It holds no text: a scan. Reading text from pictures (OCR) is not built in.",
                hint="Run it through an OCR program that adds a text layer, then ingest it again.",
            )
        if _garbled(writer.text):
            raise DocumentRejected(
                "Its fonts do not say which characters they show, so its text comes out as garbage.",
                hint="Print it to a new PDF from its own program, or run it through an OCR program.",
            )
        if silent:
            writer.note(f"{len(silent)} of {pages} pages hold no text (a scan?): {', '.join(map(str, silent[:20]))}.")
        return writer.finish("" if title.strip().lower() in _NO_TITLES else title, "application/pdf")


def _garbled(text: str) -> bool:
    """Text in any language, and tables of numbers, are mostly letters and digits; glyph numbers are not."""
    sample = [character for character in text[:20_000] if not character.isspace()]
    return len(sample) > 200 and sum(map(str.isalnum, sample)) < _LEAST_ALPHANUMERIC * len(sample)


class _Unreadable(Exception):
    """PDFium gives up on the file."""


@dataclass(frozen=True, slots=True)
class _Line:
    """``size`` is the type size of the first character; ``top`` its height on the page, both in points."""

    text: str
    size: float
    top: float


def _pdfium(writer: Writer, data: bytes) -> tuple[str, list[int], int]:
    """Writes the pages; returns the title, the pages without text, and how many pages there are."""
    import pypdfium2

    try:
        document = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        if error.err_code == _PASSWORD:
            raise encrypted() from error
        raise _Unreadable from error
    try:
        pages = [_lines(document[number]) for number in range(_bounded(len(document)))]
        body = _body_size(pages)
        silent = [number for number, lines in enumerate(pages, 1) if not _write_page(writer, number, lines, body)]
        return document.get_metadata_value("Title"), silent, len(pages)
    except pypdfium2.PdfiumError as error:
        raise _Unreadable from error
    finally:
        document.close()


def _bounded(pages: int) -> int:
    if pages > _MAX_PAGES:
        raise DocumentRejected(f"It has {pages:,} pages; {_MAX_PAGES:,} are read at most.", hint="Split the file.")
    return pages


def _lines(page: Any) -> list[_Line]:
    textpage = page.get_textpage()
    try:
        text = _HYPHENATED.sub("", textpage.get_text_range())
        marks = iter(_line_marks(textpage))
        return [_Line(line, *next(marks, (0.0, 0.0))) for line in text.splitlines() if line.strip()]
    finally:
        textpage.close()
        page.close()


def _line_marks(textpage: Any) -> Iterator[tuple[float, float]]:
    """Size and top of the first visible character of each line that PDFium sees."""
    import pypdfium2.raw as pdfium

    fresh = True
    for index in range(textpage.count_chars()):
        code = pdfium.FPDFText_GetUnicode(textpage, index)
        if code in (10, 13):
            hyphen = index and pdfium.FPDFText_GetUnicode(textpage, index - 1) in (2, 0xFFFE)
            fresh = fresh or not hyphen
        elif fresh and code > 32 and code != 0xA0:
            fresh = False
            yield pdfium.FPDFText_GetFontSize(textpage, index), textpage.get_charbox(index, loose=True)[3]


def _body_size(pages: list[list[_Line]]) -> float:
    sizes = [line.size for lines in pages for line in lines for _ in range(1 + len(line.text) // 20)]
    return statistics.median(sizes) if sizes else 0.0


def _write_page(writer: Writer, number: int, lines: list[_Line], body: float) -> bool:
    """Whether the page had any text."""
    writer.turn(number, keep_headings=True)
    for paragraph in _paragraphs(lines):
        text = "\n".join(line.text for line in paragraph)
        size = paragraph[0].size
        if body and size >= _HEADING_SIZE * body and len(text) <= _MAX_HEADING and len(paragraph) <= 2:
            writer.heading(text, _level(size / body))
        else:
            writer.add(text)
    return bool(lines)


def _level(ratio: float) -> int:
    return 1 if ratio >= 1.8 else 2 if ratio >= 1.35 else 3


def _paragraphs(lines: list[_Line]) -> Iterator[list[_Line]]:
    """A paragraph ends where the next line is farther than usual, higher up (a column), or in another size."""
    steps = [before.top - line.top for before, line in pairwise(lines) if before.top > line.top]
    usual = statistics.median(steps) if steps else 0.0
    paragraph: list[_Line] = []
    for line in lines:
        if paragraph and _breaks(paragraph[-1], line, usual):
            yield paragraph
            paragraph = []
        paragraph.append(line)
    if paragraph:
        yield paragraph


def _breaks(before: _Line, line: _Line, usual: float) -> bool:
    step = before.top - line.top
    return (
        abs(before.size - line.size) > 0.1 * max(line.size, 1.0) or step < -0.5 * usual or step > _PARAGRAPH_GAP * usual
    )


def _oxide(writer: Writer, data: bytes) -> tuple[str, list[int], int]:
    import pdf_oxide

    document = pdf_oxide.PdfDocument.from_bytes(data)
    pages = _bounded(document.page_count())
    silent = []
    for number in range(pages):
        writer.turn(number + 1)
        text = document.extract_text(number)
        write_paragraphs(writer, text)
        if not text.strip():
            silent.append(number + 1)
    return "", silent, pages
