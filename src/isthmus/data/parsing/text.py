"""Plain text, and whatever else is text: paragraphs are set apart by empty lines."""

from __future__ import annotations

import re

from isthmus.data.parsing.parsed import Parsed, Writer
from isthmus.data.parsing.raw import Raw
from isthmus.data.parsing.registry import FALLBACK, NAMED, NO, Parsers

_EXTENSIONS = frozenset({"txt", "text", "log"})
_EMPTY_LINE = re.compile(r"\n[ \t]*\n")


class PlainText:
    """Any text is read as plain text where nobody knows it better."""

    def claims(self, raw: Raw) -> int:
        if raw.text is None:
            return NO
        return NAMED if raw.extension in _EXTENSIONS else FALLBACK

    def parse(self, raw: Raw, parsers: Parsers) -> Parsed:
        writer = Writer()
        write_paragraphs(writer, raw.text or "")
        return writer.finish(raw.stem, "text/plain")


def write_paragraphs(writer: Writer, text: str) -> None:
    for paragraph in _EMPTY_LINE.split(text.replace("\r\n", "\n").replace("\r", "\n")):
        writer.add(paragraph)
