"""Word (ECMA-376): headings, paragraphs, lists, tables, text boxes, equations and notes, in document order.

The XML is walked here, because python-docx's own ``text`` leaves out content controls, equations and text boxes.
Relationships that point outside (linked pictures, remote templates) are never followed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from isthmus.data.parsing.archive import check
from isthmus.data.parsing.parsed import Parsed, Writer
from isthmus.data.parsing.raw import Raw
from isthmus.data.parsing.registry import NAMED, NO, PROVEN, Parsers
from isthmus.data.parsing.tables import write_table
from isthmus.data.parsing.xmlfile import parse_xml

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_M = "{http://schemas.openxmlformats.org/officeDocument/2006/math}"
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
_TYPE = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
_HEADING = re.compile(r"heading (\d)", re.IGNORECASE)
_BREAKS = {f"{_W}tab": "\t", f"{_W}br": "\n", f"{_W}cr": "\n", f"{_W}noBreakHyphen": "-"}
#: Containers between the body and its paragraphs; deleted text (w:del) and property lists are not among them.
_WRAPPERS = frozenset(f"{_W}{name}" for name in ("sdt", "sdtContent", "customXml", "ins", "smartTag"))
_NOTES = ("/word/footnotes.xml", "/word/endnotes.xml")


class Docx:
    def claims(self, raw: Raw) -> int:
        if "word/document.xml" in raw.members:
            return PROVEN
        return NAMED if raw.extension in ("docx", "docm", "dotx") and raw.text is None else NO

    def parse(self, raw: Raw, parsers: Parsers) -> Parsed:
        import docx

        check(raw.data)
        document = docx.Document(raw.stream())
        writer = Writer()
        for element in _content(document.element.body):
            if element.tag == f"{_W}tbl":
                write_table(writer, _rows(element), _marked_header(element) or None)
            else:
                _write_paragraph(writer, element, document)
        for part in document.part.package.iter_parts():
            if part.partname in _NOTES:
                _write_notes(writer, parse_xml(part.blob))
        return writer.finish(document.core_properties.title or "", _TYPE)


def _content(container: Any) -> Iterator[Any]:
    """Paragraphs and tables, also those inside content controls."""
    stack = list(reversed(container))
    while stack:
        element = stack.pop()
        if element.tag in (f"{_W}p", f"{_W}tbl"):
            yield element
        elif element.tag in _WRAPPERS:
            stack.extend(reversed(element))


def _write_paragraph(writer: Writer, element: Any, document: Any) -> None:
    from docx.text.paragraph import Paragraph

    text = _text(element)
    style = Paragraph(element, document).style
    name = style.name or "" if style is not None else ""
    if match := _HEADING.match(name):
        writer.heading(text, int(match[1]))
    elif name == "Title":
        writer.heading(text, 0)
    elif element.find(f"{_W}pPr/{_W}numPr") is not None or name.startswith("List"):
        writer.add(f"- {text}" if text.strip() else "", "list")
    else:
        writer.add(text)


def _rows(table: Any) -> Iterator[list[str]]:
    for row in table.iter(f"{_W}tr"):
        if next(row.iterancestors(f"{_W}tbl")) is table:
            yield [
                " ".join(_text(cell).split())
                for cell in row.iter(f"{_W}tc")
                if next(cell.iterancestors(f"{_W}tr")) is row
            ]


def _marked_header(table: Any) -> bool:
    return table.find(f"{_W}tr/{_W}trPr/{_W}tblHeader") is not None


def _text(element: Any) -> str:
    """All text within, once: what a drawing offers to old programs (``mc:Fallback``) is left out."""
    parts: list[str] = []
    stack = [element]
    while stack:
        node = stack.pop()
        tag = node.tag
        if tag in (f"{_W}t", f"{_M}t"):
            parts.append(node.text or "")
        elif tag in _BREAKS:
            parts.append(_BREAKS[tag])
        elif tag not in (_FALLBACK, f"{_W}pPr", f"{_W}rPr", f"{_W}del", f"{_W}instrText"):
            if tag == f"{_W}p" and parts:
                parts.append("\n")
            stack.extend(reversed(node))
    return "".join(parts)


def _write_notes(writer: Writer, root: Any) -> None:
    for note in root:
        if note.get(f"{_W}type") in (None, "normal"):
            writer.add(_text(note), "note")
