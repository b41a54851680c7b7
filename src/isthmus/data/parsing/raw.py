"""The bytes of one file, and what its content says about itself. Content is believed before the file's name."""

from __future__ import annotations

import codecs
import io
import re
import zipfile
from functools import cached_property
from pathlib import PurePosixPath

from isthmus.data.parsing.archive import members

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
_SAMPLE = 32_768
_ZIP = b"PK\3\4"
#: A text may hold this share of control characters; compressed or random bytes hold about 12 %.
_TEXT_CONTROLS = 0.02
_STRAY = 4
#: Shorter texts say too little for a statistical guess.
_GUESSABLE = 256


class Raw:
    """One file as given: ``data``, and the ``name`` that it came with."""

    def __init__(self, data: bytes, name: str) -> None:
        self.data = data
        self.name = name

    @property
    def extension(self) -> str:
        """In lower case, without the dot."""
        return PurePosixPath(self.name).suffix[1:].lower()

    @property
    def stem(self) -> str:
        return PurePosixPath(self.name).stem

    @cached_property
    def head(self) -> bytes:
        """The first bytes, after any byte order mark and white space, in lower case."""
        return self.data[:1024].removeprefix(codecs.BOM_UTF8).lstrip().lower()

    @cached_property
    def members(self) -> frozenset[str]:
        """Names inside, where the file is a readable ZIP archive."""
        if not self.data.startswith(_ZIP):
            return frozenset()
        try:
            return members(self.data)
        except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError):
            return frozenset()

    @cached_property
    def text(self) -> str | None:
        """The content as text, or ``None`` where it is binary."""
        if self.data.startswith(_ZIP):
            return None
        text = decode(self.data)
        sample = text[:_SAMPLE]
        controls = len(_CONTROL.findall(sample))
        return text if controls <= _STRAY + _TEXT_CONTROLS * len(sample) else None

    def stream(self) -> io.BytesIO:
        return io.BytesIO(self.data)


def decode(data: bytes) -> str:
    """Bytes to text: byte order mark, UTF-8, unmarked UTF-16, a statistical guess, and at last Windows-1252."""
    encoding = next((name for mark, name in _BOMS if data.startswith(mark)), None) or _unmarked_utf16(data)
    if encoding is not None:
        return data.decode(encoding, errors="replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode(_guess(data) or "cp1252", errors="replace")


def _unmarked_utf16(data: bytes) -> str | None:
    """Text in Latin script has a zero in every other byte."""
    sample = data[:_SAMPLE]
    half = len(sample) // 2
    if half < 2:
        return None
    if sample[1::2].count(0) > 0.7 * half and sample[::2].count(0) < 0.1 * half:
        return "utf-16-le"
    if sample[::2].count(0) > 0.7 * half and sample[1::2].count(0) < 0.1 * half:
        return "utf-16-be"
    return None


def _guess(data: bytes) -> str | None:
    if len(data) < _GUESSABLE:
        return None
    from charset_normalizer import from_bytes

    best = from_bytes(data[:_SAMPLE]).best()
    return None if best is None else best.encoding
