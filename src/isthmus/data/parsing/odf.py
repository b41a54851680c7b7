"""OpenDocument text, sheets and slides (ISO/IEC 26300): paragraphs, headings, lists and tables of ``content.xml``."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from typing import Any

from isthmus.data.parsing.archive import check, encrypted
from isthmus.data.parsing.parsed import Parsed, Writer
from isthmus.data.parsing.raw import Raw
from isthmus.data.parsing.registry import NO, PROVEN, Parsers
from isthmus.data.parsing.tables import write_table
from isthmus.data.parsing.xlsx import regions
from isthmus.data.parsing.xmlfile import parse_xml

_TEXT = "{urn:oasis:names:tc:opendocument:xmlns:text:1.0}"
_TABLE = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"
_DRAW = "{urn:oasis:names:tc:opendocument:xmlns:drawing:1.0}"
_OFFICE = "{urn:oasis:names:tc:opendocument:xmlns:office:1.0}"
_TYPE = "application/vnd.oasis.opendocument"
#: A row or cell may say that it repeats a million times; so many are believed.
_MAX_REPEAT = 50
_PARAGRAPHS = (f"{_TEXT}p", f"{_TEXT}h")


class OpenDocument:
    def claims(self, raw: Raw) -> int:
        return PROVEN if {"mimetype", "content.xml"} <= raw.members else NO

    def parse(self, raw: Raw, parsers: Parsers) -> Parsed:
        check(raw.data)
        with zipfile.ZipFile(raw.stream()) as archive:
            media_type = archive.read("mimetype").decode("ascii", errors="replace").strip()
            if b"encryption-data" in archive.read("META-INF/manifest.xml"):
                raise encrypted()
            root = parse_xml(archive.read("content.xml"))
        writer = Writer()
        body = root.find(f"{_OFFICE}body")
        _walk(writer, body if body is not None else root)
        return writer.finish("", media_type if media_type.startswith(_TYPE) else _TYPE)


def _walk(writer: Writer, body: Any) -> None:
    stack = list(reversed(body))
    page = 0
    while stack:
        element = stack.pop()
        if element.tag == f"{_TABLE}table":
            if element.getparent().tag == f"{_OFFICE}spreadsheet":
                page += 1
                writer.turn(page)
                writer.heading(element.get(f"{_TABLE}name") or "", 1)
            for region in regions(_rows(element)):
                write_table(writer, region)
        elif element.tag in _PARAGRAPHS:
            _write_paragraph(writer, element)
        elif element.tag != f"{_TEXT}tracked-changes":
            if element.tag == f"{_DRAW}page":
                page += 1
                writer.turn(page)
            stack.extend(reversed(element))


def _write_paragraph(writer: Writer, element: Any) -> None:
    text = _text(element)
    if element.tag == f"{_TEXT}h":
        writer.heading(text, int(element.get(f"{_TEXT}outline-level") or 1))
    elif next(element.iterancestors(f"{_TEXT}list-item"), None) is not None and text.strip():
        writer.add(f"- {text}", "list")
    else:
        writer.add(text)


def _rows(table: Any) -> Iterator[list[str]]:
    for row in table.iter(f"{_TABLE}table-row"):
        cells: list[str] = []
        for cell in row.iterchildren(f"{_TABLE}table-cell", f"{_TABLE}covered-table-cell"):
            text = " ".join(_text(paragraph) for paragraph in cell.iter(*_PARAGRAPHS))
            cells += [text] * _repeat(cell, "number-columns-repeated")
        for _ in range(_repeat(row, "number-rows-repeated")):
            yield cells


def _repeat(element: Any, attribute: str) -> int:
    return min(int(element.get(f"{_TABLE}{attribute}") or 1), _MAX_REPEAT)


def _text(element: Any) -> str:
    """Text with the spaces, tabs and breaks that ODF writes as elements (part 3, 6.1)."""
    parts = [element.text or ""]
    for child in element.iterdescendants():
        if child.tag == f"{_TEXT}s":
            parts.append(" " * min(int(child.get(f"{_TEXT}c") or 1), 100))
        elif child.tag in (f"{_TEXT}tab", f"{_TEXT}line-break"):
            parts.append("\t" if child.tag.endswith("tab") else "\n")
        elif isinstance(child.tag, str):
            parts.append(child.text or "")
        parts.append(child.tail or "")
    return "".join(parts)
