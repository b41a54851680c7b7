"""Excel: a sheet is a page; tables are found between empty rows; every row stands alone with its headers.

Values are those that Excel stored last; formulas are not computed.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any

from isthmus.data.parsing.archive import check
from isthmus.data.parsing.parsed import Parsed, Writer
from isthmus.data.parsing.raw import Raw
from isthmus.data.parsing.registry import NAMED, NO, PROVEN, Parsers
from isthmus.data.parsing.tables import write_table
from isthmus.errors import DocumentRejected

_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
_MAX_CELLS = 1_000_000
#: A used range may claim a million rows and hold three; rows are scanned no further than this past the last value.
_MAX_EMPTY_ROWS = 10_000


class Xlsx:
    def claims(self, raw: Raw) -> int:
        if "xl/workbook.xml" in raw.members:
            return PROVEN
        return NAMED if raw.extension in ("xlsx", "xlsm", "xltx") and raw.text is None else NO

    def parse(self, raw: Raw, parsers: Parsers) -> Parsed:
        import openpyxl

        check(raw.data)
        book = openpyxl.load_workbook(raw.stream(), read_only=True, data_only=True, keep_links=False)
        writer = Writer()
        try:
            for number, sheet in enumerate(book.worksheets, 1):
                writer.turn(number)
                writer.heading(sheet.title, 1)
                sheet.reset_dimensions()  # what the file claims about its used range is not to be believed
                for table in regions(_values(row) for row in sheet.iter_rows()):
                    write_table(writer, table)
            return writer.finish(book.properties.title or raw.stem, _TYPE)
        finally:
            book.close()


def regions(rows: Iterable[list[str]]) -> Iterator[list[list[str]]]:
    """Tables in a grid: runs of rows between empty rows, then of columns between empty columns.
    Raises :class:`DocumentRejected` beyond a million filled cells."""
    region: list[list[str]] = []
    filled = empty = 0
    for row in rows:
        if any(row):
            filled += sum(map(bool, row))
            if filled > _MAX_CELLS:
                raise DocumentRejected(f"It holds more than {_MAX_CELLS:,} filled cells.", hint="Split the file.")
            region.append(row)
            empty = 0
            continue
        if region:
            yield from _side_by_side(region)
            region = []
        empty += 1
        if empty > _MAX_EMPTY_ROWS:
            return
    if region:
        yield from _side_by_side(region)


def _side_by_side(region: list[list[str]]) -> list[list[list[str]]]:
    """Tables beside each other, each at least two columns wide; else the region without its empty columns."""
    width = max(map(len, region))
    padded = [row + [""] * (width - len(row)) for row in region]
    used = [any(row[place] for row in padded) for place in range(width)]
    spans = [
        [place for place, _ in columns] for filled, columns in groupby(enumerate(used), lambda pair: pair[1]) if filled
    ]
    if len(spans) > 1 and all(len(span) > 1 for span in spans) and len(region) > 2:
        return [table for span in spans for table in _stacked([row[span[0] : span[-1] + 1] for row in padded])]
    return [[[row[place] for place in range(width) if used[place]] for row in padded]]


def _stacked(rows: list[list[str]]) -> list[list[list[str]]]:
    """Within its own columns a table may begin lower or end earlier than its neighbour."""
    return [list(table) for filled, table in groupby(rows, any) if filled]


def _values(row: Iterable[Any]) -> list[str]:
    return [_value(cell) for cell in row]


def _value(cell: Any) -> str:
    value = cell.value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dt.datetime):
        return value.date().isoformat() if value.time() == dt.time() else value.isoformat(" ", "minutes")
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    if isinstance(value, float | int):
        return _number(value, str(cell.number_format))
    return str(value)


def _number(value: float, shape: str) -> str:
    if shape.rstrip().endswith("%"):
        return f"{value * 100:.10g} %"
    return str(value) if isinstance(value, int) else f"{value:.12g}"
