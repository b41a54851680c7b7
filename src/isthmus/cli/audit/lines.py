"""Entries as lines: a table for people, plain lines for pipes, and the very bytes for programs."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import groupby

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from isthmus.cli.terminal import visible
from isthmus.errors import VerificationFailed
from isthmus.governance.audit.answers import facts
from isthmus.governance.audit.answers.facts import Event
from isthmus.governance.audit.answers.search import Found

_COLUMNS = ("entry", "time (UTC)", "what", "request", "who", "about", "label", "how it ended")
_WIDE = 150  # characters, from which each fact has a column
_SHORT = len("req_") + 8  # of a request's id: `show` takes how it begins
_BAD = frozenset({"failed", "stopped", "witness.refused", "policy.rejected"})

_ENDS = frozenset({"outcome", "failed"})


@dataclass(frozen=True, slots=True)
class _Row:
    """What a line tells of an entry, safe to print."""

    index: int
    day: str
    time: str
    what: str
    request: str
    facts: tuple[str, str, str, str]  # who, about what, its label, how it ended
    style: str

    @classmethod
    def of(cls, one: Found) -> _Row:
        event = one.event
        day, _, time = facts.text(event, "time")[:19].partition("T")
        who = facts.text(event, "principal") or facts.text(event, "by")
        level = facts.text(facts.part(event, "label"), "level")
        told = (visible(who), visible(_about(event)), visible(level), visible("  ".join(_ending(event))))
        kind = facts.text(event, "type")
        bad = kind in _BAD or bool(facts.text(event, "error"))
        style = "red" if bad else "cyan"
        request = visible(facts.text(event, "request"))
        return cls(one.index, visible(day), visible(time), visible(kind), request, told, style)


def render(console: Console, found: Sequence[Found]) -> None:
    """On a terminal a table, a day at a time; in a pipe a line an entry, with all that the table shortens."""
    rows = [_Row.of(one) for one in found]
    if not console.is_terminal:
        for row in rows:
            cells = (row.what, row.request, *row.facts)
            line = f"{row.index:>6} {row.day} {row.time} {'  '.join(cell for cell in cells if cell)}"
            console.print(line, markup=False, soft_wrap=True)
        return
    table = _wide if console.width >= _WIDE else _narrow
    for at, (day, of_day) in enumerate(groupby(rows, key=lambda row: row.day)):
        console.print(Text(f"{day or 'no time'} (UTC)", "bold"))
        console.print(table(list(of_day), heads=not at))


def _wide(rows: Sequence[_Row], heads: bool) -> Table:
    """A column a fact; cells are never cut: they go on in the next line."""
    table = Table(
        *(Column(name, overflow="fold") for name in _COLUMNS), box=None, header_style="dim", show_header=heads
    )
    table.columns[0].justify = "right"
    for row in rows:
        what = Text(row.what, row.style)
        table.add_row(str(row.index), Text(row.time), what, Text(row.request), *map(Text, row.facts))
    return table


def _narrow(rows: Sequence[_Row], heads: bool) -> Table:
    """Facts share a column; who asked under which label, an entry that ends something does not say again."""
    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_column(justify="right", min_width=5)
    table.add_column(no_wrap=True)
    table.add_column(min_width=7, overflow="fold")
    table.add_column(min_width=_SHORT, no_wrap=True)
    table.add_column(overflow="fold", ratio=1)
    for row in rows:
        request = row.request[:_SHORT]
        who, about, level, ending = row.facts
        cells = (about, ending) if row.what in _ENDS else (about, level, who, ending)
        told = Text("  ".join(cell for cell in cells if cell))
        table.add_row(str(row.index), Text(row.time, "dim"), Text(row.what, row.style), Text(request), told)
    return table


def _about(event: Event) -> str:
    """The model; where there is none, the key, the subject, or the document and its collection."""
    if model := facts.text(event, "model"):
        return model
    key = facts.text(facts.part(event, "key"), "id") or facts.text(event, "key")
    told = [key or facts.text(event, "subject"), facts.text(event, "document"), facts.text(event, "collection")]
    return " ".join(part for part in told if part)


def _ending(event: Event) -> Iterator[str]:
    """How it ended: where a rule said no, which."""
    by = facts.names([event.get("rule"), *facts.part(event, "rules").values()])
    if facts.text(event, "type") == "stopped" and by:
        yield f"refused by {', '.join(sorted(by))}"
    else:
        yield from (told for told in (facts.text(event, name) for name in ("code", "error", "finish")) if told)
    if (cost := facts.cost(event)) is not None and cost[1]:
        yield f"{cost[1].normalize():f} {cost[0]}"


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
