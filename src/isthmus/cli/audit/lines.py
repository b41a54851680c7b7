"""Entries as lines: a table for people, plain lines for pipes, and the very bytes for programs."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from isthmus.cli.terminal import visible
from isthmus.errors import VerificationFailed
from isthmus.governance.audit.answers import facts
from isthmus.governance.audit.answers.facts import Event
from isthmus.governance.audit.answers.search import Found

_COLUMNS = ("entry", "time (UTC)", "what", "who", "about", "label", "how it ended", "request")
_WIDE = 130  # characters, from which a row fits into a line
_RED = frozenset({"failed", "stopped"})


def render(console: Console, found: Sequence[Found]) -> None:
    """A table where a person looks at a wide enough terminal, else a line an entry."""
    if console.is_terminal and console.width >= _WIDE:
        console.print(_table(found))
        return
    for one in found:
        index, time, what, *rest = _cells(one)
        line = Text.assemble((f"{index:>6}", "bold"), f" {time} ", (what, _style(what)), f" {rest[-1]}")
        line.rstrip()
        console.print(line.append("".join(f"  {cell}" for cell in rest[:-1] if cell)), soft_wrap=True)


def _table(found: Iterable[Found]) -> Table:
    """A table whose cells are never cut: on a narrow terminal they go on in the next line."""
    table = Table(*(Column(name, overflow="fold") for name in _COLUMNS), box=None, header_style="dim")
    table.columns[0].justify = "right"
    for one in found:
        index, time, what, *rest = (Text(cell) for cell in _cells(one))
        what.stylize(_style(what.plain))
        table.add_row(index, time, what, *rest)
    return table


def _style(what: str) -> str:
    return "red" if what in _RED else "cyan"


def _cells(one: Found) -> list[str]:
    event = one.event
    who = facts.text(event, "principal") or facts.text(event, "by")
    level = facts.text(facts.part(event, "label"), "level")
    time = facts.text(event, "time")[:19].replace("T", " ")
    cells = [str(one.index), time, facts.text(event, "type"), who, _about(event), level]
    return [visible(cell) for cell in (*cells, "  ".join(_ending(event)), facts.text(event, "request"))]


def _about(event: Event) -> str:
    """The model; where there is none, the key, the subject, or the document and its collection."""
    if model := facts.text(event, "model"):
        return model
    key = facts.text(facts.part(event, "key"), "id") or facts.text(event, "key")
    told = [key or facts.text(event, "subject"), facts.text(event, "document"), facts.text(event, "collection")]
    return " ".join(part for part in told if part)


def _ending(event: Event) -> Iterator[str]:
    yield from (told for told in (facts.text(event, name) for name in ("code", "error", "finish")) if told)
    if (cost := facts.cost(event)) is not None and cost[1]:
        yield f"{cost[1]} {cost[0]}"


def write_line(entry: bytes, index: int) -> None:
    """The entry's bytes as they were hashed, and a line end. Where a terminal shows them, what it would obey is
    spelled as JSON can spell it.

    Raises :class:`VerificationFailed` for an entry that is more than a line.
    """
    if b"\n" in entry or b"\r" in entry:
        raise VerificationFailed(f"Entry {index} is not canonical JSON: it holds a line end.", details={"index": index})
    if sys.stdout.isatty():
        entry = visible(entry.decode("utf8", "backslashreplace")).encode()
    sys.stdout.buffer.write(entry + b"\n")


def flush() -> None:
    """What was written is out. Raises :class:`BrokenPipeError` where nobody reads."""
    sys.stdout.flush()


@contextmanager
def pipe() -> Iterator[None]:
    """Whoever reads the lines may stop (``| head``): then nothing more is written, which is no failure."""
    try:
        yield
        flush()
    except BrokenPipeError:
        with suppress(OSError, ValueError):  # Python flushes again as it ends, and would complain
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
