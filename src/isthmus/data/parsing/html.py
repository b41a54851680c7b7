"""HTML as a reader sees it: no scripts, no styles, nothing hidden, and nothing fetched."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from isthmus.data.parsing.parsed import Kind, Parsed, Writer
from isthmus.data.parsing.raw import Raw
from isthmus.data.parsing.registry import NAMED, NO, PROVEN, Parsers
from isthmus.data.parsing.tables import write_table
from isthmus.errors import DocumentRejected

_EXTENSIONS = frozenset({"html", "htm", "xhtml"})
# fmt: off
_UNSEEN = frozenset({
    "script", "style", "template", "noscript", "svg", "math", "head", "iframe", "object", "embed", "canvas", "audio",
    "video", "select", "datalist", "nav",
})
_BLOCK = frozenset({
    "address", "article", "aside", "blockquote", "body", "br", "caption", "center", "dd", "details", "dialog", "div",
    "dl", "dt", "fieldset", "figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header",
    "hr", "html", "legend", "li", "main", "ol", "p", "pre", "section", "summary", "table", "tbody", "td", "tfoot",
    "th", "thead", "tr", "ul",
})
# fmt: on
_HEADING = {f"h{level}": level for level in range(1, 7)}
_HIDDEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
_CHARSET = re.compile(rb"<meta[^>]+charset\s*=\s*[\"']?\s*([\w.:-]+)", re.IGNORECASE)
_KINDS: dict[str, Kind] = {"li": "list", "pre": "code", "dt": "list", "dd": "list"}


class Html:
    def claims(self, raw: Raw) -> int:
        if raw.text is None:
            return NO
        if raw.head.startswith((b"<!doctype html", b"<html")):
            return PROVEN
        return NAMED if raw.extension in _EXTENSIONS else NO

    def parse(self, raw: Raw, parsers: Parsers) -> Parsed:
        writer = Writer()
        title = write_html(writer, _decoded(raw))
        return writer.finish(title, "text/html")


def write_html(writer: Writer, text: str) -> str:
    """Append what the page shows; returns its title."""
    from lxml import html

    # huge_tree: libxml2 then nests to 2,048 instead of 256; sizes are bounded by the file and the process.
    parser = html.HTMLParser(no_network=True, remove_comments=True, remove_pis=True, huge_tree=True)
    # lxml refuses text with an XML encoding declaration, and NUL ends a document for libxml2.
    plain = re.sub(r"^\s*<\?xml[^>]*>", "", text.replace("\0", ""), count=1)
    if not plain.strip():
        return ""
    root = html.document_fromstring(plain, parser=parser)
    if any(entry.type_name == "ERR_RESOURCE_LIMIT" for entry in parser.error_log):
        raise DocumentRejected("It is nested too deep to be read whole.", hint="Save it as text or PDF.")
    title = root.findtext(".//title") or ""
    _Walk(writer).run(root)
    return title


def _decoded(raw: Raw) -> str:
    """As the page declares its encoding, where that is one; else as any text."""
    match = _CHARSET.search(raw.data[:4096])
    if match and not raw.data.startswith((b"\xff\xfe", b"\xfe\xff")):
        try:
            return raw.data.decode(match[1].decode("ascii"))
        except (LookupError, UnicodeDecodeError):
            pass
    return raw.text or ""


class _Walk:
    """Walks the tree with a stack of its own, so that depth costs no recursion."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._line: list[str] = []
        self._kind: Kind = "paragraph"
        self._level = 0

    def run(self, root: Any) -> None:
        stack: list[tuple[Any, bool]] = [(root, False)]
        while stack:
            element, leaving = stack.pop()
            if leaving:
                self._leave(element)
            elif _seen(element):
                if self._enter(element):
                    stack.append((element, True))
                    stack.extend((child, False) for child in reversed(element))
            else:
                self._say(element.tail)
        self._flush()

    def _enter(self, element: Any) -> bool:
        """Whether the element's children are to be walked."""
        tag = element.tag
        if tag in _BLOCK:
            self._flush()
            self._kind = _KINDS.get(tag, "paragraph")
            self._level = _HEADING.get(tag, 0)
        if tag == "table" and not _layout(element):
            write_table(self._writer, _rows(element), True if element.find(".//th") is not None else None)
            self._say(element.tail)
            return False
        if tag == "img" and (alt := element.get("alt")):
            self._say(f" {alt} ")
        self._say(element.text)
        return True

    def _leave(self, element: Any) -> None:
        if element.tag in _BLOCK:
            self._flush()
            self._kind, self._level = "paragraph", 0
        self._say(element.tail)

    def _say(self, text: str | None) -> None:
        if text:
            self._line.append(text)

    def _flush(self) -> None:
        text = "".join(self._line)
        self._line.clear()
        if self._kind != "code":
            text = " ".join(text.split())
        if not text.strip():
            return
        if self._level:
            self._writer.heading(text, self._level)
        elif self._kind == "list":
            self._writer.add(f"- {text}", "list")
        else:
            self._writer.add(text, self._kind)


def _seen(element: Any) -> bool:
    if not isinstance(element.tag, str) or element.tag in _UNSEEN:
        return False
    return element.get("hidden") is None and not _HIDDEN.search(element.get("style") or "")


def _layout(table: Any) -> bool:
    """A table that only arranges: it holds headings, or a single column of blocks."""
    return table.find(".//h1") is not None or table.find(".//h2") is not None or len(_widths(table)) == 0


def _widths(table: Any) -> list[int]:
    return [width for row in _own_rows(table) if (width := len(row.xpath("./td|./th"))) > 1]


def _own_rows(table: Any) -> list[Any]:
    """Rows of the table itself, not of tables within it."""
    return list(table.xpath("./tr|./thead/tr|./tbody/tr|./tfoot/tr"))


def _rows(table: Any) -> Iterator[list[str]]:
    caption = table.find("caption")
    if caption is not None:
        yield [_text(caption)]
    for row in _own_rows(table):
        yield [_text(cell) for cell in row.xpath("./td|./th")]


def _text(element: Any) -> str:
    """All that is seen within, on one line, with space where blocks meet."""
    parts: list[str] = []
    stack: list[Any] = [element]
    while stack:
        node = stack.pop()
        if isinstance(node, str):
            parts.append(node)
            continue
        stack.append(" " if node.tag in _BLOCK else "")
        for child in reversed(node):
            stack.append(child.tail or "")
            if _seen(child):
                stack.append(child)
        stack.append(node.text or "")
    return " ".join("".join(parts).split())
