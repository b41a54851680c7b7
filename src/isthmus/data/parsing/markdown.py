"""Markdown, kept as it is written (models read it well); headings, lists, code and tables become blocks."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from isthmus.data.parsing.parsed import Parsed, Writer
from isthmus.data.parsing.raw import Raw
from isthmus.data.parsing.registry import NAMED, NO, Parsers
from isthmus.data.parsing.tables import write_table

_HEADING = re.compile(r"^ {0,3}(#{1,6})(?:[ \t]+(.*?))?(?:[ \t]+#*)?$")
_UNDERLINE = re.compile(r"^ {0,3}(=+|-+)[ \t]*$")
_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})")
_ITEM = re.compile(r"^\s*(?:[-*+]|\d{1,9}[.)])\s")
_RULE = re.compile(r"^\s*\|?(?:\s*:?-+:?\s*\|)+\s*(?::?-+:?\s*)?$")
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_CELL = re.compile(r"(?<!\\)\|")


class Markdown:
    def claims(self, raw: Raw) -> int:
        named = raw.extension in ("md", "markdown", "mdown", "mkd")
        return NAMED if named and raw.text is not None else NO

    def parse(self, raw: Raw, parsers: Parsers) -> Parsed:
        writer = Writer()
        title, body = _front_matter((raw.text or "").replace("\r\n", "\n").replace("\r", "\n"))
        write_markdown(writer, body)
        return writer.finish(title, "text/markdown")


def write_markdown(writer: Writer, text: str) -> None:
    """Append the blocks of a Markdown text. Comments, which no reader sees, are left out."""
    lines = _COMMENT.sub("", text).split("\n")
    for kind, group in _groups(lines):
        _WRITE[kind](writer, group)


def _groups(lines: list[str]) -> Iterator[tuple[str, list[str]]]:
    """Runs of lines that belong together: ``heading``, ``code``, ``table``, ``list`` or ``paragraph``."""
    place = 0
    while place < len(lines):
        kind, end = _extent(lines, place)
        if kind:
            yield kind, lines[place:end]
        place = end


def _extent(lines: list[str], start: int) -> tuple[str, int]:
    line = lines[start]
    if not line.strip():
        return "", start + 1
    if fence := _FENCE.match(line):
        return "code", _closing(lines, start, fence[1])
    if _HEADING.match(line):
        return "heading", start + 1
    if "|" in line and start + 1 < len(lines) and _RULE.match(lines[start + 1]):
        return "table", _until(lines, start, lambda text: "|" not in text)
    if _ITEM.match(line):
        return "list", _until(lines, start, lambda text: bool(_ITEM.match(text)) or _starts_block(text))
    end = _until(lines, start, lambda text: bool(_UNDERLINE.match(text) or _ITEM.match(text)) or _starts_block(text))
    if end < len(lines) and _UNDERLINE.match(lines[end]) and lines[end - 1].strip():
        return "underlined", end + 1
    return "paragraph", end


def _until(lines: list[str], start: int, stops: Callable[[str], bool]) -> int:
    return next(
        (place for place in range(start + 1, len(lines)) if not lines[place].strip() or stops(lines[place])),
        len(lines),
    )


def _starts_block(text: str) -> bool:
    return bool(_HEADING.match(text) or _FENCE.match(text))


def _closing(lines: list[str], start: int, fence: str) -> int:
    for place in range(start + 1, len(lines)):
        if lines[place].strip().startswith(fence) and not lines[place].strip().strip(fence[0]):
            return place + 1
    return len(lines)


def _heading(writer: Writer, lines: list[str]) -> None:
    match = _HEADING.match(lines[0])
    if match:
        writer.heading(match[2] or "", len(match[1]))


def _underlined(writer: Writer, lines: list[str]) -> None:
    writer.heading(" ".join(lines[:-1]), 1 if "=" in lines[-1] else 2)


def _table(writer: Writer, lines: list[str]) -> None:
    rows = [_CELL.split(line.strip().strip("|")) for place, line in enumerate(lines) if place != 1]
    write_table(writer, rows, header=True)


_WRITE: dict[str, Callable[[Writer, list[str]], None]] = {
    "heading": _heading,
    "underlined": _underlined,
    "table": _table,
    "code": lambda writer, lines: writer.add("\n".join(lines), "code"),
    "list": lambda writer, lines: writer.add("\n".join(lines), "list"),
    "paragraph": lambda writer, lines: writer.add("\n".join(lines)),
}


def _front_matter(text: str) -> tuple[str, str]:
    """The title that a YAML header names, and the text below the header."""
    match = re.match(r"\A---\n(.*?)\n---\n", text, re.DOTALL)
    if match is None:
        return "", text
    title = re.search(r"^title:[ \t]*(.+)$", match[1], re.MULTILINE)
    return (title[1].strip().strip("\"'") if title else ""), text[match.end() :]
