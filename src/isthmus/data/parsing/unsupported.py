"""Formats that are known and not read: each is refused with its name and with what to do."""

from __future__ import annotations

from typing import NoReturn

from isthmus.data.parsing.archive import encrypted
from isthmus.data.parsing.raw import Raw
from isthmus.data.parsing.registry import NO, PROVEN, Parsers
from isthmus.errors import DocumentRejected

_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
#: Streams in a compound file ([MS-CFB]) that tell what program wrote it.
_STREAMS = (
    ("WordDocument", "an old Word file (.doc)", "DOCX"),
    ("Workbook", "an old Excel file (.xls)", "XLSX"),
    ("Book", "an old Excel file (.xls)", "XLSX"),
    ("PowerPoint Document", "an old PowerPoint file (.ppt)", "PPTX"),
    ("__substg1.0_", "an Outlook message (.msg)", "EML"),
)
_SCAN = "a picture; reading text from pictures (OCR) is not built in"
_MAGIC = (
    (b"\x89PNG", _SCAN, "a PDF with a text layer"),
    (b"\xff\xd8\xff", _SCAN, "a PDF with a text layer"),
    (b"GIF8", _SCAN, "a PDF with a text layer"),
    (b"II*\0", _SCAN, "a PDF with a text layer"),
    (b"MM\0*", _SCAN, "a PDF with a text layer"),
    (b"RIFF", "a picture, sound or video", "text: a transcript"),
    (b"ID3", "a sound recording", "text: a transcript"),
    (b"OggS", "a sound recording", "text: a transcript"),
    (b"\x1f\x8b", "a gzip archive", "single files: unpack it"),
    (b"7z\xbc\xaf", "a 7z archive", "single files: unpack it"),
    (b"Rar!", "a RAR archive", "single files: unpack it"),
    (b"BZh", "a bzip2 archive", "single files: unpack it"),
    (b"\xfd7zXZ", "an xz archive", "single files: unpack it"),
    (b"\x7fELF", "a program", "a document"),
    (b"SQLite format 3\0", "a database", "CSV"),
    (b"%!PS", "PostScript", "PDF"),
)
_OFFICE = ("[Content_Types].xml", "mimetype", "content.xml")


class Unsupported:
    def claims(self, raw: Raw) -> int:
        if raw.data.startswith(_OLE) or any(raw.data.startswith(magic) for magic, _, _ in _MAGIC):
            return PROVEN
        archive = bool(raw.members) and not raw.members.intersection(_OFFICE)
        return PROVEN if archive else NO

    def parse(self, raw: Raw, parsers: Parsers) -> NoReturn:
        if raw.data.startswith(_OLE):
            raise _compound(raw.data)
        for magic, what, target in _MAGIC:
            if raw.data.startswith(magic):
                raise _refusal(what, target)
        raise _refusal("a ZIP archive", "single files: unpack it")


def _compound(data: bytes) -> DocumentRejected:
    """[MS-OFFCRYPTO] 2.3.4.4: an encrypted Office file is a compound file with a stream ``EncryptedPackage``."""
    if "EncryptedPackage".encode("utf-16-le") in data:
        return encrypted()
    for stream, what, target in _STREAMS:
        if stream.encode("utf-16-le") in data:
            return _refusal(what, target)
    return _refusal("an old Office file", "DOCX, XLSX or PDF")


def _refusal(what: str, target: str) -> DocumentRejected:
    return DocumentRejected(f"It is {what}, which is not read.", hint=f"Convert it to {target}.")
