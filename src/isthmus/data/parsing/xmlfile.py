"""XML of any vocabulary (JATS articles, RSS feeds, configuration): text in document order, titles as headings.

No entity is resolved, no document type is loaded, nothing is fetched (the XXE and entity-bomb family).
"""

from __future__ import annotations

import re
from typing import Any

from isthmus.data.parsing.html import write_html
from isthmus.data.parsing.parsed import Parsed, Writer
from isthmus.data.parsing.raw import Raw
from isthmus.data.parsing.registry import FALLBACK, NAMED, NO, Parsers

_EXTENSIONS = frozenset({"xml", "nxml", "rss", "atom", "svg", "xsd", "xsl", "kml", "opml"})
_TITLES = frozenset({"title", "article-title", "heading", "head"})
_LEAF_LENGTH = 4_000
_MARKUP = re.compile(r"</(?:p|a|div|li|h[1-6]|span|em|strong)>", re.IGNORECASE)


class Xml:
    def claims(self, raw: Raw) -> int:
        if raw.text is None:
            return NO
        if raw.extension in _EXTENSIONS:
            return NAMED
        return FALLBACK + 1 if raw.head.startswith(b"<?xml") else NO

    def parse(self, raw: Raw, parsers: Parsers) -> Parsed:
        root = parse_xml(raw.data)
        writer = Writer()
        _walk(writer, root)
        title = next((text for element in root.iter() if _name(element) in _TITLES if (text := _inner(element))), "")
        return writer.finish(title, "application/xml")


def parse_xml(data: bytes) -> Any:
    """The root element. Raises ``lxml.etree.XMLSyntaxError``."""
    from lxml import etree

    parser = etree.XMLParser(
        resolve_entities=False, load_dtd=False, no_network=True, huge_tree=False, remove_comments=True, remove_pis=True
    )
    return etree.fromstring(data, parser)


def _walk(writer: Writer, root: Any) -> None:
    """An element that mixes text with elements is one block; one that only holds elements is a container."""
    stack: list[tuple[Any, int]] = [(root, 0)]
    while stack:
        element, depth = stack.pop()
        name = _name(element)
        if not name:
            continue
        if len(element) and not _mixed(element):
            stack.extend((child, depth + 1) for child in reversed(element))
        elif name in _TITLES:
            writer.heading(_inner(element), depth)
        else:
            _leaf(writer, _inner(element))


def _leaf(writer: Writer, text: str) -> None:
    """Feeds carry escaped HTML inside their elements."""
    if _MARKUP.search(text[:_LEAF_LENGTH]):
        write_html(writer, text)
    else:
        writer.add(text)


def _mixed(element: Any) -> bool:
    own = element.text and element.text.strip()
    return bool(own) or any(child.tail and child.tail.strip() for child in element)


def _inner(element: Any) -> str:
    if not len(element):
        return (element.text or "").strip()
    return " ".join("".join(element.itertext(with_tail=False)).split())


def _name(element: Any) -> str:
    """The local name; nothing for an entity reference, which is not followed."""
    return element.tag.rpartition("}")[2].lower() if isinstance(element.tag, str) else ""
