"""Rows of cells as lines that stand alone: ``Header: value; Header: value``.

A chunk may begin at any row, and a small model or a keyword index knows nothing of columns, so each line repeats the
header.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from isthmus.data.parsing.clean import clean_line
from isthmus.data.parsing.parsed import Writer

_NUMBER = re.compile(r"[^\w]*[-+]?[\d][\d.,:/\s'’%-]*[^\w]*(?:[A-Za-z€$£%]{1,3})?")
_MAX_HEADER = 60


def write_table(writer: Writer, rows: Iterable[Sequence[str]], header: bool | None = None) -> None:
    """Write each row as a block. ``header`` says whether the first row names the columns; ``None``: look."""
    tidy = [[clean_line(cell) for cell in row] for row in rows]
    filled = [row for row in tidy if any(row)]
    while filled and len(filled) > 1 and _cells(filled[0]) == 1 and max(map(_cells, filled)) > 1:
        writer.add(" ".join(filled.pop(0)).strip())
    if not filled:
        return
    named = looks_like_header(filled) if header is None else header and len(filled) > 1
    names = filled[0] if named else []
    for row in filled[1:] if named else filled:
        writer.add(_line(names, row), "row")


def looks_like_header(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first row names columns: short distinct words over at least two columns, no numbers, and more
    than two of them or numbers below (two columns of words are more often name and value)."""
    if len(rows) < 2:
        return False
    first, rest = rows[0], rows[1:]
    filled = [cell for cell in first if cell]
    if len(filled) < max(2, len(first) - 1) or len(set(filled)) != len(filled):
        return False
    if any(len(cell) > _MAX_HEADER or _NUMBER.fullmatch(cell) for cell in filled):
        return False
    return len(filled) > 2 or all(_NUMBER.fullmatch(row[-1]) for row in rest if row)


def _line(names: Sequence[str], row: Sequence[str]) -> str:
    if not names:
        return (": " if _cells(row) == 2 == len(row) else " | ").join(cell for cell in row if cell)
    labels = [*names, *("" for _ in row[len(names) :])]
    return "; ".join(f"{name}: {cell}" if name else cell for name, cell in zip(labels, row, strict=False) if cell)


def _cells(row: Sequence[str]) -> int:
    return sum(1 for cell in row if cell)
