"""CSV and TSV: the delimiter is found, ragged rows are kept, each row stands alone with its headers."""

from __future__ import annotations

import csv
import io
from collections import Counter

from isthmus.data.parsing.parsed import Parsed, Writer
from isthmus.data.parsing.raw import Raw
from isthmus.data.parsing.registry import NAMED, NO, Parsers
from isthmus.data.parsing.tables import looks_like_header, write_table

_DELIMITERS = ",;\t|"
_SAMPLE_ROWS = 50
_TYPES = {"csv": "text/csv", "tsv": "text/tab-separated-values", "tab": "text/tab-separated-values"}


class Delimited:
    def claims(self, raw: Raw) -> int:
        return NAMED if raw.extension in _TYPES and raw.text is not None else NO

    def parse(self, raw: Raw, parsers: Parsers) -> Parsed:
        text = (raw.text or "").replace("\0", "")
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter(text)))
        writer = Writer()
        ragged = sum(1 for row in rows if row and len(row) != len(rows[0]))
        if ragged:
            writer.note(f"{ragged} of {len(rows)} rows have another number of cells than the first; all were kept.")
        write_table(writer, rows, None if not rows else looks_like_header(rows) or _all_words(rows[0]))
        return writer.finish(raw.stem, _TYPES[raw.extension])


def delimiter(text: str) -> str:
    """The one that splits most of the first rows into the same number of cells, the more cells the better."""

    def fit(candidate: str) -> tuple[float, int]:
        reader = csv.reader(io.StringIO(text[:65_536], newline=""), delimiter=candidate)
        widths = Counter(len(row) for row, _ in zip(reader, range(_SAMPLE_ROWS), strict=False) if row)
        width, rows = max(widths.items(), key=lambda item: (item[0] > 1, item[1]), default=(1, 0))
        return (rows / widths.total() if width > 1 else 0.0), width

    return max(_DELIMITERS, key=fit)


def _all_words(first: list[str]) -> bool:
    """A CSV file's first row names its columns unless a cell in it is empty or a number."""
    return len(first) > 1 and all(cell.strip() and not cell.strip()[0].isdigit() for cell in first)
