"""``isthmus audit show``: one request's whole story as a timeline, or all of one entry."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from itertools import islice
from types import MappingProxyType
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from isthmus.cli.audit.opening import open_log
from isthmus.cli.audit.scanning import bar, fail_if_broken
from isthmus.cli.terminal import Config, Json, show, visible
from isthmus.errors import NotFound
from isthmus.governance.audit.answers.naming import requests_like
from isthmus.governance.audit.answers.search import Found, Query, Scan, oldest_first
from isthmus.governance.audit.answers.story import About, Step, Story, Tone, tell
from isthmus.governance.audit.answers.wording import plain
from isthmus.governance.audit.reading.proven import Proven, not_signed, proven
from isthmus.governance.audit.reading.reader import Reader

_STYLES: Mapping[Tone, str] = MappingProxyType(
    {"plain": "bold", "good": "bold green", "bad": "bold red", "open": "bold yellow"}
)
_MINUTE = 60  # seconds
_LONGEST_NUMBER = 18  # digits
_MARKS: Mapping[Tone, str] = MappingProxyType({"plain": "●", "good": "✔", "bad": "✘", "open": "?"})
#: Fields that tell what an entry is, before all others.
_FIRST = ("seq", "type", "time", "request", "of", "principal", "by", "why", "purpose", "label", "asked", "model")
_NEWEST = "List the newest with: isthmus audit list"


def show_request(
    request: Annotated[
        str,
        typer.Argument(
            help="A request's id, or how it begins, or its answer's id (chatcmpl-…); or an entry's number.",
        ),
    ],
    config: Config = None,
    json: Json = False,
) -> None:
    """Tell one request's whole story (decisions, calls, outcome), or all of one entry."""
    reader = open_log(config)
    genuine = proven(reader)
    if request.isdecimal() and request.isascii() and len(request) <= _LONGEST_NUMBER:
        found = _entry(reader, int(request), genuine)
        told = {"request": found.event.get("request"), "entries": [found.event], "signed": genuine.size}
        show(told, json, lambda console: _render_entry(console, found, genuine.size))
    else:
        _tell(reader, request, genuine, json)


def _entry(reader: Reader, number: int, genuine: Proven) -> Found:
    """The one entry of that number. Raises :class:`NotFound` and :class:`isthmus.errors.VerificationFailed`."""
    scan = Scan(islice(oldest_first(reader, number), 1), genuine=genuine)
    for found in scan.find(Query()):
        return found
    if scan.broken:
        raise not_signed(number, genuine.size)
    raise NotFound(f"The log has no entry of number {number}.", hint=_NEWEST)


def _tell(reader: Reader, given: str, genuine: Proven, json: bool) -> None:
    with bar(genuine.size, json) as advance:
        request = _whole_id(reader, given)
        about, scan = About(request), Scan(oldest_first(reader), advance, genuine)
        entries, later = about.sorted(scan.find(about))
    story = tell(request, entries, later)
    told: dict[str, Any] = {"request": request, "entries": [one.event for one in entries]}
    told |= {**story.as_dict(), "broken": scan.broken, "signed": genuine.size}
    if entries or json:
        show(told, json, lambda console: _render_story(console, story, entries, genuine.size))
    fail_if_broken(scan.broken, genuine.size)


def _whole_id(reader: Reader, given: str) -> str:
    """The id of the one request that is meant. Raises :class:`NotFound` for none, and for several."""
    found = requests_like(oldest_first(reader), given)
    if not found:
        raise NotFound(f"The log has no entry of request {given!r}.", hint=_NEWEST)
    if len(found) > 1:
        raise NotFound(
            f"Several requests begin with {given!r}: {', '.join(map(visible, found))}…",
            hint="Give more of the id, until it is one.",
            details={"requests": found},
        )
    return found[0]


def _render_story(console: Console, story: Story, found: list[Found], signed: int) -> None:
    began = f"{story.began:%Y-%m-%d %H:%M:%S} UTC" if story.began else "at an unknown time"
    console.print(Text.assemble("Request ", (visible(story.request), "bold"), f", {began}"), soft_wrap=True)
    console.print(Text(visible(story.end), _STYLES[story.tone]), soft_wrap=True)
    console.print()
    long = any(abs(step.after or 0) >= _MINUTE for step in story.steps)
    if console.is_terminal:
        console.print(_timeline(story.steps, long))
    else:
        for step in story.steps:
            line = f"{_after(step, long):>12}  {step.what:<9}  {visible(step.told)}"
            console.print(line, markup=False, soft_wrap=True)
    console.print()
    console.print(_evidence([one.index for one in found], signed), style="dim")


def _timeline(steps: Iterable[Step], long: bool) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right", style="dim", no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    last = None
    for step in steps:
        head = step.index != last
        mark = _MARKS[step.tone] if head else "│"
        what = Text.assemble(
            (mark, _STYLES[step.tone] if head else "dim"), " ", (visible(step.what), _STYLES[step.tone])
        )
        table.add_row(_after(step, long) if head else "", what, Text(visible(step.told)))
        last = step.index
    return table


def _after(step: Step, long: bool) -> str:
    """Seconds; of a story that is ``long``, also minutes and hours, for all its steps."""
    if step.after is None:
        return "no time"
    if not long:
        return f"{step.after:+.3f} s"
    sign, seconds = "-" if step.after < 0 else "+", round(abs(step.after))
    return f"{sign}{timedelta(seconds=seconds)}"


def _evidence(indexes: list[int], signed: int) -> str:
    """What was signed for of these entries, each of which was held against the signed root."""
    one = len(indexes) == 1
    entries = f"Entry {indexes[0]}" if one else f"Entries {', '.join(map(str, indexes))}"
    pending = [index for index in indexes if index >= signed]
    if not pending:
        counted = "1 entry" if signed == 1 else f"{signed} entries"
        return f"{entries} {'is' if one else 'are'} what was signed in the checkpoint of {counted}: checked just now."
    return f"{entries}. No signed checkpoint covers {', '.join(map(str, pending))} yet."


def _render_entry(console: Console, found: Found, signed: int) -> None:
    """Every field of one entry, a line each: first what it is."""
    event = found.event
    names = [*(name for name in _FIRST if name in event), *sorted(set(event) - set(_FIRST))]
    if console.is_terminal:
        table = Table.grid(padding=(0, 2))
        table.add_column(style="dim", overflow="fold", max_width=console.width // 3)
        table.add_column(overflow="fold")
        for name in names:
            table.add_row(Text(visible(name)), Text(visible(plain(event[name]))))
        console.print(table)
    else:
        wide = max(map(len, names))
        for name in names:
            console.print(f"{visible(name):<{wide}}  {visible(plain(event[name]))}", markup=False, soft_wrap=True)
    console.print()
    console.print(_evidence([found.index], signed), style="dim")
    if isinstance(request := event.get("request"), str):
        console.print(Text(f"Its request: isthmus audit show {visible(request)}", "dim"), soft_wrap=True)
