"""ZIP containers (DOCX, XLSX, PPTX, ODF), opened within bounds.

An archive is refused where it would inflate beyond what a document needs (a ZIP bomb), or where one of its XML parts
declares a document type: ECMA-376 part 2, clause 8.1.4 forbids it in Office files, and entity bombs and external
entities need one. Nothing is ever written to disk, so a member's path cannot climb anywhere.
"""

from __future__ import annotations

import io
import re
import zipfile

from isthmus.errors import DocumentRejected

MAX_INFLATED = 300_000_000
MAX_MEMBERS = 10_000
#: Office XML rarely shrinks more than 1:50; a bomb is near DEFLATE's limit of 1:1032.
MAX_RATIO = 250
_SMALL = 5_000_000
_DTD = re.compile(rb"<!\s*(?:DOCTYPE|ENTITY)|<\0!\0(?:D\0O\0C\0T\0Y\0P\0E|E\0N\0T\0I\0T\0Y)", re.IGNORECASE)


def members(data: bytes) -> frozenset[str]:
    """The names inside. Raises ``zipfile.BadZipFile`` where there is no readable directory."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return frozenset(archive.namelist())


def check(data: bytes) -> None:
    """Raise :class:`DocumentRejected` for a bomb, an encrypted archive, or XML with a document type."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = archive.infolist()
        _check_sizes(entries)
        for entry in entries:
            if entry.filename.endswith((".xml", ".rels", ".vml")) and _DTD.search(archive.read(entry)):
                raise DocumentRejected(
                    "One of its parts declares an XML document type, which Office files must not.",
                    hint="Open the file in its program and save it again.",
                )


def _check_sizes(entries: list[zipfile.ZipInfo]) -> None:
    """Declared sizes bound what ``zipfile`` ever inflates, so a lie here only truncates the member."""
    inflated = sum(entry.file_size for entry in entries)
    bomb = any(entry.file_size > _SMALL and entry.file_size > MAX_RATIO * entry.compress_size for entry in entries)
    if inflated > MAX_INFLATED or len(entries) > MAX_MEMBERS or bomb:
        raise DocumentRejected(
            f"It would inflate to {inflated:,} bytes in {len(entries):,} parts: more than a document needs.",
            hint="If the file is honest, remove its large media and save it again.",
        )
    if any(entry.flag_bits & 1 for entry in entries):
        raise encrypted()


def encrypted() -> DocumentRejected:
    return DocumentRejected("It is encrypted.", hint="Save it without a password, then ingest it again.")
