"""Rich Text Format (Microsoft's specification 1.9.1): the text of the main story, without formatting."""

from __future__ import annotations

import re

from isthmus.data.parsing.parsed import Parsed, Writer
from isthmus.data.parsing.raw import Raw
from isthmus.data.parsing.registry import NO, PROVEN, Parsers
from isthmus.data.parsing.text import write_paragraphs

_TOKEN = re.compile(
    rb"\\([a-zA-Z]{1,32})(-?\d{1,10})? ?|\\'([0-9a-fA-F]{2})|\\([^a-zA-Z])|([{}])|[\r\n]+|([^\\{}\r\n]+)"
)
#: Groups that hold no text of the document: page 9 and the destination tables of the specification.
_DESTINATIONS = frozenset(
    b"fonttbl colortbl stylesheet info pict object header footer headerl headerr headerf footerl footerr footerf"
    b" listtable listoverridetable rsidtbl generator themedata colorschememapping datastore latentstyles xmlnstbl"
    b" fldinst filetbl revtbl nonshppict bkmkstart bkmkend template".split()
)
_WORDS = {
    b"par": "\n\n", b"sect": "\n\n", b"page": "\n\n", b"line": "\n", b"row": "\n\n", b"cell": " | ", b"tab": "\t",
    b"emdash": "—", b"endash": "–", b"bullet": "•", b"lquote": "‘", b"rquote": "’",
    b"ldblquote": "“", b"rdblquote": "”",
}  # fmt: skip
_SYMBOLS = {b"~": "\xa0", b"_": "-", b"\n": "\n\n", b"\r": "\n\n", b"{": "{", b"}": "}", b"\\": "\\"}


class Rtf:
    def claims(self, raw: Raw) -> int:
        return PROVEN if raw.head.startswith(b"{\\rtf") else NO

    def parse(self, raw: Raw, parsers: Parsers) -> Parsed:
        writer = Writer()
        write_paragraphs(writer, _Reader(raw.data).text())
        return writer.finish(raw.stem, "application/rtf")


class _Reader:
    """One pass over the tokens. ``_skipping`` counts the group depth below which nothing is text."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._out: list[str] = []
        self._bytes = bytearray()
        self._codepage = "cp1252"
        self._fallback = [1]  # \uc: how many characters after \u are for old readers
        self._skipping = 0
        self._pending = 0

    def text(self) -> str:
        for match in _TOKEN.finditer(self._data):
            word, number, code, symbol, brace, plain = match.groups()
            if brace:
                self._brace(brace)
            elif word:
                self._word(word.lower(), number)
            elif code:
                self._raw(bytes([int(code, 16)]), 1)
            elif symbol == b"*":
                self._skip()
            elif symbol:
                self._say(_SYMBOLS.get(symbol, ""))
            elif plain:
                self._raw(plain, len(plain))
        self._flush()
        return "".join(self._out)

    def _brace(self, brace: bytes) -> None:
        self._flush()
        self._pending = 0
        if brace == b"{":
            self._fallback.append(self._fallback[-1])
            self._skipping += bool(self._skipping)
        else:
            if len(self._fallback) > 1:
                self._fallback.pop()
            self._skipping = max(0, self._skipping - 1)

    def _word(self, word: bytes, number: bytes | None) -> None:
        if word == b"u" and number:
            self._unicode(int(number))
        elif word == b"uc" and number:
            self._fallback[-1] = min(int(number), 16)
        elif word == b"ansicpg" and number:
            self._codepage = _known(int(number))
        elif word in _DESTINATIONS:
            self._skip()
        else:
            self._say(_WORDS.get(word, ""))

    def _unicode(self, number: int) -> None:
        self._flush()
        if not self._skipping:
            self._out.append(chr(number % 0x10000))
        self._pending = self._fallback[-1]

    def _raw(self, data: bytes, count: int) -> None:
        dropped = min(self._pending, count)
        self._pending -= dropped
        if not self._skipping:
            self._bytes += data[dropped:]

    def _say(self, text: str) -> None:
        self._flush()
        if not self._skipping and text:
            self._out.append(text)

    def _skip(self) -> None:
        self._flush()
        self._skipping = self._skipping or 1

    def _flush(self) -> None:
        if self._bytes:
            self._out.append(self._bytes.decode(self._codepage, errors="replace"))
            self._bytes.clear()


def _known(codepage: int) -> str:
    name = {65001: "utf-8", 932: "cp932"}.get(codepage, f"cp{codepage}")
    try:
        b"".decode(name)
    except LookupError:
        return "cp1252"
    return name
