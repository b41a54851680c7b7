"""Which parser reads a file: each says how sure it is, the surest wins. Built-ins come through the plug-ins' door."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from importlib.metadata import entry_points
from typing import Protocol

from isthmus.data.parsing.parsed import Parsed
from isthmus.data.parsing.raw import Raw
from isthmus.errors import DocumentRejected

ENTRY_POINTS = "isthmus.parsers"
#: How sure a parser is. ``FALLBACK``: any text will do; ``NAMED``: the extension says so and nothing speaks against
#: it; ``PROVEN``: the content itself says so.
NO, FALLBACK, NAMED, PROVEN = 0, 1, 2, 3
_MAX_NESTING = 3
SUPPORTED = (
    "Supported: text, Markdown, HTML, PDF, DOCX, PPTX, XLSX, CSV, TSV, EML, JSON, notebooks, XML, RTF, ODF, WebVTT."
)


class Parser(Protocol):
    """One family of formats, made without arguments. ``parse`` may raise anything: its bytes are hostile."""

    def claims(self, raw: Raw) -> int:
        """How sure it is that the file is its own: ``NO``, ``FALLBACK``, ``NAMED`` or ``PROVEN``."""
        ...

    def parse(self, raw: Raw, parsers: Parsers) -> Parsed: ...


class Parsers:
    """Every parser there is. ``depth`` counts files within files."""

    def __init__(self, parsers: Iterable[Parser], depth: int = 0) -> None:
        self._parsers = tuple(parsers)
        self._depth = depth

    @classmethod
    def installed(cls) -> Parsers:
        """All that are registered under ``isthmus.parsers``, in the order of their names."""
        found = sorted(entry_points(group=ENTRY_POINTS), key=lambda entry: entry.name)
        return cls(entry.load()() for entry in found)

    def parse(self, raw: Raw) -> Parsed:
        """Text and blocks. Raises :class:`DocumentRejected`, saying what is wrong and what to do."""
        if not raw.data.strip(b"\0 \t\r\n"):
            raise DocumentRejected("It is empty.", hint="Check that the file was saved and copied whole.")
        parser = max(self._parsers, key=lambda parser: parser.claims(raw), default=None)
        if parser is None or parser.claims(raw) == NO:
            raise DocumentRejected("It is binary data of an unknown kind.", hint=SUPPORTED)
        parsed = _guarded(parser, raw, self)
        return parsed if parsed.title else replace(parsed, title=raw.stem)

    def nested(self, raw: Raw) -> Parsed:
        """A file within a file."""
        if self._depth >= _MAX_NESTING:
            raise DocumentRejected("Files are nested too deep.", hint="Save the inner file and ingest it by itself.")
        return Parsers(self._parsers, self._depth + 1).parse(raw)


def _guarded(parser: Parser, raw: Raw, parsers: Parsers) -> Parsed:
    try:
        return parser.parse(raw, parsers)
    except DocumentRejected:
        raise
    except RecursionError as error:
        raise DocumentRejected("It is nested too deep.", hint="Flatten the file, or convert it to text.") from error
    except MemoryError as error:
        raise DocumentRejected("It needs more memory than parsing is given.", hint="Split the file.") from error
    except Exception as error:  # hostile bytes, others' code: anything may come
        raise DocumentRejected(
            f"It cannot be read as {raw.extension.upper() or 'a document'}: it is damaged, or not what its name says"
            f" ({type(error).__name__}).",
            hint="Open it in its own program and save it again, or export it as PDF.",
        ) from error
