"""PowerPoint: a slide is a page; its title is the heading; tables, charts, groups and speaker notes are read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from isthmus.data.parsing.archive import check
from isthmus.data.parsing.parsed import Parsed, Writer
from isthmus.data.parsing.raw import Raw
from isthmus.data.parsing.registry import NAMED, NO, PROVEN, Parsers
from isthmus.data.parsing.tables import write_table

_TYPE = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
_MAX_DEPTH = 20


class Pptx:
    def claims(self, raw: Raw) -> int:
        if "ppt/presentation.xml" in raw.members:
            return PROVEN
        return NAMED if raw.extension in ("pptx", "pptm", "ppsx") and raw.text is None else NO

    def parse(self, raw: Raw, parsers: Parsers) -> Parsed:
        import pptx

        check(raw.data)
        presentation = pptx.Presentation(raw.stream())
        writer = Writer()
        for number, slide in enumerate(presentation.slides, 1):
            writer.turn(number)
            _write_slide(writer, slide)
        return writer.finish(presentation.core_properties.title or "", _TYPE)


def _write_slide(writer: Writer, slide: Any) -> None:
    title = slide.shapes.title
    if title is not None and title.has_text_frame:
        writer.heading(title.text_frame.text, 1)
    for shape in _shapes(slide.shapes):
        if title is None or shape.shape_id != title.shape_id:
            _write_shape(writer, shape)
    if slide.has_notes_slide and slide.notes_slide.notes_text_frame is not None:
        writer.add(slide.notes_slide.notes_text_frame.text, "note")


def _shapes(shapes: Any, depth: int = 0) -> Iterator[Any]:
    """Every shape, also those in groups. A group is told by its shapes, since asking a broken picture raises."""
    for shape in shapes:
        if hasattr(shape, "shapes") and depth < _MAX_DEPTH:
            yield from _shapes(shape.shapes, depth + 1)
        else:
            yield shape


def _write_shape(writer: Writer, shape: Any) -> None:
    if shape.has_text_frame:
        for paragraph in shape.text_frame.paragraphs:
            writer.add(paragraph.text, "list")
    elif getattr(shape, "has_table", False):
        rows = [[cell.text for cell in row.cells] for row in shape.table.rows]
        write_table(writer, rows, bool(shape.table.first_row))
    elif getattr(shape, "has_chart", False):
        _write_chart(writer, shape.chart)


def _write_chart(writer: Writer, chart: Any) -> None:
    if chart.has_title and chart.chart_title.has_text_frame:
        writer.add(chart.chart_title.text_frame.text)
    for plot in chart.plots:
        categories = [str(category) for category in plot.categories]
        header = ["", *(series.name or "" for series in plot.series)]
        columns = [list(series.values) for series in plot.series]
        rows = [[name, *(_cell(column, place) for column in columns)] for place, name in enumerate(categories)]
        write_table(writer, [header, *rows], header=True)


def _cell(column: list[Any], place: int) -> str:
    value = column[place] if place < len(column) else None
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
