"""JSON, JSON Lines and Jupyter notebooks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from isthmus.data.parsing.clean import clean_line
from isthmus.data.parsing.markdown import write_markdown
from isthmus.data.parsing.parsed import Parsed, Writer
from isthmus.data.parsing.raw import Raw
from isthmus.data.parsing.registry import NAMED, NO, Parsers


class Json:
    """Each value on a line of its own, with the path that leads to it: ``address.city: Lund``."""

    def claims(self, raw: Raw) -> int:
        return NAMED if raw.extension in ("json", "jsonl", "ndjson") and raw.text is not None else NO

    def parse(self, raw: Raw, parsers: Parsers) -> Parsed:
        writer = Writer()
        text = raw.text or ""
        if raw.extension == "json":
            _write(writer, json.loads(text))
        else:
            for line in text.splitlines():
                if line.strip():
                    record = "; ".join(
                        f"{path}: {value}" if path else value for path, value in _leaves(json.loads(line))
                    )
                    writer.add(record, "row")
        return writer.finish(raw.stem, "application/json")


def _write(writer: Writer, plain: Any) -> None:
    for path, value in _leaves(plain):
        writer.add(f"{path}: {value}" if path else value, "row")


def _leaves(plain: Any) -> Iterator[tuple[str, str]]:
    """Every scalar with its path, in document order, without recursion."""
    stack: list[tuple[str, Any]] = [("", plain)]
    while stack:
        path, value = stack.pop()
        if isinstance(value, dict):
            stack += [(f"{path}.{key}" if path else str(key), item) for key, item in reversed(value.items())]
        elif isinstance(value, list):
            stack += [(f"{path}[{place}]", item) for place, item in reversed(list(enumerate(value)))]
        elif value is not None and value != "":
            yield clean_line(path), value if isinstance(value, str) else json.dumps(value)


class Notebook:
    """Cells in order: Markdown as Markdown, code as code, and what the code printed."""

    def claims(self, raw: Raw) -> int:
        return NAMED if raw.extension == "ipynb" and raw.text is not None else NO

    def parse(self, raw: Raw, parsers: Parsers) -> Parsed:
        notebook = json.loads(raw.text or "")
        writer = Writer()
        for cell in notebook["cells"]:
            source = _joined(cell.get("source", ""))
            if cell.get("cell_type") == "markdown":
                write_markdown(writer, source)
            else:
                writer.add(source, "code")
                for output in cell.get("outputs", ()):
                    writer.add(_printed(output), "code")
        return writer.finish(str(notebook.get("metadata", {}).get("title", "")), "application/x-ipynb+json")


def _printed(output: dict[str, Any]) -> str:
    return _joined(output.get("text") or output.get("data", {}).get("text/plain", ""))


def _joined(source: str | list[str]) -> str:
    return source if isinstance(source, str) else "".join(source)
